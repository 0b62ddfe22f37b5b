//! What the core asks the world, with the answers that it got: they are part of the journal, so that a replay gets the same.

use ipclusterz_base::process::Halt;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What the world has answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// A fresh secret.
    Token(String),
    /// Why a process does not go on, if it does not.
    Halt(Option<Halt>),
}

/// Asks the world, or repeats what it has answered before.
#[derive(Debug)]
pub struct Oracle {
    token: fn() -> String,
    halt: fn(u32, u64) -> Option<Halt>,
    given: Vec<Answer>,
    recorded: VecDeque<Answer>,
}

impl Default for Oracle {
    /// A world that knows nothing.
    fn default() -> Self {
        Oracle::new(String::new, |_, _| None)
    }
}

impl Oracle {
    /// Tokens are made by `token`; `halt` tells why the process with this pid and start time does not go on.
    pub fn new(token: fn() -> String, halt: fn(u32, u64) -> Option<Halt>) -> Self {
        Oracle { token, halt, given: Vec::new(), recorded: VecDeque::new() }
    }

    /// A fresh secret.
    pub fn token(&mut self) -> String {
        let answer = match self.recorded.pop_front() {
            Some(Answer::Token(token)) => token,
            _ => (self.token)(),
        };
        self.given.push(Answer::Token(answer.clone()));
        answer
    }

    /// Why the process with this pid and start time does not go on.
    pub fn halt(&mut self, pid: u32, start_time: u64) -> Option<Halt> {
        let answer = match self.recorded.pop_front() {
            Some(Answer::Halt(halt)) => halt,
            _ => self.halt_for_people(pid, start_time),
        };
        self.given.push(Answer::Halt(answer));
        answer
    }

    /// The same where nothing but a text depends on it.
    pub fn halt_for_people(&self, pid: u32, start_time: u64) -> Option<Halt> {
        (self.halt)(pid, start_time)
    }

    /// The answers since the last call.
    pub fn take_answers(&mut self) -> Vec<Answer> {
        self.recorded.clear();
        std::mem::take(&mut self.given)
    }

    /// The next event is handled with these answers.
    pub fn repeat(&mut self, answers: Vec<Answer>) {
        self.recorded = answers.into();
    }
}
