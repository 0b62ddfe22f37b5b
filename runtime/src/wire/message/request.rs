//! Between a client and the controller: a request, and the one reply to each of its targets.

use super::fate::Fate;
use super::functions::FunctionName;
use super::happened::PartOfMap;
use super::operation::{Op, SegmentNote};
use super::terms::Terms;
use ipclusterz_base::ids::{EngineId, RequestId};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// Where a request is executed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// Once on each of these engines; one answer from each, in positions 0, 1, ….
    Engines(Vec<EngineId>),
    /// On one engine, the least loaded.
    Balanced {
        /// How often it may be restarted on another engine when its engine dies.
        retries: u32,
        /// One of these; none: of all there are.
        engines: Option<Vec<EngineId>>,
        /// Seconds that it will take, if known: an engine whose time is nearly over may then get it, if it ends in
        /// time.
        duration: Option<f64>,
    },
}

/// See [`super::Message::Request`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Counted by the client.
    pub id: RequestId,
    /// Where it is executed.
    pub placement: Placement,
    /// What to do.
    pub op: Op,
    /// The function to call.
    pub function: Option<FunctionName>,
    /// The first payload frame is the function's code.
    pub carries_function: bool,
    /// Which payload frames name segments.
    pub segments: Vec<SegmentNote>,
    /// The engines execute it together, as a group of one MPI program: all of them or none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub collective: bool,
    /// Seconds that the group's communicator may take to be made, when it is collective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// The name of its function, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the client needs to know to make something of the answers, should it be another process by then. With the first
    /// request of a submission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<ByteBuf>,
    /// Its place among the requests of one submission.
    #[serde(default, skip_serializing_if = "is_first")]
    pub part: u64,
    /// All other engines do it too, and engines that come later do it first, until a request comes that is kept under the
    /// same name. Only the engines of the placement answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
    /// What else a balanced one asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Box<Terms>>,
    /// The part of a map that it is, for whoever looks on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<PartOfMap>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_first(part: &u64) -> bool {
    *part == 0
}

/// How a request ended on one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The payload is the value.
    Ok,
    /// The payload is the error that user code raised, or one that says what every engine lacks.
    Error,
    /// The client aborted it before it started.
    Aborted,
    /// The engine died, or there was none.
    Lost(String),
    /// The controller refused it.
    Rejected(String),
    /// It was collective, and a rank of its group was lost.
    RankLost(String),
    /// What it was to wait for has ended in another way.
    Impossible(String),
    /// It was not begun in time, or has run for too long. The payload may be the error with which it was ended.
    TimedOut(String),
}

impl Outcome {
    /// Why, for people; none: the payload says it, or nothing does.
    pub fn why(&self) -> Option<&str> {
        match self {
            Outcome::Lost(why)
            | Outcome::Rejected(why)
            | Outcome::RankLost(why)
            | Outcome::Impossible(why)
            | Outcome::TimedOut(why) => Some(why),
            Outcome::Ok | Outcome::Error | Outcome::Aborted => None,
        }
    }

    /// The same, to be changed.
    pub fn why_mut(&mut self) -> Option<&mut String> {
        match self {
            Outcome::Lost(why)
            | Outcome::Rejected(why)
            | Outcome::RankLost(why)
            | Outcome::Impossible(why)
            | Outcome::TimedOut(why) => Some(why),
            Outcome::Ok | Outcome::Error | Outcome::Aborted => None,
        }
    }

    /// Which kind it is.
    pub fn fate(&self) -> Fate {
        match self {
            Outcome::Ok => Fate::Ok,
            Outcome::Error => Fate::Error,
            Outcome::Aborted => Fate::Aborted,
            Outcome::Lost(_) => Fate::Lost,
            Outcome::Rejected(_) => Fate::Rejected,
            Outcome::RankLost(_) => Fate::RankLost,
            Outcome::Impossible(_) => Fate::Impossible,
            Outcome::TimedOut(_) => Fate::TimedOut,
        }
    }

    /// Its name in Python.
    pub fn name(&self) -> &'static str {
        self.fate().name()
    }
}

/// See [`super::Message::Reply`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The client's own number.
    pub request: RequestId,
    /// Which of the request's targets, counted from 0.
    pub position: u32,
    /// The engine that executed it, if one did.
    pub engine: Option<EngineId>,
    /// How it ended.
    pub outcome: Outcome,
    /// As in [`super::TaskResult`]; 0 when it was not started.
    pub started: f64,
    /// As in [`super::TaskResult`]; 0 when it was not started.
    pub completed: f64,
    /// Which payload frames name segments.
    pub segments: Vec<SegmentNote>,
}
