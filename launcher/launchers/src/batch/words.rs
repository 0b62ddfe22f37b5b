//! The messages about a job, for a person. Responsible for wording alone.

use super::answers::{Outcome, Wait};
use super::clock;
use crate::causes;
use ipclusterz_host::units::ranges;
use std::collections::BTreeMap;
use std::time::Duration;

/// `job 17 is pending: waiting for resources; 40 s so far`.
pub fn pending(id: &str, wait: &Wait, waited: Duration) -> String {
    format!("job {id} is pending{}: {}; {} so far", never(wait), wait.text, clock::rough(waited))
}

/// `tasks 9-12 of job 17 are pending: waiting for resources; 40 s so far`.
pub fn tasks_pending(id: &str, tasks: &[u32], wait: &Wait, waited: Duration) -> String {
    let (tasks, are) = match tasks {
        [task] => (format!("task {task}"), "is"),
        _ => {
            let mut sorted = tasks.to_vec();
            sorted.sort_unstable();
            (format!("tasks {}", ranges(sorted)), "are")
        }
    };
    format!("{tasks} of job {id} {are} pending{}: {}; {} so far", never(wait), wait.text, clock::rough(waited))
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

/// `job 17 is suspended; ...`: what the queue calls it, or in our words.
pub fn suspended(id: &str, why: &str) -> String {
    format!("job {id} is {why}: its processes are stopped, and its engines do not answer until they go on")
}

/// `job 17: no answer from the queue for 20 s, and it was pending before (waiting for resources): ...`.
pub fn silent(id: &str, silent: Duration, command: &str, running: bool, before: Option<&str>) -> String {
    let before = match (running, before) {
        (true, _) => ", and it ran before".to_owned(),
        (false, Some(reason)) => format!(", and it was pending before ({reason})"),
        (false, None) => String::new(),
    };
    format!("job {id}: no answer from the queue for {}{before}: {command}", clock::rough(silent))
}

/// `job 17 gave back n3`. `printed`: the names of the nodes; none if it keeps those of `hosts`, on which no engine is any more.
pub fn vacated(id: &str, hosts: &[String], printed: &str) -> String {
    let nodes: Vec<&str> = printed.split_whitespace().collect();
    match nodes.len() {
        0 => format!("job {id} keeps {} until it ends, although no engine is there any more", hosts.join(", ")),
        _ => format!("job {id} gave back {}", nodes.join(", ")),
    }
}

/// `job 17 keeps n3, although no engine is there any more: Job/step already completing or completed`.
pub fn not_vacated(id: &str, hosts: &[String], why: &str) -> String {
    let why = why.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("the queue does not say why");
    format!("job {id} keeps {}, although no engine is there any more: {why}", hosts.join(", "))
}

/// `job 17 failed (FAILED), exit code 3`, `job 17 was cancelled (CANCELLED) by anna`.
pub fn ended(job: &str, outcome: &Outcome, endings: &BTreeMap<String, String>) -> String {
    let how = match &outcome.state {
        Some(state) => match endings.get(state) {
            Some(words) => format!("{words} ({state})"),
            None => format!("ended ({state})"),
        },
        None => "ended".to_owned(),
    };
    let by = outcome.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let exit = match (outcome.signal, outcome.code) {
        _ if let Some(cause) = outcome.cause.filter(|cause| cause.name == causes::FOLDER) => {
            format!(": {}", cause.words)
        }
        (Some(signal), _) => format!(", {}", signal_name(signal)),
        (None, Some(code)) if code != 0 || outcome.state.is_none() => format!(", exit code {code}"),
        _ => String::new(),
    };
    format!("{job} {how}{by}{exit}")
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
    fn what_became_of_nodes_is_told() {
        let hosts = ["n2".to_owned(), "n3".to_owned()];
        assert_eq!(vacated("17", &hosts, "n3\nn2\n"), "job 17 gave back n3, n2");
        assert!(vacated("17", &hosts[..1], "\n").starts_with("job 17 keeps n2 until it ends"));
        assert!(
            not_vacated("17", &hosts, "\n not now\n")
                .ends_with("keeps n2, n3, although no engine is there any more: not now")
        );
    }

    #[test]
    fn endings_are_told_in_our_words_and_in_the_queue_s() {
        let endings = BTreeMap::from([("TIMEOUT".to_owned(), "reached its time limit".to_owned())]);
        let outcome = |state: &str, code, signal| Outcome {
            state: Some(state.to_owned()),
            failed: true,
            code,
            signal,
            ..Outcome::default()
        };
        assert_eq!(
            ended("job 17", &outcome("TIMEOUT", Some(0), Some(9)), &endings),
            "job 17 reached its time limit (TIMEOUT), signal: 9 (SIGKILL)"
        );
        let cancelled = Outcome { by: Some("anna".to_owned()), ..outcome("X", Some(0), None) };
        assert_eq!(ended("job 17", &cancelled, &endings), "job 17 ended (X) by anna");
        assert_eq!(ended("job 17", &outcome("FAILED", Some(3), None), &endings), "job 17 ended (FAILED), exit code 3");
        assert_eq!(
            ended("job 17", &Outcome { code: Some(0), ..Outcome::default() }, &endings),
            "job 17 ended, exit code 0"
        );
    }
}
