//! Between the controller and an engine: a task, and its result.

use super::functions::FunctionName;
use super::operation::{Op, SegmentNote};
use super::world::Group;
use ipclusterz_base::ids::{PeerId, TaskId};
use serde::{Deserialize, Serialize};

/// See [`super::Message::Task`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
}
