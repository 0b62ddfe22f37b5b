//! Connections: they come, carry messages, and are cut.

use crate::peers::Part;
use crate::world::World;
use ipclusterz_runtime::controller::event::Event;
use ipclusterz_runtime::transport::{Admitted, Route};
use ipclusterz_runtime::wire::message::{Message, Welcome};
use ipclusterz_runtime::wire::resend::Sending;
use ipclusterz_runtime::wire::{Channel, Frame};
use std::collections::VecDeque;

pub type Messages = VecDeque<(Message, Vec<Frame>)>;

pub const CHANNELS: [Channel; 2] = [Channel::Control, Channel::Data];
pub const DATA: usize = 1;

pub enum Stage {
    Greeted,
    /// With what came on the other connection since the welcome was written.
    Attaching(Box<Welcome>, Vec<Sending>),
    Standing,
}

/// Both connections of a peer, with what is under way on each.
pub struct Link {
    pub routes: [u32; 2],
    pub up: [Messages; 2],
    pub down: [Messages; 2],
    pub stage: Stage,
    /// The controller at the other end has died, and the peer has not noticed.
    pub dead: bool,
}

/// One connection that was cut, and what it still brings the controller before its end.
pub struct Late {
    pub route: u32,
    pub admitted: Admitted,
    pub messages: Messages,
}

impl Link {
    pub fn is_quiet(&self) -> bool {
        matches!(self.stage, Stage::Standing) && !self.dead && self.up.iter().chain(&self.down).all(VecDeque::is_empty)
    }
}

impl World {
    /// A peer dials, and says hello.
    pub fn connect(&mut self, at: usize) {
        let peer = &mut self.peers[at];
        if peer.link.as_ref().is_some_and(|link| link.dead) {
            self.cut(at);
        }
        let peer = &mut self.peers[at];
        if peer.link.is_some() || !peer.alive || self.process.is_none() {
            return;
        }
        let first = 2 * self.owners.len() as u32;
        self.owners.push(at);
        let mut up: [Messages; 2] = Default::default();
        peer.attempt += 1;
        up[0].push_back((Message::Hello(peer.hello()), vec![]));
        let (routes, down, stage, dead) = ([first, first + 1], Default::default(), Stage::Greeted, false);
        peer.link = Some(Link { routes, up, down, stage, dead });
        self.moved = true;
    }

    /// A connection between hosts breaks, or a peer notices that the controller is dead.
    pub fn cut(&mut self, at: usize) {
        let peer = &mut self.peers[at];
        let Some(Link { routes, up, stage, dead, .. }) = peer.link.take() else { return };
        peer.trouble.get_or_insert(self.now);
        self.moved = true;
        if !dead {
            let admitted = peer.admitted();
            let late = routes.into_iter().zip(up);
            self.late.extend(late.map(|(route, messages)| Late { route, admitted, messages }));
        }
        if matches!(stage, Stage::Standing) {
            self.interrupted(at);
        }
    }

    /// The same, if it is a connection that breaks by itself: one between hosts.
    pub fn cut_if_it_may(&mut self, at: usize) {
        let peer = &self.peers[at];
        if peer.link.as_ref().is_some_and(|link| link.dead || !peer.beside) {
            self.cut(at);
        }
    }

    /// What a connection that was cut still brings the controller, and then its end.
    pub fn late(&mut self, which: usize, end: bool) {
        if self.late.is_empty() || self.process.is_none() {
            return;
        }
        let which = which % self.late.len();
        let Late { route, admitted, messages } = &mut self.late[which];
        let (route, admitted) = (*route, *admitted);
        self.moved = true;
        match messages.pop_front().filter(|_| !end) {
            Some((message, payload)) => self.arrives(route, admitted, message, payload),
            None => {
                self.late.remove(which);
                self.connection_ends(route);
            }
        }
    }

