//! What the two threads of an engine share: the core under one lock, and how they wake each other.

use super::core::{Action, Core};
use super::output::{Allowance, Gathered};
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
    pub segments: Option<SegmentFolder>,
}

impl Shared {
    pub fn new(segments: Option<SegmentFolder>) -> std::io::Result<Self> {
        Ok(Shared { state: Mutex::default(), changed: Condvar::new(), waker: Waker::new()?, segments })
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not take the engine's heartbeat away.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
    pub outbox: Vec<Action>,
    /// Text not sent yet.
    pub output: Gathered,
    /// How much text the running task may write.
    pub allowance: Option<Allowance>,
    pub registered: Option<(EngineId, PeerId)>,
    /// Bytes that the controller takes of one result.
    pub result_limit: u64,
    /// The controller's address that answered.
    pub address: String,
    /// Why registration failed, or why the engine has to end.
    pub ended: Option<String>,
    /// The I/O thread sends what is left and ends.
    pub closing: bool,
    /// Answers to what other engines were asked.
    pub inspections: Inspections,
}

impl State {
    /// Takes text of the running task, as much of it as may be sent.
    pub fn written(&mut self, stream: Stream, text: &str) {
        // What is displayed is no text: nothing of it can be cut.
        let Some(allowance) = self.allowance.as_mut().filter(|_| stream != Stream::Display) else {
            return self.output.push(stream, text);
        };
        let (note, fits) = allowance.take(stream, text, Instant::now());
        if let Some((stream, note)) = note {
            self.output.push(stream, &note);
        }
        if !fits.is_empty() {
            self.output.push(stream, fits);
        }
    }

    /// The running task writes no more.
    pub fn end_output(&mut self) {
        if let Some((stream, note)) = self.allowance.take().and_then(|mut allowance| allowance.note()) {
            self.output.push(stream, &note);
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
