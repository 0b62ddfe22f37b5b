//! Sets: engines that begin and end together; the events of a set, and how it is ended. Plain data.

use crate::causes::Cause;
use ipclusterz_base::ids::EngineId;
use ipclusterz_host::failure::Failure;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::PathBuf;

/// The number of a set. The supervisor counts from 0 and never reuses a number within a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SetId(pub u32);

/// Engines that begin and end together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineSet {
    /// Its number.
    pub id: SetId,
    /// The id that its first engine (rank 0) asks for; the others follow in order.
    pub first: EngineId,
    /// How many engines; at least one.
    pub count: u32,
    /// The group of the profile (`[[batch.groups]]`) that they are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

impl EngineSet {
    /// The ids that its engines ask for.
    pub fn engines(&self) -> impl Iterator<Item = EngineId> + use<> {
        let range: Range<u32> = self.first.0..self.first.0 + self.count;
        range.map(EngineId)
    }

    /// Whether this id comes right before or behind those of its engines.
    pub fn is_next_to(&self, id: EngineId) -> bool {
        id.0 == self.first.0.wrapping_sub(1) || id.0 == self.first.0.saturating_add(self.count)
    }

    /// The same set with an id next to it.
    #[must_use]
    pub fn with(&self, id: EngineId) -> Self {
        Self { first: self.first.min(id), count: self.count + 1, ..self.clone() }
    }
}

/// What happened to a set since the last poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetEvent {
    /// It is not running yet. For a person: why, such as the queue's reason and the expected start.
    Waiting(String),
    /// It waits for the same as before. For a person who asks: why, and for how long.
    StillWaiting(String),
    /// Processes of some of its engines have been started. Those of these engines, counted from 0, wait; for a person: why.
    Partly(Vec<u32>, String),
    /// Its processes have been started. For a person: where.
    Running(String),
    /// Its processes have been started, and are stopped by whoever runs them. For a person: why.
    Suspended(String),
    /// A process of this host has forked it: it is this process from here on.
    Forked(u32),
    /// They go on. For a person: where.
    Resumed(String),
    /// Something else about it while it runs, for a person.
    News(String),
    /// For a person: what became of nodes of its job on which none of its engines is any more.
    Vacated(String),
    /// It has ended completely: no process of it is left.
    Ended(SetEnd),
}

/// What to do about a failure of `engines.setup`.
pub const SETUP_HINT: &str = "a command of engines.setup that may fail is followed by `|| true`";

/// How a set ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetEnd {
    /// All its engines were shut down in an orderly way.
    pub orderly: bool,
    /// How it ended, for a person: `exit status: 1`, `signal: 9 (SIGKILL)`, `job 17 was cancelled`.
    pub how: String,
    /// A log with details.
    pub log: Option<PathBuf>,
    /// Whether its launcher has seen its processes end, and does not only know it from a queue.
    pub certain: bool,
    /// Whether nothing of it was ever started: a host was not reached, or a queue did not take the job.
    pub not_started: bool,
    /// What to do about it, if its launcher knows.
    pub hint: Option<String>,
    /// Why, if its launcher knows.
    pub cause: Option<&'static Cause>,
}

impl SetEnd {
    /// The end of a set that ran.
    pub fn new(orderly: bool, how: impl Into<String>, log: Option<PathBuf>) -> Self {
        Self { orderly, how: how.into(), log, certain: true, not_started: false, hint: None, cause: None }
    }

    /// The end of a set of which nothing was ever started, with the reason.
    pub fn not_started(why: Failure) -> Self {
        Self { not_started: true, hint: why.hint, ..Self::new(false, why.message, None) }
    }

    /// The same end, for the reason that `engines.setup` has failed, if it has.
    pub fn because_of_setup(self, failure: Option<String>) -> Self {
        match failure {
            None => self,
            Some(how) => Self { orderly: false, how, hint: Some(SETUP_HINT.to_owned()), ..self },
        }
    }

    /// What happened to it, as the end of a sentence that its name begins. `many`: it has several engines.
    pub fn told(&self, many: bool) -> String {
        let how = &self.how;
        match (self.not_started, many) {
            (true, _) => format!("could not be started: {how}"),
            (false, true) => format!("have died: {how}"),
            (false, false) => format!("has died: {how}"),
        }
    }
}

/// How a set is to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// SIGTERM or scancel: engines may still shut down in an orderly way.
    Terminate,
    /// SIGKILL, and whatever else makes the end certain.
    Kill,
}

impl Force {
    /// The signal for processes: SIGTERM or SIGKILL.
    pub fn signal(self) -> i32 {
        match self {
            Force::Terminate => libc::SIGTERM,
            Force::Kill => libc::SIGKILL,
        }
    }
}
