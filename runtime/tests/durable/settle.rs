//! How a history ends: all that live come back, and everything comes to its end.

use crate::clients::CODE;
use crate::deaths::Point;
use crate::peers::{LEASE, Part};
use crate::world::{SESSION_GRACE, World};
use std::time::Duration;

/// Rounds in which everything has to come to its end.
const ROUNDS: u32 = 300;

impl World {
    /// Lets everything come to its end, and looks at what is left. How many tasks ran twice because of a loss of power.
    pub fn settle(mut self) -> u64 {
        self.come_to_rest();
        self.looks_at_answers();
        // All say once more how much they have, also of what that leads to.
        for _ in 0..2 {
            self.dies(Point::Written, usize::MAX);
            self.come_to_rest();
        }
        self.looks_at_what_is_kept();
        self.all_leave();
        self.truth.twofold
    }

    fn come_to_rest(&mut self) {
        for _ in 0..ROUNDS {
            self.moved = false;
            self.round();
            if !self.moved && self.is_at_rest() {
                return;
            }
            self.waits(20);
            if !self.moved {
                self.wait_for_next();
            }
        }
        panic!("it does not come to rest: {}", self.picture());
    }

    /// Everything that can go on does.
    fn round(&mut self) {
        self.returns();
        while !self.ends.is_empty() {
            self.kernel_tells();
        }
        while !self.words.is_empty() && self.launcher().is_some() {
            self.launcher_tells();
        }
        while !self.late.is_empty() {
            self.late(0, false);
        }
        for at in 0..self.peers.len() {
            if self.peers[at].alive {
                self.down_all(at);
                self.exchange(at);
                if matches!(self.peers[at].part, Part::Engine(_)) {
                    self.begin(at);
                    self.finish(at);
                }
            }
        }
        self.commit_and_sync();
    }

    fn is_at_rest(&self) -> bool {
        let peers = (0..self.peers.len()).filter(|at| self.peers[*at].alive).all(|at| self.is_quiet(at));
        peers && self.process.as_ref().is_some_and(|process| process.core.work().open_tasks() == 0)
    }

    /// Nothing happens before the controller's next deadline.
    fn wait_for_next(&mut self) {
        let next = self.process.as_ref().and_then(|process| process.core.next_tick());
        let wait = next.map_or(Duration::ZERO, |at| at.saturating_sub(self.now)).max(Duration::from_millis(100));
        self.waits(wait.as_millis() as u64 + 1);
    }

    /// All end, and nothing is left of them.
    fn all_leave(&mut self) {
        for at in 0..self.peers.len() {
            match &self.peers[at].part {
                _ if !self.peers[at].alive => {}
                Part::Client(_) => self.client_closes(at),
                Part::Engine(_) => self.process_ends(at, usize::MAX),
            }
        }
        self.words.clear();
        self.round();
        self.waits((SESSION_GRACE + LEASE).as_millis() as u64);
        self.waits(SESSION_GRACE.as_millis() as u64);
        let Some(process) = &self.process else { panic!("it has returned") };
        let named = process.core.registry().peers().filter(|(_, peer)| peer.session.named).count();
        assert_eq!(named, process.core.registry().peers().count(), "peers are left: {:?}", process.core.registry());
        let work = process.core.work();
        assert_eq!((work.open_tasks(), work.queued()), (0, 0), "work is left");
        // Of a client elsewhere nobody knows that it will not come back.
        assert!(work.held_bytes() <= (named * CODE.len()) as u64, "{} bytes are left", work.held_bytes());
    }

    /// What is still open, for a failure.
    fn picture(&self) -> String {
        let peers = self.peers.iter().enumerate().filter(|(_, peer)| peer.alive);
        let peers = peers.map(|(at, peer)| {
            let open = if let Part::Client(client) = &peer.part { client.core.under_way() } else { 0 };
            let runs = self.runs(at);
            format!("{} quiet {} under way {open} runs {runs:?} keeps {}", peer.uuid, self.is_quiet(at), peer.kept())
        });
        let core = self.process.as_ref().map(|process| format!("{:?}", process.core.work()));
        format!("{}\n{}", peers.collect::<Vec<_>>().join("\n"), core.unwrap_or_default())
    }
}
