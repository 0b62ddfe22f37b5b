//! ZeroMQ sockets as this project uses them.
//!
//! A controller has one ROUTER socket. Every peer dials it twice, with two DEALER sockets: `control` carries what
//! must never wait behind large data (registration, shutdown, notifications), `data` carries requests, results, and what
//! has to keep its place among them (output, abort, interrupt, recall). On TCP all of
//! it is encrypted and admitted by CURVE (RFC 26) with ZAP (RFC 27); the unix socket is guarded by its folder.
//!
//! 1. [`context`]: libzmq itself: one context per process, and what it was built with.
//! 2. [`listen`]: the controller's side.
//! 3. [`zap`]: which keys get in, and as what.
//! 4. [`dial`]: the peers' side: one address.
//! 5. [`race`]: all addresses at once; names and reasons are found out by `scout`.
//! 6. [`monitor`]: what libzmq tells of connections.
//! 7. [`session`]: from dialling to being let in, for both kinds of peer.
//! 8. [`wake`]: how another thread wakes a thread that waits for sockets.

pub mod context;
pub mod dial;
pub mod listen;
pub mod monitor;
pub mod race;
mod scout;
pub mod session;
pub mod wake;
pub mod zap;

use crate::connection::Role;
use crate::wire::{Frame, Message, codec, pieces};
use std::time::{Duration, Instant};

/// Which of a peer's two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Registration, shutdown, notifications: never behind large data.
    Control,
    /// Requests, results, and what keeps its place among them.
    Data,
}

/// A connection as the ROUTER numbers it: the last four bytes of the five that libzmq gives each peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Route(pub u32);

/// As what a connection's key admits its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// Through the unix socket: whatever it says it is, since the file system let it in.
    Local,
    /// Through TCP with a key of this role.
    Keyed(Role),
}

/// Longest part of a message, with what CURVE adds; a longer one breaks the sender's connection before memory is taken for
/// it, also before the sender was let in.
const PART_BYTES_MAX: i64 = (pieces::PIECE + 1024) as i64;

/// Most payload frames in one message, whole ones.
pub const FRAMES_MAX: usize = 1 << 16;

/// How long a thread that was busy looks again before it sleeps. Waking a thread on a core that has gone idle costs some
/// 40 µs on a virtual machine, and a round trip has a dozen such wake-ups; yielding leaves the core to whoever has work.
const LOOK_AGAIN: Duration = Duration::from_micros(60);

/// Waits until one of `items` is ready; first awake, then asleep.
pub(crate) fn poll(items: &mut [zmq::PollItem<'_>], timeout: Duration) -> Result<(), zmq::Error> {
    let begin = Instant::now();
    let once = |items: &mut [zmq::PollItem<'_>], milliseconds| match zmq::poll(items, milliseconds) {
        Ok(count) => Ok(count > 0),
        Err(zmq::Error::EINTR) => Ok(true),
        Err(error) => Err(error),
    };
    while begin.elapsed() < LOOK_AGAIN.min(timeout) {
        if once(items, 0)? {
            return Ok(());
        }
        std::thread::yield_now();
    }
    // Rounded up: a timeout below a millisecond must not become a busy loop.
    let milliseconds = i64::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i64::MAX);
    once(items, milliseconds).map(|_| ())
}

/// Sends one message with its payload; `route` goes first on a ROUTER. Nothing was sent when this fails.
pub(crate) fn send(
    socket: &zmq::Socket,
    route: Option<Frame>,
    message: &Message,
    payload: Vec<Frame>,
) -> Result<(), zmq::Error> {
    if let Some(route) = route {
        route.send(socket, zmq::SNDMORE | zmq::DONTWAIT)?;
    }
    let header = Frame::from(codec::encode(message));
    let mut parts = std::iter::once(header).chain(payload).flat_map(pieces::split).peekable();
    while let Some(part) = parts.next() {
        let more = if parts.peek().is_some() { zmq::SNDMORE } else { 0 };
        part.send(socket, more | zmq::DONTWAIT)?;
    }
    Ok(())
}

/// Receives one multipart message whole; none when there is none waiting. Frames past [`FRAMES_MAX`] are dropped,
/// which the reader sees by the length.
pub(crate) fn receive(socket: &zmq::Socket) -> Result<Option<Vec<Frame>>, zmq::Error> {
    let (mut frames, mut joiner) = (Vec::with_capacity(4), pieces::Joiner::default());
    loop {
        match Frame::receive(socket, zmq::DONTWAIT) {
            Ok((part, more)) => {
                if frames.len() <= FRAMES_MAX + 1 {
                    frames.extend(joiner.add(part, !more)?);
                }
                if !more {
                    return Ok(Some(frames));
                }
            }
            Err(zmq::Error::EAGAIN) if frames.is_empty() && joiner.is_empty() => return Ok(None),
            Err(zmq::Error::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}
