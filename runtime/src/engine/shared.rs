//! What the two threads of an engine share: the core under one lock, and how they wake each other.

use super::capture::Capture;
use super::core::{Action, Core};
use super::keeping::Keeping;
use super::logs::Logs;
use super::mpi::MpiFunctions;
use super::output::{Accounts, Allowance, Gathered, OUTPUT_CHUNK, Room};
use crate::inspections::Inspections;
use crate::transport::wake::Waker;
use crate::wire::message::Stream;
use crate::wire::segment::SegmentFolder;
use ipclusterz_base::ids::{EngineId, PeerId};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(super) struct Shared {
    state: Mutex<State>,
    /// A task may be ready, registration may be complete, or output was sent.
    pub changed: Condvar,
    pub waker: Waker,
    /// Wakes the thread that reads descriptors.
    pub reader: Waker,
    pub segments: Option<SegmentFolder>,
    pub logs: Logs,
    /// How MPI is told of events elsewhere.
    pub mpi: Option<MpiFunctions>,
}

impl Shared {
    pub fn new(segments: Option<SegmentFolder>, mpi: Option<MpiFunctions>) -> std::io::Result<Self> {
        Ok(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            waker: Waker::new()?,
            reader: Waker::new()?,
            segments,
            logs: Logs::new(),
            mpi,
        })
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not take the engine's heartbeat away.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells MPI what concerns it alone: an end of waits that needs no interpreter.
    pub fn told_mpi(&self, action: &Action) -> bool {
        match (action, &self.mpi) {
            (Action::EndEpoch(over), Some(mpi)) => mpi.end_epoch(over),
            (Action::Left(left), Some(mpi)) => mpi.left(left),
            (Action::BreakOff(broken), Some(mpi)) => mpi.break_off(broken),
            _ => return false,
        }
        true
    }

    /// Text was gathered, for the `first` time or not: wakes the I/O thread if that is to send it.
    pub fn wake(&self, state: &State, first: bool) {
        if (first && state.output.bytes() > 0) || state.output.bytes() > OUTPUT_CHUNK {
            self.waker.wake();
        }
    }

    /// Wakes the thread that reads descriptors if it has something to write to the log.
    pub fn wake_reader(&self, state: &State) {
        if state.capture.as_ref().is_some_and(Capture::is_unlogged) {
            self.reader.wake();
        }
    }

    /// Waits for `changed`.
    pub fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `changed`, at most `timeout`.
    pub fn wait_timeout<'a>(&self, state: MutexGuard<'a, State>, timeout: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
    }
}

#[derive(Default)]
pub(super) struct State {
    pub core: Core,
    pub keeping: Keeping,
    pub outbox: Vec<Action>,
    /// Text not sent yet.
    pub output: Gathered,
    /// What is written to descriptors 1 and 2, if they are read.
    pub capture: Option<Capture>,
    /// How much text the running task may write.
    pub allowance: Option<Allowance>,
    /// What is under way for each client.
    pub accounts: Accounts,
    /// When the task that runs, or ran last, was begun.
    pub running_since: Option<Instant>,
    pub registered: Option<(EngineId, PeerId)>,
    /// Bytes that the controller takes of one result.
    pub result_limit: u64,
    /// The controller's address that answered.
    pub address: String,
    /// Why registration failed, or why the engine has to end.
    pub ended: Option<String>,
    /// What to do about that, if the controller speaks another version of the protocol.
    pub advice: Option<String>,
    /// The I/O thread sends what is left and ends.
    pub closing: bool,
    /// Answers to what other engines were asked.
    pub inspections: Inspections,
    /// The thread of user code has something to do beside tasks, and is to look.
    pub called: bool,
    /// It does that: user code runs, and no task.
    pub aside: bool,
}

impl State {
    /// Whether the running task may write now.
    pub fn room(&self) -> Room {
        let reader = self.core.reader().filter(|_| self.ended.is_none());
        // For nobody, there is nothing to wait for.
        reader.map_or(Room::Free, |client| self.accounts.room(client, Instant::now()))
    }

    /// The client takes nothing: text of the running task goes nowhere.
    pub fn drop_output(&mut self, stream: Stream, bytes: usize) {
        if let Some(allowance) = &mut self.allowance {
            allowance.drop(stream, bytes, "its client took nothing for too long");
        }
    }

    /// Takes text of the running task, as much of it as may be sent.
    pub fn written(&mut self, stream: Stream, text: &str) {
        // What is displayed is no text: nothing of it can be cut.
        let Some(allowance) = self.allowance.as_mut().filter(|_| stream != Stream::Display) else {
            return self.gather(stream, text);
        };
        let burst = self.core.reader().map_or(0, |client| self.accounts.burst(client));
        let (note, fits) = allowance.take((stream, text), burst, Instant::now());
        if let Some((stream, note)) = note {
            self.gather(stream, &note);
        }
        if !fits.is_empty() {
            self.gather(stream, fits);
        }
    }

    fn gather(&mut self, stream: Stream, text: &str) {
        self.output.push(stream, text);
        if let Some(client) = self.core.reader() {
            self.accounts.wrote(client, text.len(), Instant::now());
        }
    }

    /// A task begins: what was written to the descriptors before is not its own.
    pub fn begin_output(&mut self) {
        if let Some(capture) = &mut self.capture {
            capture.begin();
        }
    }

    /// Takes what the running task's programs and libraries have written to the descriptors until now.
    pub fn take_descriptors(&mut self) {
        if let Some(capture) = &mut self.capture {
            let taken = capture.take();
            self.written_to_descriptors(&taken);
        }
    }

    /// Text for the client of the running task, if it has one that takes any.
    fn written_to_descriptors(&mut self, texts: &[(Stream, String)]) {
        if self.core.reader().is_none() {
            return;
        }
        let dropped = self.room() == Room::None;
        for (stream, text) in texts {
            if dropped { self.drop_output(*stream, text.len()) } else { self.written(*stream, text) }
        }
    }

    /// The running task writes no more.
    pub fn end_output(&mut self) {
        self.take_descriptors();
        let ends = self.capture.as_mut().map(Capture::end).unwrap_or_default();
        self.written_to_descriptors(&ends);
        if let Some((stream, note)) = self.allowance.take().and_then(|mut allowance| allowance.note()) {
            self.gather(stream, &note);
        }
        self.flush_output();
    }

    /// Moves gathered text to the outbox, before whatever comes next.
    pub fn flush_output(&mut self) {
        for (stream, text) in self.output.take() {
            self.outbox.extend(self.core.output(stream, text));
        }
    }
}
