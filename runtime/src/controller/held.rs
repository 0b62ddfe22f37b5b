//! What waits for the journal: actions, until the events that lead to them are written; and messages that say that something
//! is kept, until it is on disk. Pure.

use super::event::Action;
use crate::wire::Message;
use std::collections::VecDeque;

/// Actions that wait.
#[derive(Debug, Default)]
pub struct Held {
    /// What to do once the events before it are written.
    unwritten: Vec<Action>,
    /// Messages for which the journal has to be on disk up to these positions.
    unsynced: VecDeque<(u64, Action)>,
}

impl Held {
    /// These follow from an event that was recorded and is not written yet.
    pub fn push(&mut self, actions: Vec<Action>) {
        self.unwritten.extend(actions);
    }

    /// Everything was written that was recorded: it ends at `position`. What is to be done now, and whether something waits for
    /// that position to be on disk.
    pub fn written(&mut self, position: u64) -> (Vec<Action>, bool) {
        let mut now = Vec::new();
        let before = self.unsynced.len();
        for action in std::mem::take(&mut self.unwritten) {
            if promises(&action) || self.comes_behind(&action) {
                self.unsynced.push_back((position, action));
            } else {
                now.push(action);
            }
        }
        (now, self.unsynced.len() > before)
    }

    /// All of it: nothing is waited for any more.
    pub fn all(&mut self) -> Vec<Action> {
        let mut all: Vec<Action> = self.unsynced.drain(..).map(|(_, action)| action).collect();
        all.append(&mut self.unwritten);
        all
    }

    /// Whether a peer that is not let in yet would get it before the answer to its hello.
    fn comes_behind(&self, action: &Action) -> bool {
        let Action::Send { route, .. } = action else { return false };
        self.unsynced.iter().any(|(_, held)| match held {
            Action::Send { route: of, message: Message::Welcome(_) | Message::Attached(_), .. } => of == route,
            _ => false,
        })
    }

    /// What need not wait any longer when so much is on disk.
    pub fn synced(&mut self, position: u64) -> Vec<Action> {
        let mut free = Vec::new();
        while let Some((_, action)) = self.unsynced.pop_front_if(|(until, _)| *until <= position) {
            free.push(action);
        }
        free
    }

    /// Whether something can be done once more is written.
    pub fn awaits_write(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// Whether `synced` has something to give.
    pub fn is_due(&self, position: u64) -> bool {
        self.unsynced.front().is_some_and(|(until, _)| *until <= position)
    }
}

/// Whether a message says that what came before is kept: so that its sender may forget it, or may count on its session.
fn promises(action: &Action) -> bool {
    match action {
        Action::Send { message: Message::Received(_) | Message::Attached(_), .. } => true,
        Action::Send { message: Message::Welcome(welcome), .. } => welcome.resumed.is_some(),
        _ => false,
    }
}
