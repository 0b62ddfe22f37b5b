//! Which engines there are, and what each of them uses.

use crate::ids::EngineId;
use serde::{Deserialize, Serialize};

/// What a client knows of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineInfo {
    /// What the user calls it.
    pub id: EngineId,
    /// Names its process.
    pub uuid: String,
    /// Where it runs.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// The controller's address that answered it.
    pub address: String,
}

/// See [`super::Message::EngineLeft`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineLeft {
    /// Which.
    pub id: EngineId,
    /// Why, for a person.
    pub reason: String,
}

/// See [`super::Message::Usage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Resident memory, bytes.
    pub resident_bytes: u64,
}
