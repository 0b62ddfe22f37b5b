//! Messages through a ZeroMQ socket: header and payload frames as the parts of one multipart message.

use crate::wire::{Frame, Message, codec, pieces};

/// Longest part of a message, with what CURVE adds. A longer one breaks the sender's connection before memory is
/// allocated for it, also before the sender is admitted.
pub(super) const PART_BYTES_MAX: i64 = (pieces::PIECE + 1024) as i64;

/// Most payload frames in one message, counted when they are joined.
pub const FRAMES_MAX: usize = 1 << 16;

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
