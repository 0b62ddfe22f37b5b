//! The controller dies at any point of a batch, or its host loses power; and another one goes on.

use crate::process::Process;
use crate::world::{World, identity, limits, oracle};
use ipclusterz_runtime::controller::core::Core;
use ipclusterz_runtime::controller::event::{Action, Event};
use ipclusterz_runtime::controller::image;
use ipclusterz_runtime::controller::replay::Replay;
use ipclusterz_runtime::journal::record::read_all;
use std::time::Duration;

/// Where in a batch the controller dies.
#[derive(Debug, Clone, Copy)]
pub enum Point {
    BeforeWrite,
    /// So much of the batch is written, in 65536ths.
    MidWrite(u16),
    Written,
    /// So many of its actions are done.
    MidSend(u8),
}

/// The state that an image and a log lead to, and the time of the last event.
pub fn replayed(image: &[u8], log: &[u8]) -> (Core, Duration) {
    let mut replay = Replay::new(image).expect("an image");
    read_all(log, 0, |_, bytes| replay.record(bytes).map(drop)).expect("whole records");
    replay.finish(oracle())
}

impl World {
    /// The controller dies. Of what it had sent, so many messages of each connection still arrive.
    pub fn dies(&mut self, point: Point, arrive: usize) {
        let Some(process) = &mut self.process else { return };
        let lived = image::write(&process.core);
        let buffered = std::mem::take(&mut process.buffer);
        match point {
            Point::BeforeWrite => self.disk.write(&[]),
            Point::MidWrite(part) => {
                self.disk.write(&buffered[..buffered.len() * usize::from(part) / usize::from(u16::MAX)]);
            }
            Point::Written | Point::MidSend(_) => {
                process.buffer.clone_from(&buffered);
                let actions = self.write();
                let done = if let Point::MidSend(count) = point { usize::from(count) } else { 0 };
                actions.into_iter().take(done).for_each(|action| self.perform(action));
            }
        }
        let whole = buffered.is_empty() || matches!(point, Point::Written | Point::MidSend(_));
        self.breaks_all(arrive);
        self.lived = whole.then_some(lived);
    }

    /// All connections end with the controller.
    fn breaks_all(&mut self, arrive: usize) {
        (self.process, self.lived) = (None, None);
        self.disk.forget_asker();
        self.late.clear();
        self.ends.clear();
        for peer in &mut self.peers {
            let Some(link) = &mut peer.link else { continue };
            peer.trouble.get_or_insert(self.now);
            link.dead = true;
            link.up.iter_mut().for_each(|messages| messages.clear());
            link.down.iter_mut().for_each(|messages| messages.truncate(arrive));
        }
    }

    /// The power of the controller's host fails, and with it all processes there.
    pub fn loses_power(&mut self, at: u16, hole: bool, arrive: usize) {
        self.breaks_all(arrive);
        self.disk.lose_power(at, hole);
        self.disk.repair();
        self.truth.forget_behind(self.disk.position());
        for at in 0..self.peers.len() {
            if self.peers[at].beside && self.peers[at].alive {
                self.ends_silently(at);
            }
        }
    }

    /// The state that the journal has, and the time of its last event.
    fn replayed(&self) -> (Core, Duration) {
        replayed(&self.disk.image, &self.disk.log)
    }

    /// A controller begins where another one has died.
    pub fn returns(&mut self) {
        if self.process.is_some() {
            return;
        }
        let number = self.disk.repair();
        let (core, last) = self.replayed();
        assert!(last <= self.now);
        let state = image::write(&core);
        match self.lived.take() {
            Some(lived) => assert!(state == lived, "the replay of its log is not the controller that died"),
            None => assert!(image::write(&self.replayed().0) == state, "two replays of one log differ"),
        }
        let copy = image::read(&state, oracle()).expect("its own image");
        assert!(image::write(&copy) == state, "a copy of the state is another state");
        self.disk.sync_all();
        self.process = Some(Process::new(core, number));
        self.happens(Event::Restarted(Box::new((identity(2), limits()))));
        let actions: Vec<Action> = self.write();
        actions.into_iter().for_each(|action| self.perform(action));
        self.moved = true;
    }
}
