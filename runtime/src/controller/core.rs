//! The controller's state machine: messages and broken connections in, messages out.
//!
//! Responsible for who may say what: roles, counting what is refused. How peers come, go and come back is in `sessions`;
//! the work itself is `work.rs`. Knows no socket and no clock.

mod sessions;

use super::limits::Limits;
use super::registry::{Peer, Presence, Registry};
use super::work::{Effect, Work};
use super::worlds::{NoGroup, Worlds};
use crate::connection::Role;
use crate::ids::{EngineId, PeerId};
use crate::transport::{Admitted, Route};
use crate::wire::message::{
    EngineStatus, Goodbye, Inspect, Inspected, Message, Outcome, Placement, Refused, Request, Status, Targets,
};
use crate::wire::{Channel, Frame};
use std::collections::{BTreeSet, HashSet, VecDeque};
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
    worlds: Worlds,
    rejected: u64,
    stopping: Option<Duration>,
    /// Engines that end when they have done what they have.
    retiring: BTreeSet<EngineId>,
    /// Clients without connections, since when, in order; some of them may have come back.
    away: VecDeque<(Duration, PeerId)>,
    /// Makes tokens; given from outside to keep the core free of randomness.
    token: fn() -> String,
    actions: Vec<Action>,
}

impl Core {
    /// A controller without peers.
    pub fn new(identity: Identity, limits: Limits, token: fn() -> String) -> Self {
        let work = Work::new(limits);
        let registry = Registry::default();
        Core {
            identity,
            limits,
            registry,
            work,
            worlds: Worlds::default(),
            rejected: 0,
            stopping: None,
            retiring: BTreeSet::new(),
            away: VecDeque::new(),
            token,
            actions: Vec::new(),
        }
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
            Event::Tick => {
                self.work.tick(now);
                self.give_up_clients(now);
            }
            Event::Stop => self.stop_all(now),
        }
        self.perform(now);
        std::mem::take(&mut self.actions)
    }

    /// When `Event::Tick` should come next, if at all; a time in the past means soon.
    pub fn next_tick(&self) -> Option<Duration> {
        let away = self.away.front().map(|(since, _)| *since + self.limits.session_grace);
        [self.work.next_tick(), self.stopping, away].into_iter().flatten().min()
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
            if let Some((peer, _)) = self.registry.of_route(route) {
                self.forget(peer, Some(route), "it started anew", now);
            }
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
        if engine.is_none() {
            self.count(peer, channel, &message, &payload);
        }
        match (engine, channel, message) {
            (Some(engine), Channel::Data, Message::Result(result)) if Worlds::is_own(result.id) => {
                self.worlds.answered(engine, result.id, result.outcome, &payload);
            }
            (Some(engine), Channel::Data, Message::Result(result)) => self.work.result(engine, result, payload, now),
            (Some(engine), Channel::Data, Message::Recalled(recalled)) => self.work.recalled(engine, &recalled, now),
            (Some(engine), Channel::Data, Message::NeedFunction(need)) => self.work.need_function(engine, need.task),
            (Some(engine), Channel::Data, Message::Output(output)) => self.work.output(engine, output, payload),
            (Some(_), Channel::Control, Message::Usage(usage)) => {
                if let Some(peer) = self.registry.peer_mut(peer) {
                    peer.resident_bytes = usage.resident_bytes;
                }
            }
            (_, Channel::Control, Message::Inspect(inspect)) => self.inspect(peer, inspect),
            (Some(engine), Channel::Control, Message::Inspected(inspected)) => {
                self.inspected(Inspected { engine: Some(engine), ..inspected });
            }
            (None, Channel::Data, Message::Request(request)) => self.submit(peer, request, payload, now),
            (None, Channel::Data, Message::ForgetFunctions(forget)) => {
                self.work.forget_functions(peer, &forget.functions);
            }
            (None, Channel::Data, Message::Abort(abort)) => self.work.abort(peer, &abort, now),
            (None, Channel::Control, Message::Ack(ack)) => {
                if let Some(peer) = self.registry.peer_mut(peer) {
                    peer.sent.arrived(ack.messages);
                }
                self.work.ack(peer, ack, now);
            }
            (None, Channel::Data, Message::Goodbye(_)) => {
                if let Some(peer) = self.registry.peer_mut(peer) {
                    peer.leaving = true;
                }
            }
            (None, Channel::Data, Message::Interrupt(targets)) => self.interrupt(targets),
            (None, Channel::Control, Message::Shutdown(targets)) => self.shutdown(targets, now),
            (None, Channel::Data, Message::Retire(list)) => self.retire(list.engines),
            (None, Channel::Control, Message::StatusRequest(_)) => {
                let status = self.status(now);
                self.send_client(peer, Channel::Control, Message::StatusReply(Box::new(status)), vec![]);
            }
            (_, _, other) => {
                let role = if engine.is_some() { Role::Engine } else { Role::Client };
                self.reject(route, format!("a {} from this {role} on its {channel:?} connection", kind(&other)));
            }
        }
    }

    /// A collective request is for a group, all of which is there: then all members are given it here, in one step. So
    /// all engines have all collective requests in one order, that of their arrival here, and no two wait for each other.
    fn submit(&mut self, peer: PeerId, request: Request, payload: Vec<Frame>, now: Duration) {
        let group = match &request.placement {
            _ if !request.collective => None,
            Placement::Engines(engines) => Some(self.worlds.group(engines).and_then(|group| {
                let retiring =
                    engines.iter().find(|id| self.work.loads.get(**id).is_none_or(|load| load.horizon.retiring));
                match retiring {
                    Some(id) => Err(NoGroup::Never(format!("engine {id} is being retired and takes nothing new"))),
                    None => Ok(group),
                }
            })),
            Placement::Balanced { .. } => Some(Err(NoGroup::Never("a balanced task is for one engine".to_owned()))),
        };
        let group = group.map(|group| {
            group.map_err(|none| match none {
                NoGroup::Never(reason) => Outcome::Rejected(reason),
                NoGroup::Lost(reason) => Outcome::RankLost(reason),
            })
        });
        self.work.submit(peer, request, group, payload, now);
    }

    /// Passes a question on to those engines that are there.
    fn inspect(&mut self, peer: PeerId, inspect: Inspect) {
        let Inspect { number, engines, broken, .. } = inspect;
        let asker = Some(peer);
        for engine in engines {
            if self.registry.engine(engine).is_some_and(|peer| peer.data.is_some()) {
                let question = Inspect { number, asker, engines: vec![], broken: broken.clone() };
                self.send_engine(engine, Channel::Control, Message::Inspect(question), vec![]);
            } else {
                self.inspected(Inspected { number, asker, engine: Some(engine), activity: None });
            }
        }
    }

    /// Passes an answer back.
    fn inspected(&mut self, mut inspected: Inspected) {
        let Some(asker) = inspected.asker.take() else { return };
        match self.registry.peer(asker).map(|peer| peer.engine_id) {
            Some(Some(engine)) => {
                self.send_engine(engine, Channel::Control, Message::Inspected(inspected), vec![]);
            }
            Some(None) => self.send_client(asker, Channel::Control, Message::Inspected(inspected), vec![]),
            None => {}
        }
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

    fn retire(&mut self, engines: Vec<EngineId>) {
        for engine in engines {
            // Not one that has been told to end already.
            if self.work.loads.get(engine).is_some_and(|load| !load.horizon.retiring) {
                self.retiring.insert(engine);
                self.actions.push(Action::Log(format!("engine {engine} is being retired")));
                self.work.retire(engine);
            }
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
                address: peer.hello.address.clone(),
                state: match queue {
                    _ if load.is_some_and(|load| !load.horizon.takes(None, now)) => "draining",
                    0 => "idle",
                    _ => "busy",
                }
                .to_owned(),
                queue,
                completed: load.map_or(0, |load| load.completed),
                resident_bytes: peer.resident_bytes,
                uptime: now.saturating_sub(peer.since).as_secs_f64(),
                ends_in: peer.horizon().end.map(|end| end.saturating_sub(now).as_secs_f64()),
                world: self.worlds.status(id),
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
                    self.send_client(client, channel, message, payload);
                }
                Effect::Unlink(name) => self.actions.push(Action::Unlink(name)),
            }
        }
        for (engine, channel, message, payload) in self.worlds.take_sends() {
            self.send_engine(engine, channel, message, payload);
        }
        let work = &self.work;
        let retired: Vec<EngineId> = self.retiring.extract_if(.., |engine| work.is_retired(*engine)).collect();
        if !retired.is_empty() {
            self.shutdown(Targets { engines: Some(retired) }, now);
        }
        if self.stopping.is_some_and(|deadline| now >= deadline || self.registry.engines().next().is_none()) {
            // So that those on other hosts do not wait for it to come back.
            let goodbye = Message::Goodbye(Goodbye { reason: "the cluster was stopped".to_owned() });
            self.notify(&goodbye);
            self.actions.push(Action::Exit);
        }
    }

    /// Sends to a client; when it has no connection, once it has one again.
    fn send_client(&mut self, client: PeerId, channel: Channel, message: Message, payload: Vec<Frame>) {
        let Some(peer) = self.registry.peer_mut(client) else { return };
        peer.sent.push(channel, &message, &payload);
        if peer.presence == Presence::Here {
            self.actions.extend(to_peer(peer, channel, message, payload));
        }
    }

    fn send_engine(&mut self, engine: EngineId, channel: Channel, message: Message, payload: Vec<Frame>) {
        if let Some(peer) = self.registry.engine(engine) {
            self.actions.extend(to_peer(peer, channel, message, payload));
        }
    }

    fn notify(&mut self, message: &Message) {
        let clients: Vec<PeerId> = self.registry.clients().map(|(id, _)| id).collect();
        for client in clients {
            self.send_client(client, Channel::Control, message.clone(), vec![]);
        }
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
