//! The controller's side: one ROUTER at a unix socket, a TCP port, or both.

use super::dial::SILENCE_MAX_MS;
use super::multipart::{self, PART_BYTES_MAX};
use super::{Admitted, Route, monitor};
use crate::wire::Frame;
use crate::wire::socket::{bind, set_int_option};
use ipclusterz_base::connection::Role;
use std::io;

/// Draft options of libzmq, which the zmq crate has no names for (zmq_draft.h).
const ZMQ_ROUTER_NOTIFY: i32 = 97;
const ZMQ_NOTIFY_DISCONNECT: i32 = 2;
const ZMQ_ZAP_ENFORCE_DOMAIN: i32 = 93;

/// Bytes of an id that libzmq gives to a peer: a zero and a number.
const ROUTE_LENGTH: usize = 5;

/// What came in.
pub enum Incoming {
    /// A message: its frames after the routing id.
    Message(Route, Admitted, Vec<Frame>),
    /// A connection ended; everything it had sent came before.
    Gone(Route),
    /// A peer that gave itself a routing id, which ours never do.
    Stranger,
}

/// The ROUTER socket.
pub struct Listener {
    socket: zmq::Socket,
    monitor: zmq::Socket,
}

impl Listener {
    /// A socket bound to nothing yet. It keeps no mark at which it would drop messages silently: memory is bounded
    /// by the windows of clients instead.
    pub fn new(context: &zmq::Context) -> Result<Listener, zmq::Error> {
        let socket = context.socket(zmq::ROUTER)?;
        socket.set_linger(500)?;
        socket.set_sndhwm(0)?;
        socket.set_rcvhwm(0)?;
        socket.set_router_mandatory(true)?;
        socket.set_ipv6(true)?;
        socket.set_maxmsgsize(PART_BYTES_MAX)?;
        socket.set_backlog(4096)?;
        socket.set_handshake_ivl(SILENCE_MAX_MS)?;
        set_int_option(&socket, ZMQ_ROUTER_NOTIFY, ZMQ_NOTIFY_DISCONNECT)?;
        let monitor = monitor::attach(context, &socket)?;
        Ok(Listener { socket, monitor })
    }

    /// Listens at a unix socket, without keys: its folder decides who gets here. To be called before `bind_tcp`,
    /// since libzmq gives each listener the options of the moment.
    pub fn bind_local(&self, path: &str) -> io::Result<String> {
        let address = format!("ipc://{path}");
        bind(&self.socket, &address)?;
        Ok(address)
    }

    /// Listens at a TCP address; only CURVE handshakes that the gate approves get through.
    pub fn bind_tcp(&self, address: &str, secret_key: &[u8]) -> io::Result<String> {
        self.socket.set_zap_domain("ipclusterz")?;
        // Nobody is let in when nobody answers at the gate.
        set_int_option(&self.socket, ZMQ_ZAP_ENFORCE_DOMAIN, 1)?;
        self.socket.set_curve_server(true)?;
        self.socket.set_curve_secretkey(secret_key)?;
        // For a host that vanishes before its first heartbeat, and for `data`: 3 s + 3 × 2 s without a sign of its kernel.
        self.socket.set_tcp_keepalive(1)?;
        self.socket.set_tcp_keepalive_idle(3)?;
        self.socket.set_tcp_keepalive_intvl(2)?;
        self.socket.set_tcp_keepalive_cnt(3)?;
        // And while there is something that its kernel does not acknowledge.
        set_int_option(&self.socket, zmq_sys::ZMQ_TCP_MAXRT as i32, 9_000)?;
        bind(&self.socket, &format!("tcp://{address}"))?;
        self.socket.get_last_endpoint()?.map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// To be polled for reading.
    pub fn socket(&self) -> &zmq::Socket {
        &self.socket
    }

    /// To be polled for reading: `next_turned_away` has something.
    pub fn monitor(&self) -> &zmq::Socket {
        &self.monitor
    }

    /// Why the next peer was turned away before it could say anything, if one was.
    pub fn next_turned_away(&self) -> Result<Option<&'static str>, zmq::Error> {
        while let Some((event, value)) = monitor::next(&self.monitor)? {
            let why = match event {
                zmq::SocketEvent::HANDSHAKE_FAILED_AUTH => Some("its key is not admitted"),
                zmq::SocketEvent::HANDSHAKE_FAILED_NO_DETAIL => Some(broken_off(value)),
                zmq::SocketEvent::HANDSHAKE_FAILED_PROTOCOL => {
                    Some("it has no key, another controller's, or speaks another protocol")
                }
                zmq::SocketEvent::ACCEPT_FAILED => not_accepted(value),
                _ => None,
            };
            if why.is_some() {
                return Ok(why);
            }
        }
        Ok(None)
    }

    /// The next thing that came in, if any.
    pub fn receive(&self) -> Result<Option<Incoming>, zmq::Error> {
        let Some(mut frames) = multipart::receive(&self.socket)? else { return Ok(None) };
        let first = frames.remove(0);
        let Some(route) = parse(&first) else { return Ok(Some(Incoming::Stranger)) };
        if matches!(&frames[..], [only] if only.is_empty()) {
            return Ok(Some(Incoming::Gone(route)));
        }
        // The routing id is one part, as it came from libzmq; what was joined has no properties any more.
        let admitted = match first.property(c"User-Id") {
            Some("client") => Admitted::Keyed(Role::Client),
            Some("engine") => Admitted::Keyed(Role::Engine),
            _ => Admitted::Local,
        };
        Ok(Some(Incoming::Message(route, admitted, frames)))
    }

    /// Sends a message. `EHOSTUNREACH`: that connection is gone.
    pub fn send(&self, route: Route, message: &crate::wire::Message, payload: Vec<Frame>) -> Result<(), zmq::Error> {
        let mut id = [0; ROUTE_LENGTH];
        id[1..].copy_from_slice(&route.0.to_be_bytes());
        multipart::send(&self.socket, Some(Frame::from(&id[..])), message, payload)
    }
}

/// Why a handshake was not completed.
fn broken_off(errno: u32) -> &'static str {
    match i32::try_from(errno).unwrap_or_default() {
        libc::ETIMEDOUT => "it did not complete the handshake in time",
        libc::EUSERS => "too many that were not let in were connected at once: the oldest go",
        libc::EMFILE | libc::ENFILE => "no file descriptors are left: of those that were not let in the oldest goes",
        libc::EMSGSIZE => "it sent too much before it was let in",
        _ => "it broke the handshake off",
    }
}

/// Why a connection was not accepted, unless it ended by itself.
fn not_accepted(errno: u32) -> Option<&'static str> {
    match i32::try_from(errno).unwrap_or_default() {
        libc::EACCES => Some("another user's process is at the other end of the unix socket"),
        libc::EMFILE => Some("no file descriptors are left for it (`ulimit -n`)"),
        libc::ENFILE => Some("the system has no file descriptors left"),
        _ => None,
    }
}

fn parse(route: &[u8]) -> Option<Route> {
    match route {
        [0, number @ ..] => Some(Route(u32::from_be_bytes(number.try_into().ok()?))),
        _ => None,
    }
}
