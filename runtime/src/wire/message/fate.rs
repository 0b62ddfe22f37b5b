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
    /// All of them, each with its name in Python, and what the task has done, for people.
    const WORDS: [(Fate, &str, &str); 8] = [
        (Fate::Ok, "ok", "succeeded"),
        (Fate::Error, "error", "failed"),
        (Fate::Aborted, "aborted", "was aborted"),
        (Fate::Lost, "lost", "was lost"),
        (Fate::Rejected, "rejected", "was refused"),
        (Fate::RankLost, "rank_lost", "has lost a rank of its group"),
        (Fate::Impossible, "impossible", "cannot run either"),
        (Fate::TimedOut, "timed_out", "was out of time"),
    ];

    fn words(self) -> (&'static str, &'static str) {
        let found = Self::WORDS.iter().find(|(fate, ..)| *fate == self);
        found.map_or(("", ""), |(_, name, verb)| (name, verb))
    }

    /// Its name in Python.
    pub fn name(self) -> &'static str {
        self.words().0
    }

    /// What a task of this fate has done, for people.
    pub fn verb(self) -> &'static str {
        self.words().1
    }

    /// The fate with this name.
    pub fn from_name(name: &str) -> Option<Fate> {
        Self::WORDS.iter().find(|(_, word, _)| *word == name).map(|(fate, ..)| *fate)
    }
}
