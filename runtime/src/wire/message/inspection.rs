//! What engines are doing, asked and answered while they are busy.

use crate::ids::{EngineId, PeerId};
use serde::{Deserialize, Serialize};

/// See [`super::Message::Inspect`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspect {
    /// Of whoever asks.
    pub number: u64,
    /// Who asks; filled in by the controller, and sent back.
    pub asker: Option<PeerId>,
    /// Who is asked.
    pub engines: Vec<EngineId>,
    /// By the way: this communicator cannot be used any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<Broken>,
}

/// A communicator that one of its ranks has given up, so that the ranks are out of step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// Its name, which all its ranks use.
    pub comm: String,
    /// Its epoch.
    pub epoch: u64,
    /// Which call was given up, and why, for a person.
    pub reason: String,
    /// Whoever waits in it need not wait for its own deadline.
    pub at_once: bool,
}

/// See [`super::Message::Inspected`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspected {
    /// Of the question.
    pub number: u64,
    /// Who asked.
    pub asker: Option<PeerId>,
    /// Who answers; filled in by the controller.
    pub engine: Option<EngineId>,
    /// None: there is no such engine.
    pub activity: Option<Activity>,
}

/// What an engine is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// A task runs.
    pub busy: bool,
    /// The stack of its main thread, as Python's `faulthandler` writes it; empty where the thread does not answer.
    pub stack: String,
    /// The last call on each communicator, as JSON of the MPI extension module.
    pub calls: String,
}
