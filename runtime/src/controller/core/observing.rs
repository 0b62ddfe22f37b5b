//! What is noted of sessions and engines for those who look on, and what a controller that goes on tells them first.

use super::Core;
use crate::controller::peer::{Peer, Presence};
use crate::wire::message::{EngineJoined, Happened, SessionBegan};
use ipclusterz_base::ids::{EngineId, PeerId};
use std::time::Duration;

impl Core {
    /// What happens from now on is noted, behind what there is already.
    pub fn begin_to_observe(&mut self) {
        self.work.observed.begin();
        self.work.observed.set_time(self.clock);
        self.observe_all();
    }

    /// What has happened since the last call.
    pub fn take_observed(&mut self) -> Vec<(Duration, Happened)> {
        self.work.observed.take()
    }

    /// A session has begun, or its client is there again.
    pub(super) fn observe_session(&mut self, id: PeerId) {
        let Some(peer) = self.registry.peer(id).filter(|peer| peer.engine_id.is_none()) else { return };
        self.work.observed.note(|| Happened::SessionBegan(session_began(id, peer)));
    }

    /// An engine has registered.
    pub(super) fn observe_engine(&mut self, id: EngineId, now: Duration) {
        let Some(peer) = self.registry.engine(id) else { return };
        self.work.observed.note(|| Happened::EngineJoined(Box::new(engine_joined(id, peer, now))));
    }

    /// All that there is.
    fn observe_all(&mut self) {
        let (observed, now) = (&mut self.work.observed, self.clock);
        for (client, peer) in self.registry.clients() {
            observed.note(|| Happened::SessionBegan(session_began(client, peer)));
            if !peer.is_here() {
                observed.note(|| Happened::SessionParted { client });
            }
        }
        for (engine, peer) in self.registry.engines() {
            observed.note(|| Happened::EngineJoined(Box::new(engine_joined(engine, peer, now))));
            if peer.presence != Presence::Here {
                observed.note(|| Happened::EngineAway { engine });
            }
        }
        self.work.observe_all();
        for what in self.worlds.epochs_now() {
            self.work.observed.note(|| what);
        }
    }
}

fn session_began(client: PeerId, peer: &Peer) -> SessionBegan {
    SessionBegan {
        client,
        name: peer.session.name.clone(),
        id: peer.session.id.clone(),
        host: peer.hello.host.clone(),
        pid: peer.hello.pid,
        user: peer.hello.user.clone(),
        launcher: peer.hello.launcher,
    }
}

fn engine_joined(engine: EngineId, peer: &Peer, now: Duration) -> EngineJoined {
    EngineJoined {
        engine,
        uuid: peer.hello.uuid.clone(),
        host: peer.hello.host.clone(),
        pid: peer.hello.pid,
        group: peer.hello.group.clone(),
        rank: peer.hello.world.as_ref().map(|rank| (rank.world.clone(), rank.rank)),
        offers: peer.hello.offers.clone(),
        ends_in: peer.horizon().end.map(|end| end.saturating_sub(now).as_secs_f64()),
    }
}
