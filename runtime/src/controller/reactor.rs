//! The controller's loop: sockets, signals and the clock around its core. One thread.

use super::answering::Answers;
use super::broadcast::Broadcast;
use super::bug;
use super::config::{ControllerError, JournalMode};
use super::core::Core;
use super::event::{Action, Event};
use super::history::{Entry, Keeper};
use super::queries::{self, Way};
use super::record::Came;
use super::recorder::Recorder;
use super::recovery::Begun;
use super::shelved;
use super::watch::Watch;
use crate::system::{descriptor_limit, has_descriptors, resident_bytes};
use crate::transport::bulk::lane::Whole;
use crate::transport::listen::{Incoming, Listener};
use crate::transport::zap::Gate;
use crate::transport::{self, Admitted, FRAMES_MAX, Route};
use crate::wire::codec::DecodeError;
use crate::wire::message::{Found, Query};
use crate::wire::segment::SegmentFolder;
use crate::wire::{Frame, Message, codec};
use ipclusterz_base::words::printable;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Most messages that are taken before the gate is looked at again.
const BATCH: usize = 512;
/// The same where messages are written to the journal first: what they lead to waits for all of them.
const RECORDED_BATCH: usize = 64;
/// How often the controller looks for tasks that wait behind a long one, while tasks are stacked at all.
const TICK: Duration = Duration::from_millis(10);
/// Descriptors that a peer finds free when it comes: its second connection needs one, and those that are let in need others
/// for their segments, as does the log.
const RESERVE: usize = 16;

/// What a wait has found.
struct Ready {
    /// A peer is at the gate.
    knock: bool,
    /// A signal has come.
    signal: bool,
    /// The process of a peer has ended.
    exit: bool,
}
/// How long nothing is looked for after a bug.
const AFTER_BUG: Duration = Duration::from_secs(1);

/// The core with its sockets.
pub(super) struct Reactor {
    // Sockets close before the context.
    listener: Listener,
    gate: Gate,
    segments: Option<SegmentFolder>,
    core: Core,
    watch: Watch,
    recorder: Option<Recorder>,
    history: Option<Keeper>,
    /// Those who look on are told by it.
    broadcast: Option<Broadcast>,
    /// Questions that have come, and on which connections.
    questions: Vec<(Route, Query)>,
    /// When the core's clock began, in seconds since 1970.
    began: f64,
    /// When this process began, and what the core's clock said then.
    start: (Instant, Duration),
    /// After a bug the clock is left alone for a moment.
    no_tick_before: Duration,
    /// Segments whose bytes were sent since the last wait.
    mapped: HashMap<Vec<u8>, Frame>,
    /// The controller is to exit.
    done: bool,
    _context: zmq::Context,
}

impl Reactor {
    pub fn new(
        context: zmq::Context,
        listener: Listener,
        gate: Gate,
        segments: Option<SegmentFolder>,
        state: Begun,
        mode: JournalMode,
        watch: Watch,
    ) -> Reactor {
        let Begun { core, journal, clock, actions, history, broadcast, began } = state;
        let recorder = journal.map(|journal| Recorder::new(journal, mode));
        let (start, no_tick_before) = ((Instant::now(), clock), Duration::ZERO);
        let mut reactor = Reactor {
            listener,
            gate,
            segments,
            core,
            watch,
            recorder,
            history,
            broadcast,
            questions: Vec::new(),
            began,
            start,
            no_tick_before,
            mapped: HashMap::new(),
            done: false,
            _context: context,
        };
        // Nobody is connected yet: they are about processes and files.
        for action in actions {
            // Only sends can fail.
            let _ = reactor.perform(action);
        }
        reactor
    }

    /// Runs until the controller is done, or until `signals` is readable and all engines have left.
    pub fn run(&mut self, signals: &OwnedFd) -> Result<(), ControllerError> {
        loop {
            self.listener.flush()?;
            let Ready { knock, signal, exit } = self.wait(signals)?;
            if knock {
                self.answer_gate()?;
            }
            if exit {
                self.take_exits()?;
            }
            if signal {
                self.handle(Event::Stop)?;
            }
            self.take_messages()?;
            if self.next_tick().is_some_and(|at| at <= self.now()) {
                self.handle(Event::Tick)?;
            }
            let done = self.done || self.commit()?;
            self.listener.forget_sent()?;
            self.mapped.clear();
            if done {
                return Ok(self.listener.flush()?);
            }
        }
    }

    /// Whether the journal has anything that would be lost without it. It is on disk then.
    pub fn leaves_anything(&mut self) -> bool {
        let left = self.has_anything_left();
        if let Some(recorder) = self.recorder.as_mut().filter(|_| left) {
            recorder.finish();
        }
        left
    }

