//! Engines that have no connection.
//!
//! One whose kernel has closed its connections has ended, or dials again at once: it is waited for shortly. One of which nothing is
//! heard any more may live, behind a network that is down, with all that it holds: it is waited for as long as it goes on by itself, its
//! lease. It is *away* until it comes back, its time is over, or somebody knows that it has ended. What it has and may be done
//! once more goes to others meanwhile, after the short time.

use super::Core;
use crate::controller::event::Action;
use crate::controller::peer::{Absence, Peer, Presence};
use crate::transport::Route;
use crate::wire::Channel;
use crate::wire::message::{Away, EngineAway, Happened, Message, Refused};
use ipclusterz_base::ids::{EngineId, PeerId};
use std::time::Duration;

/// Why a peer is gone that has not come back.
const LATE: &str = "its connection broke, and it did not come back in time";

impl Core {
    /// A connection of an engine broke, which may come back. Its other one may stand for ever: that of a process which was stopped
    /// is answered by its kernel.
    pub(super) fn engine_is_cut_off(&mut self, id: PeerId, route: Route, silent: bool, now: Duration) {
        for other in self.registry.disconnect(id).into_iter().filter(|other| *other != route) {
            self.send(other, Message::Refused(Refused::new("the other connection broke")));
            self.registry.part_from(id, other);
        }
        let Some(peer) = self.registry.peer_mut(id) else { return };
        // What an end of a tunnel closes says nothing of the process.
        let silent = (silent || peer.hello.forwarded) && peer.ended.is_none();
        let before = peer.absence.unwrap_or(Absence { since: now, silent, told: false });
        peer.absence = Some(Absence { silent, ..before });
        self.wait_for(id, if silent { Duration::MAX } else { self.limits.engine_grace }, now);
        self.tell_away(id, now);
    }

    /// The last connection of an engine that fell silent has ended. If its kernel has closed that, it will hardly come back.
    pub(super) fn is_closed(&mut self, id: PeerId, now: Duration) {
        if self.registry.peer(id).is_some_and(|peer| !peer.hello.forwarded) {
            self.wait_less(id, now);
        }
    }

    /// An engine that is away will hardly come back: it is waited for as one whose connection was closed.
    pub(super) fn wait_less(&mut self, id: PeerId, now: Duration) {
        let soon = now.saturating_add(self.limits.engine_grace);
        let Some(peer) = self.registry.peer_mut(id).filter(|peer| peer.engine_id.is_some()) else { return };
        if let Presence::Away(until) = peer.presence
            && soon < until
        {
            peer.presence = Presence::Away(soon);
            if let Some(absence) = &mut peer.absence {
                absence.silent = false;
            }
            self.away.insert((soon, id));
            self.tell_away(id, now);
        }
    }

    /// A peer has no connections, and is waited for, at most so long.
    pub(super) fn wait_for(&mut self, id: PeerId, most: Duration, now: Duration) {
        let Some(peer) = self.registry.peer_mut(id) else { return };
        let grace = peer.grace(self.limits.session_grace).min(most);
        let until = now.saturating_add(grace);
        peer.presence = Presence::Away(until);
        self.away.insert((until, id));
        let who = peer.name();
        let long = if grace == Duration::MAX { "for ever".to_owned() } else { format!("for {} s", grace.as_secs()) };
        if let Some(engine) = peer.engine_id {
            self.work.loads.set_away(engine, true);
            let absence = peer.absence.get_or_insert(Absence { since: now, silent: true, told: false });
            self.away.insert((absence.since.max(now).saturating_add(self.limits.engine_grace), id));
        }
        if peer.engine_id.is_none() {
            self.work.observed.note(|| Happened::SessionParted { client: id });
        }
        self.actions.push(Action::Log(format!("{who} has no connection; it is waited for {long}")));
    }

