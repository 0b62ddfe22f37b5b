//! The controller's state machine: messages and broken connections in, messages out.
//!
//! Responsible for who may say what: the handshake, roles, counting what is refused. The work itself is
//! `work.rs`. Knows no socket and no clock.

use super::limits::Limits;
use super::registry::{Peer, Registry};
use super::work::{Effect, Work};
use crate::connection::Role;
use crate::ids::{EngineId, PeerId};
use crate::transport::{Admitted, Channel, Route};
use crate::wire::Frame;
use crate::wire::message::{
    Attach, Empty, EngineLeft, EngineStatus, Hello, Message, Refused, Status, Targets, Welcome,
};
use std::collections::HashSet;
use std::time::Duration;

/// What the reactor tells.
#[derive(Debug)]
pub enum Event {
    /// A message arrived.
    Message {
        /// On which connection.
        route: Route,
        /// How that connection was let in.
        admitted: Admitted,
        /// Its header.
        message: Message,
        /// Its payload frames.
        payload: Vec<Frame>,
    },
    /// A message arrived whose header could not be decoded.
    Undecodable {
        /// On which connection.
        route: Route,
        /// Why.
        reason: String,
    },
    /// A peer was turned away before it could say anything.
    TurnedAway(&'static str),
    /// A connection ended.
    Gone(Route),
    /// The time that `next_tick` gave is here.
    Tick,
    /// A signal asks for the end.
    Stop,
}

/// What the reactor is to do.
#[derive(Debug)]
pub enum Action {
    /// Send a message.
    Send {
        /// On which connection.
        route: Route,
        /// Its header.
        message: Message,
        /// Its payload frames.
        payload: Vec<Frame>,
        /// The peer maps segments itself; else their bytes are to be put in.
        shared_memory: bool,
    },
    /// Remove the segment of this name.
    Unlink(Frame),
    /// Remove all segments of a peer but these.
    UnlinkPeer(PeerId, HashSet<Vec<u8>>),
    /// Tell the log.
    Log(String),
    /// A message was refused: tell the log, and count it.
    Rejected(String),
    /// The controller is done.
    Exit,
}

/// What does not change while a controller runs.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Name of the cluster.
    pub cluster: String,
    /// The controller's process.
    pub pid: u32,
}

/// The state of a controller.
#[derive(Debug)]
pub struct Core {
    identity: Identity,
    limits: Limits,
    registry: Registry,
    work: Work,
    rejected: u64,
    stopping: Option<Duration>,
    /// Makes tokens; given from outside to keep the core free of randomness.
    token: fn() -> String,
    actions: Vec<Action>,
}

impl Core {
    /// A controller without peers.
    pub fn new(identity: Identity, limits: Limits, token: fn() -> String) -> Self {
        let work = Work::new(limits);
        let registry = Registry::default();
        Core { identity, limits, registry, work, rejected: 0, stopping: None, token, actions: Vec::new() }
    }

    /// Takes one event at time `now` (since the controller's start).
    pub fn handle(&mut self, event: Event, now: Duration) -> Vec<Action> {
        match event {
            Event::Message { route, admitted, message, payload } => {
                self.message(route, admitted, message, payload, now)
            }
            Event::Undecodable { route, reason } => {
                if self.registry.of_route(route).is_none() {
                    self.send(route, Message::Refused(Refused { reason: reason.clone() }));
                }
                self.reject(route, reason);
            }
            Event::TurnedAway(reason) => {
                self.rejected += 1;
                self.actions.push(Action::Rejected(format!("a peer was turned away: {reason}")));
            }
            Event::Gone(route) => self.gone(route, "its connection broke", now),
            Event::Tick => self.work.tick(now),
            Event::Stop => self.stop_all(now),
        }
        self.perform(now);
        std::mem::take(&mut self.actions)
    }

    /// When `Event::Tick` should come next, if at all; a time in the past means soon.
    pub fn next_tick(&self) -> Option<Duration> {
        [self.work.next_tick(), self.stopping].into_iter().flatten().min()
    }

    /// What is held; for tests.
    pub fn work(&self) -> &Work {
        &self.work
    }

