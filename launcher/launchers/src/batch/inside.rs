//! Starts engines in the job that this process itself runs in: the allocation exists already, so nothing is submitted.
//!
//! Responsible for the queue's side: the job's id, its start command and its end. [`crate::program`] runs that command.

use super::commands;
use super::options::BatchOptions;
use crate::set::EngineSet;
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::tables::queue::QueueTable;
use std::time::Duration;

/// The id of the job that this process runs in, from the environment variable that `queue.inside` names.
pub fn job_id(queue: &QueueTable) -> Option<String> {
    if queue.inside.is_empty() {
        return None;
    }
    std::env::var(&queue.inside).ok().filter(|id| !id.is_empty())
}

/// The arguments to put before the engine's own: the queue's command that starts the engines of a set on the nodes of
/// the job that this process runs in. Empty when the queue has no such command; then all engines run on this node.
///
/// The engines get the same options as those of a submitted job: `--first-engine-id` and `--ranks`.
pub fn argv(options: &BatchOptions, set: &EngineSet) -> Result<Vec<String>, Failure> {
    options.values(set)?.command(&options.queue.start, "queue.start")
}

/// When the job that this process runs in reaches its time limit, in seconds since 1970; `None` when that is not known.
/// The value is for `IPCLUSTERZ_END_TIME` of the engines.
///
/// Runs a command of the queue, for at most `patience`.
pub fn end_time(queue: &QueueTable, patience: Duration) -> Option<i64> {
    // A job that ipclusterz submitted has the variable already.
    let told = std::env::var("IPCLUSTERZ_END_TIME").ok().and_then(|text| text.parse().ok());
    if told.is_some() || queue.end_time.is_empty() || job_id(queue).is_none() {
        return told;
    }
    let command = ["sh", "-c", &queue.end_time].map(str::to_owned);
    commands::run(&command, None, true, patience).ok()?.stdout.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::options::tests::{options, set};
    use super::*;

    #[test]
    fn the_start_command_is_filled_in() {
        let options = options(include_str!("../../../../profiles/slurm-mpi.toml"));
        let argv = argv(&options, &set(8)).expect("argv");
        assert_eq!(argv[..3], ["srun", "--mpi=pmix", "--ntasks=8"]);
        assert!(!argv.iter().any(|argument| argument.contains("--nodes")), "{argv:?}");
    }

    #[test]
    fn outside_of_jobs_there_is_no_end() {
        let mut queue = options("").queue;
        assert_eq!(job_id(&queue), None);
        queue.inside = "NO_SUCH_VARIABLE_IPCLUSTERZ".to_owned();
        queue.end_time = "echo 5".to_owned();
        assert_eq!((job_id(&queue), end_time(&queue, Duration::from_secs(5))), (None, None));
        // Any test runner sets PATH.
        queue.inside = "PATH".to_owned();
        assert_eq!(end_time(&queue, Duration::from_secs(30)), Some(5));
    }
}
