//! The peers' side: two DEALER sockets to one controller, and what becomes of their connections.

use super::monitor;
use crate::connection::{ConnectionFile, CurveKeys};

/// Dead TCP connections are noticed after this long, on either side: a ping every quarter of it, by libzmq's own
/// thread, so that user code cannot delay it. Not on `data`, where a ping would wait behind large frames.
const SILENCE_MAX_MS: i32 = 8_000;

/// Why a controller could not be dialled at all.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No address can be reached from this host.
    #[error("{0}")]
    NoAddress(String),
    /// TCP without keys.
    #[error("the connection file has no key for {0}")]
    NoKey(String),
    /// libzmq refused.
    #[error("{what} {address}: {source}")]
    Socket {
        /// What was being done.
        what: &'static str,
        /// To which address.
        address: String,
        /// Why it failed.
        source: zmq::Error,
    },
}

/// What became of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// `control` is connected and let in: say hello.
    Up,
    /// It broke; libzmq dials again by itself.
    Down,
    /// Nobody listens there, for now.
    Retrying,
    /// Somebody listens there and does not let us in.
    TurnedAway(String),
}

/// Two sockets to a controller.
pub struct Link {
    /// Registration, shutdown, notifications.
    pub control: zmq::Socket,
    /// Requests, results, and what keeps its place among them.
    pub data: zmq::Socket,
    monitor: zmq::Socket,
    /// Where they go.
    pub address: String,
    /// Through the unix socket.
    pub local: bool,
}

impl Link {
    /// Starts to connect; `next_event` tells how that goes.
    pub fn dial(context: &zmq::Context, file: &ConnectionFile) -> Result<Link, DialError> {
        let address = file.best_address().ok_or_else(|| DialError::NoAddress(unreachable_reason(file)))?.to_owned();
        let local = address.starts_with("ipc://");
        let keys = match (&file.curve, local) {
            (_, true) => None,
            (Some(keys), false) => Some(keys),
            (None, false) => return Err(DialError::NoKey(address)),
        };
        let failed = |what| {
            let address = address.clone();
            move |source| DialError::Socket { what, address, source }
        };
        let control = dealer(context, keys).map_err(failed("preparing to dial"))?;
        let data = dealer(context, keys).map_err(failed("preparing to dial"))?;
        if !local {
            heartbeat(&control).map_err(failed("preparing to dial"))?;
        }
        let monitor = monitor::attach(context, &control).map_err(failed("watching"))?;
        control.connect(&address).map_err(failed("dialling"))?;
        data.connect(&address).map_err(failed("dialling"))?;
        Ok(Link { control, data, monitor, address, local })
    }

    /// To be polled for reading: `next_event` has something.
    pub fn monitor(&self) -> &zmq::Socket {
        &self.monitor
    }

    /// What became of `control` since the last call, if anything.
    pub fn next_event(&self) -> Result<Option<LinkEvent>, zmq::Error> {
        while let Some(event) = monitor::next(&self.monitor)? {
            let event = match event {
                zmq::SocketEvent::HANDSHAKE_SUCCEEDED => LinkEvent::Up,
                zmq::SocketEvent::DISCONNECTED => LinkEvent::Down,
                zmq::SocketEvent::CONNECT_RETRIED => LinkEvent::Retrying,
                zmq::SocketEvent::HANDSHAKE_FAILED_AUTH => {
                    LinkEvent::TurnedAway("the controller does not admit this key".to_owned())
                }
                zmq::SocketEvent::HANDSHAKE_FAILED_NO_DETAIL | zmq::SocketEvent::HANDSHAKE_FAILED_PROTOCOL => {
                    LinkEvent::TurnedAway("the handshake failed: another controller's key, or no controller".to_owned())
                }
                _ => continue,
            };
            return Ok(Some(event));
        }
        Ok(None)
    }
}

fn dealer(context: &zmq::Context, keys: Option<&CurveKeys>) -> Result<zmq::Socket, zmq::Error> {
    let socket = context.socket(zmq::DEALER)?;
    socket.set_linger(500)?;
    socket.set_sndhwm(0)?;
    socket.set_rcvhwm(0)?;
    socket.set_maxmsgsize(super::FRAME_BYTES_MAX)?;
    socket.set_reconnect_ivl(50)?;
    socket.set_reconnect_ivl_max(2000)?;
    socket.set_ipv6(true)?;
    if let Some(keys) = keys {
        let key = |text: &str| zmq::z85_decode(text).map_err(|_| zmq::Error::EINVAL);
        socket.set_curve_serverkey(&key(&keys.server)?)?;
        socket.set_curve_publickey(&key(&keys.public)?)?;
        socket.set_curve_secretkey(&key(&keys.secret)?)?;
    }
    Ok(socket)
}

fn heartbeat(control: &zmq::Socket) -> Result<(), zmq::Error> {
    control.set_heartbeat_ivl(SILENCE_MAX_MS / 4)?;
    control.set_heartbeat_timeout(SILENCE_MAX_MS)?;
    // Asks the other side to give up after the same silence.
    control.set_heartbeat_ttl(SILENCE_MAX_MS)
}

fn unreachable_reason(file: &ConnectionFile) -> String {
    let offered = if file.addresses.is_empty() { "none".to_owned() } else { file.addresses.join(", ") };
    let here = crate::places::host_name();
    if file.host == here {
        format!("the controller is gone: its unix socket does not exist (addresses: {offered})")
    } else {
        format!(
            "the controller on {} listens on its own host only (addresses: {offered}); this host is {here}",
            file.host
        )
    }
}
