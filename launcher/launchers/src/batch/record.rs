//! Makes the record of a job from the queue's table. The record's type is [`BatchRecord`].

use super::placeholders::about;
use crate::record::BatchRecord;
use ipclusterz_profile::tables::queue::QueueTable;

/// The record of the job `job_id`.
pub fn of_job(queue: &QueueTable, job_id: &str) -> BatchRecord {
    let kill = if queue.kill.is_empty() { &queue.cancel } else { &queue.kill };
    let alive = [&queue.waiting, &queue.running, &queue.suspended, &queue.stuck];
    BatchRecord {
        queue: queue.name.clone(),
        job_id: job_id.to_owned(),
        cancel: about(&queue.cancel, &[job_id]),
        kill: about(kill, &[job_id]),
        status: about(&queue.status, &[job_id]),
        status_line: queue.status_line.clone(),
        unknown: queue.unknown.clone(),
        alive: alive.into_iter().flatten().cloned().collect(),
    }
}
