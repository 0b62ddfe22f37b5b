//! How peers come, go and come back: the handshake, and the sessions of clients that outlive their connections.
//!
//! Where a closed connection does not mean a dead process (TCP, the near end of a tunnel), a client that has not said
//! goodbye is kept for a while, with its work and with what it may not have received.

use super::Core;
use super::sending::to_peer;
use crate::controller::event::Action;
use crate::controller::history::begins;
use crate::controller::peer::{Peer, Presence, Token};
use crate::controller::registry::Keep;
use crate::transport::{Admitted, Route};
use crate::wire::greeting::Foreign;
use crate::wire::message::{Attach, Empty, EngineInfo, Goodbye, Happened, Hello, Message, Refused};
use crate::wire::weight::bytes_of;
use crate::wire::{Channel, Frame, bounds};
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::PeerId;
use ipclusterz_base::process::Birth;
use ipclusterz_base::release;
use std::time::Duration;

/// After so many messages a client is told what was received.
const ACK_MESSAGES: u64 = 64;
/// After so many bytes a client is told what was received.
const ACK_BYTES: u64 = 1 << 20;

impl Core {
    pub(super) fn hello(&mut self, route: Route, admitted: Admitted, hello: Hello, now: Duration) {
        if let Admitted::Keyed(role) = admitted
            && role != hello.role
        {
            let reason =
                format!("this is the key of an {role}: it does not admit a peer that says it is a {}", hello.role);
            self.send(route, Message::Refused(Refused::new(reason.clone())));
            return self.reject(route, reason);
        }
        if self.stopping.is_some() {
            return self.send(route, Message::Refused(Refused::new("the cluster is stopping")));
        }
        if hello.role == Role::Engine && self.registry.is_dismissed(&hello.uuid) {
            return self.send(route, Message::Refused(Refused::new("it was shut down while it had no connection")));
        }
        let known = self.registry.of_uuid(hello.role, &hello.uuid);
        if known.is_some_and(|known| self.is_late(known, &hello)) {
            return self.send(route, Message::Refused(Refused::new("a later hello of this peer has come")));
        }
        let release = hello.release.as_deref().unwrap_or("of no release");
        let (role, uuid, pid, host) = (hello.role, &hello.uuid, hello.pid, &hello.host);
        let who = format!("{role} {uuid} (pid {pid} on {host}, ipclusterz {release})");
        if let Some((peer, former)) = self.registry.resume(&hello, route) {
            self.actions.push(Action::Log(format!("hello again from {who}")));
            return self.resumed(peer, route, former);
        }
        // Through this host's unix socket, the kernel closes the connection of a process that has died, and no other.
        let beside = admitted == Admitted::Local && !hello.forwarded;
        if role == Role::Client {
            if let Some(reason) = self.taken_meanwhile(&hello) {
                return self.send(route, Message::Goodbye(Goodbye { reason, taken: true }));
            }
            if self.take_over(route, &hello, beside, now) {
                return;
            }
        }
        // It comes back before its old connections are known to be broken. An engine gets its id again.
        if let Some(old) = known {
            self.forget(old, None, "its connection broke, and it came back", now);
        }
        if let Some(former) = self.replaced_by(&hello) {
            self.forget(former, None, "another engine has taken its place", now);
        }
        let keep = Keep { session: self.limits.durable || !beside, beside };
        let token = Token::new(self.oracle.token());
        let named = hello.session.is_some();
        let peer = self.registry.admit(hello, keep, route, token, now);
        self.watch(peer);
        if role == Role::Client {
            // What it is sent counts from here on.
            let id = self.registry.peer(peer).map(|peer| begins(&peer.session.id).to_owned()).unwrap_or_default();
            self.work.client_joined(peer, named, id);
            self.observe_session(peer);
        }
        self.actions.push(Action::Log(format!("hello from {who}")));
        self.welcome(peer, route, None);
    }

    /// The engine that has ended, as it seems, in whose place this one was started: both were started with that id. One that
    /// only comes back late takes no place.
    fn replaced_by(&self, hello: &Hello) -> Option<PeerId> {
        let id = hello.wanted_id.filter(|_| hello.resume.is_none())?;
        let former = self.registry.peer_of_engine(id)?;
        let peer = self.registry.peer(former)?;
        let had_it_given = peer.hello.wanted_id == Some(id) && peer.hello.resume.is_none();
        let is_away = matches!(peer.presence, Presence::Away(_));
        (self.exits.has(former) || is_away && had_it_given).then_some(former)
    }

