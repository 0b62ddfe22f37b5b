//! How tasks end, without anything else.

use serde::{Deserialize, Serialize};

/// The kind of an [`Outcome`](super::Outcome).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It gave a value.
    Ok,
    /// It raised an error.
    Error,
    /// Its client aborted it.
    Aborted,
    /// Its engine died, or there was none.
    Lost,
    /// The controller refused it.
    Rejected,
    /// A rank of its group was lost.
    RankLost,
    /// What it was to wait for has ended in another way.
    Impossible,
    /// It was not begun in time, or has run for too long.
    TimedOut,
}

impl Fate {
    /// Its name in Python.
    pub fn name(self) -> &'static str {
        match self {
            Fate::Ok => "ok",
            Fate::Error => "error",
            Fate::Aborted => "aborted",
            Fate::Lost => "lost",
            Fate::Rejected => "rejected",
            Fate::RankLost => "rank_lost",
            Fate::Impossible => "impossible",
            Fate::TimedOut => "timed_out",
        }
    }

    /// What a task of this fate has done, for people.
    pub fn verb(self) -> &'static str {
        match self {
            Fate::Ok => "succeeded",
            Fate::Error => "failed",
            Fate::Aborted => "was aborted",
            Fate::Lost => "was lost",
            Fate::Rejected => "was refused",
            Fate::RankLost => "has lost a rank of its group",
            Fate::Impossible => "cannot run either",
            Fate::TimedOut => "was out of time",
        }
    }
}
