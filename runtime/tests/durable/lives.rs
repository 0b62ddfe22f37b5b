//! Processes of clients and engines that end, with a word or without.

use crate::links::Late;
use crate::peers::Part;
use crate::world::World;
use ipclusterz_runtime::controller::event::Event;
use ipclusterz_runtime::wire::Channel;
use ipclusterz_runtime::wire::message::{Goodbye, Message};

impl World {
    /// A process dies. Of what it had sent, so many messages of each connection still arrive, and then their ends.
    pub fn process_ends(&mut self, at: usize, arrive: usize) {
        let peer = &mut self.peers[at];
        let admitted = peer.admitted();
        if let Some(link) = peer.link.take().filter(|link| !link.dead) {
            for (route, mut messages) in link.routes.into_iter().zip(link.up) {
                messages.truncate(arrive);
                self.late.push(Late { route, admitted, messages });
            }
        }
        let (pid, uuid) = (peer.pid, peer.uuid.clone());
        if let Some(process) = &self.process {
            self.ends.extend(
                process.watched.iter().filter(|(_, watched)| **watched == pid).map(|(peer, pid)| (*peer, *pid)),
            );
        }
        if matches!(peer.part, Part::Engine(_)) {
            self.words.push(uuid);
        }
        self.ends_silently(at);
    }

    /// The same, and nobody sees it.
    pub fn ends_silently(&mut self, at: usize) {
        let now = self.now;
        let peer = &mut self.peers[at];
        (peer.alive, peer.link, peer.give_up, peer.vanished) = (false, None, None, Some(now));
        if let Part::Engine(engine) = &mut peer.part {
            engine.ended = true;
            self.free_ids.extend(engine.id);
        }
        self.moved = true;
    }

    /// A client closes in order.
    pub fn client_closes(&mut self, at: usize) {
        let goodbye = Message::Goodbye(Goodbye { reason: "closed".to_owned(), taken: false });
        let stands = self.peers[at].client().core.standing.is_some() && !self.peers[at].client().core.is_away();
        if stands {
            self.put(at, vec![(Channel::Data, goodbye, vec![])]);
        }
        self.process_ends(at, usize::MAX);
        // What it had queued is given up, or is not if nobody has heard it.
        self.peers[at].vanished = None;
    }

    /// A client is told that another one has its session. It closes.
    pub fn is_taken(&mut self, at: usize) {
        self.process_ends(at, usize::MAX);
        self.peers[at].vanished = None;
    }

    /// The kernel tells the controller that a process of its host has ended.
    pub fn kernel_tells(&mut self) {
        let Some(process) = &self.process else { return };
        if let Some((peer, pid)) = self.ends.pop()
            && process.core.may_be_of(peer, pid)
        {
            self.happens(Event::ProcessEnded(peer, Some("signal: 9 (SIGKILL)".to_owned())));
            self.moved = true;
        }
    }

    /// Time passes.
    pub fn waits(&mut self, milliseconds: u64) {
        self.now += std::time::Duration::from_millis(milliseconds);
        self.give_up();
        let due = |process: &crate::process::Process| process.core.next_tick().is_some_and(|at| at <= self.now);
        if self.process.as_ref().is_some_and(due) {
            self.happens(Event::Tick);
        }
    }
}