    /// Whether it comes from a connection that its peer has given up for another one: that has the session.
    fn is_late(&self, known: PeerId, hello: &Hello) -> bool {
        let said = self.registry.peer(known).map_or(0, |peer| peer.hello.attempt);
        hello.attempt != 0 && hello.attempt < said
    }

    /// Has the process of a peer watched, if it is of this host.
    pub(super) fn watch(&mut self, id: PeerId) {
        let Some(peer) = self.registry.peer_mut(id) else { return };
        let birth = peer.hello.birth.filter(|birth| Some(birth.table) == self.identity.table);
        if let Some(Birth { start_time, .. }) = birth {
            peer.watched = true;
            self.actions.push(Action::Watch { peer: id, pid: peer.hello.pid, start_time });
        }
    }

    /// A peer's session goes on, on a new connection.
    fn resumed(&mut self, id: PeerId, route: Route, former: Vec<Route>) {
        self.welcome(id, route, None);
        // These connections are dead, unless this hello is late and comes from a connection that the client has
        // given up. Then the client must ask once more.
        for route in former {
            self.send(route, Message::Refused(Refused::new("the session went on elsewhere")));
        }
    }

    /// A peer that this controller does not understand is told so, in the words that all versions understand.
    pub(super) fn other_version(&mut self, route: Route, foreign: &Foreign, now: Duration) {
        let refused = foreign.refusal(&self.identity.host);
        if let Some((peer, _)) = self.registry.of_route(route) {
            self.forget(peer, Some(route), &refused.reason, now);
        }
        self.reject(route, refused.reason.clone());
        self.send(route, Message::Refused(refused));
    }

    /// Whether it is of another release than this controller, in words: that may be why it is not understood.
    pub(super) fn releases(&self, route: Route) -> String {
        let peer = self.registry.of_route(route).and_then(|(peer, _)| self.registry.peer(peer));
        match peer.and_then(|peer| peer.hello.release.as_deref()) {
            Some(theirs) if theirs != release::number() => {
                format!(" (it is ipclusterz {theirs}, and the controller is {})", release::number())
            }
            _ => String::new(),
        }
    }

    pub(super) fn attach(&mut self, route: Route, attach: &Attach, now: Duration) {
        if !self.registry.attach(attach.peer, &attach.token, route) {
            self.send(route, Message::Refused(Refused::new("no peer with this token")));
            return self.reject(route, "an attach without its peer's token".to_owned());
        }
        self.send(route, Message::Attached(Empty {}));
        if let Some(peer) = self.registry.peer_mut(attach.peer)
            && let Presence::Returning(received) = std::mem::replace(&mut peer.presence, Presence::Here)
        {
            let missing = peer.sent.missing(received);
            let log = format!("{} came back; sending {} messages again", peer.name(), missing.len());
            let engine = peer.engine_id;
            self.actions.push(Action::Log(log));
            let sends =
                missing.into_iter().filter_map(|(channel, message, payload)| to_peer(peer, channel, message, payload));
            self.actions.extend(sends);
            match engine {
                Some(engine) => self.is_back(attach.peer, engine, now),
                None => self.observe_session(attach.peer),
            }
            return;
        }
        if let Some(peer) = self.registry.peer(attach.peer) {
            // A client that has taken a session over may have got answers before it had this connection.
            let early = peer.sent.under_way(Channel::Data).into_iter();
            self.actions
                .extend(early.filter_map(|(channel, message, payload)| to_peer(peer, channel, message, payload)));
        }
        let info = self.registry.peer(attach.peer).and_then(Peer::engine_info);
        if info.is_none() {
            self.tell_who_is_away(attach.peer, now);
            if let Some(expected) = self.work.expected().cloned() {
                self.send_client(attach.peer, Channel::Control, Message::EnginesExpected(expected), vec![]);
            }
        }
        if let Some(info) = info {
            let EngineInfo { id, pid, host, address, .. } = &info;
            let log = format!("engine {id} registered: pid {pid} on {host}, at {address}");
            self.actions.push(Action::Log(log));
            let horizon = self.registry.peer(attach.peer).map(Peer::horizon).unwrap_or_default();
            let offers = self.registry.peer(attach.peer).map(|peer| peer.hello.offers.clone()).unwrap_or_default();
            if self.stopping.is_none() {
                self.work.reopen();
            }
            self.observe_engine(info.id, now);
            self.work.engine_joined(info.id, attach.peer, horizon, offers, now);
            if let Some(rank) = self.registry.peer(attach.peer).and_then(|peer| peer.hello.world.as_ref()) {
                self.worlds.joined(info.id, rank);
            }
            self.give_up_word_about(info.id);
            self.notify(&Message::EngineJoined(info));
        }
    }

