//! The controller's side of all links: who may have one, and what waits for which.

use super::door::Door;
use super::driver::{BulkEvent, Driver, LINGER, LinkId, LinkPlan, Manner};
use super::inbox::Shelf;
use super::lane::{Ends, Lane, Whole};
use super::payload::Payload;
use super::secure::Ticket;
use crate::system::has_descriptors;
use crate::transport::wake::Waker;
use crate::transport::{Admitted, Route};
use crate::wire::Frame;
use crate::wire::message::{Bulk, Message};
use crate::wire::parcels::Malformed;
use crate::wire::segment::SegmentFolder;
use crate::wire::strand::Strand;
use ipclusterz_base::ids::PeerId;
use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Most threads that move what goes over links.
const THREADS_MAX: usize = 4;
/// No link is offered where it would take one of the last descriptors: these are for other peers.
const SPARED: usize = 32;

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its kernel has closed it.
    Gone,
    /// Nothing is heard of it any more.
    Silent,
}

/// What came of a `data` connection.
pub enum Released {
    /// A message, with all that it has.
    Message(Route, Strand, Admitted, Whole),
    /// Its end, behind all messages.
    End(Route, End),
}

struct Member {
    plan: LinkPlan,
    driver: usize,
    /// The connection on which its `welcome` was sent, or its `data` once that is known.
    route: Route,
    admitted: Admitted,
    ends: Ends,
}

/// What a connection is to be.
enum Wanted {
    /// The `control` of a peer that can have a link: who is at its ends, and whether it comes through SSH.
    Control(Admitted, Ends, bool),
    /// The `data` of this one.
    Data(PeerId),
}

/// See the file.
pub struct BulkHost {
    /// Of the TCP port.
    pub door: Door,
    /// How payloads travel, where a peer comes through SSH.
    manner: Manner,
    /// Where large payloads are kept that come in.
    segments: Option<SegmentFolder>,
    drivers: Vec<Driver>,
    waker: Arc<Waker>,
    members: HashMap<LinkId, Member>,
    /// By the connections that have said so, before they are let in.
    wanted: HashMap<Route, Wanted>,
    peers: HashMap<PeerId, LinkId>,
    lanes: HashMap<Route, Lane>,
    /// Connections of agents over which frames have gone that are remembered.
    remembering: HashSet<Route>,
    /// Connections that have ended while messages of theirs waited for parcels.
    ended: HashMap<Route, End>,
    released: VecDeque<Released>,
    next: u64,
}

impl BulkHost {
    /// Listens at a TCP address. The socket is libzmq's.
    pub fn open(address: &str, manner: Manner, segments: Option<SegmentFolder>) -> io::Result<(BulkHost, OwnedFd)> {
        let (door, socket) = Door::open(address)?;
        let waker = Arc::new(Waker::new()?);
        let host = BulkHost {
            door,
            manner,
            segments,
            drivers: Vec::new(),
            waker,
            members: HashMap::new(),
            wanted: HashMap::new(),
            peers: HashMap::new(),
            lanes: HashMap::new(),
            remembering: HashSet::new(),
            ended: HashMap::new(),
            released: VecDeque::new(),
            next: 0,
        };
        Ok((host, socket))
    }

    /// To be polled for reading, between `prepare` and `awake` of the waker.
    pub fn waker(&self) -> &Waker {
        &self.waker
    }

    /// A message has come that says what a connection is to be. Whether that is granted is the core's to say.
    pub fn heard(&mut self, route: Route, admitted: Admitted, message: &Message) {
        match message {
            Message::Hello(hello) if hello.bulk => {
                let ends = if hello.agent { Ends::ToAgent } else { Ends::Peer };
                self.wanted.insert(route, Wanted::Control(admitted, ends, hello.through_ssh));
            }
            Message::Attach(attach) => drop(self.wanted.insert(route, Wanted::Data(attach.peer))),
            _ => {}
        }
    }

    /// A message goes out: a `welcome` gets a ticket, and `attached` says that the connection is the peer's.
    pub fn says(&mut self, route: Route, message: &mut Message) {
        match message {
            Message::Welcome(welcome) => {
                welcome.bulk = match self.wanted.remove(&route) {
                    Some(Wanted::Control(admitted, ends, through_ssh)) => {
                        let payload = self.manner.payload.of_peer(through_ssh);
                        self.ticket(welcome.peer, payload, |plan, driver| Member {
                            plan,
                            driver,
                            route,
                            admitted,
                            ends,
                        })
                    }
                    _ => None,
                };
            }
            Message::Attached(_) => {
                if let Some(Wanted::Data(peer)) = self.wanted.remove(&route)
                    && let Some(link) = self.peers.get(&peer).copied()
                    && let Some(member) = self.members.get_mut(&link)
                {
                    self.lanes.insert(route, Lane::new(link, member.ends));
                    member.route = route;
                }
            }
            _ => {}
        }
    }

    fn ticket(
        &mut self,
        peer: PeerId,
        payload: Payload,
        member: impl FnOnce(LinkPlan, usize) -> Member,
    ) -> Option<Bulk> {
        let driver = has_descriptors(SPARED).then(|| self.driver())??;
        let shelf = self.segments.clone().map(|folder| Shelf { folder, owner: peer });
        let plan = LinkPlan { ticket: Ticket::new()?, manner: Manner { payload, ..self.manner }, shelf };
        self.next = self.next.saturating_add(1);
        let link = LinkId(self.next);
        if let Some(former) = self.peers.insert(peer, link) {
            self.forget(former);
        }
        self.door.expect(link, plan.clone(), self.drivers.get(driver)?);
        let Manner { payload, compress } = plan.manner;
        let bulk = Bulk::new(&plan.ticket.id, &plan.ticket.key, payload == Payload::Plain, compress);
        self.members.insert(link, member(plan, driver));
        Some(bulk)
    }

