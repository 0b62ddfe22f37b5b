//! A peer as the controller knows it: what it said of itself, its connections, and what it has sent and received.

use super::load::Horizon;
use crate::transport::Route;
use crate::wire::message::{Counts, EngineInfo, Hello};
use crate::wire::resend::Sent;
use ipclusterz_base::ids::EngineId;
use std::time::Duration;

/// A process that was let in.
#[derive(Debug)]
pub struct Peer {
    /// What it said of itself.
    pub hello: Hello,
    /// For an engine: its id.
    pub engine_id: Option<EngineId>,
    /// What ties its `data` connection to its `control` connection.
    pub token: String,
    /// Its first connection.
    pub control: Route,
    /// Its second one, once it is attached.
    pub data: Option<Route>,
    /// When it said hello.
    pub since: Duration,
    /// Resident memory as it last told, bytes.
    pub resident_bytes: u64,
    /// It was asked to end, or has said goodbye.
    pub leaving: bool,
    /// What was sent to a client.
    pub sent: Sent,
    /// What a client has sent.
    pub received: Counts,
    /// Bytes of it, and how much of it the client was told of: messages and bytes.
    pub received_bytes: u64,
    /// See `received_bytes`.
    pub told: (u64, u64),
    /// Whether a client has its connections.
    pub presence: Presence,
}

/// Whether a client has its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It has, or is about to for the first time.
    Here,
    /// Since then it has none.
    Away(Duration),
    /// It has said hello again, and had received so much.
    Returning(Counts),
}

impl Peer {
    /// Until when an engine takes what.
    pub fn horizon(&self) -> Horizon {
        let length = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let end = self.hello.ends_in.map(|seconds| self.since + length(seconds));
        Horizon { end, drain_before: length(self.hello.drain_before), retiring: false }
    }

    /// Whether its session outlives its connections: where a closed connection does not mean a dead process.
    pub fn is_kept(&self) -> bool {
        self.sent.keeps() && !self.leaving
    }

    /// What clients are told of an engine.
    pub fn engine_info(&self) -> Option<EngineInfo> {
        let id = self.engine_id?;
        let Hello { uuid, host, pid, address, .. } = self.hello.clone();
        Some(EngineInfo { id, uuid, host, pid, address })
    }
}
