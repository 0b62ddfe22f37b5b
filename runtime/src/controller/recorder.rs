//! What waits for the journal: actions, until the events that lead to them are written; and messages that say that something is
//! kept, until it is on disk.

use super::core::Core;
use super::event::{Action, Event};
use super::history::Keeper;
use super::image;
use super::oracle::Answer;
use super::record::{self, Came};
use crate::journal::{Journal, faults};
use crate::system::{deadline, free_bytes};
use crate::wire::Message;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How soon something is tried again that the disk has refused.
const AGAIN: Duration = Duration::from_millis(250);

/// A journal, and what waits for it.
pub(super) struct Recorder {
    journal: Journal,
    /// What to do once the events before it are written.
    actions: Vec<Action>,
    /// Messages for which the journal has to be on disk up to these positions.
    held: VecDeque<(u64, Action)>,
    /// Requests are refused, because there is no room.
    full: bool,
    /// When the disk is asked again that has refused.
    again: Option<Instant>,
    /// The disk refuses to be written to at all.
    stuck: bool,
}

impl Recorder {
    pub fn new(journal: Journal) -> Self {
        Recorder { journal, actions: Vec::new(), held: VecDeque::new(), full: false, again: None, stuck: false }
    }

    /// An event was handled: it is written before `actions` are performed.
    pub fn record(&mut self, now: Duration, answers: &[Answer], came: &Came, actions: Vec<Action>) {
        self.journal.append(|buffer| record::write(buffer, now, answers, came));
        self.actions.extend(actions);
    }

    /// Writes what was recorded, and gives what is to be done now. Nothing is, as long as the disk refuses.
    pub fn commit(&mut self) -> Vec<Action> {
        if self.stuck && self.again.is_some_and(|at| Instant::now() < at) {
            return Vec::new();
        }
        match self.journal.commit() {
            Ok(()) => self.stuck = false,
            Err(error) => {
                if !std::mem::replace(&mut self.stuck, true) {
                    tracing::error!("{}; everything waits until there is room", self.no_room(&error));
                }
                self.again = Some(deadline(AGAIN));
                return Vec::new();
            }
        }
        let actions = std::mem::take(&mut self.actions);
        let (held, mut now): (Vec<Action>, Vec<Action>) = actions.into_iter().partition(promises);
        if !held.is_empty() {
            let position = self.journal.position();
            self.held.extend(held.into_iter().map(|action| (position, action)));
            self.journal.sync();
        }
        now.extend(self.on_disk());
        faults::reach("batch.half-sent");
        now
    }

    /// Messages that need not wait any longer.
    fn on_disk(&mut self) -> Vec<Action> {
        let synced = self.journal.synced();
        let mut free = Vec::new();
        while let Some((_, action)) = self.held.pop_front_if(|(position, _)| *position <= synced) {
            free.push(action);
        }
        free
    }

    /// Whether nothing more is to be taken from the sockets, because nothing can be written.
    pub fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// Whether `commit` has something to give.
    pub fn has_news(&self) -> bool {
        !self.actions.is_empty() && !self.stuck
            || self.held.front().is_some_and(|(position, _)| *position <= self.journal.synced())
    }

    /// When `commit` or `room` is to be called again, whatever happens.
    pub fn next_look(&self) -> Option<Instant> {
        self.again.filter(|_| self.stuck || self.full)
    }

    /// Takes room for a message of so many bytes. Whether that is there has changed: the event that says so.
    pub fn room(&mut self, bytes: u64) -> Option<Event> {
        if self.full && self.again.is_some_and(|at| Instant::now() < at) {
            return None;
        }
        let taken = self.journal.take_room(bytes);
        self.again = taken.is_err().then(|| deadline(AGAIN));
        let was_full = std::mem::replace(&mut self.full, taken.is_err());
        match taken {
            Err(error) if !was_full => {
                Some(Event::Room(Some(format!("no requests are taken: {}", self.no_room(&error)))))
            }
            Ok(()) if was_full => Some(Event::Room(None)),
            _ => None,
        }
    }

    /// Whether requests are refused.
    pub fn is_full(&self) -> bool {
        self.full
    }

    fn no_room(&self, error: &std::io::Error) -> String {
        let path = self.journal.path().display();
        let free =
            free_bytes(self.journal.path()).map_or_else(String::new, |free| format!(" ({} KiB are free)", free >> 10));
        format!("the journal {path} cannot be written: {error}{free}")
    }

    /// Begins the journal anew with an image of the state when its log has become long. All that was recorded is written.
    pub fn compact(&mut self, core: &Core, history: Option<&mut Keeper>) {
        if self.stuck || !self.journal.is_long() {
            return;
        }
        // What the history has follows from the log, and must be on disk before that goes.
        if !history.is_none_or(Keeper::checkpoint) {
            self.journal.put_off();
            return tracing::warn!("the journal cannot begin anew: the history is not on disk");
        }
        let (began, bytes) = (Instant::now(), self.journal.bytes());
        match self.journal.begin_anew(&image::write(core)) {
            Ok(()) => tracing::info!(
                "the journal began anew: {} KiB became {} KiB in {} ms",
                bytes >> 10,
                self.journal.bytes() >> 10,
                began.elapsed().as_millis()
            ),
            Err(error) => tracing::warn!("the journal cannot begin anew: {}", self.no_room(&error)),
        }
    }

    /// Brings the journal to the disk, for the end of this process.
    pub fn finish(&mut self) {
        if let Err(error) = self.journal.finish() {
            tracing::error!("{}", self.no_room(&error));
        }
    }

    /// The thread that brings it to the disk.
    pub fn syncer(&self) -> &crate::journal::sync::Syncer {
        self.journal.syncer()
    }
}

/// Whether a message says that what came before is kept, so that its sender may forget it.
fn promises(action: &Action) -> bool {
    match action {
        Action::Send { message: Message::Received(_), .. } => true,
        Action::Send { message: Message::Welcome(welcome), .. } => welcome.resumed.is_some(),
        _ => false,
    }
}
