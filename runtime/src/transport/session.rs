//! From dialling to being let in, and again after the connection broke; the same for clients and engines.
//!
//! Every address is dialled at once (`race`). At the one that answers: `hello` on `control`, `welcome`, `attach` on
//! `data`, `attached`; from there on the session stands. When it breaks, all are dialled again, with fresh sockets, so that
//! nothing of the old session gets into the new one. What the messages of a standing session mean is the peer's business.

use super::dial::{DialError, LinkEvent, Wire};
use super::multipart;
use super::parting::Parting;
use super::race::{AGAIN, Course, Race, RaceEvent};
use crate::wire::codec::DecodeError;
use crate::wire::message::{Attach, Hello, Message, Refused, Resume, Welcome};
use crate::wire::resend::Sending;
use crate::wire::{Channel, Frame, codec};
use ipclusterz_base::connection::ConnectionFile;
use ipclusterz_base::ids::EngineId;
use ipclusterz_base::process::Birth;
use ipclusterz_base::release;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

/// What happened to a session.
#[derive(Debug)]
pub enum SessionEvent {
    /// It stands.
    Established(Welcome),
    /// It stood and broke; every address is dialled again.
    Lost(String),
    /// The controller does not let this peer in.
    Refused(String),
    /// The controller speaks another version of the protocol.
    OtherVersion(Refused),
    /// The controller has no room for this peer now. It is asked again.
    Crowded(String),
    /// It stood and broke, and the cluster has ended for good; why that is known.
    Ended(String),
    /// A message of a standing session.
    Message(Channel, Message, Vec<Frame>),
}

#[derive(Debug)]
enum Stage {
    Greeted,
    /// With what came on the other connection since the welcome was written: it may be read before `attached`.
    Attaching(Box<Welcome>, Vec<Sending>),
    Standing,
}

/// Both connections at the address that was taken.
struct Link {
    control: Wire,
    data: Wire,
}

impl Link {
    fn wires(&self) -> [&Wire; 2] {
        [&self.control, &self.data]
    }
}

enum Way {
    /// No address has answered yet.
    Racing(Box<Race>),
    /// This one has.
    Linked(Box<Link>, Stage),
    /// Nothing is tried before this moment: here or there something is short.
    Waiting(Instant),
}

/// Both connections of a peer and how far they are.
pub struct Session {
    way: Way,
    /// Connections of former ways.
    parting: Parting,
    context: zmq::Context,
    file: ConnectionFile,
    course: Course,
    hello: Hello,
    /// When this process will be ended from outside.
    end: Option<Instant>,
    /// What is being asked for is not wanted any more: dial again.
    anew: bool,
    /// There has been a session.
    stood: bool,
    problem: String,
}

/// Most messages taken per call, so that the other work of the thread gets its turn.
const BATCH: usize = 512;

impl Session {
    /// Starts to connect as the peer that `hello` describes.
    pub fn dial(context: &zmq::Context, file: &ConnectionFile, mut hello: Hello) -> Result<Session, DialError> {
        let course = Course::of(file)?;
        hello.shared_memory = course.local && file.shared_memory.is_some();
        hello.forwarded = file.forwarded;
        hello.birth = Birth::own();
        let race = Race::start(context, file, &course, false)?;
        let problem = race.problem();
        let way = Way::Racing(Box::new(race));
        Ok(Session {
            way,
            parting: Parting::default(),
            context: context.clone(),
            file: file.clone(),
            course,
            hello,
            end: None,
            anew: false,
            stood: false,
            problem,
        })
    }

    /// When this process will be ended from outside: the controller is told how much is left.
    pub fn set_end(&mut self, end: Option<Instant>) {
        self.end = end;
    }

    /// The id that an engine asks for when the controller does not know it any more.
    pub fn set_wanted_id(&mut self, id: Option<EngineId>) {
        self.hello.wanted_id = id.or(self.hello.wanted_id);
    }

    /// The session to ask for when the controller answers again; none: a new one.
    pub fn set_resume(&mut self, resume: Option<Resume>) {
        let former = std::mem::replace(&mut self.hello.resume, resume);
        // Asked for already, and not wanted any more.
        self.anew |= former.is_some() && self.hello.resume.is_none();
    }

    /// The address that answered; before there is one, those that are tried.
    pub fn address(&self) -> String {
        match &self.way {
            Way::Linked(link, _) => link.control.address.clone(),
            Way::Racing(_) | Way::Waiting(_) => self.course.names(),
        }
    }

    /// Through the unix socket of a controller on this host: the kernel tells at once when its process ends.
    pub fn is_local(&self) -> bool {
        self.course.local
    }

    /// Whether the host of the controller answers, and nobody listens there.
    pub fn nobody_listens(&self) -> bool {
        matches!(&self.way, Way::Racing(race) if race.nobody_listens())
    }

