//! Sessions that outlive their clients: they have names, and whoever comes with the name of one goes on with it.
//!
//! What such a session gets is also kept in the history, so that another client finds it there. A session that nobody has given a
//! name is called by the beginning of its client's uuid, and is kept while its client may come back.

use super::Core;
use crate::controller::event::Action;
use crate::controller::history::{Done, Entry};
use crate::controller::peer::{OwnSession, Peer, Presence, Token};
use crate::transport::Route;
use crate::wire::Frame;
use crate::wire::message::{Goodbye, Hello, Message, OfSession, Op, RequestOutput, Welcome};
use crate::wire::resend::Sent;
use ipclusterz_base::ids::PeerId;
use std::time::Duration;

impl Core {
    /// A client comes that asks for a session by its name. `beside`: it is on this host. False: there is no such session.
    pub(super) fn take_over(&mut self, route: Route, hello: &Hello, beside: bool, now: Duration) -> bool {
        let Some(name) = &hello.session else { return false };
        let Some(id) = self.registry.of_session(name) else { return false };
        let who = format!("client {} (pid {} on {})", hello.uuid, hello.pid, hello.host);
        let present = self.registry.peer(id).filter(|peer| peer.presence == Presence::Here);
        let taken_from = present.map(|peer| format!("pid {} on {}", peer.hello.pid, peer.hello.host));
        self.dismiss(id, &who);
        // What was sent to the former client and is not kept elsewhere.
        let missing = self.registry.peer_mut(id).map(|peer| peer.sent.take()).unwrap_or_default();
        if self.registry.peer(id).is_some_and(|peer| !peer.session.named) {
            for (_, message, payload) in &missing {
                self.keep_in_history(id, message, payload);
                self.remember_ended(id, message, now);
            }
        }
        let token = Token::new(self.oracle.token());
        let watched = self.registry.peer(id).is_some_and(|peer| peer.watched);
        self.unwatch(id, watched);
        self.exits.forget(id);
        self.work.client_taken_over(id);
        self.registry.take_over(id, hello.clone(), beside, route, token, now);
        self.watch(id);
        self.observe_session(id);
        self.welcome(id, route, taken_from);
        self.actions.push(Action::Log(format!("session {name:?} was taken over by {who}")));
        true
    }

    /// The session that was taken over from this client while it had no connection, and who has it.
    pub(super) fn taken_meanwhile(&self, hello: &Hello) -> Option<String> {
        let (_, peer) = self.registry.clients().find(|(_, peer)| peer.session.former.contains(&hello.uuid))?;
        let Hello { uuid, pid, host, .. } = Some(&peer.hello).filter(|holder| holder.uuid != hello.uuid)?;
        Some(format!("the session {:?} was taken over by client {uuid} (pid {pid} on {host})", peer.session.name))
    }

    /// The client of a session is told that another one has it.
    fn dismiss(&mut self, id: PeerId, by: &str) {
        let Some(peer) = self.registry.peer(id) else { return };
        let reason = format!("the session {:?} was taken over by {by}", peer.session.name);
        let routes = [Some(peer.control), peer.data].into_iter().flatten();
        let standing = routes.filter(|route| self.registry.of_route(*route).is_some_and(|(owner, _)| owner == id));
        let standing: Vec<Route> = standing.collect();
        for route in standing {
            self.send(route, Message::Goodbye(Goodbye { reason: reason.clone(), taken: true }));
        }
    }

    /// A session begins, or goes on, maybe with another client.
    pub(super) fn welcome(&mut self, id: PeerId, route: Route, taken_from: Option<String>) {
        let last_request = self.work.last_request(id);
        let Some(peer) = self.registry.peer(id) else { return };
        let engine_id = peer.engine_id;
        let counted = if let Presence::Returning(counted) = peer.presence { Some(counted) } else { None };
        // Engines do not ask for each other.
        let others = self.registry.engines().filter(|_| engine_id.is_none());
        let engines = others.filter_map(|(_, peer)| peer.engine_info()).collect();
        let OwnSession { name, id: begins, .. } = peer.session.clone();
        let session = OfSession { name, id: begins, last_request, taken_from };
        let welcome = Welcome {
            engine_id,
            engines,
            grace: if peer.sent.keeps() { peer.grace(self.limits.session_grace).as_secs_f64() } else { 0.0 },
            resumed: counted.map(|_| peer.received),
            counted,
            session: engine_id.is_none().then_some(session),
            log: engine_id.map(|_| self.limits.log),
            terms: engine_id.is_none(),
            events: engine_id.is_none(),
            // Whether there is a link is the transport's to say.
            ..Welcome::new(id, peer.token.text(), self.limits.window)
        };
        self.send(route, Message::Welcome(welcome));
    }

