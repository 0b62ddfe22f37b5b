//! From dialling to being let in, and again after the connection broke; the same for clients and engines.
//!
//! Every address is dialled at once (`race`). At the one that answers: `hello` on `control`, `welcome`, `attach` on
//! `data`, `attached`; from there on the session stands. When it breaks, all are dialled again, with fresh sockets, so that
//! nothing of the old session gets into the new one. What the messages of a standing session mean is the peer's business.

use super::bulk::inbox::Shelf;
use super::bulk::lane::Whole;
use super::bulk::peer::BulkPeer;
use super::dial::{DialError, LinkEvent};
use super::multipart;
use super::pair::Pair;
use super::parting::Parting;
use super::race::{AGAIN, Course, Race, RaceEvent};
use super::through::{self, AgentPlace};
use crate::wire::codec::DecodeError;
use crate::wire::message::{Attach, Hello, Message, Refused, Resume, Welcome};
use crate::wire::resend::Sending;
use crate::wire::segment::SegmentFolder;
use crate::wire::strand::{self, Strand, WHOLE};
use crate::wire::{Channel, Frame, codec};
use ipclusterz_base::connection::ConnectionFile;
use ipclusterz_base::ids::{EngineId, PeerId};
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
    /// For an agent: one of a strand. Nothing in it: the strand has ended.
    OfStrand(Channel, Strand, Whole),
}

#[derive(Debug)]
enum Stage {
    Greeted,
    /// With what came on the other connection since the welcome was written: it may be read before `attached`.
    Attaching(Box<Welcome>, Vec<Sending>),
    Standing,
}

enum Way {
    /// No address has answered yet.
    Racing(Box<Race>),
    /// This one has.
    Linked(Box<Pair>, Stage),
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
    /// An engine's way through the agent of its host, as long as there is one.
    agent: Option<AgentPlace>,
    /// For an agent: where what is large is kept that comes in.
    shelf: Option<SegmentFolder>,
    /// When the way was begun that is being tried.
    began: Instant,
    hello: Hello,
    /// When this process will be ended from outside.
    end: Option<Instant>,
    /// What is being asked for is not wanted any more: dial again.
    anew: bool,
    /// There has been a session.
    stood: bool,
    problem: String,
}

/// How long the other connections stand when the bulk connections have broken.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// An agent that has not answered for so long is gone without.
const AGENT_PATIENCE: Duration = Duration::from_secs(8);

/// Most messages taken per call, so that the other work of the thread gets its turn.
const BATCH: usize = 512;

impl Session {
    /// Starts to connect as the peer that `hello` describes.
    pub fn dial(context: &zmq::Context, file: &ConnectionFile, hello: Hello) -> Result<Session, DialError> {
        Session::begin(context, file, hello, None, None)
    }

    /// The same for an engine, through the agent of its host if there is one.
    pub fn dial_through(
        context: &zmq::Context,
        file: &ConnectionFile,
        hello: Hello,
        agent: Option<AgentPlace>,
    ) -> Result<Session, DialError> {
        Session::begin(context, file, hello, agent, None)
    }

    /// The same for an agent, which keeps in `shelf` what is large and comes in.
    pub fn dial_as_agent(
        context: &zmq::Context,
        file: &ConnectionFile,
        hello: Hello,
        shelf: SegmentFolder,
    ) -> Result<Session, DialError> {
        Session::begin(context, file, Hello { agent: true, ..hello }, None, Some(shelf))
    }

