//! The controller's side: one ROUTER at a unix socket, a TCP port, or both.

use super::agents::Agents;
use super::bulk::driver::Manner;
use super::bulk::host::{BulkHost, End, Released};
use super::bulk::lane::Whole;
use super::dial::SILENCE_MAX_MS;
use super::multipart::{self, Outgoing, PART_BYTES_MAX};
use super::{Admitted, Route, keep_alive, monitor};
use crate::wire::message::{Attach, Hello, Message};
use crate::wire::segment::SegmentFolder;
use crate::wire::socket::{bind, set_int_option};
use crate::wire::strand::{self, Strand, WHOLE};
use crate::wire::{Frame, bundle};
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::PeerId;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::IntoRawFd;

/// Draft options of libzmq, which the zmq crate has no names for (zmq_draft.h).
const ZMQ_ROUTER_NOTIFY: i32 = 97;
const ZMQ_NOTIFY_DISCONNECT: i32 = 2;
const ZMQ_ZAP_ENFORCE_DOMAIN: i32 = 93;
const ZMQ_USE_FD: i32 = 89;

/// Bytes of an id that libzmq gives to a peer: a zero and a number.
const ROUTE_LENGTH: usize = 5;

/// What came in.
pub enum Incoming {
    /// A message: what comes after the routing id.
    Message(Route, Admitted, Whole),
    /// The peer's kernel has closed a connection; everything it had sent came before.
    Gone(Route),
    /// A connection ended of which nothing was heard any more. Its peer may live.
    Silent(Route),
    /// A peer that gave itself a routing id, which ours never do.
    Stranger,
}

/// So many messages at most are gathered before those go that came first.
const GATHERED_MAX: usize = 64;

