//! Questions about the cluster: its state, which the controller knows, and what engines are doing, which they are
//! asked.

use super::Core;
use crate::controller::peer::{Peer, Presence};
use crate::wire::Channel;
use crate::wire::message::{EngineStatus, Inspect, Inspected, Message, Status};
use ipclusterz_base::ids::PeerId;
use ipclusterz_base::process::Halt;
use std::collections::BTreeSet;
use std::time::Duration;

impl Core {
    pub(super) fn status(&self, now: Duration) -> Status {
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
                    _ if let Some(halt) = self.halt_for_people(peer) => halt.word(),
                    _ if peer.presence != Presence::Here => "away",
                    _ if load.is_some_and(|load| !load.horizon.takes(None, now)) => "draining",
                    0 => "idle",
                    _ => "busy",
                }
                .to_owned(),
                away: peer.presence != Presence::Here,
                absence: peer.away(now),
                queue,
                completed: load.map_or(0, |load| load.completed.0),
                resident_bytes: peer.resident_bytes,
                uptime: now.saturating_sub(peer.since).as_secs_f64(),
                ends_in: peer.horizon().end.map(|end| end.saturating_sub(now).as_secs_f64()),
                world: self.worlds.status(id, load, now),
                group: peer.hello.group.clone(),
                offers: peer.hello.offers.clone(),
            }
        });
        Status {
            cluster: self.identity.cluster.clone(),
            pid: self.identity.pid,
            uptime: now.as_secs_f64(),
            clients: u32::try_from(self.registry.clients().filter(|(_, peer)| peer.is_here()).count())
                .unwrap_or(u32::MAX),
            pending: self.work.queued(),
            held_bytes: self.work.held_bytes(),
            rejected: self.rejected.0,
            resident_bytes: 0,
            engines: engines.collect(),
            losses: self.losses.last(now),
            expected: self.work.expected().cloned(),
        }
    }

    /// Why the process of a peer of this host does not go on, for people.
    fn halt_for_people(&self, peer: &Peer) -> Option<Halt> {
        let birth = peer.hello.birth.filter(|_| peer.watched)?;
        self.oracle.halt_for_people(peer.hello.pid, birth.start_time)
    }

    /// Passes a question on to the engines, and answers for those that are not there.
    pub(super) fn inspect(&mut self, peer: PeerId, inspect: Inspect) {
        let Inspect { number, engines, stacks, broken, signal, .. } = inspect;
        let asker = Some(peer);
        // Engines have no say over each other's processes.
        let signal = signal.filter(|_| self.registry.peer(peer).is_some_and(|peer| peer.engine_id.is_none()));
        // Each once, however often it is named.
        for engine in BTreeSet::from_iter(engines) {
            if self.registry.engine(engine).is_some_and(|peer| peer.stood) {
                let question = Inspect { number, asker, engines: vec![], stacks, broken: broken.clone(), signal };
                self.send_engine(engine, Channel::Control, Message::Inspect(question), vec![]);
            } else {
                self.inspected(Inspected { number, asker, engine: Some(engine), activity: None });
            }
        }
    }

    /// Passes an engine's answer back to whoever asked.
    pub(super) fn inspected(&mut self, mut inspected: Inspected) {
        let Some(asker) = inspected.asker.take() else { return };
        match self.registry.peer(asker).map(|peer| peer.engine_id) {
            Some(Some(engine)) => {
                self.send_engine(engine, Channel::Control, Message::Inspected(inspected), vec![]);
            }
            Some(None) => self.send_client(asker, Channel::Control, Message::Inspected(inspected), vec![]),
            None => {}
        }
    }
}
