//! Who is connected: peers, their two connections, and the ids of engines. Knows nothing of work.

use super::peer::{OwnSession, Peer, Presence, Token};
use crate::recent::Recent;
use crate::transport::Route;
use crate::wire::Channel;
use crate::wire::message::{Counts, Hello, Resume};
use crate::wire::resend::Sent;
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::{EngineId, PeerId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::Saturating;
use std::time::Duration;

/// How the session of a peer ends.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// It outlives its connections.
    pub session: bool,
    /// See [`Peer::beside`].
    pub beside: bool,
}

/// All peers, by each of their names.
#[derive(Debug, Serialize, Deserialize)]
pub struct Registry {
    peers: BTreeMap<PeerId, Peer>,
    routes: BTreeMap<Route, (PeerId, Channel)>,
    /// Connections of engines that have lost their other one. They do not count any more, and their end still says something.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    parted: BTreeMap<Route, PeerId>,
    engines: BTreeMap<EngineId, PeerId>,
    uuids: BTreeMap<(Role, String), PeerId>,
    /// Sessions of clients, by their names.
    sessions: BTreeMap<String, PeerId>,
    /// The uuids of engines that were shut down while they had no connection.
    #[serde(default = "none_dismissed")]
    dismissed: Recent<String, ()>,
    /// The ids of engines that have left, by their uuid.
    former_ids: Recent<String, EngineId>,
    /// All ids of engines below this one are taken.
    first_free: u32,
    last_peer: Saturating<u64>,
}

/// How many departed engines are remembered.
const FORMER_MAX: usize = 4096;

fn none_dismissed() -> Recent<String, ()> {
    Recent::new(FORMER_MAX)
}

impl Default for Registry {
    fn default() -> Self {
        let (peers, routes, parted, engines, uuids, sessions, first_free, last_peer) = Default::default();
        let (former_ids, dismissed) = (Recent::new(FORMER_MAX), none_dismissed());
        Registry { peers, routes, parted, engines, uuids, sessions, dismissed, former_ids, first_free, last_peer }
    }
}

impl Registry {
    /// Lets a peer in. An engine gets the id that it asks for or had before, if that is free, else the lowest free one.
    pub fn admit(&mut self, hello: Hello, keep: Keep, control: Route, token: Token, now: Duration) -> PeerId {
        let engine = hello.role == Role::Engine;
        self.last_peer += 1;
        let id = PeerId(self.last_peer.0);
        let engine_id = engine.then(|| self.free_engine_id(&hello));
        if let Some(engine_id) = engine_id {
            self.engines.insert(engine_id, id);
        }
        self.routes.insert(control, (id, Channel::Control));
        self.uuids.insert((hello.role, hello.uuid.clone()), id);
        let is_free = |name: &str| !self.sessions.contains_key(name);
        let session = if engine { OwnSession::default() } else { OwnSession::of(&hello, is_free) };
        if !engine {
            self.sessions.insert(session.name.clone(), id);
        }
        let peer = Peer {
            session,
            engine_id,
            token,
            control,
            data: None,
            since: now,
            resident_bytes: 0,
            unanswered: 0,
            leaving: false,
            ended: None,
            watched: false,
            exited: None,
            sent: Sent::new(keep.session && (!engine || hello.lease > 0.0)),
            received: Counts::default(),
            received_bytes: Saturating(0),
            told: (0, 0),
            presence: Presence::Here,
            absence: None,
            stood: false,
            inherited: false,
            beside: keep.beside,
            replayed: None,
            hello,
        };
        self.peers.insert(id, peer);
        id
    }

    /// Gives a peer that comes back its session, on new connections, if it is still there; and its former connections,
    /// as far as they are not known to be broken.
    pub fn resume(&mut self, hello: &Hello, control: Route) -> Option<(PeerId, Vec<Route>)> {
        let Resume { peer: id, token, received } = hello.resume.as_ref()?;
        let peer = self.peers.get_mut(id).filter(|peer| {
            // An engine that was shut down while it was away is told so.
            (peer.is_kept() || peer.engine_id.is_some() && peer.sent.keeps())
                && peer.stood
                && peer.token.is_of_same_session(token)
                && peer.hello.uuid == hello.uuid
                && (hello.role == Role::Engine) == peer.engine_id.is_some()
        })?;
        // It may come back before its old connections are known to be broken: what is still to come of them it sends
        // again.
        let mut former: Vec<Route> = [Some(peer.control), peer.data.take()].into_iter().flatten().collect();
        let routes = &mut self.routes;
        former.retain(|route| is_of(routes, *route, *id) && routes.remove(route).is_some());
        peer.token.renew();
        peer.control = control;
        peer.hello.address.clone_from(&hello.address);
        peer.hello.attempt = hello.attempt;
        let replayed = peer.replayed.unwrap_or(*received);
        peer.presence = Presence::Returning(received.least(replayed));
        self.routes.insert(control, (*id, Channel::Control));
        self.parted.retain(|_, owner| owner != id);
        Some((*id, former))
    }

