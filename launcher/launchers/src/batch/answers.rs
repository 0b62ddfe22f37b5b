//! Parses what a queue's commands print, by the patterns and lists of words in `[queue]`.
//!
//! Responsible for text alone: it runs no command and decides nothing.

use super::clock;
use super::commands::CommandError;
use crate::causes::{self, Cause};
use crate::patterns::compile;
use crate::program::said::Causes;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::hints;
use ipclusterz_profile::tables::queue::{QueueTable, Refusal};
use regex::{Captures, Regex};
use std::collections::BTreeMap;

/// A job, or a task of an array, as the queue listed it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sighting {
    /// The job's id.
    pub id: String,
    /// The queue's word for its state.
    pub state: String,
    /// Why it is pending, in the queue's words.
    pub reason: Option<String>,
    /// When it is expected to start, as printed.
    pub start: Option<String>,
    /// Where it runs.
    pub nodes: Option<String>,
    /// Its number in an array, from 1.
    pub task: Option<u32>,
    /// The id that this task of an array has besides.
    pub own: Option<String>,
}

/// The state of one job, combined from all its sightings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    /// The queue did not list it.
    Absent,
    /// It is pending.
    Waiting(Wait),
    /// It runs. For a person: on which nodes; empty when the queue does not tell.
    Running(String),
    /// Some tasks of an array run, others wait.
    Partly {
        /// As of one that runs.
        nodes: String,
        /// The numbers of the tasks that wait.
        waiting: Vec<u32>,
        /// Why the first of these waits.
        wait: Wait,
    },
    /// It has been started, and its processes are stopped. For a person: why, or by what.
    Suspended(String),
    /// It stays in the queue and will not run. For a person: why.
    Stuck(String),
    /// It has ended.
    Over(Outcome),
}

/// Why a job is pending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wait {
    /// For a person: why, and until when.
    pub text: String,
    /// Why alone.
    pub reason: String,
    /// When the queue expects it to start, in seconds since 1970.
    pub start: Option<i64>,
    /// It will not start unless somebody changes something.
    pub impossible: bool,
    /// What the queue said last, if it does not answer now.
    pub last: Option<String>,
}

/// Estimates that differ by fewer seconds are no news: a queue makes a new one with each look at its jobs.
const SAME_START: u64 = 300;

impl Wait {
    /// Whether a person who was told `before` would want to know.
    pub fn is_news_after(&self, before: &Wait) -> bool {
        let start = match (self.start, before.start) {
            (Some(new), Some(old)) => new.abs_diff(old) >= SAME_START,
            (new, old) => new.is_some() && old.is_none(),
        };
        start || (&self.reason, self.impossible) != (&before.reason, before.impossible)
    }
}

/// How a job ended, as far as the queue tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The queue's word for its last state.
    pub state: Option<String>,
    /// Whether that is one of `queue.failed`.
    pub failed: bool,
    /// Exit code of the script.
    pub code: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// Who cancelled it: a name or a number.
    pub by: Option<String>,
    /// Why, if one of `queue.causes` says so.
    pub cause: Option<&'static Cause>,
}

impl Outcome {
    /// This outcome, with what accounting knows of it besides; or that of accounting, where this one tells nothing.
    pub fn completed(told: Option<Outcome>, accounting: Option<Outcome>) -> Option<Outcome> {
        match (told, accounting) {
            (Some(told), Some(accounting)) => {
                let state = accounting.state.filter(|_| accounting.failed).or(told.state);
                let cause = accounting.cause.filter(|_| accounting.failed).or(told.cause);
                Some(Outcome { state, failed: told.failed || accounting.failed, by: accounting.by, cause, ..told })
            }
            (told, accounting) => told.or(accounting),
        }
    }
}

/// The patterns of a `[queue]` table, compiled.
#[derive(Debug)]
pub struct Reader {
    queue: QueueTable,
    job_id: Regex,
    status: Regex,
    outcome: Option<Regex>,
    accounting: Option<Regex>,
    refusals: Vec<(Regex, Refusal)>,
    unknown: Option<Regex>,
    impossible: Option<Regex>,
    causes: Causes,
}

impl Reader {
    /// Compiles the patterns of a table. A pattern that is invalid, or lacks a required group, is a usage error.
    pub fn new(queue: &QueueTable) -> Result<Self, Failure> {
        let optional = |pattern: &String| Some(pattern.clone()).filter(|pattern| !pattern.is_empty());
        let outcome = optional(&queue.outcome_line).map(|pattern| compile("outcome_line", &pattern, &[]));
        let accounting = optional(&queue.accounting_line).map(|pattern| compile("accounting_line", &pattern, &[]));
        let refusal = |refusal: &Refusal| Ok((compile("refusals", &refusal.pattern, &[])?, refusal.clone()));
        let unknown = optional(&queue.unknown).map(|pattern| compile("unknown", &pattern, &[]));
        let impossible = optional(&queue.impossible).map(|pattern| compile("impossible", &pattern, &[]));
        Ok(Self {
            job_id: compile("job_id", &queue.job_id, &["id"])?,
            status: compile("status_line", &queue.status_line, &["id", "state"])?,
            outcome: outcome.transpose()?,
            accounting: accounting.transpose()?,
            refusals: queue.refusals.iter().map(refusal).collect::<Result<_, Failure>>()?,
            unknown: unknown.transpose()?,
            impossible: impossible.transpose()?,
            causes: Causes::new(&queue.causes)?,
            queue: queue.clone(),
        })
    }

