//! What `cluster.json` keeps of a job, and ending that job when its launcher is gone.

use super::answers;
use super::commands::{self, CommandError};
use crate::exit_code::Exit;
use crate::failure::Failure;
use crate::tables::queue::QueueTable;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// How long one command of the queue may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two times that a job is cancelled, and after how long with more force.
const AGAIN: Duration = Duration::from_secs(5);
const FORCE_AFTER: Duration = Duration::from_secs(10);

/// A job, and what of the queue's table it takes to end it: the profile may have changed since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRecord {
    /// The queue's name, for messages.
    pub queue: String,
    /// The job's id.
    pub job_id: String,
    /// The command that cancels it.
    pub cancel: Vec<String>,
    /// The same with more force.
    pub kill: Vec<String>,
    /// The command that tells of it.
    pub status: Vec<String>,
    /// `queue.status_line`.
    pub status_line: String,
    /// `queue.unknown`.
    pub unknown: String,
    /// States in which it is not over.
    pub alive: Vec<String>,
}

impl BatchRecord {
    /// The record of the job `job_id`.
    pub fn new(queue: &QueueTable, job_id: &str) -> Self {
        let kill = if queue.kill.is_empty() { &queue.cancel } else { &queue.kill };
        let alive = [&queue.waiting, &queue.running, &queue.stuck];
        Self {
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

    /// Whether the queue has the job and it is not over.
    fn is_alive(&self) -> Result<bool, Failure> {
        let pattern = answers::compile("status_line", &self.status_line, &["id", "state"])?;
        let printed = match commands::run(&self.status, None, true, PATIENCE) {
            Err(CommandError::Failed { printed, .. }) if self.says_unknown(&printed)? => printed.stdout,
            other => other?.stdout,
        };
        let sightings = answers::sightings(&pattern, &printed);
        Ok(sightings.iter().any(|sighting| sighting.id == self.job_id && self.alive.contains(&sighting.state)))
    }

    fn says_unknown(&self, printed: &commands::Printed) -> Result<bool, Failure> {
        let pattern = answers::compile("unknown", &self.unknown, &[])?;
        let text = format!("{}\n{}", printed.stderr, printed.stdout);
        Ok(!self.unknown.is_empty() && pattern.is_match(&text))
    }
}

/// A command about jobs: `{job_ids}` is all of them with commas, an argument that is just `{job_id}` is repeated.
pub(super) fn about(command: &[String], ids: &[&str]) -> Vec<String> {
    let mut arguments = Vec::new();
    for argument in command {
        if argument == "{job_id}" {
            arguments.extend(ids.iter().map(|id| (*id).to_owned()));
        } else {
            let first = ids.first().copied().unwrap_or_default();
            arguments.push(argument.replace("{job_ids}", &ids.join(",")).replace("{job_id}", first));
        }
    }
    arguments
}

/// Cancels the job and waits until the queue says that it is gone; whether there was anything to end.
///
/// By its id alone. An id that the queue does not know is one that is gone. The caller must know that the launcher is
/// gone, or be it.
pub fn destroy(record: &BatchRecord, deadline: Instant) -> Result<bool, Failure> {
    let began = Instant::now();
    let mut was_there = false;
    let mut cancelled: Option<Instant> = None;
    let mut absent = 0;
    let mut pause = Duration::from_millis(100);
    let mut trouble;
    loop {
        match record.is_alive() {
            Ok(true) => (was_there, absent, trouble) = (true, 0, None),
            // A job that was submitted just before the launcher died may not be listed at once, but can be cancelled.
            Ok(false) if cancelled.is_some() && absent > 0 => return Ok(was_there),
            Ok(false) => (absent, trouble) = (absent + 1, None),
            Err(failure) => trouble = Some(failure.message),
        }
        if Instant::now() >= deadline {
            let why = trouble.unwrap_or_else(|| "it is still in the queue".to_owned());
            let message = format!("job {} of {} could not be ended: {why}", record.job_id, record.queue);
            let hint = format!("try `{}`", super::placeholders::command_line(&record.kill));
            return Err(Failure::new(Exit::Timeout, message).with_hint(hint));
        }
        if cancelled.is_none_or(|at| at.elapsed() >= AGAIN) {
            let command = if began.elapsed() >= FORCE_AFTER { &record.kill } else { &record.cancel };
            // Whether it worked is seen in the queue: commands differ in what they say of a job that is over.
            let _ = commands::run(command, None, true, PATIENCE);
            cancelled = Some(Instant::now());
        }
        // The queue can only be asked.
        std::thread::sleep(pause.min(deadline.saturating_duration_since(Instant::now())));
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_about_several_jobs() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
        assert_eq!(about(&words(&["squeue", "--jobs={job_ids}"]), &["1", "2"]), ["squeue", "--jobs=1,2"]);
        assert_eq!(about(&words(&["bjobs", "{job_id}", "-w"]), &["1", "2"]), ["bjobs", "1", "2", "-w"]);
        assert_eq!(about(&words(&["x", "--job={job_id}"]), &["1"]), ["x", "--job=1"]);
    }

    /// A queue that is three shell commands and a file.
    fn queue(folder: &std::path::Path, cancel: &str) -> BatchRecord {
        let shell = |script: String| vec!["sh".to_owned(), "-c".to_owned(), script];
        let file = folder.join("queue").display().to_string();
        BatchRecord {
            queue: "Played".to_owned(),
            job_id: "17".to_owned(),
            cancel: shell(cancel.replace("FILE", &file)),
            kill: shell(format!("rm -f {file}")),
            status: shell(format!("cat {file} 2>/dev/null || {{ echo no such job >&2; exit 3; }}")),
            status_line: r"^(?<id>\d+) (?<state>\w+)$".to_owned(),
            unknown: "no such job".to_owned(),
            alive: vec!["R".to_owned()],
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[test]
    fn a_job_is_cancelled_and_seen_to_be_gone() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let record = queue(folder.path(), "rm FILE");
        assert_eq!(destroy(&record, soon()), Ok(false));
        std::fs::write(folder.path().join("queue"), "16 R\n17 R\n").expect("write");
        assert_eq!(destroy(&record, soon()), Ok(true));
        std::fs::write(folder.path().join("queue"), "16 R\n17 DONE\n").expect("write");
        assert_eq!(destroy(&queue(folder.path(), "true"), soon()), Ok(false));
    }

    #[test]
    fn what_stays_is_an_error_with_the_command_to_try() {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::write(folder.path().join("queue"), "17 R\n").expect("write");
        let failure = destroy(&queue(folder.path(), "true"), Instant::now() + Duration::from_millis(500));
        let failure = failure.expect_err("it stays");
        assert_eq!(failure.message, "job 17 of Played could not be ended: it is still in the queue");
        assert!(failure.hint.expect("hint").starts_with("try `sh -c 'rm -f"));
    }

    #[test]
    fn a_record_survives_the_file() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let record = queue(folder.path(), "true");
        let text = serde_json::to_string(&record).expect("JSON");
        assert_eq!(serde_json::from_str::<BatchRecord>(&text).expect("JSON"), record);
    }
}
