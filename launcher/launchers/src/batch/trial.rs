//! Whether a queue answers, found out without submitting anything.

use super::answers::Reader;
use super::commands::{self, CommandError};
use super::placeholders::{about, command_line};
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::tables::queue::QueueTable;
use std::time::Duration;

/// A job that may or may not be there: its state is not what is asked about.
const SOME_JOB: &str = "1";

/// Asks the queue about a job. That there is no such job is an answer. What was asked, for a person.
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
