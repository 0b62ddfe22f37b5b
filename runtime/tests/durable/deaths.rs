//! The controller dies at any point of a batch, or its host loses power; and another one goes on.

use crate::process::Process;
use crate::world::{World, identity, limits, oracle};
use ipclusterz_runtime::controller::core::Core;
use ipclusterz_runtime::controller::event::{Action, Event};
use ipclusterz_runtime::controller::history::Entry;
use ipclusterz_runtime::controller::image;
use ipclusterz_runtime::controller::record::RecordError;
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

/// The state that an image and a log lead to, the time of the last event, and what that has to say for the history.
pub fn replayed(image: &[u8], log: &[u8]) -> (Core, Duration, Vec<Entry>) {
    let mut replay = Replay::new(image).expect("an image");
    let mut entries = Vec::new();
    let record = |_, bytes: &[u8]| {
        for action in replay.record(bytes)? {
            if let Action::Keep(entry) = action {
                entries.push(*entry);
            }
        }
        Ok::<(), RecordError>(())
    };
    read_all(log, 0, record).expect("whole records");
    let (core, last) = replay.finish(oracle());
    (core, last, entries)
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
        self.remembered.forget_since_checkpoint();
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

    /// What the journal leads to.
    fn replayed(&self) -> (Core, Duration, Vec<Entry>) {
        replayed(&self.disk.image, &self.disk.log)
    }

    /// A controller begins where another one has died.
    pub fn returns(&mut self) {
        if self.process.is_some() {
            return;
        }
        let number = self.disk.repair();
        let (core, last, entries) = self.replayed();
        entries.into_iter().for_each(|entry| self.remembered.keep(entry));
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