    /// Another client has the session of a peer from now on. Nothing was sent to it yet.
    pub fn take_over(&mut self, id: PeerId, hello: Hello, beside: bool, control: Route, token: Token, now: Duration) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        for route in [Some(peer.control), peer.data.take()].into_iter().flatten() {
            if is_of(&self.routes, route, id) {
                self.routes.remove(&route);
            }
        }
        self.uuids.remove(&(peer.hello.role, peer.hello.uuid.clone()));
        self.uuids.insert((hello.role, hello.uuid.clone()), id);
        self.routes.insert(control, (id, Channel::Control));
        if peer.hello.uuid != hello.uuid {
            peer.session.taken_from(peer.hello.uuid.clone());
        }
        (peer.session.named, peer.session.closed) = (true, false);
        peer.sent = Sent::new(peer.sent.keeps());
        (peer.received, peer.received_bytes, peer.told) = (Counts::default(), Saturating(0), (0, 0));
        peer.inherited |= peer.stood;
        (peer.presence, peer.stood, peer.replayed) = (Presence::Here, false, None);
        (peer.leaving, peer.ended, peer.watched, peer.exited) = (false, None, false, None);
        (peer.token, peer.control, peer.since, peer.hello, peer.beside) = (token, control, now, hello, beside);
    }

    /// The peer that has, or had last, the session with this name.
    pub fn of_session(&self, name: &str) -> Option<PeerId> {
        self.sessions.get(name).copied()
    }

    /// A peer's connections do not count any more, though they may stand: these.
    pub fn disconnect(&mut self, id: PeerId) -> Vec<Route> {
        let Some(peer) = self.peers.get_mut(&id) else { return Vec::new() };
        let mut former: Vec<Route> = [Some(peer.control), peer.data.take()].into_iter().flatten().collect();
        let routes = &mut self.routes;
        former.retain(|route| is_of(routes, *route, id) && routes.remove(route).is_some());
        former
    }

    /// The end of this connection still says something of a peer.
    pub fn part_from(&mut self, id: PeerId, route: Route) {
        self.parted.insert(route, id);
    }

    /// Such a connection has ended. Whose it was.
    pub fn parted(&mut self, route: Route) -> Option<PeerId> {
        self.parted.remove(&route)
    }

    /// Whether an engine was shut down while it had no connection.
    pub fn is_dismissed(&self, uuid: &str) -> bool {
        self.dismissed.get(uuid).is_some()
    }

    /// A client's last connection ended, and its session goes on for a while.
    pub fn suspend(&mut self, route: Route) -> Option<PeerId> {
        let (id, _) = *self.routes.get(&route)?;
        let goes_on = |peer: &&mut Peer| peer.goes_on();
        self.peers.get_mut(&id).filter(goes_on)?;
        self.routes.remove(&route);
        Some(id)
    }

    /// No connection of any peer is there any more. Numbers go on where no controller before has been.
    pub fn restarted(&mut self, start: u32) {
        self.routes.clear();
        self.parted.clear();
        self.last_peer = self.last_peer.max(Saturating(u64::from(start) << 32));
        for peer in self.peers.values_mut() {
            peer.data = None;
            let sent = peer.sent.total();
            peer.replayed = Some(peer.replayed.map_or(sent, |before| before.least(sent)));
        }
    }

    /// The peer of this kind and uuid.
    pub fn of_uuid(&self, role: Role, uuid: &str) -> Option<PeerId> {
        self.uuids.get(&(role, uuid.to_owned())).copied()
    }

    fn free_engine_id(&mut self, hello: &Hello) -> EngineId {
        let wishes = [self.former_ids.get(&hello.uuid).copied(), hello.wanted_id];
        if let Some(id) = wishes.into_iter().flatten().find(|id| !self.engines.contains_key(id)) {
            return id;
        }
        // There are more ids than connections.
        while self.engines.contains_key(&EngineId(self.first_free)) {
            self.first_free = self.first_free.wrapping_add(1);
        }
        EngineId(self.first_free)
    }

    /// Ties a second connection to its peer; false when the token is not that of the peer's last hello or it has one already.
    pub fn attach(&mut self, id: PeerId, token: &str, data: Route) -> bool {
        match self.peers.get_mut(&id) {
            // Its first connection may have broken again meanwhile.
            Some(peer) if matches!(peer.presence, Presence::Away(_)) => false,
            Some(peer) if peer.token.text() == token && peer.data.is_none() => {
                peer.data = Some(data);
                (peer.stood, peer.replayed) = (true, None);
                self.routes.insert(data, (id, Channel::Data));
                true
            }
            _ => false,
        }
    }

    /// A client's connection ended while its other one stands, which is given: what it sent through that still counts.
    pub fn detach(&mut self, route: Route) -> Option<Route> {
        let (id, _) = *self.routes.get(&route)?;
        let peer = self.peers.get(&id).filter(|peer| peer.engine_id.is_none())?;
        let mut others = [Some(peer.control), peer.data].into_iter().flatten().filter(|other| *other != route);
        let other = others.find(|other| is_of(&self.routes, *other, id))?;
        self.routes.remove(&route);
        Some(other)
    }

    /// Forgets a peer.
    pub fn remove(&mut self, id: PeerId) -> Option<Peer> {
        let peer = self.peers.remove(&id)?;
        for route in [Some(peer.control), peer.data].into_iter().flatten() {
            if is_of(&self.routes, route, id) {
                self.routes.remove(&route);
            }
        }
        self.uuids.remove(&(peer.hello.role, peer.hello.uuid.clone()));
        if self.sessions.get(&peer.session.name) == Some(&id) {
            self.sessions.remove(&peer.session.name);
        }
        if let Some(engine_id) = peer.engine_id {
            self.engines.remove(&engine_id);
            self.first_free = self.first_free.min(engine_id.0);
            self.former_ids.insert(peer.hello.uuid.clone(), engine_id);
            self.parted.retain(|_, owner| *owner != id);
            if peer.leaving && matches!(peer.presence, Presence::Away(_)) {
                self.dismissed.insert(peer.hello.uuid.clone(), ());
            }
        }
        Some(peer)
    }

    /// The peer behind a connection, and which of its connections that is.
    pub fn of_route(&self, route: Route) -> Option<(PeerId, Channel)> {
        self.routes.get(&route).copied()
    }

    /// A peer by its number.
    pub fn peer(&self, id: PeerId) -> Option<&Peer> {
        self.peers.get(&id)
    }

    /// A peer by its number.
    pub fn peer_mut(&mut self, id: PeerId) -> Option<&mut Peer> {
        self.peers.get_mut(&id)
    }

    /// The peer that is the engine with this id.
    pub fn peer_of_engine(&self, id: EngineId) -> Option<PeerId> {
        self.engines.get(&id).copied()
    }

    /// An engine by its id.
    pub fn engine(&self, id: EngineId) -> Option<&Peer> {
        self.engines.get(&id).and_then(|peer| self.peers.get(peer))
    }

    /// An engine by its id.
    pub fn engine_mut(&mut self, id: EngineId) -> Option<&mut Peer> {
        self.engines.get(&id).and_then(|peer| self.peers.get_mut(peer))
    }

    /// Engines that have had both connections, by id. They may have none for now.
    pub fn engines(&self) -> impl Iterator<Item = (EngineId, &Peer)> {
        self.engines
            .iter()
            .filter_map(|(id, peer)| self.peers.get(peer).map(|peer| (*id, peer)))
            .filter(|(_, peer)| peer.stood)
    }

    /// All peers.
    pub fn peers(&self) -> impl Iterator<Item = (PeerId, &Peer)> {
        self.peers.iter().map(|(id, peer)| (*id, peer))
    }

    /// Peers that are not engines.
    pub fn clients(&self) -> impl Iterator<Item = (PeerId, &Peer)> {
        self.peers.iter().map(|(id, peer)| (*id, peer)).filter(|(_, peer)| peer.engine_id.is_none())
    }

    /// No peers left.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty() && self.routes.is_empty() && self.engines.is_empty()
    }
}

/// Whether a connection is this peer's. One that broke before may be another's: a peer can say that its own is broken, and
/// start anew on it.
fn is_of(routes: &BTreeMap<Route, (PeerId, Channel)>, route: Route, id: PeerId) -> bool {
    routes.get(&route).is_some_and(|(owner, _)| *owner == id)
}