    /// What stands in the way of a session, for the error at a deadline.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// Waits for something to happen, or for `waker`.
    pub fn wait(&self, waker: RawFd, mut timeout: Duration) -> Result<(), zmq::Error> {
        let mut items = vec![zmq::PollItem::from_fd(waker, zmq::POLLIN)];
        match &self.way {
            Way::Linked(link, _) => {
                let sockets = link.wires().into_iter().flat_map(|wire| [wire.socket(), wire.monitor()]);
                items.extend(sockets.map(|socket| socket.as_poll_item(zmq::POLLIN)));
            }
            Way::Racing(race) => {
                items.extend(race.poll_items());
                if let Some(at) = race.next_look() {
                    timeout = timeout.min(at.saturating_duration_since(Instant::now()));
                }
            }
            Way::Waiting(until) => timeout = timeout.min(until.saturating_duration_since(Instant::now())),
        }
        items.extend(self.parting.poll_items());
        if let Some(at) = self.parting.next_look() {
            timeout = timeout.min(at.saturating_duration_since(Instant::now()));
        }
        super::poll(&mut items, timeout)
    }

    /// Sends a message of a standing session. Without one it goes nowhere.
    pub fn send(&self, channel: Channel, message: &Message, payload: Vec<Frame>) -> Result<(), zmq::Error> {
        let Way::Linked(link, _) = &self.way else { return Ok(()) };
        let socket = match channel {
            Channel::Control => link.control.socket(),
            Channel::Data => link.data.socket(),
        };
        multipart::send(socket, None, message, payload)
    }

    /// Takes what has arrived; true when there may be more.
    pub fn receive(&mut self, events: &mut Vec<SessionEvent>) -> Result<bool, zmq::Error> {
        self.parting.settle();
        if std::mem::take(&mut self.anew) && !matches!(self.way, Way::Linked(_, Stage::Standing)) {
            self.dial_again()?;
        }
        match self.look_for_way(events) {
            Err(DialError::Short(shortage)) => self.give_back(shortage.to_string()),
            result => result.map_err(plain)?,
        }
        let broke = self.is_broken()?;
        // Of a connection that broke, everything that came before its end is still taken.
        let mut budget = if broke { usize::MAX } else { BATCH };
        for channel in [Channel::Control, Channel::Data] {
            while budget > 0
                && let Way::Linked(link, _) = &self.way
            {
                let wire = if channel == Channel::Control { &link.control } else { &link.data };
                let Some(mut frames) = multipart::receive(wire.socket())? else { break };
                budget -= 1;
                let header = frames.remove(0);
                match codec::decode_answer(&header) {
                    Ok(message) => {
                        self.message(channel, message, frames, events)?;
                    }
                    Err(DecodeError::Version(foreign)) => {
                        let refused = foreign.answer(&self.hello, &self.file, &wire.address);
                        self.problem.clone_from(&refused.reason);
                        events.push(SessionEvent::OtherVersion(refused));
                    }
                    Err(error) => {
                        self.problem =
                            format!("{} answers in another protocol: {error}{}", wire.address, self.releases());
                        events.push(SessionEvent::Refused(self.problem.clone()));
                    }
                }
            }
        }
        if broke && let Way::Linked(link, _) = &self.way {
            let reason = format!("the connection to {} broke", link.control.address);
            self.lost(reason, events)?;
        }
        Ok(budget == 0)
    }

    /// Whether the controller is of another release, in words: that may be why it is not understood.
    fn releases(&self) -> String {
        match self.file.release.as_deref() {
            Some(theirs) if theirs != release::number() => {
                format!(" (the controller is ipclusterz {theirs}, and this is {})", release::number())
            }
            _ => String::new(),
        }
    }