    fn has_anything_left(&mut self) -> bool {
        self.recorder.is_some()
            && (!self.core.left().is_empty() || self.history.as_mut().is_some_and(|history| history.kept_results() > 0))
    }

    /// The core's clock.
    fn now(&self) -> Duration {
        self.start.1.saturating_add(self.start.0.elapsed())
    }

    /// Writes what was recorded, and performs what waited for that. True: the controller is done.
    fn commit(&mut self) -> Result<bool, ControllerError> {
        let Some(recorder) = &mut self.recorder else {
            self.tell_what_happened();
            self.answer_questions()?;
            self.take_answers()?;
            return Ok(false);
        };
        for action in recorder.commit(&self.core, self.segments.as_ref().map(SegmentFolder::path)) {
            self.perform(action)?;
        }
        if !self.recorder.as_ref().is_some_and(Recorder::is_stuck) {
            self.tell_what_happened();
            self.answer_questions()?;
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.compact(&self.core, self.history.as_mut());
        }
        if let Some(history) = &mut self.history {
            history.flush_if_due();
        }
        self.take_answers()?;
        Ok(self.done)
    }

    /// Waits for a message, a tick, a signal or the end of a process.
    fn wait(&self, signals: &OwnedFd) -> Result<Ready, ControllerError> {
        let mut timeout = match self.next_tick() {
            _ if self.watch.is_due() || self.listener.has_arrived() => Duration::ZERO,
            Some(at) => at.saturating_sub(self.now()).max(TICK),
            None => Duration::from_secs(3600),
        };
        let mut items = vec![
            self.listener.socket().as_poll_item(zmq::POLLIN),
            self.gate.socket().as_poll_item(zmq::POLLIN),
            zmq::PollItem::from_fd(signals.as_raw_fd(), zmq::POLLIN),
            self.listener.monitor().as_poll_item(zmq::POLLIN),
            zmq::PollItem::from_fd(self.watch.fd(), zmq::POLLIN),
        ];
        if let Some(recorder) = &self.recorder {
            recorder.syncer().prepare();
            items.push(zmq::PollItem::from_fd(recorder.syncer().fd(), zmq::POLLIN));
            if let Some(at) = recorder.next_look() {
                timeout = timeout.min(at.saturating_duration_since(Instant::now()).max(TICK));
            }
            if recorder.has_news() {
                timeout = Duration::ZERO;
            }
        }
        let looks =
            [self.history.as_ref().and_then(Keeper::next_look), self.broadcast.as_ref().and_then(Broadcast::next_look)];
        for at in looks.into_iter().flatten() {
            timeout = timeout.min(at.saturating_duration_since(Instant::now()).max(TICK));
        }
        for answers in self.beside() {
            answers.waker().prepare();
            items.push(zmq::PollItem::from_fd(answers.fd(), zmq::POLLIN));
            if answers.has_some() {
                timeout = Duration::ZERO;
            }
        }
        if let Some(bulk) = self.listener.bulk() {
            bulk.waker().prepare();
            items.push(zmq::PollItem::from_fd(bulk.waker().fd(), zmq::POLLIN));
            if bulk.has_news() {
                timeout = Duration::ZERO;
            }
        }
        transport::poll(&mut items, timeout)?;
        if let Some(bulk) = self.listener.bulk() {
            bulk.waker().awake();
        }
        if let Some(recorder) = &self.recorder {
            recorder.syncer().awake();
        }
        self.beside().for_each(|answers| answers.waker().awake());
        let readable = |index: usize| items.get(index).is_some_and(zmq::PollItem::is_readable);
        Ok(Ready { knock: readable(1) || readable(3), signal: readable(2), exit: readable(4) || self.watch.is_due() })
    }

    fn take_exits(&mut self) -> Result<(), ControllerError> {
        for (peer, pid, how) in self.watch.ended() {
            // A session may have been taken over from a client just before that ended.
            if self.core.may_be_of(peer, pid) {
                self.handle(Event::ProcessEnded(peer, how))?;
            }
        }
        Ok(())
    }

    fn next_tick(&self) -> Option<Duration> {
        self.core.next_tick().map(|at| at.max(self.no_tick_before))
    }

    fn answer_gate(&mut self) -> Result<(), ControllerError> {
        self.gate.answer()?;
        while let Some(reason) = self.listener.next_turned_away()? {
            self.handle(Event::TurnedAway(reason.to_owned()))?;
        }
        Ok(())
    }

