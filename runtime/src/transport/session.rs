//! From dialling to being let in, and again after the connection broke; the same for clients and engines.
//!
//! `hello` on `control`, `welcome`, `attach` on `data`, `attached`: from there on the session stands. Sockets and
//! stages are here; what the messages of a standing session mean is the peer's business.

use super::Channel;
use super::dial::{DialError, Link, LinkEvent};
use crate::connection::ConnectionFile;
use crate::wire::message::{Attach, Hello, Message, Welcome};
use crate::wire::{Frame, codec};
use std::os::fd::RawFd;
use std::time::Duration;

/// What happened to a session.
#[derive(Debug)]
pub enum SessionEvent {
    /// It stands.
    Established(Welcome),
    /// It stood and broke; libzmq dials again.
    Lost(String),
    /// The controller does not let this peer in.
    Refused(String),
    /// A message of a standing session.
    Message(Message, Vec<Frame>),
}

#[derive(Debug)]
enum Stage {
    Dialling,
    Greeted,
    /// With the engines that came and went since the welcome was written: they are told on the other connection, and
    /// may be read before `attached`.
    Attaching(Box<Welcome>, Vec<(Message, Vec<Frame>)>),
    Standing,
}

/// Both connections of a peer and how far they are.
pub struct Session {
    link: Link,
    hello: Hello,
    stage: Stage,
    problem: String,
}

/// Most messages taken per call, so that the other work of the thread gets its turn.
const BATCH: usize = 512;

impl Session {
    /// Starts to connect as the peer that `hello` describes.
    pub fn dial(context: &zmq::Context, file: &ConnectionFile, mut hello: Hello) -> Result<Session, DialError> {
        let link = Link::dial(context, file)?;
        hello.shared_memory = link.local && file.shared_memory.is_some();
        let problem = format!("no answer from {} yet", link.address);
        Ok(Session { link, hello, stage: Stage::Dialling, problem })
    }

    /// Where it goes.
    pub fn address(&self) -> &str {
        &self.link.address
    }

    /// Through the unix socket: the controller's end is this host's matter.
    pub fn is_local(&self) -> bool {
        self.link.local
    }

    /// What stands in the way of a session, for the error at a deadline.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// Waits for something to happen, or for `waker`.
    pub fn wait(&self, waker: RawFd, timeout: Duration) -> Result<(), zmq::Error> {
        let mut items = [
            zmq::PollItem::from_fd(waker, zmq::POLLIN),
            self.link.data.as_poll_item(zmq::POLLIN),
            self.link.control.as_poll_item(zmq::POLLIN),
            self.link.monitor().as_poll_item(zmq::POLLIN),
        ];
        super::poll(&mut items, timeout)
    }

    /// Sends a message of a standing session.
    pub fn send(&self, channel: Channel, message: &Message, payload: Vec<Frame>) -> Result<(), zmq::Error> {
        let socket = match channel {
            Channel::Control => &self.link.control,
            Channel::Data => &self.link.data,
        };
        super::send(socket, None, message, payload)
    }

    /// Takes what has arrived; true when there may be more.
    pub fn receive(&mut self, events: &mut Vec<SessionEvent>) -> Result<bool, zmq::Error> {
        while let Some(event) = self.link.next_event()? {
            self.link_event(event, events)?;
        }
        let mut budget = BATCH;
        for channel in [Channel::Control, Channel::Data] {
            while budget > 0 {
                let socket = if channel == Channel::Control { &self.link.control } else { &self.link.data };
                let Some(mut frames) = super::receive(socket)? else { break };
                budget -= 1;
                match codec::decode(&frames[0]) {
                    Ok(message) => {
                        frames.remove(0);
                        self.message(message, frames, events)?;
                    }
                    Err(error) => {
                        self.problem = format!("{} answers in another protocol: {error}", self.link.address);
                        events.push(SessionEvent::Refused(self.problem.clone()));
                    }
                }
            }
        }
        Ok(budget == 0)
    }

    fn link_event(&mut self, event: LinkEvent, events: &mut Vec<SessionEvent>) -> Result<(), zmq::Error> {
        let address = &self.link.address;
        match event {
            LinkEvent::Up => self.greet()?,
            LinkEvent::Down => {
                if !matches!(self.stage, Stage::Dialling) {
                    self.stage = Stage::Dialling;
                    self.problem = format!("the connection to {address} broke");
                    events.push(SessionEvent::Lost(self.problem.clone()));
                }
            }
            LinkEvent::Retrying => {
                if matches!(self.stage, Stage::Dialling) && !self.problem.contains("refused") {
                    self.problem = format!("nobody listens at {address}");
                }
            }
            LinkEvent::TurnedAway(reason) => {
                self.problem = format!("{address} refused this peer: {reason}");
                events.push(SessionEvent::Refused(self.problem.clone()));
            }
        }
        Ok(())
    }

    fn greet(&mut self) -> Result<(), zmq::Error> {
        self.stage = Stage::Greeted;
        self.problem = format!("{} is connected but did not answer hello", self.link.address);
        self.send(Channel::Control, &Message::Hello(self.hello.clone()), vec![])
    }

    fn message(
        &mut self,
        message: Message,
        payload: Vec<Frame>,
        events: &mut Vec<SessionEvent>,
    ) -> Result<(), zmq::Error> {
        match (message, &mut self.stage) {
            (Message::Welcome(welcome), Stage::Greeted) => {
                let attach = Attach { peer: welcome.peer, token: welcome.token.clone() };
                self.stage = Stage::Attaching(Box::new(welcome), Vec::new());
                self.problem = format!("{} did not accept the second connection", self.link.address);
                self.send(Channel::Data, &Message::Attach(attach), vec![])?;
            }
            (Message::Attached(_), Stage::Attaching(..)) => {
                if let Stage::Attaching(welcome, early) = std::mem::replace(&mut self.stage, Stage::Standing) {
                    events.push(SessionEvent::Established(*welcome));
                    events.extend(early.into_iter().map(|(message, payload)| SessionEvent::Message(message, payload)));
                }
            }
            (message @ (Message::EngineJoined(_) | Message::EngineLeft(_)), Stage::Attaching(_, early)) => {
                early.push((message, payload));
            }
            (Message::Refused(refused), Stage::Standing) => {
                // The controller has dropped this session, for one of the connections broke: start anew.
                events.push(SessionEvent::Lost(refused.reason));
                self.greet()?;
            }
            (Message::Refused(refused), Stage::Greeted | Stage::Attaching(..)) => {
                self.problem = format!("{} refused this peer: {}", self.link.address, refused.reason);
                events.push(SessionEvent::Refused(self.problem.clone()));
            }
            (other, Stage::Standing) => events.push(SessionEvent::Message(other, payload)),
            // From a session that broke: its answers have been given up already.
            _ => {}
        }
        Ok(())
    }
}