    /// The controller finds one of a peer's connections broken, which the peer does not know.
    pub fn drop_connection(&mut self, at: usize, channel: usize) {
        let peer = &mut self.peers[at];
        if peer.beside || self.process.is_none() {
            return;
        }
        let stands = |link: &&mut Link| !link.dead && matches!(link.stage, Stage::Standing);
        let Some(link) = peer.link.as_mut().filter(stands) else { return };
        peer.trouble.get_or_insert(self.now);
        let route = link.routes[channel];
        link.up[channel].clear();
        self.connection_ends(route);
    }

    /// The controller notices the end of a connection: nothing is heard of it any more, or it was closed.
    fn connection_ends(&mut self, route: u32) {
        let (link, owner) = (route / 2, self.owners[route as usize / 2]);
        let silent = link % 2 == 1 && !self.peers[owner].beside;
        self.peers[owner].closed |= !silent;
        self.happens(if silent { Event::Silent(Route(route)) } else { Event::Gone(Route(route)) });
    }

    /// What the controller takes for something that a client may not say.
    pub fn breaks_rules(&mut self, at: usize) {
        let peer = &mut self.peers[at];
        let stands = |link: &&Link| !link.dead && matches!(link.stage, Stage::Standing);
        let Some(link) = peer.link.as_ref().filter(stands) else { return };
        let route = Route(link.routes[0]);
        if self.process.as_ref().is_some_and(|process| process.core.registry().of_route(route).is_some()) {
            peer.put_out = true;
            self.happens(Event::Undecodable { route, reason: "no message".to_owned() });
        }
    }

    pub fn put(&mut self, at: usize, sends: Vec<Sending>) {
        let Some(link) = self.peers[at].link.as_mut().filter(|link| !link.dead) else { return };
        for (channel, message, payload) in sends {
            link.up[usize::from(channel == Channel::Data)].push_back((message, payload));
        }
    }

    /// The controller takes what a peer has sent.
    pub fn up(&mut self, at: usize, channel: usize, count: usize) {
        for _ in 0..count {
            if self.process.is_none() {
                return;
            }
            let admitted = self.peers[at].admitted();
            let Some(link) = &mut self.peers[at].link else { return };
            let Some((message, payload)) = link.up[channel].pop_front() else { return };
            let route = link.routes[channel];
            self.moved = true;
            self.arrives(route, admitted, message, payload);
        }
    }

    /// The same of both connections.
    pub fn up_all(&mut self, at: usize) {
        (0..CHANNELS.len()).for_each(|channel| self.up(at, channel, usize::MAX));
    }

    /// A peer takes what the controller has sent, and notices in the end that it is dead.
    pub fn down(&mut self, at: usize, channel: usize, count: usize) {
        for _ in 0..count {
            let Some(link) = &mut self.peers[at].link else { return };
            let Some((message, payload)) = link.down[channel].pop_front() else { break };
            self.moved = true;
            self.hear(at, CHANNELS[channel], message, payload);
        }
        if self.peers[at].link.as_ref().is_some_and(|link| link.dead && link.down.iter().all(VecDeque::is_empty)) {
            self.cut(at);
        }
    }

    /// Both sides take what there is, in turn, and the disk keeps up.
    pub fn exchange(&mut self, at: usize) {
        self.approach(at, usize::MAX);
    }

    /// The same, so many steps of it.
    pub fn approach(&mut self, at: usize, steps: usize) {
        self.connect(at);
        for step in 0..steps.min(12) {
            let channel = [0, 0, DATA, DATA][step / 3];
            match step % 3 {
                0 => self.up(at, channel, usize::MAX),
                1 => self.commit_and_sync(),
                _ => self.down(at, channel, usize::MAX),
            }
        }
    }

    /// Whether a peer stands, and nothing is under way.
    pub fn is_quiet(&self, at: usize) -> bool {
        let peer = &self.peers[at];
        let output = matches!(&peer.part, Part::Client(client) if client.core.under_way() > 0);
        peer.link.as_ref().is_some_and(Link::is_quiet) && !output
    }
}