    /// The id of the submitted job, from the output of `queue.submit`; `None` when the pattern does not match.
    pub fn job_id(&self, printed: &str) -> Option<String> {
        Some(self.job_id.captures(printed)?.name("id")?.as_str().to_owned())
    }

    /// Whether a command's output says that the job does not exist.
    pub fn says_unknown(&self, printed: &str) -> bool {
        self.unknown.as_ref().is_some_and(|pattern| pattern.is_match(printed))
    }

    /// Which of `queue.refusals` a command's output says.
    pub fn refusal(&self, printed: &str) -> Option<&Refusal> {
        self.refusals.iter().find(|(pattern, _)| pattern.is_match(printed)).map(|(_, refusal)| refusal)
    }

    /// The jobs that a status command listed.
    pub fn sightings(&self, printed: &str) -> Vec<Sighting> {
        sightings(&self.status, printed)
    }

    /// The state of the job `id`, combined from its sightings. `now` is in seconds since 1970.
    pub fn view(&self, sightings: &[Sighting], id: &str, now: i64) -> View {
        let ours: Vec<&Sighting> = sightings.iter().filter(|sighting| sighting.id == id).collect();
        let among = |states: &[String]| {
            let found = ours.iter().filter(|sighting| states.contains(&sighting.state));
            found.copied().collect::<Vec<&Sighting>>()
        };
        let running = among(&self.queue.running);
        if !running.is_empty() {
            let mut nodes: Vec<&str> = running.iter().filter_map(|sighting| sighting.nodes.as_deref()).collect();
            nodes.sort_unstable();
            nodes.dedup();
            let (nodes, waiting) = (nodes.join(","), among(&self.queue.waiting));
            let tasks: Vec<u32> = waiting.iter().filter_map(|sighting| sighting.task).collect();
            return match waiting.first() {
                Some(first) if !tasks.is_empty() => {
                    View::Partly { nodes, waiting: tasks, wait: self.waiting(first, now) }
                }
                _ => View::Running(nodes),
            };
        }
        if let [first, ..] = among(&self.queue.suspended).as_slice() {
            return View::Suspended(self.waiting(first, now).reason);
        }
        if let [first, ..] = among(&self.queue.waiting).as_slice() {
            return View::Waiting(self.waiting(first, now));
        }
        if let [first, ..] = among(&self.queue.stuck).as_slice() {
            return View::Stuck(self.waiting(first, now).text);
        }
        let worst = ours.iter().find(|sighting| self.queue.failed.contains(&sighting.state)).or(ours.first());
        worst.map_or(View::Absent, |sighting| View::Over(self.over(sighting)))
    }

    /// How a job, or a task of an array, ended that is listed so.
    fn over(&self, sighting: &Sighting) -> Outcome {
        Outcome {
            state: Some(sighting.state.clone()),
            failed: self.queue.failed.contains(&sighting.state),
            cause: self.causes.in_words([Some(&sighting.state), sighting.reason.as_ref()].into_iter().flatten()),
            ..Outcome::default()
        }
    }

    /// How the tasks of an array ended that have, and are listed, by their numbers from 1.
    pub fn tasks_over(&self, sightings: &[Sighting], id: &str) -> BTreeMap<u32, Outcome> {
        let lives = |sighting: &Sighting| {
            let lists = [&self.queue.running, &self.queue.suspended, &self.queue.waiting, &self.queue.stuck];
            lists.into_iter().any(|states| states.contains(&sighting.state))
        };
        let over = sightings.iter().filter(|sighting| sighting.id == id && !lives(sighting));
        over.filter_map(|sighting| Some((sighting.task?, self.over(sighting)))).collect()
    }

    /// The queue's words for causes.
    pub fn causes(&self) -> &Causes {
        &self.causes
    }

    fn waiting(&self, sighting: &Sighting, now: i64) -> Wait {
        let word = |word: &str| self.queue.reasons.get(word).cloned();
        // A queue that prints no reasons may still have states that explain themselves, such as held or suspended.
        let reason = sighting.reason.as_deref().map(|reason| word(reason).unwrap_or_else(|| reason.to_owned()));
        let reason = reason.or_else(|| word(&sighting.state)).unwrap_or_else(|| sighting.state.clone());
        let printed = sighting.start.as_deref();
        let expected = printed.map(|start| format!("; {}", clock::expected_start(start, now))).unwrap_or_default();
        let impossible = |word: &str| self.impossible.as_ref().is_some_and(|pattern| pattern.is_match(word));
        Wait {
            text: format!("{reason}{expected}"),
            start: printed.and_then(clock::epoch_of),
            impossible: sighting.reason.as_deref().is_some_and(impossible),
            last: None,
            reason,
        }
    }

