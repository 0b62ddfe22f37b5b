//! The controller's state machine: messages and broken connections in, messages out. Pure: no socket, no clock.
//!
//! This file handles an event and carries out what follows from it. In `core/`: `messages`, who may say what; `sessions`,
//! how peers connect, leave and come back; `absence`, engines that have no connection; `named`, sessions that others take over;
//! `live`, what is told of them; `losses`, how engines ended; `observing`, what those hear who look on; `stopping`; `questions`; `sending`; `restart`, when it goes on where another controller has died. The work itself is in `work`; MPI programs
//! are in `worlds`.

mod absence;
mod live;
mod losses;
mod messages;
mod named;
mod observing;
mod questions;
mod restart;
mod sending;
mod sessions;
mod stopping;

use super::event::{Action, Event};
use super::exits::Exits;
use super::history::Entry;
pub use super::identity::Identity;
use super::limits::Limits;
use super::losses::Losses;
use super::oracle::{Answer, Oracle};
use super::registry::Registry;
use super::work::{Effect, Work};
use super::worlds::Worlds;
use crate::wire::message::{Message, Refused, Targets};
use ipclusterz_base::ids::{EngineId, PeerId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::num::Saturating;
use std::time::Duration;

pub use live::LeftSession;

/// The state of a controller.
#[derive(Debug, Serialize, Deserialize)]
pub struct Core {
    identity: Identity,
    limits: Limits,
    registry: Registry,
    work: Work,
    worlds: Worlds,
    losses: Losses,
    exits: Exits,
    rejected: Saturating<u64>,
    stopping: Option<Duration>,
    /// Engines that end when they have finished their tasks.
    retiring: BTreeSet<EngineId>,
    /// Peers without connections and until when they are waited for; some of them may have come back.
    away: BTreeSet<(Duration, PeerId)>,
    /// Clients that do not read what they are sent, and are about to be put out.
    unreading: Vec<PeerId>,
    /// When the last event was.
    clock: Duration,
    /// Why no more requests are taken.
    full: Option<String>,
    /// Which start of the controller this is, counted from 0.
    start: u32,
    #[serde(skip)]
    oracle: Oracle,
    #[serde(skip)]
    actions: Vec<Action>,
}

impl Core {
    /// A controller without peers.
    pub fn new(identity: Identity, limits: Limits, oracle: Oracle) -> Self {
        let work = Work::new(limits);
        let registry = Registry::default();
        Core {
            identity,
            limits,
            registry,
            work,
            worlds: Worlds::default(),
            losses: Losses::default(),
            exits: Exits::default(),
            rejected: Saturating(0),
            stopping: None,
            retiring: BTreeSet::new(),
            away: BTreeSet::new(),
            unreading: Vec::new(),
            clock: Duration::ZERO,
            full: None,
            start: 0,
            oracle,
            actions: Vec::new(),
        }
    }

    /// The same, asking somebody else.
    pub fn with_oracle(mut self, oracle: Oracle) -> Self {
        self.oracle = oracle;
        self
    }

    /// What the world has answered since the last call: part of the record of an event.
    pub fn take_answers(&mut self) -> Vec<Answer> {
        self.oracle.take_answers()
    }

    /// The next event is handled with these answers.
    pub fn repeat_answers(&mut self, answers: Vec<Answer>) {
        self.oracle.repeat(answers);
    }

    /// Which start of the controller this is, counted from 0.
    pub fn start(&self) -> u32 {
        self.start
    }

    /// The time of the last event.
    pub fn clock(&self) -> Duration {
        self.clock
    }

    /// Takes one event at time `now` (since the controller's start).
    pub fn handle(&mut self, event: Event, now: Duration) -> Vec<Action> {
        self.clock = now;
        self.work.observed.set_time(now);
        match event {
            Event::Message { route, admitted, message, payload } => {
                self.message(route, admitted, message, payload, now)
            }
            Event::Undecodable { route, reason } => {
                let releases = self.releases(route);
                self.put_out(route, reason + &releases, now);
            }
            Event::OtherVersion { route, foreign } => self.other_version(route, &foreign, now),
            Event::Crowded { route, reason } => {
                self.send(route, Message::Crowded(Refused::new(reason.clone())));
                self.reject(route, reason);
            }
            Event::TurnedAway(reason) => {
                self.rejected += 1;
                self.actions.push(Action::Rejected(format!("a peer was turned away: {reason}")));
            }
            Event::ProcessEnded(peer, how) => self.process_ended(peer, how, now),
            Event::Bug { route: Some(route), reason } => self.put_out(route, reason, now),
            // What it had done of the event is carried out below.
            Event::Bug { route: None, .. } => {}
            Event::Gone(route) => self.gone(route, false, now),
            Event::Silent(route) => self.gone(route, true, now),
            Event::Tick => {
                // Before others are given work: not to these.
                self.give_up_exited(now);
                self.work.tick(now);
                self.give_up_absent(now);
                self.give_up_words(now);
            }
            Event::Stop => self.stop_all(now),
            Event::Room(full) => self.room(full),
            Event::Restarted(new) => self.restarted(new.0, new.1, now),
            Event::TakenUp(new) => self.taken_up(new.0, new.1, now),
        }
        self.perform(now);
        std::mem::take(&mut self.actions)
    }

    /// When `Event::Tick` should come next, if at all; a time in the past means soon.
    pub fn next_tick(&self) -> Option<Duration> {
        let away = self.away.first().map(|(until, _)| *until);
        let own = [self.losses.next_tick(), self.exits.next_tick(), self.stopping];
        own.into_iter().chain([self.work.next_tick(), away]).flatten().min()
    }

    /// What is held; for tests.
    pub fn work(&self) -> &Work {
        &self.work
    }

    /// Who is there; for tests.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    fn session_id(&self, client: PeerId) -> String {
        self.registry.peer(client).map(|peer| peer.session.id.clone()).unwrap_or_default()
    }

    fn perform_effects(&mut self) {
        // What is sent may be too much for a client, and then more is to be done.
        loop {
            let effects = self.work.take_effects();
            if effects.is_empty() {
                return;
            }
            effects.into_iter().for_each(|effect| self.perform_one(effect));
        }
    }

    fn perform_one(&mut self, effect: Effect) {
        match effect {
            Effect::ToEngine(engine, channel, message, payload) => self.send_engine(engine, channel, message, payload),
            Effect::ToClient(client, channel, message, payload) => {
                if let Some(message) = self.losses.hold(client, message) {
                    self.send_client(client, channel, message, payload);
                }
            }
            Effect::Unlink(name) => self.actions.push(Action::Unlink(name)),
            Effect::Hangs(engine) => self.hangs(engine),
            Effect::Submitted(client, request, what) => {
                let session = self.session_id(client);
                self.actions.push(Action::Keep(Box::new(Entry::Request { session, request, what })));
            }
            Effect::Done(client, done) => {
                let session = self.session_id(client);
                self.actions.push(Action::Keep(Box::new(Entry::Done { session, done })));
            }
        }
    }

    /// Carries out what the work asks for, and exits when it is time.
    fn perform(&mut self, now: Duration) {
        self.work.settle(now);
        self.perform_effects();
        // One that does not read: others hear that it left.
        while let Some(client) = self.unreading.pop() {
            let route = self.registry.peer(client).map(|peer| peer.control);
            if let Some(route) = route {
                self.put_out(route, "it does not read what it is sent".to_owned(), now);
            }
        }
        for what in self.worlds.take_notes() {
            self.work.observed.note(|| what);
        }
        for (engine, channel, message, payload) in self.worlds.take_sends() {
            if let (Message::Task(_), Some(load)) = (&message, self.work.loads.get(engine))
                && let Some(last) = load.outstanding.back()
            {
                self.worlds.is_busy_until(engine, *last);
            }
            self.send_engine(engine, channel, message, payload);
        }
        let work = &self.work;
        let retired: Vec<EngineId> = self.retiring.extract_if(.., |engine| work.is_retired(*engine)).collect();
        if !retired.is_empty() {
            self.shutdown(Targets { engines: Some(retired) }, now);
        }
        self.leave_in_time(now);
    }
}
