//! Cancels a job whose launcher is gone, with the commands that its record keeps. Which jobs are orphaned is for the
//! caller to know.

use super::answers;
use super::commands::{self, CommandError};
use super::placeholders::command_line;
use crate::patterns;
use crate::record::BatchRecord;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use std::time::{Duration, Instant};

/// Timeout of one command of the queue.
const PATIENCE: Duration = Duration::from_secs(20);
/// Interval between two cancellations of the job.
const CANCEL_INTERVAL: Duration = Duration::from_secs(5);
/// After this long, the stronger command is used.
const FORCE_AFTER: Duration = Duration::from_secs(10);

/// Cancels the job and waits until the queue no longer lists it as alive. Returns whether it was alive; times out at
/// `deadline`.
///
/// The job is found by its id alone; a job whose id the queue does not know is gone. The caller must know that the
/// launcher is gone, or be that launcher.
pub fn destroy(record: &BatchRecord, deadline: Instant) -> Result<bool, Failure> {
    let began = Instant::now();
    let mut was_there = false;
    let mut cancelled: Option<Instant> = None;
    let mut absent = 0;
    let mut pause = Duration::from_millis(100);
    let mut trouble;
    loop {
        match is_alive(record) {
            Ok(true) => (was_there, absent, trouble) = (true, 0, None),
            // A job that was submitted just before the launcher died may not be listed yet, but can be cancelled.
            Ok(false) if cancelled.is_some() && absent > 0 => return Ok(was_there),
            Ok(false) => (absent, trouble) = (absent + 1, None),
            Err(failure) => trouble = Some(failure.message),
        }
        if Instant::now() >= deadline {
            let why = trouble.unwrap_or_else(|| "it is still in the queue".to_owned());
            let message = format!("job {} of {} could not be ended: {why}", record.job_id, record.queue);
            let hint = format!("try `{}`", command_line(&record.kill));
            return Err(Failure::new(Exit::Timeout, message).with_hint(hint));
        }
        if cancelled.is_none_or(|at| at.elapsed() >= CANCEL_INTERVAL) {
            let command = if began.elapsed() >= FORCE_AFTER { &record.kill } else { &record.cancel };
            // The queue shows whether it worked: commands differ in what they report about a job that has ended.
            let _ = commands::run(command, None, true, PATIENCE);
            cancelled = Some(Instant::now());
        }
        // A queue sends no notifications, so it is polled.
        std::thread::sleep(pause.min(deadline.saturating_duration_since(Instant::now())));
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// Whether the queue lists the job in a state in which it has not ended.
fn is_alive(record: &BatchRecord) -> Result<bool, Failure> {
    let pattern = patterns::compile("status_line", &record.status_line, &["id", "state"])?;
    let printed = match commands::run(&record.status, None, true, PATIENCE) {
        Err(CommandError::Failed { printed, .. }) if says_unknown(record, &printed)? => printed.stdout,
        other => other?.stdout,
    };
    let sightings = answers::sightings(&pattern, &printed);
    Ok(sightings.iter().any(|sighting| sighting.id == record.job_id && record.alive.contains(&sighting.state)))
}

fn says_unknown(record: &BatchRecord, printed: &commands::Printed) -> Result<bool, Failure> {
    let pattern = patterns::compile("unknown", &record.unknown, &[])?;
    let text = format!("{}\n{}", printed.stderr, printed.stdout);
    Ok(!record.unknown.is_empty() && pattern.is_match(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A queue made of three shell commands and a file.
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
