//! What the reactor tells the core, and what the core has it do.

use super::history::Entry;
use super::identity::Identity;
use super::limits::Limits;
use crate::transport::{Admitted, Route};
use crate::wire::Frame;
use crate::wire::greeting::Foreign;
use crate::wire::message::Message;
use ipclusterz_base::ids::PeerId;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// What the reactor tells the core.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "nearly all events are messages")]
pub enum Event {
    /// A message arrived.
    Message {
        /// On which connection.
        route: Route,
        /// How that connection was admitted.
        admitted: Admitted,
        /// Its header.
        message: Message,
        /// Its payload frames.
        payload: Vec<Frame>,
    },
    /// A message arrived whose header could not be decoded.
    Undecodable {
        /// On which connection.
        route: Route,
        /// Why.
        reason: String,
    },
    /// A message of another version of the protocol arrived.
    OtherVersion {
        /// On which connection.
        route: Route,
        /// What can be read of it.
        foreign: Box<Foreign>,
    },
    /// A peer said hello, and there is no room for it.
    Crowded {
        /// On which connection.
        route: Route,
        /// What there is too little of.
        reason: String,
    },
    /// Handling an event panicked: of this connection, if it was of one.
    Bug {
        /// Which connection.
        route: Option<Route>,
        /// What whoever is behind it is told.
        reason: String,
    },
    /// A peer was turned away before it could say anything.
    TurnedAway(String),
    /// A connection ended: the peer's kernel has closed it.
    Gone(Route),
    /// A connection ended, of which nothing was heard any more.
    Silent(Route),
    /// The process of a peer has ended, whatever its connections look like; how, if the kernel tells.
    ProcessEnded(PeerId, Option<String>),
    /// The time that `next_tick` gave has come.
    Tick,
    /// A signal asks the controller to exit.
    Stop,
    /// The journal has no room for more requests, and why; or it has again.
    Room(Option<String>),
    /// A controller goes on where another one has died: who it is, and its limits.
    Restarted(Box<(Identity, Limits)>),
    /// The same where the cluster of the dead one had ended: its engines are gone.
    TakenUp(Box<(Identity, Limits)>),
}

impl Event {
    /// The connection that it is about, if it is about one.
    pub fn route(&self) -> Option<Route> {
        match self {
            Event::Message { route, .. }
            | Event::Undecodable { route, .. }
            | Event::OtherVersion { route, .. }
            | Event::Crowded { route, .. }
            | Event::Gone(route)
            | Event::Silent(route) => Some(*route),
            Event::Bug { route, .. } => *route,
            Event::TurnedAway(_)
            | Event::ProcessEnded(..)
            | Event::Tick
            | Event::Stop
            | Event::Room(_)
            | Event::Restarted(_)
            | Event::TakenUp(_) => None,
        }
    }
}

/// What the core has the reactor do.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all actions are sends")]
pub enum Action {
    /// Send a message.
    Send {
        /// On which connection.
        route: Route,
        /// Its header.
        message: Message,
        /// Its payload frames.
        payload: Vec<Frame>,
        /// The peer maps segments itself; otherwise the reactor puts their bytes in.
        shared_memory: bool,
    },
    /// Remove the segment of this name.
    Unlink(Frame),
    /// Remove all segments of a peer but these.
    UnlinkPeer(PeerId, HashSet<Vec<u8>>),
    /// Watch the process of a peer, which is in this process table.
    Watch {
        /// Whose.
        peer: PeerId,
        /// Its process id.
        pid: u32,
        /// When it started, in clock ticks since boot.
        start_time: u64,
    },
    /// Watch it no longer.
    Unwatch(PeerId),
    /// Keep in the history.
    Keep(Box<Entry>),
    /// Write to the log.
    Log(String),
    /// A message was refused: write it to the log.
    Rejected(String),
    /// The controller is done.
    Exit,
}
