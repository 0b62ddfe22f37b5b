//! Connections between the client and the controller: they come, carry messages, and are cut.

use crate::world::{CHANNELS, DATA, Link, Messages, Stage, World};
use ipclusterz_base::connection::Role;
use ipclusterz_runtime::wire::message::*;
use ipclusterz_runtime::wire::resend::Sending;
use ipclusterz_runtime::wire::{Channel, Frame};

impl World {
    pub fn connect(&mut self) {
        if self.link.is_some() {
            return;
        }
        let routes = [self.next_route, self.next_route + 1];
        self.next_route += 2;
        let hello =
            Hello { resume: self.resume.clone(), ..Hello::new(Role::Client, "client".into(), "there".into(), 1) };
        let mut up: [Messages; 2] = Default::default();
        up[0].push_back((Message::Hello(hello), vec![]));
        self.link = Some(Link { routes, up, down: Default::default(), stage: Stage::Greeted });
    }

    pub fn cut(&mut self) {
        let Some(Link { routes, up, .. }) = self.link.take() else { return };
        self.late.extend(routes.into_iter().zip(up));
        match self.client.interrupted("cut") {
            Some((_, resume)) => self.resume = Some(resume),
            None => {
                self.resume = None;
                self.client.lost("cut", 0.0);
            }
        }
    }

    pub fn late(&mut self, which: usize, end: bool) {
        if self.late.is_empty() {
            return;
        }
        let which = which % self.late.len();
        let route = self.late[which].0;
        if end {
            self.late.remove(which);
            self.gone(route);
        } else if let Some((message, payload)) = self.late[which].1.pop_front() {
            self.tell(route, message, payload);
        }
    }

    pub fn put(&mut self, sends: Vec<Sending>) {
        for (channel, message, payload) in sends {
            let channel = usize::from(channel == Channel::Data);
            self.link.as_mut().expect("a link").up[channel].push_back((message, payload));
        }
    }

    /// Has the client send what it may, as its reactor does.
    pub fn flush(&mut self, first: Vec<Sending>) {
        if self.client.standing.is_some() {
            let sends = self.client.outgoing(first);
            self.put(sends);
        }
    }

    pub fn up(&mut self, channel: usize, count: usize) {
        for _ in 0..count {
            let Some(link) = &mut self.link else { return };
            let Some((message, payload)) = link.up[channel].pop_front() else { return };
            let route = link.routes[channel];
            self.tell(route, message, payload);
        }
    }

    pub fn down(&mut self, channel: usize, count: usize) {
        for _ in 0..count {
            let Some(link) = &mut self.link else { return };
            let Some((message, payload)) = link.down[channel].pop_front() else { return };
            match (message, &mut link.stage) {
                (Message::Welcome(welcome), Stage::Greeted) => {
                    let attach = Attach { peer: welcome.peer, token: welcome.token.clone() };
                    link.up[DATA].push_back((Message::Attach(attach), vec![]));
                    link.stage = Stage::Attaching(Box::new(welcome), Vec::new());
                }
                (Message::Attached(_), Stage::Attaching(..)) => {
                    let stage = std::mem::replace(&mut link.stage, Stage::Standing);
                    let Stage::Attaching(welcome, early) = stage else { unreachable!("it was") };
                    assert_eq!(welcome.resumed.is_some(), self.client.is_away(), "the session goes on");
                    let again = self.client.established(*welcome, 0.0);
                    self.put(again);
                    early.into_iter().for_each(|(channel, message, payload)| self.hear(channel, message, payload));
                    self.flush(vec![]);
                }
                // One of the connections broke.
                (Message::Refused(_), _) => return self.cut(),
                (message, Stage::Attaching(_, early)) => early.push((CHANNELS[channel], message, payload)),
                (message, Stage::Standing) => {
                    self.hear(CHANNELS[channel], message, payload);
                    self.flush(vec![]);
                }
                (message, Stage::Greeted) => panic!("before the welcome: {message:?}"),
            }
        }
    }

    pub fn hear(&mut self, channel: Channel, message: Message, payload: Vec<Frame>) {
        match &message {
            Message::Reply(reply) => {
                let key = (reply.request, reply.position);
                assert!(self.answered.insert(key), "a second answer: {reply:?}");
                assert!(matches!(reply.outcome, Outcome::Ok | Outcome::Aborted), "{reply:?}");
            }
            Message::StatusReply(_) => self.statuses.1 += 1,
            _ => {}
        }
        self.client.message(channel, message, payload, 0.0, |_, _| Ok(vec![]));
    }
}
