//! On what terms a balanced task is done: what it waits for, what it needs, how long it may take. Most have none.

use super::fate::Fate;
use super::resources::Resources;
use ipclusterz_base::ids::{EngineId, RequestId};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// One target of a request, as any client can name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TaskRef {
    /// What its id begins with, if it is of another session than who names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The session's own number.
    pub request: RequestId,
    /// Which of the request's targets, counted from 0.
    pub position: u32,
}

/// A task that another one waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Which.
    pub task: TaskRef,
    /// As many requests, from that one on, are meant.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub count: u32,
    /// How it has ended, if the client knows that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

fn one() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_one(count: &u32) -> bool {
    *count == 1
}

impl Parent {
    /// One of the session of who names it, of which that does not know that it has ended.
    pub fn is_own_and_open(&self) -> bool {
        self.task.session.is_none() && self.ended.is_none()
    }

    /// Their requests, from the first to before the last.
    pub fn requests(&self) -> Range<RequestId> {
        let first = self.task.request;
        first..RequestId(first.0.saturating_add(self.count.into()))
    }

    /// Each of the tasks that are meant.
    pub fn tasks(&self) -> impl Iterator<Item = TaskRef> + '_ {
        let requests = (self.task.request.0..).zip(0..self.count).map(|(request, _)| RequestId(request));
        requests.map(|request| TaskRef { request, ..self.task.clone() })
    }
}

/// How a task has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// How.
    pub fate: Fate,
    /// Where it ran, if it did.
    pub engine: Option<EngineId>,
    /// The process that this engine was is gone, as the client knows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}

/// Which of several tasks have to end, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The tasks.
    pub on: Vec<Parent>,
    /// All of them; otherwise one is enough.
    pub all: bool,
    /// Those count that have succeeded.
    pub success: bool,
    /// Those count that have failed.
    pub failure: bool,
}

/// See [`super::Request::terms`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// Those of a higher one come first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// It begins when these have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Dependency>,
    /// It begins when these have ended, and where they ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<Dependency>,
    /// Seconds within which it has to begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// Seconds that it may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<f64>,
    /// Seconds to wait before it is started again after an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_delay: Option<f64>,
    /// How many engines it may take along before it is given to no other; none: as for all tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crash_limit: Option<u32>,
    /// What an engine has to offer.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub needs: Resources,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(priority: &i32) -> bool {
    *priority == 0
}

impl Terms {
    /// What it waits for.
    pub fn parents(&self) -> impl Iterator<Item = &Parent> {
        [&self.after, &self.follow].into_iter().flatten().flat_map(|dependency| &dependency.on)
    }

    /// The dependencies that it has.
    pub fn dependencies(&mut self) -> impl Iterator<Item = &mut Dependency> {
        [&mut self.after, &mut self.follow].into_iter().flatten()
    }
}