    fn begin(
        context: &zmq::Context,
        file: &ConnectionFile,
        mut hello: Hello,
        agent: Option<AgentPlace>,
        shelf: Option<SegmentFolder>,
    ) -> Result<Session, DialError> {
        let course = Course::of(file)?;
        hello.shared_memory = course.local && file.shared_memory.is_some();
        (hello.forwarded, hello.through_ssh) = (file.forwarded, file.through_ssh);
        hello.birth = Birth::own();
        // On the controller's host nothing is gained by another one between.
        let agent = agent.filter(|_| !course.local);
        let mut session = Session {
            way: Way::Waiting(Instant::now()),
            parting: Parting::default(),
            context: context.clone(),
            file: file.clone(),
            course,
            agent,
            shelf,
            began: Instant::now(),
            hello,
            end: None,
            anew: false,
            stood: false,
            problem: String::new(),
        };
        let race = session.race()?;
        session.problem = race.problem();
        session.way = Way::Racing(Box::new(race));
        Ok(session)
    }

    /// Dials where there may be an answer.
    fn race(&mut self) -> Result<Race, DialError> {
        self.agent.take_if(|agent| !agent.listens());
        let course = self.agent.as_ref().map_or_else(|| self.course.clone(), AgentPlace::course);
        self.began = Instant::now();
        Race::start(&self.context, &self.file, &course, self.stood)
    }

    /// Whether the agent is gone, or stands still: there is a way without it.
    fn agent_fails(&self) -> bool {
        let refuses = matches!(&self.way, Way::Racing(race) if race.has_failed());
        refuses || self.agent_deadline().is_some_and(|at| at <= Instant::now())
    }

