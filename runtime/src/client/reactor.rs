//! The client's I/O thread: sockets around the core. It needs the interpreter for nothing.

use super::core::Core;
use super::watched::Watched;
use crate::system::wall_clock;
use crate::transport::session::{Session, SessionEvent};
use crate::transport::wake::Waker;
use crate::wire::Channel;
use crate::wire::message::{Goodbye, Message, Reply};
use crate::wire::part::unpack;
use crate::wire::resend::Sending;
use crate::wire::segment::SegmentFolder;
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
}

#[derive(Default)]
pub(super) struct State {
    pub core: Core,
    /// Messages that other threads want sent, and the requests that go before them.
    outbox: Vec<Sending>,
    /// What a session that goes on has to send again.
    again: Vec<Sending>,
    /// Until when a session without a connection is kept.
    give_up: Option<Instant>,
    /// The controller's address that answered last.
    pub address: String,
    /// Why there is no session.
    pub problem: String,
    /// The controller refused this client: trying again is of no use.
    pub refused: bool,
    /// The client is closed, and why.
    pub closed: Option<String>,
}

impl State {
    /// Has a message sent behind what was submitted before it, and before what will be submitted.
    pub fn send(&mut self, channel: Channel, message: Message) {
        self.outbox.extend(self.core.next_sends());
        self.outbox.push((channel, message, vec![]));
    }

    /// Everything that may be sent now, in its order.
    fn take_sends(&mut self) -> Vec<Sending> {
        let mut sends = std::mem::take(&mut self.again);
        let first = std::mem::take(&mut self.outbox);
        sends.extend(self.core.outgoing(first));
        sends
    }
}

impl State {
    /// The session is over, and a new one is to be sought.
    fn over(&mut self, session: &mut Session, reason: &str) {
        self.give_up = None;
        self.outbox.clear();
        self.again.clear();
        session.set_resume(None);
        self.core.lost(reason, wall_clock());
    }
}

impl Shared {
    pub fn new(segments: Option<SegmentFolder>) -> std::io::Result<Self> {
        let (state, changed, watched) = Default::default();
        Ok(Shared { state, changed, waker: Waker::new()?, segments, watched })
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `changed`, at most `timeout`.
    pub fn wait<'a>(&self, state: MutexGuard<'a, State>, timeout: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// How often a session that does not come about is looked at, so that the reason is up to date.
const LOOK: Duration = Duration::from_secs(60);

/// Runs until the client is closed.
pub(super) fn run(mut session: Session, shared: Arc<Shared>, context: zmq::Context) {
    crate::system::block_all_signals();
    let reason = match serve(&mut session, &shared) {
        Ok(reason) => reason,
        Err(error) => format!("the client's socket failed: {error}"),
    };
    let mut state = shared.lock();
    state.closed.get_or_insert_with(|| reason.clone());
    state.core.lost(&reason, wall_clock());
    drop(state);
    shared.watched.close();
    shared.changed.notify_all();
    // Sockets before their context.
    drop(session);
    drop(context);
}

fn serve(session: &mut Session, shared: &Shared) -> Result<String, zmq::Error> {
    let mut events = Vec::new();
    loop {
        let more = session.receive(&mut events)?;
        let mut state = shared.lock();
        let mut news = !events.is_empty();
        let backlog = state.core.backlog_bytes();
        for event in events.drain(..) {
            if matches!(event, SessionEvent::Established(_)) {
                state.address = session.address();
            }
            take(&mut state, shared, session, event);
        }
        if state.give_up.take_if(|at| Instant::now() >= *at).is_some() {
            let reason = format!("there was no connection for too long: {}", session.problem());
            state.over(session, &reason);
            news = true;
        }
        if state.core.standing.is_none() && state.problem != session.problem() {
            state.problem = session.problem().to_owned();
        }
        let sends = state.take_sends();
        let closed = state.closed.clone();
        let has_session = state.core.standing.is_some() && !state.core.is_away();
        let relieved = state.core.backlog_bytes() < backlog;
        drop(state);
        if news || relieved {
            shared.changed.notify_all();
        }
        for (channel, message, payload) in sends {
            session.send(channel, &message, payload)?;
        }
        if let Some(reason) = closed {
            // Behind everything else: the controller need not wait for this client to come back.
            if has_session {
                session.send(Channel::Data, &Message::Goodbye(Goodbye { reason: reason.clone() }), vec![])?;
            }
            return Ok(reason);
        }
        if !more {
            sleep(session, shared)?;
        }
    }
}

fn sleep(session: &Session, shared: &Shared) -> Result<(), zmq::Error> {
    shared.waker.prepare();
    let mut state = shared.lock();
    // Nothing else makes the backlog sendable but a reply, so what was not sent a moment ago stays.
    let sends = state.take_sends();
    let idle = sends.is_empty() && state.closed.is_none();
    let give_up = state.give_up.map(|at| at.saturating_duration_since(Instant::now()));
    drop(state);
    for (channel, message, payload) in sends {
        session.send(channel, &message, payload)?;
    }
    let timeout = give_up.map_or(LOOK, |left| left.min(LOOK));
    let result = if idle { session.wait(shared.waker.fd(), timeout) } else { Ok(()) };
    shared.waker.awake();
    result
}

fn take(state: &mut State, shared: &Shared, session: &mut Session, event: SessionEvent) {
    match event {
        SessionEvent::Established(welcome) => {
            state.problem.clear();
            state.give_up = None;
            state.refused = false;
            state.again = state.core.established(welcome, wall_clock());
        }
        SessionEvent::Lost(reason) => {
            // What is to be sent again is still kept.
            state.again.clear();
            state.problem.clone_from(&reason);
            match state.core.interrupted(&reason) {
                Some((grace, resume)) => {
                    state.give_up.get_or_insert(Instant::now() + grace);
                    session.set_resume(Some(resume));
                }
                None => state.over(session, &reason),
            }
        }
        SessionEvent::Refused(reason) => {
            state.over(session, &reason);
            state.problem = reason;
            state.refused = true;
        }
        SessionEvent::Message(channel, message, payload) => {
            let unpack = |frames, reply: &Reply| {
                unpack(frames, &reply.segments, shared.segments.as_ref())
                    .map_err(|error| format!("the result cannot be read: {error}"))
            };
            state.core.message(channel, message, payload, wall_clock(), unpack);
        }
    }
}
