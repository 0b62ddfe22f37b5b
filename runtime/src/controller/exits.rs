//! Peers whose processes have ended while their connections stand: a child that they have left may hold these for ever.
//! What such a peer sent before its end may still be on its way, so it is given up after a moment of silence.

use ipclusterz_base::ids::PeerId;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// These peers, and when to give each up.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Exits(Vec<(PeerId, Duration)>);

impl Exits {
    /// Its process has ended, or something has come from it since.
    pub fn wait_until(&mut self, peer: PeerId, until: Duration) {
        match self.0.iter_mut().find(|(id, _)| *id == peer) {
            Some((_, due)) => *due = until,
            None => self.0.push((peer, until)),
        }
    }

    /// Nobody is waited for, as nearly always.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the process of this peer has ended.
    pub fn has(&self, peer: PeerId) -> bool {
        self.0.iter().any(|(id, _)| *id == peer)
    }

    /// It has left.
    pub fn forget(&mut self, peer: PeerId) {
        self.0.retain(|(id, _)| *id != peer);
    }

    /// Nobody is waited for any more.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// When to give the first one up.
    pub fn next_tick(&self) -> Option<Duration> {
        self.0.iter().map(|(_, until)| *until).min()
    }

    /// Those to give up now.
    pub fn due(&self, now: Duration) -> Vec<PeerId> {
        self.0.iter().filter(|(_, until)| *until <= now).map(|(peer, _)| *peer).collect()
    }
}