    /// Until when the agent has time to answer.
    fn agent_deadline(&self) -> Option<Instant> {
        let waits = self.agent.is_some() && !matches!(self.way, Way::Linked(_, Stage::Standing) | Way::Waiting(_));
        waits.then(|| self.began + AGENT_PATIENCE)
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
            Way::Racing(race) => race.names(),
            Way::Waiting(_) => self.course.names(),
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
    pub fn wait(&mut self, waker: RawFd, timeout: Duration) -> Result<(), zmq::Error> {
        self.flush()?;
        self.wait_beside(vec![zmq::PollItem::from_fd(waker, zmq::POLLIN)], timeout)
    }

    /// Waits for something to happen, or for one of `items`. Nothing is sent before: see [`Self::flush`].
    pub fn wait_beside<'a>(
        &'a self,
        mut items: Vec<zmq::PollItem<'a>>,
        mut timeout: Duration,
    ) -> Result<(), zmq::Error> {
        if let Some(at) = self.agent_deadline() {
            timeout = timeout.min(at.saturating_duration_since(Instant::now()));
        }
        match &self.way {
            Way::Linked(link, _) => {
                let sockets = link.wires().into_iter().flat_map(|wire| [wire.socket(), wire.monitor()]);
                items.extend(sockets.map(|socket| socket.as_poll_item(zmq::POLLIN)));
                if let Some(bulk) = &link.bulk {
                    bulk.waker().prepare();
                    items.push(zmq::PollItem::from_fd(bulk.waker().fd(), zmq::POLLIN));
                    if bulk.has_news() {
                        timeout = Duration::ZERO;
                    }
                }
                if let Some((at, _)) = &link.broken {
                    timeout = timeout.min((*at + LAST_WORDS).saturating_duration_since(Instant::now()));
                }
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
        let result = super::poll(&mut items, timeout);
        if let Way::Linked(link, _) = &self.way
            && let Some(bulk) = &link.bulk
        {
            bulk.waker().awake();
        }
        result
    }

    /// Sends a message of a standing session, at the next [`Self::flush`], [`Self::receive`] or [`Self::wait`] at the latest.
    /// Without a session it goes nowhere.
    pub fn send(&mut self, channel: Channel, message: &Message, payload: Vec<Frame>) -> Result<(), zmq::Error> {
        let Way::Linked(link, _) = &mut self.way else { return Ok(()) };
        let agent = self.agent.as_ref().map(|agent| &agent.segments);
        link.send(channel, message, payload, agent)
    }

    /// Sends what was gathered.
    pub fn flush(&mut self) -> Result<(), zmq::Error> {
        let Way::Linked(link, _) = &mut self.way else { return Ok(()) };
        link.flush()
    }

    /// For an agent: sends a message of a strand, the header's frame being the first; without any, the strand ends.
    pub fn send_of_strand(&mut self, channel: Channel, strand: Strand, frames: Vec<Frame>) -> Result<(), zmq::Error> {
        let Way::Linked(link, Stage::Standing) = &mut self.way else { return Ok(()) };
        link.send_of_strand(channel, strand, frames)
    }

    /// Takes what has arrived; true when there may be more.
    pub fn receive(&mut self, events: &mut Vec<SessionEvent>) -> Result<bool, zmq::Error> {
        self.flush()?;
        self.parting.settle();
        if std::mem::take(&mut self.anew) && !matches!(self.way, Way::Linked(_, Stage::Standing)) {
            self.dial_again()?;
        }
        if self.agent.is_some() && self.agent_fails() {
            self.agent = None;
            self.dial_again()?;
        }
        match self.look_for_way(events) {
            Err(DialError::Short(shortage)) => self.give_back(shortage.to_string()),
            result => result.map_err(plain)?,
        }
        self.take_released(events)?;
        let broke = self.is_broken()?;
        // Of a connection that broke, everything that came before its end is still taken.
        let mut budget = if broke { usize::MAX } else { BATCH };
        for channel in [Channel::Control, Channel::Data] {
            while budget > 0
                && let Way::Linked(link, _) = &self.way
            {
                let wire = if channel == Channel::Control { &link.control } else { &link.data };
                let Some(messages) = multipart::receive_messages(wire.socket())? else { break };
                budget = budget.saturating_sub(messages.len());
                messages.into_iter().try_for_each(|frames| self.take(channel, frames, events))?;
            }
        }
        self.leave_broken(events)?;
        if broke && let Way::Linked(link, _) = &self.way {
            let reason = format!("the connection to {} broke", link.control.address);
            self.lost(reason, events)?;
        }
        Ok(budget == 0)
    }

    /// Takes a message, unless it has to wait for what comes beside it.
    fn take(
        &mut self,
        channel: Channel,
        mut frames: Vec<Frame>,
        events: &mut Vec<SessionEvent>,
    ) -> Result<(), zmq::Error> {
        let Way::Linked(link, _) = &mut self.way else { return Ok(()) };
        if let Some(agent) = &self.agent {
            if through::is_end(&frames) {
                return self.lost("the agent of this host has lost the controller".to_owned(), events);
            }
            if let Err(error) = through::unshelve(&mut frames, &agent.segments) {
                return self.lost(format!("what the agent of this host has sent cannot be read: {error}"), events);
            }
        }
        let marked = self.shelf.as_ref().and_then(|_| frames.first().and_then(|first| Strand::of(first)));
        let strand = marked.inspect(|_| drop(frames.remove(0))).unwrap_or(WHOLE);
        if (marked, channel) == (Some(WHOLE), Channel::Data) {
            let parcels = frames.first().and_then(|list| strand::decode_parcels(list)).unwrap_or_default();
            link.bulk.iter_mut().for_each(|bulk| bulk.forgotten(parcels.clone()));
            return Ok(());
        }
        let taken = match &mut link.bulk {
            Some(bulk) if channel == Channel::Data => bulk.take(strand, frames),
            _ => Ok(Some(Whole::from(frames))),
        };
        match taken {
            Ok(Some(whole)) => self.came(channel, strand, whole, events),
            Ok(None) => Ok(()),
            Err(error) => {
                let reason = format!("{}: {error}", link.control.address);
                self.lost(reason, events)
            }
        }
    }

    /// A message is whole: it is this peer's, or a strand's.
    fn came(
        &mut self,
        channel: Channel,
        strand: Strand,
        whole: Whole,
        events: &mut Vec<SessionEvent>,
    ) -> Result<(), zmq::Error> {
        if strand == WHOLE {
            return self.decode(channel, whole.frames, events);
        }
        events.push(SessionEvent::OfStrand(channel, strand, whole));
        Ok(())
    }

    /// Takes messages that wait no longer.
    fn take_released(&mut self, events: &mut Vec<SessionEvent>) -> Result<(), zmq::Error> {
        let Way::Linked(link, _) = &mut self.way else { return Ok(()) };
        let Some(bulk) = link.bulk.as_mut().filter(|bulk| bulk.has_news()) else { return Ok(()) };
        let (messages, broken) = bulk.released();
        if let Some(why) = broken {
            let reason = format!("the bulk connection to {} broke: {why}", link.control.address);
            link.broken = Some((Instant::now(), reason));
        }
        for (strand, whole) in messages {
            self.came(Channel::Data, strand, whole, events)?;
        }
        Ok(())
    }

    /// A session without its bulk connections is over. The controller's last words may come a moment later on the others.
    fn leave_broken(&mut self, events: &mut Vec<SessionEvent>) -> Result<(), zmq::Error> {
        let Way::Linked(link, _) = &mut self.way else { return Ok(()) };
        match link.broken.take_if(|(at, _)| at.elapsed() >= LAST_WORDS) {
            Some((_, reason)) => self.lost(reason, events),
            None => Ok(()),
        }
    }

    fn decode(
        &mut self,
        channel: Channel,
        mut frames: Vec<Frame>,
        events: &mut Vec<SessionEvent>,
    ) -> Result<(), zmq::Error> {
        let header = frames.remove(0);
        match codec::decode_answer(&header) {
            Ok(message) => return self.message(channel, message, frames, events),
            Err(DecodeError::Version(foreign)) => {
                let refused = foreign.answer(&self.hello, &self.file, &self.address());
                self.problem.clone_from(&refused.reason);
                events.push(SessionEvent::OtherVersion(refused));
            }
            Err(error) => {
                self.problem = format!("{} answers in another protocol: {error}{}", self.address(), self.releases());
                events.push(SessionEvent::Refused(self.problem.clone()));
            }
        }
        Ok(())
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
                self.way = Way::Linked(
                    Box::new(Pair {
                        control,
                        data,
                        outgoing: Default::default(),
                        bulk: None,
                        peer: PeerId(0),
                        broken: None,
                    }),
                    Stage::Greeted,
                );
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
        match self.race() {
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
        self.hello.bulk = self.agent.is_none() && !self.course.local;
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
                link.peer = welcome.peer;
                let attach = Attach { peer: welcome.peer, token: welcome.token.clone() };
                self.hello.resume = welcome.resume(self.hello.resume.as_ref());
                *stage = Stage::Attaching(Box::new(welcome), Vec::new());
                self.problem = format!("{} did not accept the second connection", link.control.address);
                self.send(Channel::Data, &Message::Attach(attach), vec![])?;
            }
            (Message::Attached(_), Stage::Attaching(..)) => {
                self.stood = true;
                if let Stage::Attaching(welcome, early) = std::mem::replace(stage, Stage::Standing) {
                    let (bulk, through_ssh) = (welcome.bulk.as_ref(), self.file.through_ssh);
                    let shelf = self.shelf.clone().map(|folder| Shelf { folder, owner: welcome.peer });
                    let open = |bulk| BulkPeer::open(bulk, link.control.endpoint(), through_ssh, shelf);
                    link.bulk = bulk.and_then(open);
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
        // Where that fails, there is no session any more.
        let _ = self.flush();
        // What was sent in a session that stood lingers for a moment.
        let standing = matches!(self.way, Way::Linked(_, Stage::Standing));
        if !standing {
            self.leave(Way::Waiting(Instant::now()));
        }
        if let Way::Linked(link, _) = &mut self.way
            && let Some(bulk) = link.bulk.take()
        {
            bulk.finish();
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
