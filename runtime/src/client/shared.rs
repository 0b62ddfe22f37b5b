//! What the threads of a client share: the core under one lock, and how they wake each other.

use super::core::Core;
use super::transcript::Kept;
use super::watched::Watched;
use crate::transport::wake::Waker;
use crate::wire::Channel;
use crate::wire::message::{Ask, Message};
use crate::wire::resend::Sending;
use crate::wire::segment::SegmentFolder;
use ipclusterz_base::ids::{EngineId, RequestId};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What the threads of a client share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Engines, the session, the status, the backlog or what is under way changed.
    pub changed: Condvar,
    pub waker: Waker,
    pub segments: Option<SegmentFolder>,
    pub watched: Arc<Watched>,
    pub kept: Arc<Kept>,
}

impl Shared {
    pub fn new(segments: Option<SegmentFolder>) -> std::io::Result<Self> {
        let (state, changed, watched, kept) = Default::default();
        Ok(Shared { state, changed, waker: Waker::new()?, segments, watched, kept })
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `changed`, at most `timeout`.
    pub fn wait<'a>(&self, state: MutexGuard<'a, State>, timeout: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Why a client was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is not admitted: retrying is of no use.
    Key,
    /// There was no room.
    Room,
    /// The controller speaks another version of the protocol; `advice` has what to do about it.
    Version,
}

/// A session without a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Away {
    pub since: Instant,
    pub give_up: Instant,
    /// The host of the controller answers, and nobody listens there.
    pub nobody_listens: bool,
}

/// What whoever waits was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// That there is none, since then.
    Away(Instant),
    /// That a process does not go on.
    Halted(String),
    /// That an engine has no connection.
    EngineAway(EngineId),
    /// That there is no engine, and why.
    NoEngine(String),
}

#[derive(Default)]
pub(super) struct State {
    pub core: Core,
    /// Messages from other threads, and the requests that go before them.
    pub outbox: Vec<Sending>,
    /// What a resumed session has to send again.
    pub again: Vec<Sending>,
    /// Since when a session has no connection, and when it is given up.
    pub away: Option<Away>,
    /// The controller's address that answered last.
    pub address: String,
    /// Why there is no session.
    pub problem: String,
    /// Since when there has been no engine, as far as somebody has looked.
    pub no_engine: Option<Instant>,
    /// What was last said to whoever waits.
    pub said: Option<Said>,
    /// The controller refused this client.
    pub refusal: Option<Refusal>,
    /// What to do about the refusal, if the controller said so.
    pub advice: String,
    /// The client is closed, and why.
    pub closed: Option<String>,
    /// Another client has the session, and says so.
    pub taken: Option<String>,
}

impl State {
    /// Queues a message behind what was submitted before it, and ahead of what is submitted later.
    pub fn send(&mut self, channel: Channel, message: Message) {
        self.outbox.extend(self.core.next_sends());
        self.outbox.push((channel, message, vec![]));
    }

    /// Asks about work of the past; the question's number.
    pub fn ask(&mut self, ask: Ask, adopted: Option<Vec<RequestId>>) -> u64 {
        let (number, (channel, message, _)) = self.core.questions.ask(ask, adopted);
        self.send(channel, message);
        number
    }

    /// Takes everything that may be sent now, in order.
    pub fn take_sends(&mut self) -> Vec<Sending> {
        let mut sends = std::mem::take(&mut self.again);
        let first = std::mem::take(&mut self.outbox);
        sends.extend(self.core.outgoing(first));
        sends
    }
}
