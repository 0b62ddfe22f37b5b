//! The controller's loop: sockets, signals and the clock around its core. One thread.

use super::bug;
use super::config::ControllerError;
use super::core::Core;
use super::event::{Action, Event};
use super::watch::Watch;
use crate::system::{descriptor_limit, has_descriptors, resident_bytes};
use crate::transport::listen::{Incoming, Listener};
use crate::transport::zap::Gate;
use crate::transport::{self, FRAMES_MAX, Route};
use crate::wire::codec::DecodeError;
use crate::wire::segment::SegmentFolder;
use crate::wire::{Frame, Message, codec};
use ipclusterz_base::words::printable;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Most messages that are taken before the gate is looked at again.
const BATCH: usize = 512;
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
    start: Instant,
    /// After a bug the clock is left alone for a moment.
    no_tick_before: Duration,
    _context: zmq::Context,
}

impl Reactor {
    pub fn new(
        context: zmq::Context,
        listener: Listener,
        gate: Gate,
        segments: Option<SegmentFolder>,
        core: Core,
        watch: Watch,
    ) -> Reactor {
        let (start, no_tick_before) = (Instant::now(), Duration::ZERO);
        Reactor { listener, gate, segments, core, watch, start, no_tick_before, _context: context }
    }

    /// Runs until the controller is done, or until `signals` is readable and all engines have left.
    pub fn run(&mut self, signals: &OwnedFd) -> Result<(), ControllerError> {
        loop {
            let Ready { knock, signal, exit } = self.wait(signals)?;
            if knock {
                self.answer_gate()?;
            }
            if exit {
                self.take_exits()?;
            }
            if (signal && self.handle(Event::Stop)?) || self.take_messages()? {
                return Ok(());
            }
            if self.next_tick().is_some_and(|at| at <= self.start.elapsed()) && self.handle(Event::Tick)? {
                return Ok(());
            }
        }
    }

    /// Waits for a message, a tick, a signal or the end of a process.
    fn wait(&self, signals: &OwnedFd) -> Result<Ready, ControllerError> {
        let timeout = match self.next_tick() {
            _ if self.watch.is_due() => Duration::ZERO,
            Some(at) => at.saturating_sub(self.start.elapsed()).max(TICK),
            None => Duration::from_secs(3600),
        };
        let mut items = [
            self.listener.socket().as_poll_item(zmq::POLLIN),
            self.gate.socket().as_poll_item(zmq::POLLIN),
            zmq::PollItem::from_fd(signals.as_raw_fd(), zmq::POLLIN),
            self.listener.monitor().as_poll_item(zmq::POLLIN),
            zmq::PollItem::from_fd(self.watch.fd(), zmq::POLLIN),
        ];
        transport::poll(&mut items, timeout)?;
        Ok(Ready {
            knock: items[1].is_readable() || items[3].is_readable(),
            signal: items[2].is_readable(),
            exit: items[4].is_readable() || self.watch.is_due(),
        })
    }

    fn take_exits(&mut self) -> Result<(), ControllerError> {
        for (peer, how) in self.watch.ended() {
            self.handle(Event::ProcessEnded(peer, how))?;
        }
        Ok(())
    }

    fn next_tick(&self) -> Option<Duration> {
        self.core.next_tick().map(|at| at.max(self.no_tick_before))
    }

    fn answer_gate(&mut self) -> Result<(), ControllerError> {
        self.gate.answer()?;
        while let Some(reason) = self.listener.next_turned_away()? {
            self.handle(Event::TurnedAway(reason))?;
        }
        Ok(())
    }

    /// Takes what has arrived, up to [`BATCH`] messages. True: the controller is done.
    fn take_messages(&mut self) -> Result<bool, ControllerError> {
        for _ in 0..BATCH {
            let Some(event) = self.next_event()? else { break };
            if self.handle(event)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn next_event(&self) -> Result<Option<Event>, ControllerError> {
        let Some(incoming) = self.listener.receive()? else { return Ok(None) };
        Ok(Some(match incoming {
            Incoming::Gone(route) => Event::Gone(route),
            Incoming::Stranger => {
                Event::Undecodable { route: Route(0), reason: "a peer with a routing id of its own".to_owned() }
            }
            Incoming::Message(route, admitted, mut frames) => {
                if frames.len() > FRAMES_MAX {
                    let reason = format!("more than {FRAMES_MAX} frames in a message");
                    return Ok(Some(Event::Undecodable { route, reason }));
                }
                let header = frames.remove(0);
                match codec::decode(&header) {
                    Ok(Message::Hello(_)) if !has_descriptors(RESERVE) => crowded(route),
                    Ok(message) => Event::Message { route, admitted, message, payload: frames },
                    Err(DecodeError::Version(foreign)) => Event::OtherVersion { route, foreign },
                    Err(error) => Event::Undecodable { route, reason: error.to_string() },
                }
            }
        }))
    }

    /// True: the controller is done.
    fn handle(&mut self, event: Event) -> Result<bool, ControllerError> {
        let now = self.start.elapsed();
        let (actions, panicked) = bug::handle(&mut self.core, event, now);
        if panicked {
            // It may be the clock that leads there, each time.
            self.no_tick_before = now.saturating_add(AFTER_BUG);
        }
        for action in actions {
            match action {
                Action::Send { route, message, payload, shared_memory } => {
                    let (message, payload) = self.prepare(message, payload, shared_memory);
                    match self.listener.send(route, &message, payload) {
                        // It broke a moment ago. The notice of that is still to come, behind the last of what the peer
                        // sent: answers, or a goodbye.
                        Ok(()) | Err(zmq::Error::EHOSTUNREACH) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Action::Unlink(name) => {
                    if let Some(folder) = &self.segments {
                        folder.unlink(&name);
                    }
                }
                Action::UnlinkPeer(peer, keep) => {
                    if let Some(folder) = &self.segments {
                        folder.unlink_owner(peer, |name| keep.contains(name));
                    }
                }
                Action::Watch { peer, pid, start_time } => self.watch.add(peer, pid, start_time),
                Action::Unwatch(peer) => self.watch.remove(peer),
                Action::Log(text) => tracing::info!("{}", printable(&text)),
                Action::Rejected(text) => tracing::warn!("rejected: {}", printable(&text)),
                Action::Exit => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Puts in what only the reactor knows: its memory, and the bytes of segments for peers that cannot map them.
    fn prepare(&self, mut message: Message, mut payload: Vec<Frame>, shared_memory: bool) -> (Message, Vec<Frame>) {
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
                    match folder.map(frame, note.length) {
                        Ok(mapping) => *frame = Frame::from_owner(mapping),
                        // The peer finds a name instead of the bytes, and reports that for this one task.
                        Err(error) => tracing::error!("a segment cannot be mapped: {error}"),
                    }
                }
            }
        }
        (message, payload)
    }
}

/// A peer that would take one of the last descriptors.
fn crowded(route: Route) -> Event {
    let limit = descriptor_limit();
    let reason = format!("the controller has no file descriptors for another peer: it may have {limit} (`ulimit -n`)");
    Event::Crowded { route, reason }
}
