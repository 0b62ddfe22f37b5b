//! The state of the cluster, as the controller reports it.

use super::engines::{Away, EnginesExpected};
use super::resources::Resources;
use super::world::WorldStatus;
use ipclusterz_base::ids::EngineId;
use serde::{Deserialize, Serialize};

/// See [`super::Message::StatusReply`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Name of the cluster.
    pub cluster: String,
    /// The controller's process id.
    pub pid: u32,
    /// Seconds since the controller started.
    pub uptime: f64,
    /// Clients connected.
    pub clients: u32,
    /// Load-balanced tasks not yet given to an engine.
    pub pending: u64,
    /// Bytes of payload that the controller holds for tasks and functions.
    pub held_bytes: u64,
    /// Messages refused since the start: malformed, of another version, or from peers that were not admitted.
    pub rejected: u64,
    /// The controller's resident memory, bytes.
    pub resident_bytes: u64,
    /// By id.
    pub engines: Vec<EngineStatus>,
    /// The engines that died last, the latest last.
    #[serde(default)]
    pub losses: Vec<EngineLoss>,
    /// Whether engines are to come, and what they wait for, as the launcher says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<EnginesExpected>,
}

/// An engine that died.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineLoss {
    /// What the user called it.
    pub id: EngineId,
    /// Identifies its process.
    pub uuid: String,
    /// Where it ran.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// How it ended, for people.
    pub how: String,
    /// How long ago.
    pub seconds_ago: f64,
}

/// One engine in a [`Status`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineStatus {
    /// What the user calls it.
    pub id: EngineId,
    /// Identifies its process.
    pub uuid: String,
    /// Where it runs.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// The controller's address through which it is connected.
    pub address: String,
    /// `idle` or `busy`; `away`: it has no connection; `draining`: it is being retired, or its time is nearly over; `stopped` by a signal, `traced` by a
    /// debugger, `frozen` with its cgroup: on the controller's host.
    pub state: String,
    /// It has no connection, and is waited for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub away: bool,
    /// Since when, and for how long still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absence: Option<Away>,
    /// Tasks given to it and not answered.
    pub queue: u64,
    /// Tasks answered.
    pub completed: u64,
    /// Resident memory, bytes, as last reported.
    pub resident_bytes: u64,
    /// Seconds since it registered.
    pub uptime: f64,
    /// Seconds until it is ended from outside, if that is known.
    pub ends_in: Option<f64>,
    /// For a rank of an MPI program.
    #[serde(default)]
    pub world: Option<WorldStatus>,
    /// The group of the profile's that it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What it offers to tasks.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub offers: Resources,
}
