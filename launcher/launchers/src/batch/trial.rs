//! Checks whether a queue answers, without submitting anything.

use super::answers::Reader;
use super::commands::{self, CommandError};
use super::placeholders::{about, command_line};
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::tables::queue::QueueTable;
use std::time::Duration;

/// A job that may or may not exist: its state does not matter here.
const SOME_JOB: &str = "1";

/// Queries the queue for a job; the answer that there is no such job is a success. Returns what was asked, for a
/// person. Blocks for at most `patience`.
pub fn answers(queue: &QueueTable, patience: Duration) -> Result<String, Failure> {
    let reader = Reader::new(queue)?;
    let command = about(&queue.status, &[SOME_JOB]);
    match commands::run(&command, None, true, patience) {
        Err(CommandError::Failed { printed, .. })
            if reader.says_unknown(&printed.stderr) || reader.says_unknown(&printed.stdout) => {}
        other => drop(other?),
    }
    Ok(format!("{} answers `{}`", queue.name, command_line(&command)))
}
