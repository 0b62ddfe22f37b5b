//! What engines are doing, asked and answered while they are busy.

use super::world::Broken;
use ipclusterz_base::ids::{EngineId, PeerId};
use serde::{Deserialize, Serialize};

/// See [`super::Message::Inspect`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspect {
    /// Chosen by whoever asks.
    pub number: u64,
    /// Who asks; filled in by the controller, and sent back.
    pub asker: Option<PeerId>,
    /// Who is asked.
    pub engines: Vec<EngineId>,
    /// Where their main threads are is asked, too.
    pub stacks: bool,
    /// Also tells them that this communicator is broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<Broken>,
    /// Also has their processes get this signal. Only a client's question has that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
}

/// See [`super::Message::Inspected`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inspected {
    /// The number of the question.
    pub number: u64,
    /// Who asked.
    pub asker: Option<PeerId>,
    /// Who answers; filled in by the controller.
    pub engine: Option<EngineId>,
    /// None: there is no such engine.
    pub activity: Option<Activity>,
}

/// What an engine is doing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// A task runs.
    pub busy: bool,
    /// For how many seconds it has been running.
    pub seconds: f64,
    /// The stack of its main thread, as Python's `faulthandler` writes it; empty if it was not asked for, or the thread
    /// does not answer.
    pub stack: String,
    /// The last call on each communicator, as JSON of the MPI extension module.
    pub calls: String,
    /// It sends itself the signal that came with the question.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub signalled: bool,
}