    /// Who is there; for tests.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    fn message(&mut self, route: Route, admitted: Admitted, message: Message, payload: Vec<Frame>, now: Duration) {
        if matches!(message, Message::Hello(_) | Message::Attach(_)) {
            // Whoever was behind this connection starts anew.
            self.forget(route, "it started anew", now);
        }
        let Some((peer, channel)) = self.registry.of_route(route) else {
            return match message {
                Message::Hello(hello) => self.hello(route, admitted, hello, now),
                Message::Attach(attach) => self.attach(route, &attach, now),
                other => {
                    // It takes itself for known, as a peer does whose other connection broke: it must start anew.
                    self.send(route, Message::Refused(Refused { reason: "say hello first".to_owned() }));
                    self.reject(route, format!("a {} before hello or attach", kind(&other)));
                }
            };
        };
        let engine = self.registry.peer(peer).and_then(|peer| peer.engine_id);
        match (engine, channel, message) {
            (Some(engine), Channel::Data, Message::Result(result)) => self.work.result(engine, result, payload, now),
            (Some(engine), Channel::Data, Message::Recalled(recalled)) => self.work.recalled(engine, &recalled, now),
            (Some(engine), Channel::Data, Message::NeedFunction(need)) => self.work.need_function(engine, need.task),
            (Some(engine), Channel::Data, Message::Output(output)) => self.work.output(engine, output, payload),
            (Some(_), Channel::Control, Message::Usage(usage)) => {
                if let Some(peer) = self.registry.peer_mut(peer) {
                    peer.resident_bytes = usage.resident_bytes;
                }
            }
            (None, Channel::Data, Message::Request(request)) => self.work.submit(peer, request, payload, now),
            (None, Channel::Data, Message::ForgetFunctions(forget)) => {
                self.work.forget_functions(peer, &forget.functions);
            }
            (None, Channel::Data, Message::Abort(abort)) => self.work.abort(peer, &abort, now),
            (None, Channel::Control, Message::Ack(ack)) => self.work.ack(peer, ack, now),
            (None, Channel::Data, Message::Interrupt(targets)) => self.interrupt(targets),
            (None, Channel::Control, Message::Shutdown(targets)) => self.shutdown(targets, now),
            (None, Channel::Control, Message::StatusRequest(_)) => {
                let status = self.status(now);
                self.send(route, Message::StatusReply(Box::new(status)));
            }
            (_, _, other) => {
                let role = if engine.is_some() { Role::Engine } else { Role::Client };
                self.reject(route, format!("a {} from this {role} on its {channel:?} connection", kind(&other)));
            }
        }
    }

    fn hello(&mut self, route: Route, admitted: Admitted, hello: Hello, now: Duration) {
        if let Admitted::Keyed(role) = admitted
            && role != hello.role
        {
            let reason =
                format!("this is the key of an {role}: it does not admit a peer that says it is a {}", hello.role);
            self.send(route, Message::Refused(Refused { reason: reason.clone() }));
            return self.reject(route, reason);
        }
        if self.stopping.is_some() {
            return self.send(route, Message::Refused(Refused { reason: "the cluster is stopping".to_owned() }));
        }
        let engine = hello.role == Role::Engine;
        let who = format!("{} {} (pid {} on {})", hello.role, hello.uuid, hello.pid, hello.host);
        let token = (self.token)();
        let peer = self.registry.admit(hello, engine, route, token.clone(), now);
        let engine_id = self.registry.peer(peer).and_then(|peer| peer.engine_id);
        let engines = self.registry.engines().filter_map(|(_, peer)| peer.engine_info()).collect();
        let welcome = Welcome { peer, token, engine_id, engines, window: self.limits.window };
        self.actions.push(Action::Log(format!("hello from {who}")));
        self.send(route, Message::Welcome(welcome));
    }

    fn attach(&mut self, route: Route, attach: &Attach, now: Duration) {
        if !self.registry.attach(attach.peer, &attach.token, route) {
            self.send(route, Message::Refused(Refused { reason: "no peer with this token".to_owned() }));
            return self.reject(route, "an attach without its peer's token".to_owned());
        }
        self.send(route, Message::Attached(Empty {}));
        let info = self.registry.peer(attach.peer).and_then(Peer::engine_info);
        match info {
            Some(info) => {
                self.actions
                    .push(Action::Log(format!("engine {} registered: pid {} on {}", info.id, info.pid, info.host)));
                self.work.engine_joined(info.id, attach.peer, now);
                self.notify(&Message::EngineJoined(info));
            }
            None => self.work.client_joined(attach.peer),
        }
    }

    fn gone(&mut self, route: Route, why: &str, now: Duration) {
        if let Some(other) = self.registry.detach(route) {
            // A client that ends closes both, one after the other. If only this one broke, it has to start anew.
            return self.send(other, Message::Refused(Refused { reason: "the other connection broke".to_owned() }));
        }
        self.forget(route, why, now);
    }

    /// A peer is gone for good.
    fn forget(&mut self, route: Route, why: &str, now: Duration) {
        let Some((id, peer)) = self.registry.remove(route) else { return };
        let other = [Some(peer.control), peer.data].into_iter().flatten().find(|other| *other != route);
        if let Some(other) = other {
            // If that one still stands, the process lives and has to start anew.
            self.send(other, Message::Refused(Refused { reason: "the other connection broke".to_owned() }));
        }
        match peer.engine_id {
            Some(engine) => {
                let end = if peer.leaving { "was shut down".to_owned() } else { format!("died: {why}") };
                let reason = format!("engine {engine} (pid {} on {}) {end}", peer.hello.pid, peer.hello.host);
                self.actions.push(Action::Log(reason.clone()));
                self.work.engine_left(engine, &reason, now);
                if peer.data.is_some() {
                    self.notify(&Message::EngineLeft(EngineLeft { id: engine, reason }));
                }
            }
            None => {
                self.actions.push(Action::Log(format!("client {} left", peer.hello.uuid)));
                self.work.client_left(id);
            }
        }
        self.perform(now);
        self.actions.push(Action::UnlinkPeer(id, self.work.unread_segments()));
    }

    fn interrupt(&mut self, targets: Targets) {
        for engine in self.resolve(targets.engines) {
            self.send_engine(engine, Channel::Data, Message::Interrupt(Targets { engines: None }), vec![]);
        }
    }

    fn shutdown(&mut self, targets: Targets, now: Duration) {
        if targets.engines.is_none() {
            return self.stop_all(now);
        }
        for engine in self.resolve(targets.engines) {
            self.registry.set_leaving(engine);
            self.send_engine(engine, Channel::Control, Message::Shutdown(Targets { engines: None }), vec![]);
        }
    }

    fn stop_all(&mut self, now: Duration) {
        if self.stopping.is_none() {
            self.actions.push(Action::Log("stopping".to_owned()));
            self.stopping = Some(now + self.limits.shutdown_grace);
            self.shutdown(Targets { engines: Some(self.resolve(None)) }, now);
        }
    }

    fn resolve(&self, engines: Option<Vec<EngineId>>) -> Vec<EngineId> {
        engines.unwrap_or_else(|| self.registry.engines().map(|(id, _)| id).collect())
    }

    fn status(&self, now: Duration) -> Status {
        let engines = self.registry.engines().map(|(id, peer)| {
            let load = self.work.loads.get(id);
            let queue = load.map_or(0, |load| load.outstanding.len() as u64);
            EngineStatus {
                id,
                uuid: peer.hello.uuid.clone(),
                host: peer.hello.host.clone(),
                pid: peer.hello.pid,
                state: if queue == 0 { "idle" } else { "busy" }.to_owned(),
                queue,
                completed: load.map_or(0, |load| load.completed),
                resident_bytes: peer.resident_bytes,
                uptime: now.saturating_sub(peer.since).as_secs_f64(),
            }
        });
        Status {
            cluster: self.identity.cluster.clone(),
            pid: self.identity.pid,
            uptime: now.as_secs_f64(),
            clients: u32::try_from(self.registry.clients().count()).unwrap_or(u32::MAX),
            pending: self.work.queued(),
            held_bytes: self.work.held_bytes(),
            rejected: self.rejected,
            resident_bytes: 0,
            engines: engines.collect(),
        }
    }

    /// Carries out what the work wants, and leaves when it is time.
    fn perform(&mut self, now: Duration) {
        for effect in self.work.take_effects() {
            match effect {
                Effect::ToEngine(engine, channel, message, payload) => {
                    self.send_engine(engine, channel, message, payload);
                }
                Effect::ToClient(client, channel, message, payload) => {
                    if let Some(peer) = self.registry.peer(client) {
                        self.actions.extend(to_peer(peer, channel, message, payload));
                    }
                }
                Effect::Unlink(name) => self.actions.push(Action::Unlink(name)),
            }
        }
        if self.stopping.is_some_and(|deadline| now >= deadline || self.registry.engines().next().is_none()) {
            self.actions.push(Action::Exit);
        }
    }

    fn send_engine(&mut self, engine: EngineId, channel: Channel, message: Message, payload: Vec<Frame>) {
        if let Some(peer) = self.registry.engine(engine) {
            self.actions.extend(to_peer(peer, channel, message, payload));
        }
    }

    fn notify(&mut self, message: &Message) {
        let clients = self.registry.clients();
        let sends = clients.filter_map(|peer| to_peer(peer, Channel::Control, message.clone(), vec![]));
        self.actions.extend(sends);
    }

    fn send(&mut self, route: Route, message: Message) {
        self.actions.push(Action::Send { route, message, payload: vec![], shared_memory: false });
    }

    fn reject(&mut self, route: Route, reason: String) {
        self.rejected += 1;
        self.actions.push(Action::Rejected(format!("connection {}: {reason}", route.0)));
    }
}

fn to_peer(peer: &Peer, channel: Channel, message: Message, payload: Vec<Frame>) -> Option<Action> {
    let route = match channel {
        Channel::Control => peer.control,
        Channel::Data => peer.data?,
    };
    Some(Action::Send { route, message, payload, shared_memory: peer.hello.shared_memory })
}

/// What a message is called in a refusal; its content stays out of the log.
fn kind(message: &Message) -> String {
    let text = format!("{message:?}");
    text.split(['(', ' ']).next().unwrap_or_default().to_owned()
}