    /// Whether one of the connections in use has ended.
    fn is_broken(&self) -> Result<bool, zmq::Error> {
        let Way::Linked(link, _) = &self.way else { return Ok(false) };
        for wire in link.wires() {
            while let Some(event) = wire.next_event()? {
                if event == LinkEvent::Down {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Goes on with a race, or begins one when it is time.
    fn look_for_way(&mut self, events: &mut Vec<SessionEvent>) -> Result<(), DialError> {
        if matches!(self.way, Way::Waiting(until) if until <= Instant::now()) {
            self.dial_again()?;
        }
        let Way::Racing(race) = &mut self.way else { return Ok(()) };
        let event = race.next_event();
        self.problem = race.problem();
        match event? {
            Some(RaceEvent::Won(control, lost)) => {
                lost.into_iter().for_each(|lost| self.parting.part_from(lost));
                let data = control.dial_beside(&self.context, &self.file)?;
                self.way = Way::Linked(Box::new(Link { control, data }), Stage::Greeted);
                self.greet()?;
            }
            Some(RaceEvent::Refused(reason)) => events.push(SessionEvent::Refused(reason)),
            Some(RaceEvent::Ended(reason)) => events.push(SessionEvent::Ended(reason)),
            None => {}
        }
        Ok(())
    }

    /// Closes everything, which may give back what is short here, and waits a moment.
    fn give_back(&mut self, problem: String) {
        self.wait_for_room(problem);
        self.parting.close();
    }

    /// Leaves the controller alone for a moment.
    fn wait_for_room(&mut self, problem: String) {
        self.leave(Way::Waiting(Instant::now() + AGAIN));
        self.problem = problem;
    }

    fn dial_again(&mut self) -> Result<(), zmq::Error> {
        match Race::start(&self.context, &self.file, &self.course, self.stood) {
            Ok(race) => self.leave(Way::Racing(Box::new(race))),
            Err(DialError::Short(shortage)) => self.give_back(shortage.to_string()),
            Err(error) => return Err(plain(error)),
        }
        Ok(())
    }

    fn leave(&mut self, next: Way) {
        let left = match std::mem::replace(&mut self.way, next) {
            Way::Linked(link, _) => vec![link.control, link.data],
            Way::Racing(mut race) => race.take_wires(),
            Way::Waiting(_) => vec![],
        };
        left.into_iter().for_each(|wire| self.parting.part_from(wire));
    }

    /// A session that stood is over, and every address is dialled again; one that did not stand yet is tried anew.
    fn lost(&mut self, reason: String, events: &mut Vec<SessionEvent>) -> Result<(), zmq::Error> {
        if !matches!(self.way, Way::Linked(_, Stage::Standing)) {
            self.wait_for_room(reason);
            return Ok(());
        }
        self.dial_again()?;
        self.problem.clone_from(&reason);
        events.push(SessionEvent::Lost(reason));
        Ok(())
    }

    fn greet(&mut self) -> Result<(), zmq::Error> {
        let address = self.address();
        self.problem = format!("{address} is connected but did not answer hello");
        self.hello.address = address;
        self.hello.attempt = self.hello.attempt.saturating_add(1);
        self.hello.ends_in = self.end.map(|end| end.saturating_duration_since(Instant::now()).as_secs_f64());
        self.send(Channel::Control, &Message::Hello(self.hello.clone()), vec![])
    }

    fn message(
        &mut self,
        channel: Channel,
        message: Message,
        payload: Vec<Frame>,
        events: &mut Vec<SessionEvent>,
    ) -> Result<(), zmq::Error> {
        let Way::Linked(link, stage) = &mut self.way else { return Ok(()) };
        match (message, &mut *stage) {
            (Message::Welcome(welcome), Stage::Greeted) => {
                let attach = Attach { peer: welcome.peer, token: welcome.token.clone() };
                self.hello.resume = welcome.resume(self.hello.resume.as_ref());
                *stage = Stage::Attaching(Box::new(welcome), Vec::new());
                self.problem = format!("{} did not accept the second connection", link.control.address);
                self.send(Channel::Data, &Message::Attach(attach), vec![])?;
            }
            (Message::Attached(_), Stage::Attaching(..)) => {
                self.stood = true;
                if let Stage::Attaching(welcome, early) = std::mem::replace(stage, Stage::Standing) {
                    events.push(SessionEvent::Established(*welcome));
                    events.extend(early.into_iter().map(|early| SessionEvent::Message(early.0, early.1, early.2)));
                }
            }
            (Message::Refused(refused), Stage::Standing | Stage::Attaching(..)) => {
                // This peer was let in, and then one of its connections broke: start anew.
                self.lost(refused.reason, events)?;
            }
            (Message::Refused(refused), Stage::Greeted) => {
                self.problem = format!("{} refused this peer: {}", link.control.address, refused.reason);
                events.push(SessionEvent::Refused(self.problem.clone()));
            }
            (Message::Crowded(crowded), _) => {
                let problem = format!("{} has no room for this peer: {}", link.control.address, crowded.reason);
                self.wait_for_room(problem.clone());
                events.push(SessionEvent::Crowded(problem));
            }
            (other, Stage::Standing) => events.push(SessionEvent::Message(channel, other, payload)),
            (other, Stage::Attaching(_, early)) => early.push((channel, other, payload)),
            // A session that was taken over meanwhile.
            (goodbye @ Message::Goodbye(_), Stage::Greeted) => {
                events.push(SessionEvent::Message(channel, goodbye, payload));
            }
            (_, Stage::Greeted) => {}
        }
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What was sent in a session that stood lingers for a moment.
        let standing = matches!(self.way, Way::Linked(_, Stage::Standing));
        if !standing {
            self.leave(Way::Waiting(Instant::now()));
        }
        self.parting.finish();
    }
}

/// A race that is run again fails for want of something alone, which is waited for.
fn plain(error: DialError) -> zmq::Error {
    match error {
        DialError::Socket { source, .. } | DialError::Libzmq(source) => source,
        DialError::NoAddress(_) | DialError::NoKey(_) | DialError::Short(_) | DialError::System(_) => {
            zmq::Error::EINVAL
        }
        DialError::Place(_) => zmq::Error::EACCES,
    }
}
