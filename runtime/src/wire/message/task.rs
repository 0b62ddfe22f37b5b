//! Between the controller and an engine: a task, and its result.

use super::functions::FunctionName;
use super::operation::{Op, SegmentNote};
use super::resources::Resources;
use super::world::{Broken, Group, is_none};
use ipclusterz_base::ids::{EngineId, PeerId, TaskId};
use serde::{Deserialize, Serialize};

/// See [`super::Message::Task`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Counted by the controller.
    pub id: TaskId,
    /// What to do.
    pub op: Op,
    /// The function to call.
    pub function: Option<FunctionName>,
    /// Which payload frames name segments.
    pub segments: Vec<SegmentNote>,
    /// The engines that execute it together, if it is collective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// Who asked for it, as the controller numbers peers: output is counted for each client.
    pub client: PeerId,
    /// What it has of what the engine offers.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub needs: Resources,
}

/// How a task ended on an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskOutcome {
    /// The payload is the value.
    Ok,
    /// The payload is the error that user code raised.
    Error,
    /// The engine lacks what the task needs and has not started it; the payload is the error that says so. A balanced
    /// task then goes to another engine, until each has answered this.
    Unmet,
}

impl TaskOutcome {
    /// Every outcome.
    pub const ALL: [TaskOutcome; 3] = [TaskOutcome::Ok, TaskOutcome::Error, TaskOutcome::Unmet];

    /// Its name on the wire and in Python.
    pub fn name(self) -> &'static str {
        match self {
            TaskOutcome::Ok => "ok",
            TaskOutcome::Error => "error",
            TaskOutcome::Unmet => "unmet",
        }
    }

    /// The outcome called `name`.
    pub fn from_name(name: &str) -> Option<TaskOutcome> {
        TaskOutcome::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
}

/// Where a member of a group stands at the end of what the group does together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The group's communicator, by the name that all members use.
    pub comm: String,
    /// How many collectives this member has entered on it; none: it cannot use it any more.
    pub entered: Option<u64>,
    /// How it ended its part, of a group of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub departure: Option<Departure>,
}

/// A member of a group has ended its part: it enters nothing more that the others may wait in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departure {
    /// By which exception, for people; empty: by none.
    pub why: String,
    /// How many collectives it has entered on each communicator, as the MPI extension module tells it.
    pub entered: String,
}

impl Departure {
    /// It has left by an exception, and so ended the call for all.
    pub fn raised(&self) -> bool {
        !self.why.is_empty()
    }
}

/// See [`super::Message::Left`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The receiver's part of what they do together.
    pub task: TaskId,
    /// Who has ended its part.
    pub engine: EngineId,
    /// Its rank in MPI_COMM_WORLD.
    pub rank: u32,
    /// Why, and where it stands.
    pub departure: Departure,
}

/// See [`super::Message::Settled`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The receiver's part of what they did together.
    pub task: TaskId,
    /// The group's communicator, if the members are out of step in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<Broken>,
    /// How often its communicator was made anew: what they do next has that one.
    #[serde(default, skip_serializing_if = "is_none")]
    pub renewal: u64,
}

/// See [`super::Message::Result`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// Which task.
    pub id: TaskId,
    /// How it ended.
    pub outcome: TaskOutcome,
    /// When user code began, seconds since 1970 by the engine's clock.
    pub started: f64,
    /// When it ended.
    pub completed: f64,
    /// Which payload frames name segments.
    pub segments: Vec<SegmentNote>,
    /// Where the engine stands, if it was collective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// The error is one after which the task may be started again, as its request asks for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}
