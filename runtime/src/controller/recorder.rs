//! The journal of a running controller: events are recorded and written, and what waits for that is let go.

use super::config::JournalMode;
use super::core::Core;
use super::event::{Action, Event};
use super::held::Held;
use super::history::Keeper;
use super::image;
use super::oracle::Answer;
use super::record::{self, Came};
use crate::journal::blobs::{BLOB_MIN, Blobs};
use crate::journal::{Journal, faults};
use crate::system::{deadline, free_bytes};
use crate::wire::Frame;
use crate::wire::sharing::Elsewhere;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How soon something is tried again that the disk has refused.
const AGAIN: Duration = Duration::from_millis(250);

/// A journal, and what waits for it.
pub(super) struct Recorder {
    journal: Journal,
    held: Held,
    /// Requests are refused, because there is no room.
    full: bool,
    /// When the disk is asked again that has refused.
    again: Option<Instant>,
    /// The disk refuses to be written to at all.
    stuck: bool,
    /// What cannot be written is done all the same.
    best_effort: bool,
    /// There is no journal for now: it could not be written.
    lapsed: bool,
}

impl Recorder {
    pub fn new(journal: Journal, mode: JournalMode) -> Self {
        let best_effort = mode == JournalMode::BestEffort;
        let (full, stuck, lapsed) = Default::default();
        Recorder { journal, held: Held::default(), full, again: None, stuck, best_effort, lapsed }
    }

    /// An event was handled: it is written before `actions` are performed.
    pub fn record(&mut self, now: Duration, answers: &[Answer], came: &Came, actions: Vec<Action>) {
        if self.lapsed {
            return self.held.push(actions);
        }
        let blobs = Rc::clone(self.journal.blobs());
        self.journal.append(|buffer| record::write(buffer, now, answers, came, |frame| blobs.number_of(frame)));
        self.held.push(actions);
    }

    /// Writes what was recorded, and gives what is to be done now. Nothing is, as long as the disk refuses.
    pub fn commit(&mut self, core: &Core, segments: Option<&Path>) -> Vec<Action> {
        if self.lapsed {
            return self.held.all();
        }
        if self.stuck && self.again.is_some_and(|at| Instant::now() < at) {
            return Vec::new();
        }
        match self.journal.commit() {
            Ok(()) => self.stuck = false,
            Err(error) if self.best_effort => {
                tracing::error!("{}; work goes on without a journal until there is room", self.no_room(&error));
                self.lapsed = true;
                self.again = Some(deadline(AGAIN));
                self.journal.give_up();
                return self.held.all();
            }
            Err(error) => {
                if !std::mem::replace(&mut self.stuck, true) {
                    tracing::error!("{}; everything waits until there is room", self.no_room(&error));
                }
                self.again = Some(deadline(AGAIN));
                return Vec::new();
            }
        }
        let (mut now, waits) = self.held.written(self.journal.position());
        if waits {
            self.journal.sync(segments, core.work().segments());
        }
        now.extend(self.held.synced(self.journal.synced()));
        faults::reach("batch.half-sent");
        now
    }

    /// Takes room for the frames of a message; large ones become files. Whether there is room has changed: the event that says
    /// so.
    pub fn take_in(&mut self, frames: &mut [Frame]) -> Option<Event> {
        let small = frames.iter().map(Frame::len).filter(|length| *length < BLOB_MIN).fold(0, usize::saturating_add);
        self.room(|journal| {
            journal.take_room(small as u64)?;
            for frame in frames.iter_mut().skip(1).filter(|frame| frame.len() >= BLOB_MIN) {
                *frame = journal.blobs().keep(frame)?;
            }
            Ok(())
        })
    }

    /// A segment is not needed any more.
    pub fn forget_segment(&mut self, name: &[u8]) {
        self.journal.forget_segment(name);
    }

    /// Whether nothing more is to be taken from the sockets, because nothing can be written.
    pub fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// Whether `commit` has something to give.
    pub fn has_news(&self) -> bool {
        self.held.awaits_write() && !self.stuck || self.held.is_due(self.journal.synced())
    }

    /// When `commit` or `room` is to be called again, whatever happens.
    pub fn next_look(&self) -> Option<Instant> {
        self.again.filter(|_| self.stuck || self.full || self.lapsed)
    }

    fn room(&mut self, take: impl FnOnce(&mut Journal) -> std::io::Result<()>) -> Option<Event> {
        if self.lapsed || self.full && self.again.is_some_and(|at| Instant::now() < at) {
            return None;
        }
        let taken = take(&mut self.journal);
        if self.best_effort {
            // What cannot be written then is not written.
            return None;
        }
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
        let again = self.lapsed && self.again.is_none_or(|at| Instant::now() >= at);
        if self.stuck || (self.lapsed && !again) || !(again || self.journal.is_long()) {
            return;
        }
        self.again = again.then(|| deadline(AGAIN)).or(self.again);
        // What the history has follows from the log, and must be on disk before that goes.
        if !history.is_none_or(Keeper::checkpoint) {
            self.journal.put_off();
            return tracing::warn!("the journal cannot begin anew: the history is not on disk");
        }
        let (began, bytes) = (Instant::now(), self.journal.bytes());
        let blobs: Rc<dyn Elsewhere> = Rc::<Blobs>::clone(self.journal.blobs());
        match self.journal.begin_anew(&image::write_with(core, Some(blobs))) {
            Ok(()) => {
                self.lapsed = false;
                tracing::info!(
                    "the journal began anew: {} KiB became {} KiB in {} ms",
                    bytes >> 10,
                    self.journal.bytes() >> 10,
                    began.elapsed().as_millis()
                );
            }
            // It was said before.
            Err(_) if self.lapsed => {}
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