    /// A connection has ended. `silent`: nothing was heard of it any more.
    pub(super) fn gone(&mut self, route: Route, silent: bool, now: Duration) {
        let why = if silent { "nothing was heard of it any more" } else { "its connection broke" };
        let known = self.registry.of_route(route).and_then(|(id, _)| Some((id, self.registry.peer(id)?)));
        if let Some((id, engine)) = known.filter(|(_, peer)| peer.engine_id.is_some()) {
            let waits = engine.is_kept() && engine.stood && !engine.ends_with_connection();
            return if waits {
                self.engine_is_cut_off(id, route, silent, now)
            } else {
                self.forget(id, Some(route), why, now)
            };
        }
        if let Some(id) = self.registry.parted(route).filter(|_| !silent) {
            return self.is_closed(id, now);
        }
        if let Some(other) = self.registry.detach(route) {
            // A client that ends closes both, one after the other. If only this one broke, it has to start anew.
            return self.send(other, Message::Refused(Refused::new("the other connection broke")));
        }
        if let Some(id) = self.registry.suspend(route) {
            let over = self.registry.peer(id).is_some_and(|peer| peer.beside);
            return self.lose(id, over, why, now);
        }
        if let Some((peer, _)) = self.registry.of_route(route) {
            self.forget(peer, Some(route), why, now);
        }
    }

    /// Counts what a peer sends, and tells it from time to time, so that it need not keep all of it.
    pub(super) fn count(&mut self, id: PeerId, channel: Channel, message: &Message, payload: &[Frame]) {
        let Some(peer) = self.registry.peer_mut(id).filter(|peer| peer.sent.keeps()) else { return };
        peer.received.count(channel, message);
        peer.received_bytes += bytes_of(payload, &[]);
        let (messages, bytes) = (peer.received.total(), peer.received_bytes.0);
        if messages.saturating_sub(peer.told.0) >= ACK_MESSAGES || bytes.saturating_sub(peer.told.1) >= ACK_BYTES {
            peer.told = (messages, bytes);
            let (route, received) = (peer.control, peer.received);
            self.send(route, Message::Received(received));
        }
    }

    /// Whoever is behind this connection has broken the rules, and is told so. What it said may have been an answer that
    /// others wait for, or one of the messages that its session counts: so it starts anew, and its work is over.
    pub fn put_out(&mut self, route: Route, mut reason: String, now: Duration) {
        bounds::reason(&mut reason);
        match self.registry.of_route(route) {
            Some((peer, _)) => self.end(peer, None, &format!("it was put out: {reason}"), &reason, now),
            None => self.send(route, Message::Refused(Refused::new(reason.clone()))),
        }
        self.reject(route, reason);
    }

    /// A peer has left for good; `known` is the connection that showed it.
    pub(super) fn forget(&mut self, id: PeerId, known: Option<Route>, why: &str, now: Duration) {
        self.end(id, known, why, "the other connection broke", now);
    }

    /// The same; `told` is what the peer hears of it, if it still lives.
    fn end(&mut self, id: PeerId, known: Option<Route>, why: &str, told: &str, now: Duration) {
        let routes = self.registry.peer(id).map(|peer| [Some(peer.control), peer.data]).into_iter().flatten().flatten();
        let standing = |route: &Route| {
            Some(*route) != known && self.registry.of_route(*route).is_some_and(|(owner, _)| owner == id)
        };
        let standing: Vec<Route> = routes.filter(standing).collect();
        for route in standing {
            // If it still stands, the process lives and has to start anew.
            self.send(route, Message::Refused(Refused::new(told.to_owned())));
        }
        self.exits.forget(id);
        if self.outlives_its_client(id) {
            return self.part_from_client(id, why, now);
        }
        let Some(peer) = self.registry.remove(id) else { return };
        match peer.engine_id {
            Some(engine) => {
                self.retiring.remove(&engine);
                self.lost_engine(id, engine, &peer, why, now);
            }
            None => {
                self.unwatch(id, peer.watched);
                self.actions.push(Action::Log(format!("client {} left", peer.hello.uuid)));
                self.work.client_left(id, peer.leaving, now);
                self.work.observed.note(|| Happened::SessionEnded { client: id });
            }
        }
        self.perform(now);
        self.actions.push(Action::UnlinkPeer(id, self.work.unread_segments()));
    }
}
