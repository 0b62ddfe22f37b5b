//! The state that a journal has: that of its image, and the events since then. Pure.

use super::bug;
use super::core::Core;
use super::event::Action;
use super::image::{self, ImageError};
use super::oracle::Oracle;
use super::record::{self, RecordError};
use std::time::Duration;

/// A state that is brought up to date, event by event.
#[derive(Debug)]
pub struct Replay {
    core: Core,
    last: Duration,
}

impl Replay {
    /// Begins with an image.
    pub fn new(image: &[u8]) -> Result<Replay, ImageError> {
        // Nothing is asked while the answers are there.
        let core = image::read(image, Oracle::default())?;
        let last = core.clock();
        Ok(Replay { core, last })
    }

    /// The next record; what was to be done then.
    pub fn record(&mut self, bytes: &[u8]) -> Result<Vec<Action>, RecordError> {
        let record = record::read(bytes)?;
        self.last = record.now;
        self.core.repeat_answers(record.answers);
        let (actions, _) = bug::handle(&mut self.core, record.event, record.now);
        self.core.take_answers();
        Ok(actions)
    }

    /// The state, which asks `oracle` from now on, and the time of the last event.
    pub fn finish(self, oracle: Oracle) -> (Core, Duration) {
        (self.core.with_oracle(oracle), self.last)
    }
}
