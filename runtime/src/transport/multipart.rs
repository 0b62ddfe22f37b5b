//! Messages through a ZeroMQ socket: header and payload frames as the parts of one multipart message.

use crate::wire::bundle::{self, Bundle};
use crate::wire::{Frame, Message, codec, pieces};

/// Longest part of a message, with what CURVE adds. A longer one breaks the sender's connection before memory is
/// allocated for it, also before the sender is admitted.
pub(super) const PART_BYTES_MAX: i64 = (pieces::PIECE + 1024) as i64;

/// Most payload frames in one message, counted when they are joined.
pub const FRAMES_MAX: usize = 1 << 16;

/// Sends one message with its payload; `route` goes first on a ROUTER, and `before` goes before the header: marks of strands (see
/// `wire::strand`), notes (`wire::parcels`). Nothing was sent when this fails.
pub(crate) fn send(
    socket: &zmq::Socket,
    route: Option<Frame>,
    before: [Option<Frame>; 2],
    message: &Message,
    payload: Vec<Frame>,
) -> Result<(), zmq::Error> {
    let header = Frame::from(codec::encode(message));
    send_frames(socket, route, before.into_iter().flatten().chain([header]).chain(payload))
}

/// The same for frames that are a message.
pub(crate) fn send_frames(
    socket: &zmq::Socket,
    route: Option<Frame>,
    frames: impl Iterator<Item = Frame>,
) -> Result<(), zmq::Error> {
    if let Some(route) = route {
        route.send(socket, zmq::SNDMORE | zmq::DONTWAIT)?;
    }
    let mut parts = frames.flat_map(pieces::split).peekable();
    while let Some(part) = parts.next() {
        let more = if parts.peek().is_some() { zmq::SNDMORE } else { 0 };
        part.send(socket, more | zmq::DONTWAIT)?;
    }
    Ok(())
}

/// What is on its way to one connection: short messages wait here until those are sent that are ready at the same time.
#[derive(Default)]
pub(crate) struct Outgoing {
    gathered: Bundle,
}

impl Outgoing {
    /// Sends a message, at the next [`Self::flush`] if it is a short one; the order of messages stays. `route` and `before` as for
    /// [`send`].
    pub fn send(
        &mut self,
        socket: &zmq::Socket,
        route: Option<&Frame>,
        before: [Option<Frame>; 2],
        message: &Message,
        payload: Vec<Frame>,
    ) -> Result<(), zmq::Error> {
        // What may be said to another version, and what leads there, is as it was in all of them.
        if message.is_greeting() || !self.gathered.add(&before, message, &payload) {
            self.flush(socket, route)?;
            return send(socket, route.cloned(), before, message, payload);
        }
        if self.gathered.is_full() { self.flush(socket, route) } else { Ok(()) }
    }

    /// The same for frames that are a message.
    pub fn send_frames(
        &mut self,
        socket: &zmq::Socket,
        route: Option<&Frame>,
        frames: Vec<Frame>,
    ) -> Result<(), zmq::Error> {
        if !self.gathered.add_frames(&frames) {
            self.flush(socket, route)?;
            return send_frames(socket, route.cloned(), frames.into_iter());
        }
        if self.gathered.is_full() { self.flush(socket, route) } else { Ok(()) }
    }

    /// Sends what was gathered.
    pub fn flush(&mut self, socket: &zmq::Socket, route: Option<&Frame>) -> Result<(), zmq::Error> {
        let Some(part) = self.gathered.take() else { return Ok(()) };
        if let Some(route) = route {
            route.clone().send(socket, zmq::SNDMORE | zmq::DONTWAIT)?;
        }
        part.send(socket, zmq::DONTWAIT)
    }
}

/// The messages that have come together, each with its frames; none if none have arrived.
pub(crate) fn receive_messages(socket: &zmq::Socket) -> Result<Option<Vec<Vec<Frame>>>, zmq::Error> {
    Ok(receive(socket)?.map(bundle::open))
}

/// Receives one whole multipart message; none if none has arrived. Frames beyond [`FRAMES_MAX`] are dropped; the length
/// then tells the reader.
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
