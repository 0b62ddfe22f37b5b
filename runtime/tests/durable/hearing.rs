//! What arrives at a peer: the answers to its hello, and the messages of a session.

use crate::links::{CHANNELS, DATA, Stage};
use crate::peers::{LEASE, Part};
use crate::world::{SESSION_GRACE, World, limits};
use ipclusterz_base::ids::PeerId;
use ipclusterz_runtime::engine::keeping::Course;
use ipclusterz_runtime::wire::message::{Attach, Counts, Goodbye, Message, Welcome};
use ipclusterz_runtime::wire::resend::Sending;
use ipclusterz_runtime::wire::{Channel, Frame};
use std::time::Duration;

impl World {
    pub fn hear(&mut self, at: usize, channel: Channel, message: Message, payload: Vec<Frame>) {
        let peer = &mut self.peers[at];
        let Some(link) = &mut peer.link else { return };
        match (message, &mut link.stage) {
            (Message::Welcome(welcome), Stage::Greeted) => {
                let attach = Attach { peer: welcome.peer, token: welcome.token.clone() };
                peer.resume = welcome.resume(peer.resume.as_ref());
                if !link.dead {
                    link.up[DATA].push_back((Message::Attach(attach), vec![]));
                }
                link.stage = Stage::Attaching(Box::new(welcome), Vec::new());
            }
            (Message::Attached(_), Stage::Attaching(..)) => {
                let stage = std::mem::replace(&mut link.stage, Stage::Standing);
                let Stage::Attaching(welcome, early) = stage else { unreachable!("it was") };
                self.established(at, *welcome, early);
            }
            (Message::Goodbye(Goodbye { taken: true, .. }), _) => self.is_taken(at),
            (Message::Refused(refused), Stage::Greeted) => panic!("it is not let in: {refused:?}"),
            (Message::Refused(_), _) => self.cut(at),
            (message, Stage::Attaching(_, early)) => early.push((channel, message, payload)),
            (message, Stage::Standing) => self.takes(at, channel, message, payload),
            (message, Stage::Greeted) => panic!("before the welcome: {message:?}"),
        }
    }

    fn established(&mut self, at: usize, welcome: Welcome, early: Vec<Sending>) {
        self.looks_at_course(at, &welcome);
        let peer = &mut self.peers[at];
        (peer.give_up, peer.closed) = (None, false);
        // What a dead controller has sent may be heard late.
        peer.trouble = peer.trouble.filter(|_| peer.link.as_ref().is_some_and(|link| link.dead));
        let again = match &mut peer.part {
            Part::Client(client) => {
                let again = client.core.established(welcome, 0.0);
                // The clients are numbered from 100 on.
                let id = client.core.session.as_ref().map(|session| session.id[..8].parse::<usize>());
                client.first = id.expect("a session").expect("a number") - 100;
                again
            }
            Part::Engine(engine) => {
                engine.id = welcome.engine_id;
                match engine.keeping.established(&welcome) {
                    Course::New => {
                        engine.session = (engine.session.0 + 1, 0);
                        engine.core.session_lost();
                        Vec::new()
                    }
                    Course::Resumed(again, lost) => {
                        lost.into_iter().for_each(|number| engine.core.forget_behind(number));
                        again
                    }
                }
            }
        };
        self.put(at, again);
        for (channel, message, payload) in early {
            self.takes(at, channel, message, payload);
        }
        self.flush(at, vec![]);
    }

    /// A session goes on, unless its peer was away for too long.
    fn looks_at_course(&mut self, at: usize, welcome: &Welcome) {
        let now = self.now;
        let peer = &mut self.peers[at];
        let is_this = |(id, token): &(PeerId, String)| *id == welcome.peer && welcome.is_of_session(token);
        if let Some(had) = welcome.resumed.filter(|_| peer.session.as_ref().is_some_and(is_this)) {
            let known = peer.received;
            assert!(had.control >= known.control && had.data >= known.data, "{known:?} were received, now {had:?}");
            if let Part::Engine(engine) = &peer.part {
                assert_eq!(welcome.engine_id, engine.id, "an engine keeps its id");
            }
            return self.received(at, had);
        }
        if peer.session.replace((welcome.peer, welcome.token.clone())).is_some() {
            let grace = match &peer.part {
                Part::Client(client) if client.name.is_some() => Duration::MAX,
                Part::Client(_) => SESSION_GRACE,
                Part::Engine(_) if peer.closed => limits().engine_grace.min(LEASE),
                Part::Engine(_) => LEASE,
            };
            let too_long = peer.trouble.is_none_or(|since| since.saturating_add(grace) <= now);
            assert!(too_long || std::mem::take(&mut peer.put_out), "{} is not known any more", peer.uuid);
        }
        peer.received = Counts::default();
        self.session_ends(at);
    }

    /// What was under way in a session is answered for by the controller, or lost.
    pub fn session_ends(&mut self, at: usize) {
        match &mut self.peers[at].part {
            Part::Client(client) => {
                client.sent.clear();
                let open = client.submitted.iter().filter(|(_, pending)| pending.done() < pending.len());
                client.cut_off.extend(open.map(|(id, _)| *id));
            }
            Part::Engine(engine) => engine.ended |= engine.id.is_some(),
        }
    }

    /// The controller says that it has so much.
    fn received(&mut self, at: usize, counts: Counts) {
        let peer = &mut self.peers[at];
        let (control, data) = (peer.received.control.max(counts.control), peer.received.data.max(counts.data));
        peer.received = Counts { control, data };
        if let Part::Engine(engine) = &peer.part {
            self.truth.received(at, engine.session.0, data);
        }
    }

    /// A message of a session.
    fn takes(&mut self, at: usize, channel: Channel, message: Message, payload: Vec<Frame>) {
        if let Message::Received(counts) = &message {
            self.received(at, *counts);
        }
        match &self.peers[at].part {
            Part::Client(_) => self.client_hears(at, channel, message, payload),
            Part::Engine(_) => self.engine_hears(at, channel, message, payload),
        }
    }

    /// The connection of a session has ended, as its peer notices.
    pub fn interrupted(&mut self, at: usize) {
        let now = self.now;
        let peer = &mut self.peers[at];
        match &mut peer.part {
            Part::Client(client) => {
                let (grace, resume) = client.core.interrupted("cut").expect("its session goes on");
                peer.resume = Some(resume);
                peer.give_up.get_or_insert(now.saturating_add(grace));
            }
            Part::Engine(engine) => {
                peer.resume = Some(engine.keeping.interrupted().expect("its session goes on"));
                peer.give_up = Some(now + LEASE);
            }
        }
    }

    /// Who has waited too long for a connection gives its session up, and an engine ends.
    pub fn give_up(&mut self) {
        for at in 0..self.peers.len() {
            let peer = &mut self.peers[at];
            if !peer.alive || peer.give_up.take_if(|until| *until <= self.now).is_none() {
                continue;
            }
            if matches!(peer.part, Part::Engine(_)) {
                self.process_ends(at, usize::MAX);
                continue;
            }
            (peer.resume, peer.session) = (None, None);
            peer.received = Counts::default();
            self.session_ends(at);
            self.peers[at].client().core.lost("it took too long", 0.0);
            // What it has asked for is not wanted any more.
            self.cut(at);
        }
    }

    /// Both lanes of a link, for whoever takes all of them.
    pub fn down_all(&mut self, at: usize) {
        for channel in 0..CHANNELS.len() {
            self.down(at, channel, usize::MAX);
        }
    }
}