    /// Drops peers that did not come back in time; others do what those have that are away for long.
    pub(super) fn give_up_absent(&mut self, now: Duration) {
        while let Some((at, id)) = self.away.first().copied().filter(|(at, _)| *at <= now) {
            self.away.remove(&(at, id));
            let Some(peer) = self.registry.peer(id) else { continue };
            match (peer.presence, peer.engine_id) {
                (Presence::Away(until), _) if until <= now => {
                    let why = why_lost(peer);
                    self.forget(id, None, &why, now);
                }
                (Presence::Away(_), Some(engine)) if self.is_long_away(peer, now) => {
                    self.tell_away(id, now);
                    self.work.go_elsewhere(engine, now);
                }
                _ => {}
            }
        }
    }

    fn is_long_away(&self, peer: &Peer, now: Duration) -> bool {
        peer.absence.is_some_and(|absence| now.saturating_sub(absence.since) >= self.limits.engine_grace)
    }

    /// An engine has its connections again.
    pub(super) fn is_back(&mut self, id: PeerId, engine: EngineId, now: Duration) {
        let absence = self.registry.peer_mut(id).and_then(|peer| peer.absence.take());
        if absence.is_some_and(|absence| absence.told) {
            self.work.observed.note(|| Happened::EngineBack { engine });
            self.notify(&Message::EngineAway(EngineAway { id: engine, away: None, hangs: false }));
        }
        // One that is told to end is given nothing.
        if self.registry.peer(id).is_some_and(|peer| !peer.leaving) {
            self.work.came_back(engine, now);
        }
    }

    /// Tells clients that calls of an engine wait, and for how long.
    fn tell_away(&mut self, id: PeerId, now: Duration) {
        let Some(peer) = self.registry.peer_mut(id) else { return };
        let away = peer.away(now);
        let told = peer.absence.as_mut().is_some_and(|absence| std::mem::replace(&mut absence.told, true));
        if let Some(engine) = peer.engine_id {
            if !told {
                self.work.observed.note(|| Happened::EngineAway { engine });
            }
            self.notify(&Message::EngineAway(EngineAway { id: engine, away, hangs: false }));
        }
    }

    /// An engine does not end although it has to, and nothing in it does anything about that: its launcher is told.
    pub(super) fn hangs(&mut self, engine: EngineId) {
        let launchers = self.registry.clients().filter(|(_, peer)| peer.hello.launcher && peer.stood).map(|(id, _)| id);
        let launchers: Vec<PeerId> = launchers.collect();
        let whose = if launchers.is_empty() { ", and no launcher of this cluster is there" } else { "" };
        self.actions.push(Action::Log(format!("engine {engine} does not end although it has to{whose}")));
        for launcher in launchers {
            let hangs = EngineAway { id: engine, away: None, hangs: true };
            self.send_client(launcher, Channel::Control, Message::EngineAway(hangs), vec![]);
        }
    }

    /// Tells a client that has come which engines are away.
    pub(super) fn tell_who_is_away(&mut self, client: PeerId, now: Duration) {
        let away = self
            .registry
            .engines()
            .filter_map(|(id, peer)| Some(EngineAway { id, away: Some(peer.away(now)?), hangs: false }));
        for away in away.collect::<Vec<_>>() {
            self.send_client(client, Channel::Control, Message::EngineAway(away), vec![]);
        }
    }
}

impl Peer {
    /// For an engine that is away: how long it has been, and how long it is still waited for.
    pub fn away(&self, now: Duration) -> Option<Away> {
        let absence = self.absence?;
        let left = match self.presence {
            Presence::Away(until) => until.saturating_sub(now),
            // It has said hello.
            _ => Duration::ZERO,
        };
        let seconds = now.saturating_sub(absence.since).as_secs();
        Some(Away { seconds, left: left.as_secs(), silent: absence.silent })
    }
}

/// Why a peer is given up that did not come back.
fn why_lost(peer: &Peer) -> String {
    match peer.absence {
        Some(Absence { silent: true, .. }) => {
            format!("nothing was heard of it for longer than its lease of {} s (engines.lease)", peer.hello.lease)
        }
        _ => LATE.to_owned(),
    }
}