    /// A client has said goodbye. Its session is over, unless it has a name.
    pub(super) fn goodbye(&mut self, id: PeerId) {
        let Some(peer) = self.registry.peer_mut(id) else { return };
        if peer.session.named && peer.sent.keeps() {
            peer.session.closed = true;
            // Its client waits for that: it forgets what it has sent.
            let (route, received) = (peer.control, peer.received);
            self.send(route, Message::Received(received));
        } else {
            peer.leaving = true;
        }
    }

    /// Whether a session outlives a client that is put out.
    pub(super) fn outlives_its_client(&self, id: PeerId) -> bool {
        self.registry.peer(id).is_some_and(|peer| peer.session.named && peer.goes_on())
    }

    /// A client is put out, whose session goes on. What it has not received is in the history, and it cannot come back to where it
    /// was: it comes as another one would.
    pub(super) fn part_from_client(&mut self, id: PeerId, why: &str, now: Duration) {
        let token = Token::new(self.oracle.token());
        let Some(peer) = self.registry.peer_mut(id) else { return };
        (peer.session.closed, peer.token) = (true, token);
        peer.sent = Sent::new(peer.sent.keeps());
        self.work.client_taken_over(id);
        self.registry.disconnect(id);
        self.lose(id, true, why, now);
    }

    /// Whether a client that has vanished has left anything that somebody may come back for.
    pub(super) fn is_worth_keeping(&self, peer: PeerId, known: &Peer) -> bool {
        let answers = || known.sent.any(|message| matches!(message, Message::Reply(_)));
        let held = || self.losses.held(peer).next().is_some();
        known.session.named || self.work.has_open(peer) || held() || answers()
    }

    /// Something is sent to a client whose session has a name: it is kept in the history, too. True: it is not to be sent, since
    /// there is nobody.
    pub(super) fn is_only_kept(&mut self, id: PeerId, message: &Message, payload: &[Frame]) -> bool {
        let Some(OwnSession { named: true, closed, .. }) = self.registry.peer(id).map(|peer| peer.session.clone())
        else {
            return false;
        };
        self.keep_in_history(id, message, payload);
        if closed {
            self.work.taken_by_nobody(id, message, payload);
        }
        closed
    }

    /// A task of a session that had no name has ended before, which was not written down.
    fn remember_ended(&mut self, id: PeerId, message: &Message, now: Duration) {
        let Message::Reply(reply) = message else { return };
        let (request, position, engine) = (reply.request, reply.position, reply.engine);
        let (state, times) = (reply.outcome.name(), (reply.started, reply.completed));
        let (op, name, why) = (Op::Apply, None, None);
        let done = Done { request, position, op, name, submitted: now, state, why, engine, times };
        let session = self.session_id(id);
        self.actions.push(Action::Keep(Box::new(Entry::Done { session, done: Box::new(done) })));
    }

    fn keep_in_history(&mut self, id: PeerId, message: &Message, payload: &[Frame]) {
        let Some(peer) = self.registry.peer_mut(id) else { return };
        let session = peer.session.id.clone();
        if matches!(message, Message::RequestOutput(_)) {
            peer.session.written = peer.session.written.saturating_add(1);
        }
        let number = peer.session.written;
        let entry = match message {
            Message::Reply(reply) => {
                let uuid =
                    reply.engine.and_then(|engine| self.registry.engine(engine)).map(|peer| peer.hello.uuid.clone());
                Entry::Answer { session, reply: reply.clone(), payload: payload.to_vec(), uuid, dropped: None }
            }
            Message::RequestOutput(RequestOutput { request, position, engine, stream }) => {
                let text = payload.first().map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default();
                Entry::Output {
                    session,
                    request: *request,
                    position: *position,
                    number,
                    engine: *engine,
                    stream: *stream,
                    text,
                }
            }
            _ => return,
        };
        self.actions.push(Action::Keep(Box::new(entry)));
    }

    /// A client's connections are gone: it is waited for. One that is `over` will not come back itself, but somebody may come
    /// for what it has left.
    pub(super) fn lose(&mut self, id: PeerId, over: bool, why: &str, now: Duration) {
        let worth = |peer: &Peer| !over || self.is_worth_keeping(id, peer);
        let kept = self.registry.peer(id).is_some_and(|peer| peer.is_kept() && worth(peer));
        if kept && (over || self.registry.peer(id).is_some_and(|peer| peer.session.closed)) {
            self.work.client_gone(id);
        }
        if kept { self.wait_for(id, Duration::MAX, now) } else { self.forget(id, None, why, now) }
    }

    /// The process of a client has ended, whatever holds its connections.
    pub(super) fn lose_ended(&mut self, id: PeerId, now: Duration) {
        self.exits.forget(id);
        self.registry.disconnect(id);
        self.lose(id, true, "its process has ended", now);
    }

    /// The task of somebody else's session is aborted.
    pub(super) fn session_named(&self, name: Option<&str>, own: PeerId) -> Option<PeerId> {
        name.map_or(Some(own), |name| self.registry.of_session(name))
    }
}
