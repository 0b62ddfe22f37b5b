//! What happens in a cluster, as whoever looks on is told of it. The controller says nothing here that its core has not
//! accepted, and a task is named as its client names it: by its session, its request and its position.

use super::fate::Fate;
use super::operation::Op;
use super::resources::Resources;
use ipclusterz_base::ids::{EngineId, PeerId, RequestId};
use serde::{Deserialize, Serialize};

/// Something that has happened, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Seconds since 1970, by the controller's clock.
    pub at: f64,
    /// What.
    pub what: Happened,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happened {
    /// A session has begun, or goes on with another client.
    SessionBegan(SessionBegan),
    /// The client of a session is gone, and the session waits for it, or for another one.
    SessionParted {
        /// Which session.
        client: PeerId,
    },
    /// A session is over. Tasks that engines have begun may still end.
    SessionEnded {
        /// Which session.
        client: PeerId,
    },
    /// A request was submitted.
    Submitted(Box<Submission>),
    /// A task was given to an engine. What an engine has been given, it does in that order.
    Given {
        /// Which task.
        task: TaskName,
        /// Which engine.
        engine: EngineId,
    },
    /// A task that an engine had waits again.
    Returned {
        /// Which task.
        task: TaskName,
    },
    /// A task has ended.
    Ended(Box<TaskEnded>),
    /// An engine has registered.
    EngineJoined(Box<EngineJoined>),
    /// An engine has lost its connections, and is waited for.
    EngineAway {
        /// Which engine.
        engine: EngineId,
    },
    /// An engine has its connections again.
    EngineBack {
        /// Which engine.
        engine: EngineId,
    },
    /// An engine is gone.
    EngineLeft {
        /// Which engine.
        engine: EngineId,
        /// Why, for people.
        reason: String,
        /// It was not asked to leave.
        died: bool,
    },
    /// What an engine's process uses.
    EngineUsage {
        /// Which engine.
        engine: EngineId,
        /// What.
        usage: Usage,
    },
    /// The ranks of an MPI program begin an epoch.
    EpochBegan {
        /// Which program.
        world: String,
        /// The number of the epoch.
        epoch: u64,
        /// Its engines, by rank.
        engines: Vec<EngineId>,
    },
    /// An epoch is over.
    EpochEnded {
        /// Which program.
        world: String,
        /// The number of the epoch.
        epoch: u64,
        /// Why, for people.
        reason: String,
    },
}

/// A session and its client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionBegan {
    /// The number of the session, by which events name it.
    pub client: PeerId,
    /// What it is called.
    pub name: String,
    /// What the ids of its tasks begin with.
    pub id: String,
    /// The host of its client.
    pub host: String,
    /// The process of its client there.
    pub pid: u32,
    /// The user that this process is of, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its client is the launcher, or another command.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub launcher: bool,
}

/// A task, as its client names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskName {
    /// The number of its session.
    pub client: PeerId,
    /// Its request.
    pub request: RequestId,
    /// Which of the request's targets.
    pub position: u32,
}

/// A request that was submitted: one task for each target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Submission {
    /// The number of its session.
    pub client: PeerId,
    /// Its number in the session.
    pub request: RequestId,
    /// How many tasks it has.
    pub count: u32,
    /// Those of them, by position, that had ended when the controller was started again which tells this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<u32>,
    /// What is done.
    pub op: Op,
    /// The name of its function, or the one that it was given.
    pub name: Option<String>,
    /// Bytes that go to engines for each task, and how many of them through shared memory.
    pub bytes: Bytes,
    /// The part of a map that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<PartOfMap>,
}

impl Submission {
    /// How many of its tasks had not ended.
    pub fn left(&self) -> u32 {
        self.count.saturating_sub(u32::try_from(self.ended.len()).unwrap_or(u32::MAX))
    }
}

/// A request that is a chunk of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartOfMap {
    /// The first request of the map.
    pub head: RequestId,
    /// How many elements the chunk has.
    pub elements: u64,
    /// How many elements the map has, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
}

/// How much was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes {
    /// In all.
    pub all: u64,
    /// Of these through shared memory.
    pub shared: u64,
}

/// A task that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskEnded {
    /// Which task.
    pub task: TaskName,
    /// The engine that had it, if one did.
    pub engine: Option<EngineId>,
    /// How.
    pub fate: Fate,
    /// Why it did not succeed, for people; none: the error itself says it.
    pub why: Option<String>,
    /// When user code began, seconds since 1970 by the engine's clock; 0: it did not.
    pub started: f64,
    /// When it ended.
    pub completed: f64,
    /// Bytes of its answer.
    pub bytes: Bytes,
}

/// An engine that has registered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineJoined {
    /// Its id.
    pub engine: EngineId,
    /// Identifies its process.
    pub uuid: String,
    /// Where it runs.
    pub host: String,
    /// Its process there.
    pub pid: u32,
    /// The group of the profile's that it is of.
    pub group: Option<String>,
    /// The MPI program that it is a rank of, and which rank.
    pub rank: Option<(String, u32)>,
    /// What it offers to tasks.
    pub offers: Resources,
    /// Seconds until it is ended from outside, as a job is at its time limit.
    pub ends_in: Option<f64>,
}

/// What an engine's process uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Resident memory, bytes.
    pub resident_bytes: u64,
    /// Time of processors that it has had since it began, seconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cpu_seconds: f64,
    /// How many processors it kept busy lately.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cpus: f64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

/// How far whoever looks on has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Which start of the controller.
    pub start: u32,
    /// How many events there were before, since that start.
    pub number: u64,
}

/// Events that have happened, as they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AskEvents {
    /// Those behind this; none: a scene of the cluster first.
    #[serde(default)]
    pub after: Option<Cursor>,
    /// For whoever asks for a scene: as it was then, seconds since 1970, or as long ago as is kept. None: now.
    #[serde(default)]
    pub since: Option<f64>,
    /// Seconds to wait if nothing has happened.
    pub wait: f64,
}

/// The answer. Its payload are chunks of events; see [`crate::events`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsFound {
    /// What to ask for next.
    pub next: Cursor,
    /// The first chunk is a scene: what was said before is void.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anew: bool,
    /// So many events in between are not kept any more.
    #[serde(default)]
    pub missed: u64,
}