/// The ROUTER socket.
pub struct Listener {
    socket: zmq::Socket,
    monitor: zmq::Socket,
    /// What comes through TCP.
    bulk: Option<BulkHost>,
    agents: Agents,
    /// What has come and was not taken.
    arrived: VecDeque<Incoming>,
    /// What is to be sent to whom, and how many messages that are.
    outgoing: BTreeMap<Route, Outgoing>,
    gathered: usize,
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
        let (agents, arrived, outgoing) = Default::default();
        Ok(Listener { socket, monitor, bulk: None, agents, arrived, outgoing, gathered: 0 })
    }

    /// Listens at a unix socket, without keys: its folder decides who gets here. To be called before `bind_tcp`,
    /// since libzmq gives each listener the options of the moment.
    pub fn bind_local(&self, path: &str) -> io::Result<String> {
        let address = format!("ipc://{path}");
        bind(&self.socket, &address)?;
        Ok(address)
    }

    /// Listens at a TCP address; only CURVE handshakes that the gate approves get through. `manner`: how payloads travel over bulk
    /// connections.
    /// `segments`: where large payloads are kept that come in.
    pub fn bind_tcp(
        &mut self,
        address: &str,
        secret_key: &[u8],
        manner: Manner,
        segments: Option<SegmentFolder>,
    ) -> io::Result<String> {
        self.socket.set_zap_domain("ipclusterz")?;
        // Nobody is let in when nobody answers at the gate.
        set_int_option(&self.socket, ZMQ_ZAP_ENFORCE_DOMAIN, 1)?;
        self.socket.set_curve_server(true)?;
        self.socket.set_curve_secretkey(secret_key)?;
        // For a host that vanishes before its first heartbeat, and for `data`.
        self.socket.set_tcp_keepalive(1)?;
        self.socket.set_tcp_keepalive_idle(keep_alive::IDLE)?;
        self.socket.set_tcp_keepalive_intvl(keep_alive::INTERVAL)?;
        self.socket.set_tcp_keepalive_cnt(keep_alive::COUNT)?;
        set_int_option(&self.socket, zmq_sys::ZMQ_TCP_MAXRT as i32, keep_alive::UNACKNOWLEDGED_MS)?;
        let (host, connections) = BulkHost::open(address, manner, segments)?;
        let address = format!("tcp://{}", host.door.address);
        // From here on it is libzmq's, which closes it.
        set_int_option(&self.socket, ZMQ_USE_FD, connections.into_raw_fd())?;
        bind(&self.socket, &address)?;
        self.bulk = Some(host);
        Ok(address)
    }

    /// What comes through TCP, to be waited for.
    pub fn bulk(&self) -> Option<&BulkHost> {
        self.bulk.as_ref()
    }

    /// A message has come that says what a connection is to be.
    pub fn heard(&mut self, route: Route, admitted: Admitted, message: &Message) {
        // A strand has no link of its own, and ends without this being told.
        if !self.agents.heard(route, message)
            && let (Admitted::Keyed(_), Some(bulk)) = (admitted, &mut self.bulk)
        {
            bulk.heard(route, admitted, message);
        }
    }

    /// An agent introduces itself.
    pub fn greet(&mut self, route: Route, admitted: Admitted, hello: &Hello) -> Result<(), zmq::Error> {
        let answer = self.agents.greet(route, admitted, hello);
        self.send(route, answer, vec![])
    }

    /// Whether this peer is an agent.
    pub fn is_agent(&self, peer: PeerId) -> bool {
        self.agents.is_agent(peer)
    }

    /// The second connection of an agent.
    pub fn attach(&mut self, route: Route, attach: &Attach) -> Result<(), zmq::Error> {
        let answer = self.agents.attach(route, attach);
        self.send(route, answer, vec![])
    }

    /// Whose `data` a connection is that goes through an agent.
    pub fn owner(&self, route: Route) -> Option<PeerId> {
        self.agents.owner(route)
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
    pub fn receive(&mut self) -> Result<Option<Incoming>, zmq::Error> {
        loop {
            if let Some(incoming) = self.arrived.pop_front() {
                return Ok(Some(incoming));
            }
            if let Some(released) = self.bulk.as_mut().and_then(BulkHost::released) {
                self.released(released);
                continue;
            }
            let Some(frames) = multipart::receive(&self.socket)? else { return Ok(None) };
            received(frames).into_iter().for_each(|incoming| self.turn(incoming));
        }
    }

    /// Whether something has come that [`Self::receive`] gives without looking at the socket.
    pub fn has_arrived(&self) -> bool {
        !self.arrived.is_empty()
    }

    /// What came through TCP may have to wait for what comes beside it.
    fn turn(&mut self, incoming: Incoming) {
        let Some(bulk) = &mut self.bulk else { return self.arrived.push_back(incoming) };
        let (ended, end) = match incoming {
            Incoming::Message(route, admitted @ Admitted::Keyed(_), Whole { mut frames, .. }) => {
                let strand = self.agents.unmark(route, &mut frames);
                // Malformed notes make it nothing that can be read.
                if let Some(whole) = bulk.take(route, strand, frames).unwrap_or_else(|_| Some(Whole::default())) {
                    self.came(route, strand, admitted, whole);
                }
                return;
            }
            Incoming::Gone(route) => (route, End::Gone),
            Incoming::Silent(route) => (route, End::Silent),
            other => return self.arrived.push_back(other),
        };
        if bulk.ended(ended, end) {
            self.ended(ended, end);
        }
    }

    fn released(&mut self, released: Released) {
        match released {
            Released::Message(route, strand, admitted, whole) => self.came(route, strand, admitted, whole),
            Released::End(route, end) => self.ended(route, end),
        }
    }

    /// A message is whole: it is a connection's, or a strand's.
    fn came(&mut self, route: Route, strand: Strand, admitted: Admitted, whole: Whole) {
        if strand == WHOLE {
            return self.arrived.push_back(Incoming::Message(route, admitted, whole));
        }
        let Some(own) = self.agents.route_of(route, strand) else { return };
        if whole.frames.is_empty() {
            self.agents.strand_ended(own);
            return self.arrived.push_back(Incoming::Gone(own));
        }
        self.arrived.push_back(Incoming::Message(own, admitted, whole));
    }

    /// A connection has ended, with its strands if it has any.
    fn ended(&mut self, route: Route, end: End) {
        for route in self.agents.ended(route).unwrap_or_else(|| vec![route]) {
            self.arrived.push_back(match end {
                End::Gone => Incoming::Gone(route),
                End::Silent => Incoming::Silent(route),
            });
        }
    }

    /// Sends a message, at the next [`Self::flush`] at the latest. To a connection that is gone nothing is sent.
    pub fn send(&mut self, route: Route, mut message: Message, mut payload: Vec<Frame>) -> Result<(), zmq::Error> {
        let (way, mark) = self.agents.way(route);
        let mut notes = None;
        if let Some(bulk) = &mut self.bulk {
            bulk.says(route, &mut message);
            notes = bulk.load(way, &mut payload);
        }
        let outgoing = self.outgoing.entry(way).or_default();
        let sent = outgoing.send(&self.socket, Some(&routing_id(way)), [mark, notes], &message, payload);
        as_far_as_it_stands(sent)?;
        if self.bulk.as_ref().is_some_and(|bulk| bulk.is_full(way)) {
            self.forget_sent()?;
        }
        self.count()
    }

    /// Sends frames that are a message, as [`Self::send`] does.
    pub fn send_frames(&mut self, route: Route, frames: Vec<Frame>) -> Result<(), zmq::Error> {
        let outgoing = self.outgoing.entry(route).or_default();
        as_far_as_it_stands(outgoing.send_frames(&self.socket, Some(&routing_id(route)), frames))?;
        self.count()
    }

    /// Ends a peer's connection to an agent.
    pub fn end(&mut self, route: Route) -> Result<(), zmq::Error> {
        self.outgoing.remove(&route);
        let end = [Frame::new()].into_iter();
        as_far_as_it_stands(multipart::send_frames(&self.socket, Some(routing_id(route)), end))
    }

    /// What was sent to agents, and is remembered so that it is not sent twice, is forgotten: here and there.
    pub fn forget_sent(&mut self) -> Result<(), zmq::Error> {
        for (route, parcels) in self.bulk.as_mut().map(BulkHost::forget_sent).unwrap_or_default() {
            self.send_frames(route, vec![WHOLE.mark(), strand::encode_parcels(&parcels)])?;
        }
        Ok(())
    }

    /// One message more was gathered.
    fn count(&mut self) -> Result<(), zmq::Error> {
        self.gathered = self.gathered.saturating_add(1);
        if self.gathered >= GATHERED_MAX { self.flush() } else { Ok(()) }
    }

    /// Sends all that was gathered.
    pub fn flush(&mut self) -> Result<(), zmq::Error> {
        self.gathered = 0;
        for (route, mut outgoing) in std::mem::take(&mut self.outgoing) {
            as_far_as_it_stands(outgoing.flush(&self.socket, Some(&routing_id(route))))?;
        }
        Ok(())
    }
}

