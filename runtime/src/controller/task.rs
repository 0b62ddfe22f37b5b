//! What the work is about: jobs, tasks, and what a client has under way. Data alone; what happens to it is `work.rs`.

use super::queue::{Choice, Queue};
use crate::wire::Frame;
use crate::wire::message::{Ack, FunctionName, Group, Op, Outcome, Reply, SegmentNote};
use ipclusterz_base::ids::{EngineId, PeerId, RequestId, TaskId};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// What all tasks of one request share.
#[derive(Debug)]
pub(super) struct Job {
    pub op: Op,
    pub function: Option<(FunctionName, Frame)>,
    pub segments: Vec<SegmentNote>,
    pub payload: Vec<Frame>,
    pub bytes: u64,
    /// Who does it together, when it is collective.
    pub group: Option<Group>,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Queued,
    At(EngineId),
}

#[derive(Debug)]
pub(super) struct TaskState {
    pub client: PeerId,
    pub request: RequestId,
    pub position: u32,
    pub job: Rc<Job>,
    pub balanced: Option<Balanced>,
    pub place: Place,
    pub abort: bool,
}

/// What only a balanced task has.
#[derive(Debug)]
pub(super) struct Balanced {
    /// How often it may still be started again.
    pub retries: u32,
    pub choice: Rc<Choice>,
    /// The answer of the last engine that lacks what it needs: the task's own if no other engine can do it.
    pub unmet: Option<Box<(Reply, Vec<Frame>)>>,
}

/// Names of the segments among the frames of a payload.
pub(super) fn segment_names<'a>(segments: &'a [SegmentNote], payload: &'a [Frame]) -> impl Iterator<Item = &'a Frame> {
    segments.iter().filter_map(|note| payload.get(note.frame as usize))
}

/// Bytes of a payload.
pub(super) fn size(payload: &[Frame]) -> u64 {
    payload.iter().map(|frame| frame.len() as u64).sum()
}

/// Tasks of one request: consecutive numbers, so that the first and how many say it all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub first: TaskId,
    pub count: u32,
    pub open: u32,
}

impl Span {
    /// Their numbers; some may have their answers.
    pub fn tasks(&self) -> impl Iterator<Item = TaskId> + use<> {
        (self.first.0..self.first.0 + u64::from(self.count)).map(TaskId)
    }
}

#[derive(Debug, Default)]
pub(super) struct ClientState {
    pub requests: HashMap<RequestId, Span>,
    pub functions: HashMap<FunctionName, Frame>,
    pub queue: Queue,
    pub sent: Ack,
    pub acked: Ack,
    /// Segments in replies, with the number of the reply.
    pub reply_segments: VecDeque<(u64, Frame)>,
    /// Output that is not acknowledged.
    pub outputs: VecDeque<Written>,
    /// Bytes of these.
    pub output_bytes: u64,
    pub output_dropped: bool,
    /// It keeps hardly any more output.
    pub full: bool,
}

/// A piece of output on its way to a client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    /// Bytes of output that the client has been sent up to its end.
    pub end: u64,
    pub bytes: u64,
    pub engine: EngineId,
    /// The engine's process: another one may have the same id later.
    pub writer: PeerId,
}

impl ClientState {
    /// Bytes sent and not acknowledged.
    pub fn waiting_bytes(&self) -> u64 {
        self.sent.bytes.saturating_sub(self.acked.bytes)
    }
}

/// A reply without payload, as all replies before the client's own numbers are put in.
pub(super) fn empty_reply(engine: Option<EngineId>, outcome: Outcome) -> Reply {
    Reply { request: RequestId(0), position: 0, engine, outcome, started: 0.0, completed: 0.0, segments: Vec::new() }
}
