//! The state that a journal has: that of its image, and the events since then. Pure.

use super::bug;
use super::core::Core;
use super::event::Action;
use super::image::{self, ImageError};
use super::oracle::Oracle;
use super::record::{self, RecordError};
use crate::wire::Frame;
use crate::wire::sharing::Elsewhere;
use std::rc::Rc;
use std::time::Duration;

/// A state that is brought up to date, event by event.
pub struct Replay {
    core: Core,
    last: Duration,
    elsewhere: Option<Rc<dyn Elsewhere>>,
}

impl Replay {
    /// Begins with an image.
    pub fn new(image: &[u8]) -> Result<Replay, ImageError> {
        Replay::with(image, None)
    }

    /// The same, with large frames elsewhere.
    pub fn with(image: &[u8], elsewhere: Option<Rc<dyn Elsewhere>>) -> Result<Replay, ImageError> {
        // Nothing is asked while the answers are there.
        let core = image::read_with(image, Oracle::default(), elsewhere.clone())?;
        let last = core.clock();
        Ok(Replay { core, last, elsewhere })
    }

    /// The next record; what was to be done then.
    pub fn record(&mut self, bytes: &[u8]) -> Result<Vec<Action>, RecordError> {
        let elsewhere = |number, length| {
            let frame = self.elsewhere.as_ref()?.frame(number, length)?.downcast::<Frame>().ok()?;
            Some(Frame::clone(&frame))
        };
        let record = record::read(bytes, elsewhere)?;
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
