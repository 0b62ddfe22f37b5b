//! A controller that was started again: no peer has its connections, and all that are to come back have their time.

use super::{Core, Identity};
use crate::controller::event::Action;
use crate::controller::limits::Limits;
use crate::controller::peer::Peer;
use ipclusterz_base::ids::PeerId;
use std::time::Duration;

/// Why an engine of an earlier cluster is gone.
const ENDED: &str = "its cluster has ended, and was taken up again";

impl Core {
    /// The process is another one, and its settings may be others.
    pub(super) fn restarted(&mut self, identity: Identity, limits: Limits, now: Duration) {
        (self.identity, self.limits) = (identity, limits);
        self.start = self.start.saturating_add(1);
        self.full = None;
        self.registry.restarted(self.start);
        self.work.restarted(self.start, limits);
        self.worlds.restarted(self.start);
        self.losses.restarted();
        self.exits.clear();
        let peers: Vec<PeerId> = self.registry.peers().map(|(id, _)| id).collect();
        for id in peers {
            self.survive(id, now);
        }
        self.actions.push(Action::Log(format!("started again, for the {}. time", self.start)));
    }

    /// The cluster had ended, and is taken up again: its engines and its launcher are gone, and others come.
    pub(super) fn taken_up(&mut self, identity: Identity, limits: Limits, now: Duration) {
        self.stopping = None;
        self.retiring.clear();
        self.work.close();
        self.restarted(identity, limits, now);
        let of_cluster = |peer: &Peer| peer.engine_id.is_some() || peer.hello.launcher;
        let gone: Vec<PeerId> = self.registry.peers().filter(|(_, peer)| of_cluster(peer)).map(|(id, _)| id).collect();
        for id in gone {
            if let Some(peer) = self.registry.peer_mut(id) {
                peer.ended = Some(ENDED.to_owned());
            }
            self.forget(id, None, ENDED, now);
        }
        self.actions.push(Action::Log("taken up again, with other engines".to_owned()));
    }

    /// The journal is full, or has room again.
    pub(super) fn room(&mut self, full: Option<String>) {
        let log = full.clone().unwrap_or_else(|| "the journal has room again: requests are taken".to_owned());
        self.actions.push(Action::Log(log));
        self.full = full;
    }

    /// What becomes of a peer whose controller has died.
    fn survive(&mut self, id: PeerId, now: Duration) {
        let Some(peer) = self.registry.peer_mut(id) else { return };
        let watch = watch_of(id, peer).filter(|_| peer.birth_table() == self.identity.table);
        peer.watched = watch.is_some();
        let goes_on = peer.goes_on();
        if goes_on {
            self.actions.extend(watch);
            self.wait_for(id, Duration::MAX, now);
        } else {
            peer.watched = false;
            self.forget(id, None, "its connection ended with the controller", now);
        }
    }
}

/// Has its process watched again.
fn watch_of(peer: PeerId, known: &Peer) -> Option<Action> {
    let birth = known.hello.birth.filter(|_| known.watched)?;
    Some(Action::Watch { peer, pid: known.hello.pid, start_time: birth.start_time })
}
