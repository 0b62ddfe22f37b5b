//! What the work is about: jobs, tasks, and what a client has under way. Data alone; what happens to it is `work.rs`.

use super::failures::Failures;
use super::queue::{Choice, Queue};
use super::unread::Unread;
use super::waits::{Past, Waits};
use crate::wire::Frame;
use crate::wire::message::{Dependency, FunctionName, Group, Op, Outcome, PartOfMap, Reply, SegmentNote};
use crate::wire::sharing;
use crate::wire::weight::bytes_of;
use ipclusterz_base::ids::{EngineId, PeerId, RequestId, TaskId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::Saturating;
use std::rc::Rc;
use std::time::Duration;

/// What all tasks of one request share.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub op: Op,
    pub function: Option<(FunctionName, Frame)>,
    pub segments: Vec<SegmentNote>,
    pub payload: Vec<Frame>,
    pub bytes: u64,
    /// Who does it together, when it is collective.
    pub group: Option<Group>,
    /// The engines that they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<EngineId>,
    /// The name of its function, for people.
    pub name: Option<String>,
    /// When it was submitted.
    pub submitted: Duration,
    /// The part of a map that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<PartOfMap>,
}

impl Job {
    /// Bytes of the function's code.
    pub fn code_bytes(&self) -> u64 {
        self.function.as_ref().map_or(0, |(_, code)| code.len() as u64)
    }

    /// Names of the segments in its payload.
    pub fn segment_names(&self) -> impl Iterator<Item = &Frame> {
        segment_names(&self.segments, &self.payload)
    }
}

/// What engines that come later are to do first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    pub name: String,
    #[serde(with = "sharing::rc")]
    pub job: Rc<Job>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Place {
    /// For any engine of its choice, in the queue of its client.
    Queued,
    /// Nowhere, until other tasks have ended.
    Waiting,
    /// Nowhere, until it is time to start it again.
    Delayed,
    /// For this engine, when its client reads again.
    Held(EngineId),
    /// It has this task.
    At(EngineId),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TaskState {
    pub client: PeerId,
    pub request: RequestId,
    pub position: u32,
    #[serde(with = "sharing::rc")]
    pub job: Rc<Job>,
    pub balanced: Option<Balanced>,
    pub place: Place,
    pub abort: bool,
    /// If it is given up, its client does it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub claim: bool,
    /// How often an engine was sent the code of its function.
    pub sent_code: u8,
}

impl TaskState {
    /// The client of what nobody waits for: no peer has this number.
    pub const NOBODY: PeerId = PeerId(0);

    /// Whether anybody waits for it.
    pub fn has_client(&self) -> bool {
        self.client != Self::NOBODY
    }
}

/// What only a balanced task has.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Balanced {
    /// How often it may still be started again.
    pub retries: u32,
    #[serde(with = "sharing::rc")]
    pub choice: Rc<Choice>,
    /// Engines that had it when they were away for long, and may still do it, though it goes to another one: the first answer counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<EngineId>,
    /// The engines that died while they had it as the first of their tasks.
    #[serde(default)]
    pub crashes: Vec<String>,
    /// The answer of the last engine that lacks what it needs: the task's own if no other engine can do it.
    pub unmet: Option<Box<(Reply, Vec<Frame>)>>,
    /// Its terms, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Box<Conditions>>,
}

impl Balanced {
    /// How many engines it may take along; `usual`: if nothing was said of that.
    pub fn crash_limit(&self, usual: usize) -> usize {
        let own = self.conditions.as_ref().and_then(|conditions| conditions.crash_limit);
        own.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usual)
    }

    /// Those of a higher one come first.
    pub fn priority(&self) -> i32 {
        self.conditions.as_ref().map_or(0, |conditions| conditions.priority)
    }
}

/// What only a task with terms has.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Conditions {
    /// Those of a higher one come first.
    pub priority: i32,
    /// Where it waits for the tasks that have to end before it begins.
    pub after: Option<u64>,
    /// The same of those that have to end, and where they ran it begins.
    pub follow: Option<u64>,
    /// For how long it may wait, and until when.
    pub timeout: Option<Duration>,
    pub begin_by: Option<Duration>,
    /// Its engine was asked for it, because it is too late to begin.
    pub late: bool,
    /// For how long it may run, and until when; later, when its engine is ended.
    pub time_limit: Option<Duration>,
    pub end_by: Option<Duration>,
    /// What was done about that it has reached its limit.
    #[serde(default)]
    pub overrun: Overrun,
    /// How long after an error it is started again, and when.
    pub retry_delay: Duration,
    pub resumes: Option<Duration>,
    /// How many engines it may take along, if that was stated.
    pub crash_limit: Option<u32>,
}

/// What was done about a task that has reached its time limit, the mildest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Overrun {
    /// Nothing yet.
    #[default]
    Not,
    /// Its engine was away, and could not be told.
    Unheard,
    /// It was interrupted.
    Interrupted,
    /// Its engine was told to end.
    Killed,
    /// Its launcher was told to end it.
    Reported,
}