/// Of something that was sent. A connection may have broken a moment ago: the notice of that is still to come, behind the last of
/// what the peer sent: answers, or a goodbye.
fn as_far_as_it_stands(sent: Result<(), zmq::Error>) -> Result<(), zmq::Error> {
    match sent {
        Err(zmq::Error::EHOSTUNREACH) => Ok(()),
        sent => sent,
    }
}

/// What goes before a message to this connection.
fn routing_id(route: Route) -> Frame {
    let mut id = [0; ROUTE_LENGTH];
    id[1..].copy_from_slice(&route.0.to_be_bytes());
    Frame::from(&id[..])
}

/// What has come through the ROUTER: an end, or messages that have come together.
fn received(mut frames: Vec<Frame>) -> Vec<Incoming> {
    let first = frames.remove(0);
    let Some(route) = parse(&first) else { return vec![Incoming::Stranger] };
    if matches!(&frames[..], [only] if only.is_empty()) {
        // See the patch on silence in third-party/zeromq-src.
        let silent = first.property(c"Silent").is_some();
        return vec![if silent { Incoming::Silent(route) } else { Incoming::Gone(route) }];
    }
    // The routing id is one part, as it came from libzmq; what was joined has no properties any more.
    let admitted = match first.property(c"User-Id") {
        Some("client") => Admitted::Keyed(Role::Client),
        Some("engine") => Admitted::Keyed(Role::Engine),
        _ => Admitted::Local,
    };
    bundle::open(frames).into_iter().map(|frames| Incoming::Message(route, admitted, frames.into())).collect()
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
