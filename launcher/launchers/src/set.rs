//! Sets: engines that begin and end together, what becomes of one, and how it is ended.

use ipclusterz_base::ids::EngineId;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::PathBuf;

/// Counted by the supervisor, from 0; never used twice in a run.
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

/// What became of a set since it was last asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetEvent {
    /// It is not running yet; why, for a person, such as the queue's reason and the expected start.
    Waiting(String),
    /// Its processes have been started: where, for a person.
    Running(String),
    /// It is over, wholly: no process of it is left.
    Ended(SetEnd),
}

/// How a set ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetEnd {
    /// All its engines were shut down in an orderly way.
    pub orderly: bool,
    /// How, for a person: `exit status: 1`, `signal: 9 (SIGKILL)`, `job 17 was cancelled`.
    pub how: String,
    /// A log with more about it.
    pub log: Option<PathBuf>,
}

/// How a set is to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// SIGTERM, scancel: engines may still end in an orderly way.
    Terminate,
    /// SIGKILL, and whatever else makes sure.
    Kill,
}

impl Force {
    /// The signal for processes.
    pub fn signal(self) -> i32 {
        match self {
            Force::Terminate => libc::SIGTERM,
            Force::Kill => libc::SIGKILL,
        }
    }
}
