//! The messages about a job, for a person. Responsible for wording alone.

use super::answers::{Outcome, Wait};
use super::clock;
use std::collections::BTreeMap;
use std::time::Duration;

/// `job 17 is pending: waiting for resources; 40 s so far`.
pub fn pending(id: &str, wait: &Wait, waited: Duration) -> String {
    format!("job {id} is pending{}: {}; {} so far", never(wait), wait.text, clock::rough(waited))
}

fn never(wait: &Wait) -> &'static str {
    if wait.impossible { " and cannot start as things are" } else { "" }
}

/// `cannot start as things are: its time limit is longer than the partition's`, of a job that is not waited for.
pub fn given_up(wait: &Wait) -> String {
    format!("cannot start as things are: {}; it is not waited for (batch.strict, --strict)", wait.reason)
}

/// What to do about a job that was not waited for any longer.
pub const WAITED_HINT: &str = "ask for less or for another partition ([batch] of the profile), or wait: more \
                               batch.queue_timeout, and no --strict";

/// `waited 40 s in the queue: waiting for resources`.
pub fn waited_too_long(wait: &Wait, waited: Duration) -> String {
    format!("waited {} in the queue{}: {}", clock::rough(waited), never(wait), wait.text)
}

/// `job 17 runs on n[1-2]`.
pub fn running(id: &str, nodes: &str) -> String {
    if nodes.is_empty() { format!("job {id} runs") } else { format!("job {id} runs on {nodes}") }
}

/// `job 17 failed (FAILED), exit code 3`, `job 17 reached its time limit (TIMEOUT)`.
pub fn ended(id: &str, outcome: &Outcome, endings: &BTreeMap<String, String>) -> String {
    let how = match &outcome.state {
        Some(state) => match endings.get(state) {
            Some(words) => format!("{words} ({state})"),
            None => format!("ended ({state})"),
        },
        None => "ended".to_owned(),
    };
    let exit = match (outcome.signal, outcome.code) {
        (Some(signal), _) => format!(", {}", signal_name(signal)),
        (None, Some(code)) if code != 0 || outcome.state.is_none() => format!(", exit code {code}"),
        _ => String::new(),
    };
    format!("job {id} {how}{exit}")
}

/// A signal as the standard library prints it: `signal: 9 (SIGKILL)`.
fn signal_name(signal: i32) -> String {
    use std::os::unix::process::ExitStatusExt;
    std::process::ExitStatus::from_raw(signal).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_told_in_our_words_and_in_the_queue_s() {
        let endings = BTreeMap::from([("TIMEOUT".to_owned(), "reached its time limit".to_owned())]);
        let outcome = |state: &str, code, signal| Outcome { state: Some(state.to_owned()), failed: true, code, signal };
        assert_eq!(
            ended("17", &outcome("TIMEOUT", Some(0), Some(9)), &endings),
            "job 17 reached its time limit (TIMEOUT), signal: 9 (SIGKILL)"
        );
        assert_eq!(ended("17", &outcome("FAILED", Some(3), None), &endings), "job 17 ended (FAILED), exit code 3");
        assert_eq!(
            ended("17", &Outcome { code: Some(0), ..Outcome::default() }, &endings),
            "job 17 ended, exit code 0"
        );
    }
}
