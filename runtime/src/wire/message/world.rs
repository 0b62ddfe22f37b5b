//! MPI programs among the engines: ranks, groups and epochs.

use crate::ids::EngineId;
use serde::{Deserialize, Serialize};

/// A rank of an MPI program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rank {
    /// Names the program: all its ranks say the same, and no other program does.
    pub world: String,
    /// Its number in MPI_COMM_WORLD.
    pub rank: u32,
    /// How many ranks there are.
    pub size: u32,
    /// The others live on when one is lost, and are to go on without it.
    pub survives: bool,
}

/// Engines that do something together: ranks of an epoch's communicator, in the order of the request's targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Which epoch of the world.
    pub epoch: u64,
    /// Ranks in MPI_COMM_WORLD.
    pub ranks: Vec<u32>,
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
    /// Why the epoch before is over; none at the start of a program.
    pub reason: Option<String>,
}

/// See [`super::Message::EpochOver`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochOver {
    /// This one, and all before it.
    pub epoch: u64,
    /// Which rank was lost, and how, for a person.
    pub reason: String,
}

/// See [`super::EngineStatus::world`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorldStatus {
    /// Names the program.
    pub name: String,
    /// In MPI_COMM_WORLD.
    pub rank: u32,
    /// Of MPI_COMM_WORLD.
    pub size: u32,
    /// Counts on when ranks were lost and the rest, or new ones, went on; 0 before all have come.
    pub epoch: u64,
    /// All members have the epoch's communicator.
    pub formed: bool,
    /// Why there is no communicator, or why the epoch before this one ended.
    pub reason: Option<String>,
    /// What the hooks raised that were to restore this engine's state in this epoch.
    #[serde(default)]
    pub hook_error: Option<String>,
}