    /// How a job ended; `None` when the output says nothing about it.
    ///
    /// An array prints one exit per task: the first one that is not a success counts.
    pub fn outcome(&self, printed: &str) -> Option<Outcome> {
        self.outcome_by(self.outcome.as_ref()?, printed)
    }

    /// The same by the output of `queue.accounting`. A job that it still takes for alive it knows nothing of yet.
    pub fn accounting(&self, printed: &str) -> Option<Outcome> {
        let outcome = self.outcome_by(self.accounting.as_ref()?, printed)?;
        let lives = |state: &String| self.queue.running.contains(state) || self.queue.waiting.contains(state);
        (!outcome.state.as_ref().is_some_and(lives)).then_some(outcome)
    }

    fn outcome_by(&self, pattern: &Regex, printed: &str) -> Option<Outcome> {
        let mut outcome = Outcome::default();
        let (mut anything, mut exact) = (false, false);
        let words = |found: &Captures<'_>| ["state", "failure", "exit"].map(|group| value(found, group));
        let said: Vec<String> = pattern.captures_iter(printed).flat_map(|found| words(&found)).flatten().collect();
        outcome.cause = self.causes.in_words(&said);
        for found in pattern.captures_iter(printed) {
            let failure = value(&found, "failure").map(|failure| (failure, true));
            let is_exact = failure.is_some();
            let state = value(&found, "state").map(|state| (state.clone(), self.queue.failed.contains(&state)));
            if let Some((state, failed)) = failure.or(state) {
                outcome.by = outcome.by.or_else(|| value(&found, "by"));
                if outcome.state.is_none() || (failed && !outcome.failed) || (is_exact && !exact) {
                    (outcome.state, outcome.failed, exact) = (Some(state), failed, is_exact);
                }
                anything = true;
            }
            if let Some((code, signal)) = value(&found, "exit").as_deref().and_then(exit) {
                if outcome.code.unwrap_or(0) == 0 && outcome.signal.is_none() {
                    (outcome.code, outcome.signal) = (Some(code), signal);
                }
                anything = true;
            }
        }
        anything.then_some(outcome)
    }

    /// A failure to submit a job, with advice by what the queue says: that its server does not answer, or what it does not
    /// take.
    pub fn advised(&self, error: CommandError) -> Failure {
        let said = matches!(error, CommandError::Failed { .. });
        let failure = Failure::from(error);
        let refuses =
            said && self.causes.knows(causes::QUEUE_DOWN) && self.causes.in_words([&failure.message]).is_none();
        if refuses { failure.with_hint(hints::QUEUE_REFUSES) } else { failure }
    }

    /// The words of `queue.endings`.
    pub fn endings(&self) -> &BTreeMap<String, String> {
        &self.queue.endings
    }
}

/// The jobs that a status command listed, by `queue.status_line`.
pub(super) fn sightings(pattern: &Regex, printed: &str) -> Vec<Sighting> {
    let mut sightings: Vec<Sighting> = Vec::new();
    for found in pattern.captures_iter(printed) {
        if let Some(id) = value(&found, "id") {
            sightings.push(Sighting { id, ..Sighting::default() });
        }
        let Some(sighting) = sightings.last_mut() else { continue };
        if let Some(state) = value(&found, "state") {
            sighting.state = state;
        }
        for (name, field) in [
            ("reason", &mut sighting.reason),
            ("start", &mut sighting.start),
            ("nodes", &mut sighting.nodes),
            ("own", &mut sighting.own),
        ] {
            *field = field.take().or_else(|| value(&found, name));
        }
        sighting.task = sighting.task.or_else(|| value(&found, "task")?.parse().ok());
    }
    sightings
}

/// Parses `CODE` or `CODE:SIGNAL`. For signal N a shell returns the code 128 + N, and PBS 256 + N.
fn exit(text: &str) -> Option<(i32, Option<i32>)> {
    let (code, signal) = text.split_once(':').unwrap_or((text, "0"));
    let (code, signal): (i32, i32) = (code.trim().parse().ok()?, signal.trim().parse().ok()?);
    let in_code = match code {
        129..=192 => Some(code - 128),
        257..=320 => Some(code - 256),
        _ => None,
    };
    Some((code, Some(signal).filter(|signal| *signal != 0).or(in_code)))
}

/// The text of a group; `None` for the words that queues print in place of a missing value.
fn value(found: &Captures<'_>, group: &str) -> Option<String> {
    const NOTHING: [&str; 8] = ["", "-", "--", "N/A", "None", "(null)", "Unknown", "undefined"];
    let text = found.name(group)?.as_str().trim();
    (!NOTHING.contains(&text)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
