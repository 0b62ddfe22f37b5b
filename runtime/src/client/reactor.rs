//! The client's I/O thread: sockets around the core. It never needs the interpreter.

use super::shared::{Away, Refusal, Shared, State};
use crate::system::{deadline, wall_clock};
use crate::transport::session::{Session, SessionEvent};
use crate::wire::Channel;
use crate::wire::message::{Goodbye, Message, Refused, Reply};
use crate::wire::part::unpack;
use crate::wire::segment::SegmentFolder;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest sleep: after it the reason why there is no session is updated.
const LOOK: Duration = Duration::from_secs(60);

/// Runs until the client is closed.
pub(super) fn run(mut session: Session, shared: Arc<Shared>, context: zmq::Context) {
    crate::system::block_all_signals();
    // A bug ends this thread, which was printed; whoever waits for answers must not wait for ever.
    let reason = match catch_unwind(AssertUnwindSafe(|| serve(&mut session, &shared))) {
        Ok(Ok(reason)) => reason,
        Ok(Err(error)) => format!("the client's socket failed: {error}"),
        Err(_) => "a bug in ipclusterz ended the client's thread; please report what it printed".to_owned(),
    };
    let mut state = shared.lock();
    state.closed.get_or_insert_with(|| reason.clone());
    state.core.lost(&reason, wall_clock());
    drop(state);
    shared.watched.engines_left();
    shared.watched.close();
    shared.changed.notify_all();
    // Sockets before their context.
    drop(session);
    drop(context);
}

/// Runs until the client is closed, and says why it was.
fn serve(session: &mut Session, shared: &Shared) -> Result<String, zmq::Error> {
    let mut events = Vec::new();
    loop {
        let more = session.receive(&mut events)?;
        let found = exchange(session, shared, &mut events)?;
        if let Some(reason) = found.closed {
            // Sent last: the controller then does not wait for this client to come back.
            if found.has_session {
                session.send(
                    Channel::Data,
                    &Message::Goodbye(Goodbye { reason: reason.clone(), taken: false }),
                    vec![],
                )?;
            }
            return Ok(reason);
        }
        if !more {
            sleep(session, shared)?;
        }
    }
}

/// What the thread has to know about the state once it is unlocked.
struct Found {
    /// Something was sent.
    sent: bool,
    /// The client is closed, and why.
    closed: Option<String>,
    /// There is a session with a connection.
    has_session: bool,
    /// When a session without a connection is given up.
    give_up: Option<Instant>,
}

fn tells_of_engines(event: &SessionEvent) -> bool {
    matches!(event, SessionEvent::Message(_, Message::EngineLeft(_), _) | SessionEvent::Established(_))
}

/// Hands the events to the core, and sends what may be sent now.
fn exchange(session: &mut Session, shared: &Shared, events: &mut Vec<SessionEvent>) -> Result<Found, zmq::Error> {
    let mut state = shared.lock();
    let mut news = !events.is_empty();
    let backlog = state.core.backlog_bytes();
    let may_have_left = events.iter().any(tells_of_engines);
    for event in events.drain(..) {
        take(&mut state, shared.segments.as_ref(), session, event);
    }
    if let Some(away) = state.away.take_if(|away| Instant::now() >= away.give_up) {
        let seconds = away.since.elapsed().as_secs();
        let reason = format!("there was no connection for {seconds} s, which is too long: {}", session.problem());
        end_session(&mut state, session, &reason);
        news = true;
    }
    if let Some(away) = &mut state.away
        && std::mem::replace(&mut away.nobody_listens, session.nobody_listens()) != away.nobody_listens
    {
        news = true;
    }
    if (state.core.standing.is_none() || state.away.is_some()) && state.problem != session.problem() {
        state.problem = session.problem().to_owned();
    }
    state.core.set_full(shared.kept.is_full());
    let sends = state.take_sends();
    let found = Found {
        sent: !sends.is_empty(),
        closed: state.closed.clone(),
        has_session: state.core.standing.is_some() && !state.core.is_away(),
        give_up: state.away.map(|away| away.give_up),
    };
    let relieved = state.core.backlog_bytes() < backlog;
    drop(state);
    if news || relieved {
        shared.changed.notify_all();
    }
    if may_have_left {
        shared.watched.engines_left();
    }
    for (channel, message, payload) in sends {
        session.send(channel, &message, payload)?;
    }
    Ok(found)
}

/// Waits for the sockets or for another thread, unless there was something to send after all.
fn sleep(session: &mut Session, shared: &Shared) -> Result<(), zmq::Error> {
    shared.waker.prepare();
    // What other threads submitted before `prepare` has not woken this one.
    let found = exchange(session, shared, &mut Vec::new())?;
    let idle = !found.sent && found.closed.is_none();
    let left = found.give_up.map(|at| at.saturating_duration_since(Instant::now()));
    let timeout = left.map_or(LOOK, |left| left.min(LOOK));
    let result = if idle { session.wait(shared.waker.fd(), timeout) } else { Ok(()) };
    shared.waker.awake();
    result
}

fn take(state: &mut State, segments: Option<&SegmentFolder>, session: &mut Session, event: SessionEvent) {
    match event {
        SessionEvent::Established(welcome) => {
            state.address = session.address();
            state.problem.clear();
            state.away = None;
            state.refusal = None;
            state.again = state.core.established(welcome, wall_clock());
        }
        SessionEvent::Lost(reason) => {
            // The core still keeps what has to be sent again.
            state.again.clear();
            state.problem.clone_from(&reason);
            match state.core.interrupted(&reason) {
                Some((grace, resume)) => {
                    let since = Instant::now();
                    state.away.get_or_insert(Away { since, give_up: deadline(grace), nobody_listens: false });
                    session.set_resume(Some(resume));
                }
                None => end_session(state, session, &reason),
            }
        }
        SessionEvent::Refused(reason) => {
            end_session(state, session, &reason);
            state.problem = reason;
            state.refusal = Some(Refusal::Key);
        }
        SessionEvent::OtherVersion(Refused { reason, hint }) => {
            end_session(state, session, &reason);
            (state.problem, state.advice) = (reason, hint.unwrap_or_default());
            state.refusal = Some(Refusal::Version);
        }
        SessionEvent::Ended(reason) => {
            end_session(state, session, &reason);
            state.problem = reason;
        }
        // A session that waits to be resumed goes on waiting.
        SessionEvent::Crowded(reason) if state.away.is_none() => {
            state.problem = reason;
            state.refusal = Some(Refusal::Room);
        }
        // The latter is for agents.
        SessionEvent::Crowded(_) | SessionEvent::OfStrand(..) => {}
        SessionEvent::Message(_, Message::Goodbye(Goodbye { reason, taken: true }), _) => {
            end_session(state, session, &reason);
            state.problem.clone_from(&reason);
            state.taken = Some(reason.clone());
            state.closed.get_or_insert(reason);
        }
        SessionEvent::Message(channel, message, payload) => {
            let unpack = |frames, reply: &Reply| {
                unpack(frames, &reply.segments, segments).map_err(|error| format!("the result cannot be read: {error}"))
            };
            state.core.message(channel, message, payload, wall_clock(), unpack);
        }
    }
}

/// The session is over; the next connection starts a new one.
fn end_session(state: &mut State, session: &mut Session, reason: &str) {
    state.away = None;
    state.outbox.clear();
    state.again.clear();
    session.set_resume(None);
    state.core.lost(reason, wall_clock());
}