/// An engine was told to end for a task that somebody aborts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Forced {
    /// When something is to be done about it.
    pub at: Duration,
    pub engine: EngineId,
    pub task: TaskId,
    /// Its launcher was told.
    pub reported: bool,
}

/// A task has ended for which others wait.
#[derive(Debug)]
pub(super) struct News {
    pub gates: Vec<u64>,
    pub parent: TaskId,
    pub name: String,
    pub ended: Past,
}

/// Where tasks wait that wait for the same others.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Gate {
    pub client: PeerId,
    pub dependency: Dependency,
    pub waits: Waits,
    pub children: BTreeSet<TaskId>,
}

/// Names of the segments among the frames of a payload.
pub(super) fn segment_names<'a>(segments: &'a [SegmentNote], payload: &'a [Frame]) -> impl Iterator<Item = &'a Frame> {
    segments.iter().filter_map(|note| payload.get(note.frame as usize))
}

/// Bytes of a payload.
pub(super) fn size(payload: &[Frame]) -> u64 {
    bytes_of(payload, &[])
}

/// Tasks of one request: consecutive numbers, so that the first and how many say it all.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Span {
    pub first: TaskId,
    pub count: u32,
    pub open: Saturating<u32>,
    /// Bytes of the request, in frames and segments.
    pub bytes: u64,
}

impl Span {
    /// The number of the task at this position, if there is one.
    pub fn task(&self, position: u32) -> Option<TaskId> {
        (position < self.count).then(|| TaskId(self.first.0.saturating_add(position.into())))
    }

    /// Their numbers; some may have their answers.
    pub fn tasks(&self) -> impl Iterator<Item = TaskId> + use<> {
        (self.first.0..).zip(0..self.count).map(|(task, _)| TaskId(task))
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ClientState {
    /// What the ids of its tasks begin with.
    #[serde(default)]
    pub id: String,
    pub last_request: RequestId,
    /// Those of its tasks that have failed.
    #[serde(default)]
    pub failures: Failures,
    /// Its process has ended. Nobody reads what it is sent, until somebody else comes for its session.
    pub gone: bool,
    /// Its session has a name: what happens in it is remembered.
    pub named: bool,
    pub requests: BTreeMap<RequestId, Span>,
    pub functions: BTreeMap<FunctionName, Frame>,
    pub function_bytes: Saturating<u64>,
    pub queue: Queue,
    /// Answers that it has not been sent, and bytes of the requests that lack some.
    pub open_replies: Saturating<u64>,
    pub open_bytes: Saturating<u64>,
    /// Answers that it was sent.
    pub replies: Saturating<u64>,
    pub unread: Unread,
    /// More than a window is unread.
    pub full: bool,
    /// Tasks for chosen engines that wait until it reads, and those that engines were asked to give back for that.
    pub held: BTreeSet<TaskId>,
    pub asked: BTreeSet<TaskId>,
    /// What it does itself, for which others may wait.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claimed: BTreeMap<(RequestId, u32), TaskId>,
    /// Segments in replies, with the number of the reply.
    pub reply_segments: VecDeque<(u64, Frame)>,
    /// Output that is not acknowledged.
    pub outputs: VecDeque<Written>,
    /// Bytes of these.
    pub output_bytes: Saturating<u64>,
    pub output_dropped: bool,
    /// Its results keep hardly any more output.
    pub keeps_little: bool,
}

impl ClientState {
    /// Whoever has sent the code of functions names them no more. Bytes of that.
    pub fn forget_all_functions(&mut self) -> u64 {
        self.functions.clear();
        std::mem::take(&mut self.function_bytes).0
    }
}

/// A piece of output on its way to a client.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Written {
    /// Its number among the messages on `data`.
    pub number: u64,
    pub bytes: u64,
    pub engine: EngineId,
    /// The engine's process: another one may have the same id later.
    pub writer: PeerId,
}

impl ClientState {
    /// A piece of output is on its way to it.
    pub fn written(&mut self, written: Written) {
        self.output_bytes += written.bytes;
        self.outputs.push_back(written);
    }

    /// A task of a request has its answer. Whether others have waited for that.
    pub fn close(&mut self, task: TaskId, request: RequestId) -> bool {
        let waited = self.held.remove(&task) | self.asked.remove(&task);
        let Some(span) = self.requests.get_mut(&request) else { return waited };
        span.open -= 1;
        self.open_replies -= 1;
        if span.open.0 == 0 {
            self.open_bytes -= span.bytes;
            self.requests.remove(&request);
        }
        waited
    }
}

/// A reply without payload, as all replies before the client's own numbers are put in.
pub(super) fn empty_reply(engine: Option<EngineId>, outcome: Outcome) -> Reply {
    Reply { request: RequestId(0), position: 0, engine, outcome, started: 0.0, completed: 0.0, segments: Vec::new() }
}
