//! The agent's loop: its sockets around its core. One thread.

use super::core::{Action, Core, Event, Opening};
use crate::transport::Route;
use crate::transport::bulk::lane::Whole;
use crate::transport::listen::{Incoming, Listener};
use crate::transport::session::{Session, SessionEvent};
use crate::transport::through;
use crate::wire::parcels::Note;
use crate::wire::segment::SegmentFolder;
use crate::wire::{Frame, codec};
use ipclusterz_base::ids::PeerId;
use ipclusterz_base::words::printable;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// Most messages that are taken from engines before the controller has its turn.
const BATCH: usize = 512;
/// How long it waits when there is nothing to wait for.
const LONG: Duration = Duration::from_secs(3600);

/// How it ended, or why it could not begin.
pub(super) enum End {
    /// It was asked to, and no engine is left.
    Done,
    /// There is nothing that it could pass anything on to.
    NoController(String),
}

/// How an agent is asked to end.
pub(super) struct Asked {
    /// By a signal.
    pub signals: OwnedFd,
    /// By the end of whoever has the other end of this pipe open.
    pub leash: RawFd,
}

impl Asked {
    fn items(&self) -> [zmq::PollItem<'static>; 2] {
        [self.signals.as_raw_fd(), self.leash].map(|descriptor| zmq::PollItem::from_fd(descriptor, zmq::POLLIN))
    }

    /// Whether it is. Nothing is ever written to the pipe: what can be read is its end.
    fn is_so(&self) -> Result<bool, zmq::Error> {
        let mut items = self.items();
        match zmq::poll(&mut items, 0) {
            Ok(_) => Ok(items.iter().any(|item| item.get_revents() != zmq::PollEvents::empty())),
            Err(zmq::Error::EINTR) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// See the file.
pub(super) struct Reactor {
    // Sockets close before the context.
    pub session: Session,
    pub listener: Listener,
    pub segments: SegmentFolder,
    pub core: Core,
    /// When to give up, if there has been no controller yet.
    pub give_up: Option<Instant>,
    /// It was asked to end.
    pub ending: bool,
    pub _context: zmq::Context,
}

impl Reactor {
    /// Runs until there is nothing more to do. `ready` is called when the controller has let it in.
    pub fn run(&mut self, asked: &Asked, mut ready: impl FnMut()) -> Result<End, zmq::Error> {
        let mut events = Vec::new();
        loop {
            let mut more = self.session.receive(&mut events)?;
            for event in std::mem::take(&mut events) {
                if let SessionEvent::Established(_) = &event
                    && self.give_up.take().is_some()
                {
                    ready();
                }
                if let Some(end) = self.heard(event)? {
                    return Ok(end);
                }
            }
            more |= self.take_messages()?;
            if self.give_up.is_some_and(|at| at <= Instant::now()) {
                return Ok(End::NoController(self.session.problem().to_owned()));
            }
            self.ending = self.ending || asked.is_so()?;
            if self.ending && self.core.is_idle() {
                return Ok(End::Done);
            }
            self.session.flush()?;
            self.listener.flush()?;
            if !more {
                self.wait(asked)?;
            }
        }
    }

    fn wait(&self, asked: &Asked) -> Result<(), zmq::Error> {
        let sockets = [self.listener.socket(), self.listener.monitor()];
        let mut items: Vec<_> = sockets.map(|socket| socket.as_poll_item(zmq::POLLIN)).into();
        if !self.ending {
            items.extend(asked.items());
        }
        let left = self.give_up.map_or(LONG, |at| at.saturating_duration_since(Instant::now()));
        self.session.wait_beside(items, left)
    }

    /// Something of the controller's side. The end, if it is one.
    fn heard(&mut self, event: SessionEvent) -> Result<Option<End>, zmq::Error> {
        let event = match event {
            SessionEvent::Established(_) => Event::Up,
            SessionEvent::Lost(reason) => {
                tracing::info!("{}", printable(&reason));
                Event::Down
            }
            SessionEvent::OfStrand(_, strand, whole) => Event::Controller(strand, whole),
            SessionEvent::Refused(reason) | SessionEvent::Ended(reason) => return Ok(Some(End::NoController(reason))),
            SessionEvent::OtherVersion(refused) => return Ok(Some(End::NoController(refused.reason))),
            // It is asked again; nothing else is said to an agent.
            SessionEvent::Crowded(_) | SessionEvent::Message(..) => return Ok(None),
        };
        self.handle(event)?;
        Ok(None)
    }

    /// Takes what engines have said; true when there may be more.
    fn take_messages(&mut self) -> Result<bool, zmq::Error> {
        while self.listener.next_turned_away()?.is_some() {}
        for _ in 0..BATCH {
            let Some(incoming) = self.listener.receive()? else { return Ok(false) };
            match incoming {
                Incoming::Message(route, _, whole) => self.take_message(route, whole.frames)?,
                Incoming::Gone(route) | Incoming::Silent(route) => self.handle(Event::EngineGone(route))?,
                Incoming::Stranger => {}
            }
        }
        Ok(true)
    }

    fn take_message(&mut self, route: Route, mut frames: Vec<Frame>) -> Result<(), zmq::Error> {
        if let Err(error) = through::unshelve(&mut frames, &self.segments) {
            // The engine begins anew, and says it again.
            tracing::warn!("what an engine has sent cannot be read: {error}");
            self.handle(Event::EngineGone(route))?;
            return self.perform(Action::Close(route));
        }
        let first = frames.first().filter(|_| !self.core.knows(route));
        let opening = first.and_then(|header| Opening::of(&codec::decode(header).ok()?));
        self.handle(Event::Engine(route, opening, Whole::from(frames)))
    }

    fn handle(&mut self, event: Event) -> Result<(), zmq::Error> {
        self.core.handle(event).into_iter().try_for_each(|action| self.perform(action))
    }

    fn perform(&mut self, action: Action) -> Result<(), zmq::Error> {
        match action {
            Action::Up(channel, strand, whole) => self.session.send_of_strand(channel, strand, whole.frames),
            Action::Down(route, peer, whole) => {
                let frames = shelved(whole, peer.unwrap_or_default());
                self.listener.send_frames(route, frames)
            }
            Action::Close(route) => self.listener.end(route),
            Action::Sweep(peer) => {
                self.segments.unlink_owner(peer, |_| false);
                Ok(())
            }
        }
    }
}

/// A message for an engine, with large frames as segments of its own.
fn shelved(whole: Whole, owner: PeerId) -> Vec<Frame> {
    let Whole { mut frames, segments } = whole;
    let mut notes = Vec::new();
    for shelved in segments {
        let (Some(place), Ok(number)) = (frames.get_mut(shelved.frame), u32::try_from(shelved.frame)) else { continue };
        match shelved.link(owner) {
            Ok(name) => {
                *place = name;
                notes.push(Note { frame: number, parcel: 0, length: shelved.length });
            }
            // No room for another name: there is memory, too.
            Err(error) => match shelved.bytes() {
                Ok(bytes) => *place = bytes,
                Err(_) => tracing::error!("a segment cannot be used: {error}"),
            },
        }
    }
    through::note(&notes).into_iter().chain(frames).collect()
}