    /// The thread for the next link: another one for each, as far as there are cores.
    fn driver(&mut self) -> Option<usize> {
        let most = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        if self.drivers.len() < most {
            match Driver::start(Arc::clone(&self.waker)) {
                Ok(driver) => self.drivers.push(driver),
                Err(error) => tracing::warn!("no thread for bulk connections: {error}"),
            }
        }
        let link = usize::try_from(self.next).unwrap_or_default();
        link.checked_rem(self.drivers.len())
    }

    /// A link is over.
    fn forget(&mut self, link: LinkId) {
        if let Some(member) = self.members.remove(&link) {
            self.door.forget(&member.plan.ticket.id);
            if let Some(driver) = self.drivers.get(member.driver) {
                driver.close(link);
            }
            if self.lanes.get(&member.route).is_some_and(|lane| lane.link == link) {
                self.cut(member.route);
                self.lanes.remove(&member.route);
            }
        }
        self.peers.retain(|_, other| *other != link);
    }

    /// Has large frames of a payload go over the link of this connection, if it has one. What goes before the header.
    pub fn load(&mut self, route: Route, payload: &mut [Frame]) -> Option<Frame> {
        let lane = self.lanes.get_mut(&route)?;
        let (link, driver) =
            (lane.link, self.members.get(&lane.link).and_then(|member| self.drivers.get(member.driver))?);
        let notes = lane.load(payload, |parcel, frame| driver.send(link, parcel, frame));
        if lane.remembers() {
            self.remembering.insert(route);
        }
        notes
    }

    /// Connections over which frames were sent that are remembered, and the parcels of these: they are forgotten now.
    pub fn forget_sent(&mut self) -> Vec<(Route, Vec<u64>)> {
        let BulkHost { lanes, remembering, .. } = self;
        remembering.drain().filter_map(|route| Some((route, lanes.get_mut(&route)?.forget()))).collect()
    }

    /// Whether so much is remembered of what went over a connection that it is to be forgotten.
    pub fn is_full(&self, route: Route) -> bool {
        self.lanes.get(&route).is_some_and(Lane::is_full)
    }

    /// A message has come; it comes back if it is its turn.
    pub fn take(&mut self, route: Route, strand: Strand, frames: Vec<Frame>) -> Result<Option<Whole>, Malformed> {
        match self.lanes.get_mut(&route) {
            Some(lane) => lane.take(strand, frames),
            None => Lane::new(LinkId(0), Ends::Peer).take(strand, frames),
        }
    }

    /// A connection has ended; true: that is to be said now, and not behind what waits for parcels.
    pub fn ended(&mut self, route: Route, end: End) -> bool {
        self.wanted.remove(&route);
        let Some(lane) = self.lanes.get(&route) else {
            let unattached = self.members.iter().find(|(_, member)| member.route == route).map(|(link, _)| *link);
            unattached.into_iter().for_each(|link| self.forget(link));
            return true;
        };
        if lane.waits() && lane.up {
            self.ended.insert(route, end);
            return false;
        }
        let link = lane.link;
        self.forget(link);
        true
    }

    /// Whether [`Self::released`] may give something.
    pub fn has_news(&self) -> bool {
        !self.released.is_empty() || self.drivers.iter().any(Driver::has_events)
    }

    /// Takes what the threads tell, and gives the next thing that waits no longer.
    pub fn released(&mut self) -> Option<Released> {
        if self.released.is_empty() && self.has_news() {
            let events: Vec<BulkEvent> = self.drivers.iter().flat_map(Driver::events).collect();
            events.into_iter().for_each(|event| self.event(event));
        }
        self.released.pop_front()
    }

    fn event(&mut self, event: BulkEvent) {
        let (BulkEvent::Up(link) | BulkEvent::Parcel(link, ..) | BulkEvent::Down(link, _)) = &event;
        let Some((route, admitted)) = self.members.get(link).map(|member| (member.route, member.admitted)) else {
            return;
        };
        let Some(lane) = self.lanes.get_mut(&route).filter(|lane| lane.link == *link) else { return };
        match event {
            BulkEvent::Up(_) => lane.up = true,
            BulkEvent::Parcel(_, parcel, frame) => {
                lane.arrived(parcel, frame);
                while let Some((strand, whole)) = lane.ready() {
                    self.released.push_back(Released::Message(route, strand, admitted, whole));
                }
                if !lane.waits() {
                    self.end(route);
                }
            }
            BulkEvent::Down(_, why) => {
                tracing::debug!("a bulk link has ended: {why}");
                self.cut(route);
            }
        }
    }

    /// No parcel comes any more over this connection's link.
    fn cut(&mut self, route: Route) {
        if let Some(lane) = self.lanes.get_mut(&route) {
            lane.cut();
        }
        self.end(route);
    }

    /// What waited before the end of a connection is taken, or lost.
    fn end(&mut self, route: Route) {
        if let Some(end) = self.ended.remove(&route) {
            self.released.push_back(Released::End(route, end));
            if let Some(link) = self.lanes.get(&route).map(|lane| lane.link) {
                self.forget(link);
            }
        }
    }
}

impl Drop for BulkHost {
    fn drop(&mut self) {
        for driver in &mut self.drivers {
            driver.finish(LINGER);
        }
    }
}
