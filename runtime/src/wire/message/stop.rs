//! What stops work or engines: abort, interrupt, retire, shut down, and tasks taken back.

use super::fate::Fate;
use ipclusterz_base::ids::{EngineId, RequestId, TaskId};
use serde::{Deserialize, Serialize};

/// See [`super::Message::Abort`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abort {
    /// These requests; none: every request of this client.
    pub requests: Option<Vec<RequestId>>,
    /// Only on these engines; none: on any.
    pub engines: Option<Vec<EngineId>>,
    /// Every request of every client, whatever `requests` says. To a client: another one did that; it aborts all its own,
    /// also what is on its way and what it has not sent.
    #[serde(default)]
    pub all_clients: bool,
    /// Also raise KeyboardInterrupt in what has started.
    #[serde(default)]
    pub interrupt: bool,
    /// Those of the session with this name; none: of the client's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Also end the engines on which it has started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// What is given up so is done by the client itself, which says how it ended: others may wait for that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub claim: bool,
}

/// See [`super::Message::Fulfilled`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fulfilled {
    /// The client's own number.
    pub request: RequestId,
    /// Which of its targets.
    pub position: u32,
    /// How it has ended.
    pub fate: Fate,
    /// The engine whose task has done it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineId>,
}

/// See [`super::Message::Started`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The client's own number.
    pub request: RequestId,
    /// Which of its targets.
    pub position: u32,
}

/// Engines; none: all of them (for `shutdown` from a client: and the controller).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// Their ids. A message to an engine itself has none.
    pub engines: Option<Vec<EngineId>>,
}

/// See [`super::Message::Retire`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineList {
    /// Their ids.
    pub engines: Vec<EngineId>,
}

/// See [`super::Message::Recall`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recall {
    /// Give these back unless they have started.
    pub tasks: Vec<TaskId>,
    /// Raise KeyboardInterrupt in that one of these which runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interrupt: Vec<TaskId>,
    /// End the process if it runs one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kill: Vec<TaskId>,
}

/// See [`super::Message::Recalled`]. Every task that was asked for is in one of the lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recalled {
    /// Given back: not started, and they will not be.
    pub returned: Vec<TaskId>,
    /// Kept: started, or not there. One that is not there has been answered before: by its result, or by an earlier
    /// `recalled` that gave it back.
    pub kept: Vec<TaskId>,
}
