//! The controller's process, as its reactor runs it: events are handled and recorded, a batch of records is written, and then what
//! follows from them is done.

use crate::truth::key_in;
use crate::world::World;
use ipclusterz_base::ids::PeerId;
use ipclusterz_runtime::controller::bug;
use ipclusterz_runtime::controller::core::Core;
use ipclusterz_runtime::controller::event::{Action, Event};
use ipclusterz_runtime::controller::held::Held;
use ipclusterz_runtime::controller::image;
use ipclusterz_runtime::controller::peer::Presence;
use ipclusterz_runtime::controller::record::{self, Came};
use ipclusterz_runtime::journal::record::{push_event, push_synced};
use ipclusterz_runtime::transport::{Admitted, Route};
use ipclusterz_runtime::wire::message::Message;
use ipclusterz_runtime::wire::{Frame, codec};
use std::collections::BTreeMap;

pub struct Process {
    pub core: Core,
    /// Records that are not written.
    pub buffer: Vec<u8>,
    /// The number of the next one.
    pub number: u32,
    pub held: Held,
    /// Processes that the kernel watches for it.
    pub watched: BTreeMap<PeerId, u32>,
}

impl Process {
    pub fn new(core: Core, number: u32) -> Process {
        Process { core, buffer: Vec::new(), number, held: Held::default(), watched: BTreeMap::new() }
    }
}

impl World {
    pub fn arrives(&mut self, route: u32, admitted: Admitted, message: Message, payload: Vec<Frame>) {
        let mut frames = vec![Frame::from(codec::encode(&message))];
        frames.extend(payload.iter().cloned());
        let came = Came::Message(Route(route), admitted, frames);
        // What is sent again as a session goes on is nothing new.
        let again = if matches!(message, Message::Attach(_)) { self.to_be_sent_again(&message) } else { 0 };
        let event = Event::Message { route: Route(route), admitted, message, payload };
        self.handle(came, event, again);
    }

    pub fn happens(&mut self, event: Event) {
        self.handle(Came::Other(event.clone()), event, 0);
    }

    fn handle(&mut self, came: Came, event: Event, again: u64) {
        let Some(process) = &mut self.process else { return };
        let (actions, panicked) = bug::handle(&mut process.core, event, self.now);
        assert!(!panicked, "a bug of the controller");
        let answers = process.core.take_answers();
        push_event(&mut process.buffer, process.number, |buffer| {
            record::write(buffer, self.now, &answers, &came, |_| None)
        });
        process.number += 1;
        let recorded = self.disk.position() + process.buffer.len() as u64;
        self.note(&actions, recorded, again);
        if let Some(process) = &mut self.process {
            process.held.push(actions);
        }
    }

    /// How many messages on `data` are sent again to whoever attaches.
    fn to_be_sent_again(&self, message: &Message) -> u64 {
        let (Message::Attach(attach), Some(process)) = (message, &self.process) else { return 0 };
        let Some(peer) = process.core.registry().peer(attach.peer) else { return 0 };
        let Presence::Returning(received) = peer.presence else { return 0 };
        peer.sent.total().data.saturating_sub(received.data)
    }

    /// What the record at this position leads to, as far as the model has to know.
    fn note(&mut self, actions: &[Action], recorded: u64, mut again: u64) {
        for action in actions {
            let Action::Send { route, message, payload, .. } = action else { continue };
            match message {
                Message::Task(task) => {
                    let engine = self.owners[route.0 as usize / 2];
                    // It may be known to be broken already.
                    let mut peers = self.process.iter().flat_map(|process| process.core.registry().peers());
                    let id = peers.find(|(_, peer)| peer.data == Some(*route)).and_then(|(_, peer)| peer.engine_id);
                    let target = self.truth.target(key_in(&payload[0]), id.expect("an engine's connection"));
                    self.truth.is_given(task.id, target, engine, recorded, again > 0);
                    again = again.saturating_sub(1);
                }
                Message::Attached(_) => {}
                _ if route.0 % 2 == 1 => again = again.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// Writes the batch. What is to be done now.
    pub fn write(&mut self) -> Vec<Action> {
        let Some(process) = &mut self.process else { return Vec::new() };
        self.disk.write(&std::mem::take(&mut process.buffer));
        let mark = self.disk.new_mark();
        if let Some(offset) = mark {
            push_synced(&mut process.buffer, process.number, offset);
            process.number += 1;
        }
        let (mut actions, waits) = process.held.written(self.disk.position());
        if waits {
            self.disk.ask();
        }
        actions.extend(process.held.synced(self.disk.synced));
        actions
    }

    pub fn commit(&mut self) {
        for action in self.write() {
            self.perform(action);
        }
        self.looks_at_sessions();
    }

    pub fn sync(&mut self) {
        self.disk.sync();
    }

    /// What waits for the disk is done, too.
    pub fn commit_and_sync(&mut self) {
        self.commit();
        self.sync();
        self.commit();
    }

    /// The journal begins anew with an image, once all that was recorded is written.
    pub fn compact(&mut self) {
        self.commit();
        self.remembered.checkpoint();
        let Some(process) = &mut self.process else { return };
        process.buffer.clear();
        process.number = 0;
        self.disk.begin_anew(image::write(&process.core));
    }

    pub fn perform(&mut self, action: Action) {
        match action {
            Action::Send { route: Route(route), message, payload, .. } => {
                let owner = self.owners[route as usize / 2];
                if let Some(link) = self.peers[owner].link.as_mut().filter(|link| !link.dead)
                    && let Some(channel) = link.routes.iter().position(|own| *own == route)
                {
                    link.down[channel].push_back((message, payload));
                }
            }
            Action::Watch { peer, pid, .. } => {
                let Some(process) = &mut self.process else { return };
                process.watched.insert(peer, pid);
                if self.peers.iter().any(|known| known.pid == pid && !known.alive) {
                    self.ends.push((peer, pid));
                }
            }
            Action::Unwatch(peer) => {
                if let Some(process) = &mut self.process {
                    process.watched.remove(&peer);
                }
            }
            Action::Rejected(_) | Action::Log(_) | Action::Unlink(_) | Action::UnlinkPeer(..) => {}
            Action::Keep(entry) => self.remembered.keep(*entry),
            Action::Exit => panic!("nobody has stopped it"),
        }
    }
}