    /// Takes what has arrived, up to a batch of messages.
    fn take_messages(&mut self) -> Result<(), ControllerError> {
        let most = if self.recorder.is_some() { RECORDED_BATCH } else { BATCH };
        for _ in 0..most {
            if self.done || self.recorder.as_ref().is_some_and(Recorder::is_stuck) {
                break;
            }
            let Some(incoming) = self.listener.receive()? else { break };
            match incoming {
                Incoming::Gone(route) => self.handle(Event::Gone(route))?,
                Incoming::Silent(route) => self.handle(Event::Silent(route))?,
                Incoming::Stranger => {
                    let reason = "a peer with a routing id of its own".to_owned();
                    self.handle(Event::Undecodable { route: Route(0), reason })?;
                }
                Incoming::Message(route, admitted, whole) => self.take_message(route, admitted, whole)?,
            }
        }
        Ok(())
    }

    fn take_message(&mut self, route: Route, admitted: Admitted, whole: Whole) -> Result<(), ControllerError> {
        let Whole { mut frames, segments } = whole;
        if frames.len() > FRAMES_MAX {
            let reason = format!("more than {FRAMES_MAX} frames in a message");
            return self.handle(Event::Undecodable { route, reason });
        }
        let mut decoded = frames.first().map_or(Err(DecodeError::NotAHeader(0)), |header| codec::decode(header));
        if let Ok(message) = &mut decoded {
            self.listener.heard(route, admitted, message);
            if !segments.is_empty() {
                shelved::note(message, &mut frames, segments, self.listener.owner(route));
            }
        }
        match decoded {
            Ok(Message::Hello(_)) if !has_descriptors(RESERVE) => self.handle(crowded(route)),
            Ok(Message::Hello(hello)) if hello.agent => Ok(self.listener.greet(route, admitted, &hello)?),
            Ok(Message::Attach(attach)) if self.listener.is_agent(attach.peer) => {
                Ok(self.listener.attach(route, &attach)?)
            }
            // It changes nothing, and need not be written down.
            Ok(Message::Query(query)) if self.core.is_client(route) => {
                self.questions.push((route, query));
                Ok(())
            }
            Ok(message) => {
                if let Some(recorder) = &mut self.recorder {
                    let changed = recorder.take_in(&mut frames);
                    let full = recorder.is_full();
                    changed.map_or(Ok(()), |event| self.handle(event))?;
                    if full && matches!(message, Message::Request(_)) {
                        // It is refused, and what it has is not written.
                        frames.truncate(1);
                    }
                }
                let payload = frames.get(1..).unwrap_or_default().to_vec();
                let event = Event::Message { route, admitted, message, payload };
                self.record(event, |_| Came::Message(route, admitted, frames))
            }
            Err(DecodeError::Version(foreign)) => self.handle(Event::OtherVersion { route, foreign }),
            Err(error) => self.handle(Event::Undecodable { route, reason: error.to_string() }),
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), ControllerError> {
        self.record(event, |event| Came::Other(event.clone()))
    }

    /// Has the core handle an event, which stands in the journal as `came` says.
    fn record(&mut self, event: Event, came: impl FnOnce(&Event) -> Came) -> Result<(), ControllerError> {
        let now = self.now();
        let came = self.recorder.is_some().then(|| came(&event));
        let (actions, panicked) = bug::handle(&mut self.core, event, now);
        let answers = self.core.take_answers();
        if panicked {
            // It may be the clock that leads there, each time.
            self.no_tick_before = now.saturating_add(AFTER_BUG);
        }
        if let (Some(recorder), Some(came)) = (&mut self.recorder, came) {
            recorder.record(now, &answers, &came, actions);
            return Ok(());
        }
        actions.into_iter().try_for_each(|action| self.perform(action))
    }

    /// Remembers something.
    fn keep(&mut self, entry: Entry) {
        if let Some(history) = &mut self.history {
            history.keep(entry);
        }
    }

    /// Answers what was asked. The history has been told by now of all that the core knows.
    fn answer_questions(&mut self) -> Result<(), ControllerError> {
        std::mem::take(&mut self.questions).into_iter().try_for_each(|(route, query)| self.ask(route, query))
    }

    /// Answers a question, or passes it on.
    fn ask(&mut self, route: Route, query: Query) -> Result<(), ControllerError> {
        let began = self.history.is_some().then_some(self.began);
        match queries::look_up(&self.core, route, query, self.now(), began) {
            Way::Answered(found) => self.send(route, Message::Found(found), vec![]),
            Way::Shown(number, ask) => match &mut self.broadcast {
                Some(broadcast) => {
                    broadcast.ask(route, number, ask);
                    Ok(())
                }
                None => {
                    let error = "this cluster tells no events: controller.keep_events of its profile is 0".to_owned();
                    self.send(route, Message::Found(Found { number, error: Some(error), ..Found::default() }), vec![])
                }
            },
            Way::Asked(question) => {
                if let Some(history) = &mut self.history {
                    history.ask(*question);
                }
                Ok(())
            }
        }
    }

    /// The answers of threads beside this one.
    fn beside(&self) -> impl Iterator<Item = &Answers> {
        self.history.iter().map(Keeper::answers).chain(self.broadcast.iter().map(Broadcast::answers))
    }

    /// Those who look on are told what has happened, and stands in the journal by now.
    fn tell_what_happened(&mut self) {
        if let Some(broadcast) = &mut self.broadcast {
            broadcast.tell(self.core.take_observed());
            broadcast.flush_if_due();
        }
    }

    /// Sends what they have answered.
    fn take_answers(&mut self) -> Result<(), ControllerError> {
        let answers: Vec<_> = self.beside().flat_map(Answers::take).collect();
        for (route, message, payload) in answers {
            // Whoever has asked on a connection that is another one's now gets nothing.
            let route = self.core.data_route(route);
            route.map_or(Ok(()), |route| self.send(route, message, payload))?;
        }
        Ok(())
    }

    fn send(&mut self, route: Route, message: Message, payload: Vec<Frame>) -> Result<(), ControllerError> {
        Ok(self.listener.send(route, message, payload)?)
    }

    fn perform(&mut self, action: Action) -> Result<(), ControllerError> {
        match action {
            Action::Send { route, message, payload, shared_memory } => {
                let (message, payload) = self.prepare(message, payload, shared_memory);
                self.send(route, message, payload)?;
            }
            Action::Keep(entry) => self.keep(*entry),
            Action::Unlink(name) => {
                if let Some(recorder) = &mut self.recorder {
                    recorder.forget_segment(&name);
                }
                let behind = self.history.as_mut().is_some_and(|history| history.unlink_behind(&name));
                if let Some(folder) = self.segments.as_ref().filter(|_| !behind) {
                    folder.unlink(&name);
                }
            }
            Action::UnlinkPeer(peer, keep) => {
                let history = &mut self.history;
                let mut behind = |name: &[u8]| history.as_mut().is_some_and(|history| history.unlink_behind(name));
                if let Some(folder) = &self.segments {
                    folder.unlink_owner(peer, |name| keep.contains(name) || behind(name));
                }
            }
            Action::Watch { peer, pid, start_time } => self.watch.add(peer, pid, start_time),
            Action::Unwatch(peer) => self.watch.remove(peer),
            Action::Log(text) => tracing::info!("{}", printable(&text)),
            Action::Rejected(text) => tracing::warn!("rejected: {}", printable(&text)),
            Action::Exit => self.done = true,
        }
        Ok(())
    }

    /// Puts in what only the reactor knows: its memory, and the bytes of segments for peers that cannot map them.
    fn prepare(&mut self, mut message: Message, mut payload: Vec<Frame>, shared_memory: bool) -> (Message, Vec<Frame>) {
        let segments = match &mut message {
            Message::StatusReply(status) => {
                status.resident_bytes = resident_bytes();
                return (message, payload);
            }
            Message::Task(task) => &mut task.segments,
            Message::Reply(reply) => &mut reply.segments,
            _ => return (message, payload),
        };
        if let (false, Some(folder)) = (shared_memory, &self.segments) {
            for note in std::mem::take(segments) {
                if let Some(frame) = payload.get_mut(note.frame as usize) {
                    match mapped(&mut self.mapped, folder, frame, note.length) {
                        Ok(bytes) => *frame = bytes,
                        // The peer finds a name instead of the bytes, and reports that for this one task.
                        Err(error) => tracing::error!("a segment cannot be mapped: {error}"),
                    }
                }
            }
        }
        (message, payload)
    }
}

/// The bytes of a segment. Whoever else gets them gets the same.
fn mapped(known: &mut HashMap<Vec<u8>, Frame>, folder: &SegmentFolder, name: &[u8], length: u64) -> io::Result<Frame> {
    if let Some(bytes) = known.get(name).filter(|bytes| bytes.len() as u64 == length) {
        return Ok(bytes.clone());
    }
    let bytes = Frame::from_owner(folder.map(name, length)?);
    known.insert(name.to_vec(), bytes.clone());
    Ok(bytes)
}

/// A peer that would take one of the last descriptors.
fn crowded(route: Route) -> Event {
    let limit = descriptor_limit();
    let reason = format!("the controller has no file descriptors for another peer: it may have {limit} (`ulimit -n`)");
    Event::Crowded { route, reason }
}
