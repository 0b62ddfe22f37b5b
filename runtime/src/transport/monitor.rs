//! What libzmq tells of a socket's connections.
//!
//! # Format
//!
//! Two frames: event (u16) and value (u32), in the machine's own order; then the address.

use super::multipart;
use crate::wire::socket::socket_pointer;

/// The events that this project looks at.
const EVENTS: [zmq::SocketEvent; 7] = [
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
    let endpoint = format!("inproc://monitor-{}", ipclusterz_base::places::random_hex(8));
    let mask = EVENTS.into_iter().fold(0, |mask, event| mask | i32::from(event.to_raw()));
    socket.monitor(&endpoint, mask)?;
    let monitor = context.socket(zmq::PAIR)?;
    monitor.set_linger(0)?;
    monitor.connect(&endpoint)?;
    Ok(monitor)
}

/// Nothing more is told about `socket`.
pub fn detach(socket: &zmq::Socket) {
    // SAFETY: a null address is how libzmq is told to stop. It fails for a socket that is closed already, alone.
    unsafe { zmq_sys::zmq_socket_monitor(socket_pointer(socket), std::ptr::null(), 0) };
}

/// The next thing that happened, if any.
pub fn next(monitor: &zmq::Socket) -> Result<Option<zmq::SocketEvent>, zmq::Error> {
    Ok(next_with_value(monitor)?.map(|(event, _)| event))
}

/// The same with its value, which is the descriptor of a connection that was made.
pub fn next_with_value(monitor: &zmq::Socket) -> Result<Option<(zmq::SocketEvent, u32)>, zmq::Error> {
    while let Some(frames) = multipart::receive(monitor)? {
        if let Some([low, high, value @ ..]) = frames.first().map(|frame| &**frame) {
            let event = zmq::SocketEvent::from_raw(u16::from_ne_bytes([*low, *high]));
            return Ok(Some((event, value.try_into().map_or(0, u32::from_ne_bytes))));
        }
    }
    Ok(None)
}
