//! Many sessions in one thread. What their messages mean is the business of the peers.
//!
//! The thread looks at all sessions in turn and rests between: a session does not show what it waits for, and asking the
//! kernel about thousands of sockets at each message would take longer than looking. The rest is some times as long as a
//! look at sessions that are all idle, so that looking takes a fifth of one core at most. One session alone is waited for
//! like that of a real peer.

use ipclusterz_base::connection::ConnectionFile;
use ipclusterz_runtime::transport::context::{self, Shortage};
use ipclusterz_runtime::transport::dial::DialError;
use ipclusterz_runtime::transport::session::{Session, SessionEvent};
use ipclusterz_runtime::transport::wake::Waker;
use ipclusterz_runtime::wire::message::Hello;
use ipclusterz_runtime::wire::resend::Sending;
use std::io;
use std::time::{Duration, Instant};

/// libzmq allows 1023 sockets in a context. A session has six, and as many again for a moment when it dials anew.
const SESSIONS_PER_CONTEXT: usize = 64;
/// How many times longer than a look the rest is.
const REST: u32 = 4;
/// The shortest and the longest rest.
const REST_LEAST: Duration = Duration::from_micros(50);
const REST_MOST: Duration = Duration::from_millis(10);

/// Why there is no pool, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// Something is used up.
    #[error(transparent)]
    Short(#[from] Shortage),
    /// No address to dial.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// A socket failed.
    #[error("a socket failed: {0}")]
    Socket(#[from] zmq::Error),
    /// The kernel refused something.
    #[error("eventfd: {0}")]
    System(io::Error),
}

/// One simulated peer.
pub trait Peer {
    /// How it introduces itself, each time that it dials.
    fn hello(&self) -> Hello;

    /// Something happened to its session.
    fn take(&mut self, event: SessionEvent, session: &mut Session);

    /// What it sends now. Called again and again, also when nothing happened.
    fn sends(&mut self, session: &mut Session) -> Vec<Sending>;

    /// It does nothing any more: what it has sent is still delivered, and its session ends.
    fn has_ended(&self) -> bool;
}

struct Member<P> {
    peer: P,
    /// None: it has ended.
    session: Option<Session>,
}

impl<P: Peer> Member<P> {
    /// True when something happened.
    fn look(&mut self, events: &mut Vec<SessionEvent>) -> Result<bool, zmq::Error> {
        let Some(session) = &mut self.session else { return Ok(false) };
        session.receive(events)?;
        let mut busy = !events.is_empty();
        for event in events.drain(..) {
            self.peer.take(event, session);
        }
        for (channel, message, payload) in self.peer.sends(session) {
            busy = true;
            session.send(channel, &message, payload)?;
        }
        session.flush()?;
        if self.peer.has_ended() {
            self.session = None;
        }
        Ok(busy)
    }
}

/// Peers and their sessions.
pub struct Pool<P> {
    // Sessions close before their contexts.
    members: Vec<Member<P>>,
    _contexts: Vec<zmq::Context>,
    /// Never woken: what a session is waited with.
    waker: Waker,
    rest: Duration,
    /// The rest behind a look in which something happened.
    rest_least: Duration,
    events: Vec<SessionEvent>,
}

impl<P: Peer> Pool<P> {
    /// All of them begin to connect.
    pub fn dial(file: &ConnectionFile, peers: Vec<P>) -> Result<Pool<P>, PoolError> {
        let mut members = Vec::new();
        let mut contexts = Vec::new();
        for peer in peers {
            if members.len() % SESSIONS_PER_CONTEXT == 0 {
                contexts.push(context::open()?);
            }
            let context = &contexts[contexts.len() - 1];
            let session = Some(Session::dial(context, file, peer.hello())?);
            members.push(Member { peer, session });
        }
        let waker = Waker::new().map_err(PoolError::System)?;
        let (rest, events) = (REST_LEAST, Vec::new());
        Ok(Pool { members, _contexts: contexts, waker, rest, rest_least: rest, events })
    }

    /// Looks at all sessions once, and rests.
    pub fn turn(&mut self) -> Result<(), PoolError> {
        let begin = Instant::now();
        let mut busy = false;
        for member in &mut self.members {
            busy |= member.look(&mut self.events)?;
        }
        if busy {
            self.rest = self.rest_least;
        } else {
            self.rest_least = (begin.elapsed() * REST).clamp(REST_LEAST, REST_MOST);
            self.rest = (self.rest * 2).clamp(self.rest_least, REST_MOST);
        }
        self.rest()
    }

    fn rest(&mut self) -> Result<(), PoolError> {
        match &mut self.members[..] {
            [Member { session: Some(only), .. }] => only.wait(self.waker.fd(), self.rest)?,
            _ => std::thread::sleep(self.rest),
        }
        Ok(())
    }

    /// All peers, in the order in which they were given.
    pub fn peers(&self) -> impl Iterator<Item = &P> {
        self.members.iter().map(|member| &member.peer)
    }

    /// All have ended.
    pub fn has_ended(&self) -> bool {
        self.members.iter().all(|member| member.session.is_none())
    }
}
