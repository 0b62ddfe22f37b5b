//! What the core notes for those who look on. Pure: the reactor takes it, and decides who is told.

use crate::wire::message::Happened;
use std::time::Duration;

/// Notes, with the times of the events that led to them.
#[derive(Debug, Default)]
pub struct Observed {
    /// Somebody may ever look.
    on: bool,
    now: Duration,
    notes: Vec<(Duration, Happened)>,
}

impl Observed {
    /// Notes are taken from now on.
    pub fn begin(&mut self) {
        self.on = true;
    }

    /// Whether notes are taken.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// What is noted from now on has happened then.
    pub fn set_time(&mut self, now: Duration) {
        self.now = now;
    }

    /// Something has happened. Where nobody ever looks, nothing is made of it.
    pub fn note(&mut self, what: impl FnOnce() -> Happened) {
        if self.on {
            self.notes.push((self.now, what()));
        }
    }

    /// What was noted since the last call.
    pub fn take(&mut self) -> Vec<(Duration, Happened)> {
        std::mem::take(&mut self.notes)
    }
}
