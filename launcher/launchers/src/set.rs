//! Sets: engines that begin and end together; the events of a set, and how it is ended. Plain data.

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
}

impl EngineSet {
    /// The ids that its engines ask for.
    pub fn engines(&self) -> impl Iterator<Item = EngineId> + use<> {
        let range: Range<u32> = self.first.0..self.first.0 + self.count;
        range.map(EngineId)
    }
}

/// What happened to a set since the last poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetEvent {
    /// It is not running yet. For a person: why, such as the queue's reason and the expected start.
    Waiting(String),
    /// It waits for the same as before. For a person who asks: why, and for how long.
    StillWaiting(String),
    /// Its processes have been started. For a person: where.
    Running(String),
    /// It has ended completely: no process of it is left.
    Ended(SetEnd),
}

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
}

impl SetEnd {
    /// The end of a set that ran.
    pub fn new(orderly: bool, how: impl Into<String>, log: Option<PathBuf>) -> Self {
        Self { orderly, how: how.into(), log, certain: true, not_started: false, hint: None }
    }

    /// The end of a set of which nothing was ever started, with the reason.
    pub fn not_started(why: Failure) -> Self {
        Self { not_started: true, hint: why.hint, ..Self::new(false, why.message, None) }
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
