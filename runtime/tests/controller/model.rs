//! What engines and clients know, and where a task may go.

use ipclusterz_base::ids::{EngineId, PeerId, RequestId, TaskId};
use ipclusterz_runtime::wire::message::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

#[derive(Debug, Default)]
pub struct ModelEngine {
    pub id: Option<EngineId>,
    pub inbox: VecDeque<TaskId>,
    pub recalls: VecDeque<Vec<TaskId>>,
    /// When it will be ended, and from when on it takes only what will be done by then.
    pub end: Option<(Duration, Duration)>,
    pub retiring: bool,
    /// Of each client, the last request that was made before it was to be retired.
    pub asked_before: BTreeMap<u32, RequestId>,
    pub told_to_end: bool,
    /// Of each client, the last of its requests for this engine that was done.
    pub last_done: BTreeMap<u32, RequestId>,
    /// Bytes written for each client, and not said to be taken.
    pub under_way: BTreeMap<PeerId, u64>,
    /// How many GPUs it offers.
    pub gpus: u64,
}

impl ModelEngine {
    /// Whether it may be given a balanced task now.
    pub fn takes(&self, duration: Option<f64>, now: Duration) -> bool {
        let in_time = |(end, drain): (Duration, Duration)| match duration {
            Some(duration) => now + Duration::from_secs_f64(duration) <= end,
            None => now < drain,
        };
        !self.retiring && self.end.is_none_or(in_time)
    }
}

#[derive(Debug, Default)]
pub struct ModelClient {
    pub next_request: u64,
    pub expected: BTreeSet<(RequestId, u32)>,
    pub answered: BTreeSet<(RequestId, u32)>,
    /// Targets that it wanted to give up, and those of them that it was told have begun.
    pub aborted: BTreeSet<(RequestId, u32)>,
    pub started: BTreeSet<(RequestId, u32)>,
    /// Targets that were given up on some engines, if they were there.
    pub elsewhere: BTreeSet<(RequestId, u32)>,
    /// How often it is to be told that another client gave up everything.
    pub told: u32,
    pub received: Ack,
    pub read: Vec<(Stream, String)>,
    /// What it was told of what it lost, and of engines that left.
    pub lost: Vec<String>,
    pub left: Vec<String>,
    /// And of engines that are to come.
    pub coming: Vec<EnginesExpected>,
    /// The engines that it is to end.
    pub hanging: Vec<EngineId>,
    pub knows_function: bool,
}

/// On what terms a balanced task is done.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    pub priority: i32,
    pub after: Option<Parents>,
    pub follow: Option<Parents>,
    pub timeout: Option<f64>,
    pub time_limit: Option<f64>,
    pub retry_delay: Option<f64>,
    pub gpus: u64,
}

/// Which requests a task waits for.
#[derive(Debug, Clone)]
pub struct Parents {
    /// How many requests ago they were made.
    pub back: Vec<u64>,
    /// By the client that came first, whoever asks.
    pub of_first: bool,
    pub all: bool,
    pub success: bool,
    pub failure: bool,
    /// Which they are, once that is known.
    pub on: Vec<(u32, RequestId)>,
}

impl Parents {
    /// Whether it counts that a parent has ended so.
    pub fn counts(&self, fate: Fate) -> bool {
        if fate == Fate::Ok { self.success } else { self.failure }
    }
}

/// Where a balanced task may go.
#[derive(Debug)]
pub struct Goes {
    pub only: Option<Vec<EngineId>>,
    pub duration: Option<f64>,
    /// Said that they cannot do it, by `control` route: another process may get an engine's id.
    pub tried: BTreeSet<u32>,
    pub asked: Asked,
    /// It is to be started once more, later.
    pub again: bool,
    /// When it was given to an engine.
    pub given: Duration,
}

impl Goes {
    /// Whether tasks of both stand in one line, or would if they had the same priority.
    pub fn is_like(&self, other: &Goes) -> bool {
        let only = |goes: &Goes| goes.only.as_ref().map(|only| only.iter().copied().collect::<BTreeSet<_>>());
        let needs = |goes: &Goes| (goes.asked.gpus, goes.asked.time_limit.is_some());
        let free = |goes: &Goes| goes.asked.follow.is_none() && !goes.again;
        only(self) == only(other)
            && self.duration == other.duration
            && self.tried == other.tried
            && needs(self) == needs(other)
            && free(self)
            && free(other)
    }

    pub fn may_go_to(&self, control: u32, engine: &ModelEngine) -> bool {
        let is_chosen = |id| self.only.as_ref().is_none_or(|only| only.contains(&id));
        engine.id.is_some_and(is_chosen) && !self.tried.contains(&control) && self.asked.gpus <= engine.gpus
    }
}
