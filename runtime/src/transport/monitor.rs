//! What libzmq tells of a socket's connections.
//!
//! # Format
//!
//! Two frames: event (u16) and value (u32), in the machine's own order; then the address.

use super::multipart;
use std::sync::atomic::{AtomicU64, Ordering};

/// The events that this project looks at.
const EVENTS: [zmq::SocketEvent; 8] = [
    zmq::SocketEvent::ACCEPT_FAILED,
    zmq::SocketEvent::CONNECTED,
    zmq::SocketEvent::HANDSHAKE_SUCCEEDED,
    zmq::SocketEvent::HANDSHAKE_FAILED_AUTH,
    zmq::SocketEvent::HANDSHAKE_FAILED_NO_DETAIL,
    zmq::SocketEvent::HANDSHAKE_FAILED_PROTOCOL,
    zmq::SocketEvent::DISCONNECTED,
    zmq::SocketEvent::CONNECT_RETRIED,
];

/// A socket that tells what happens to the connections of `socket`.
pub fn attach(context: &zmq::Context, socket: &zmq::Socket) -> Result<zmq::Socket, zmq::Error> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let endpoint = format!("inproc://monitor-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mask = EVENTS.into_iter().fold(0, |mask, event| mask | i32::from(event.to_raw()));
    socket.monitor(&endpoint, mask)?;
    let monitor = context.socket(zmq::PAIR)?;
    monitor.set_linger(0)?;
    monitor.connect(&endpoint)?;
    Ok(monitor)
}

/// The next thing that happened, if any, and the number that goes with it: an errno, or a code of a refusal.
pub fn next(monitor: &zmq::Socket) -> Result<Option<(zmq::SocketEvent, u32)>, zmq::Error> {
    while let Some(frames) = multipart::receive(monitor)? {
        if let Some([low, high, value @ ..]) = frames.first().map(|frame| &**frame)
            && let Ok(value) = <[u8; 4]>::try_from(value)
        {
            let event = zmq::SocketEvent::from_raw(u16::from_ne_bytes([*low, *high]));
            return Ok(Some((event, u32::from_ne_bytes(value))));
        }
    }
    Ok(None)
}
