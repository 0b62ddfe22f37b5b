//! MPI programs among the engines: ranks, groups and epochs.

use ipclusterz_base::ids::{EngineId, TaskId};
use serde::{Deserialize, Serialize};

/// A rank of an MPI program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rank {
    /// Identifies the program: the same for all its ranks, and for no other program.
    pub world: String,
    /// Its number in MPI_COMM_WORLD.
    pub rank: u32,
    /// How many ranks there are.
    pub size: u32,
    /// When a rank is lost, the others survive and continue without it.
    pub survives: bool,
}

/// Engines that execute something together: ranks of an epoch's communicator, in the order of the request's targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Which epoch of the world.
    pub epoch: u64,
    /// Ranks in MPI_COMM_WORLD.
    pub ranks: Vec<u32>,
    /// Seconds that its communicator may take to be made, if whoever asked said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// How often its communicator was made anew in this epoch, because its ranks were out of step.
    #[serde(default, skip_serializing_if = "is_none")]
    pub renewal: u64,
    /// The receiver's part of what the group does before this. It begins when it has heard that all have ended that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<TaskId>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
pub(super) fn is_none(count: &u64) -> bool {
    *count == 0
}

/// A communicator that one of its ranks has abandoned, so that the ranks are out of step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// Its name, which all its ranks use.
    pub comm: String,
    /// Its epoch.
    pub epoch: u64,
    /// Which call was abandoned, and why, for people.
    pub reason: String,
    /// Calls that wait in it end at once, not at their own deadlines.
    pub at_once: bool,
}

/// Payload of [`super::Op::Reform`]: the world's members in an epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reform {
    /// Which epoch.
    pub epoch: u64,
    /// Their ranks in MPI_COMM_WORLD, ascending.
    pub ranks: Vec<u32>,
    /// Their ids, in the same order.
    pub engines: Vec<EngineId>,
    /// Why the previous epoch ended; none at the start of a program.
    pub reason: Option<String>,
}

/// See [`super::Message::EpochOver`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochOver {
    /// This epoch and all before it are over.
    pub epoch: u64,
    /// Which rank was lost, and how, for people.
    pub reason: String,
}

/// See [`super::EngineStatus::world`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorldStatus {
    /// Identifies the program.
    pub name: String,
    /// Its rank in MPI_COMM_WORLD.
    pub rank: u32,
    /// The size of MPI_COMM_WORLD.
    pub size: u32,
    /// Increases when ranks are lost and the rest, or new ones, continue; 0 until all ranks have registered.
    pub epoch: u64,
    /// All members have the epoch's communicator.
    pub formed: bool,
    /// Why there is no communicator, or why the previous epoch ended.
    pub reason: Option<String>,
    /// It has not begun to form the epoch: for so many seconds it has been running what it was given before. The others
    /// wait for it.
    #[serde(default)]
    pub held_up: Option<f64>,
    /// What the hooks that restore this engine's state raised in this epoch.
    #[serde(default)]
    pub hook_error: Option<String>,
}
