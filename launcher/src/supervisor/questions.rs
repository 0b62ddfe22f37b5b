//! When to ask how an engine ended that is gone. Pure.

use std::time::{Duration, Instant};

/// The time between two questions at first: whoever started the engine learns how it ended a moment later.
const SOON: Duration = Duration::from_millis(500);
/// How often to ask so.
const OFTEN: u32 = 20;
/// The time between two questions after these: a queue takes minutes to give a node up.
const LATER: Duration = Duration::from_secs(20);
/// How often to ask in all.
const MOST: u32 = 50;

/// A question that is to be asked, and how often it was.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// When to ask next.
    pub ask_at: Instant,
    asked: u32,
}

impl Question {
    /// One that is to be asked at once.
    pub fn new(now: Instant) -> Self {
        Self { ask_at: now, asked: 0 }
    }

    /// Whether it is asked only now and then by now.
    pub fn is_late(self) -> bool {
        self.asked >= OFTEN
    }

    /// It was asked, and there was no answer; `None`: there will be none.
    pub fn again(self, now: Instant) -> Option<Self> {
        let asked = self.asked + 1;
        let wait = if asked < OFTEN { SOON } else { LATER };
        (asked < MOST).then(|| Self { ask_at: now + wait, asked })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_frequent_at_first_and_have_an_end() {
        let now = Instant::now();
        let mut question = Question::new(now);
        let mut waits = Vec::new();
        while let Some(next) = question.again(question.ask_at) {
            waits.push(next.ask_at - question.ask_at);
            question = next;
        }
        assert_eq!((question.asked + 1, waits[0], waits[18], waits[19], waits[48]), (MOST, SOON, SOON, LATER, LATER));
    }
}
