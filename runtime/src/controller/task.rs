//! What the work is about: jobs, tasks, and what a client has under way. Data alone; what happens to it is `work.rs`.

use crate::ids::{EngineId, PeerId, RequestId, TaskId};
use crate::wire::Frame;
use crate::wire::message::{Ack, FunctionName, Op, Outcome, Reply, SegmentNote};
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
}

impl Job {
    /// Names of the segments in its payload.
    pub fn segment_names(&self) -> impl Iterator<Item = &Frame> {
        self.segments.iter().filter_map(|note| self.payload.get(note.frame as usize))
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
    /// For a balanced task, how often it may still be started again.
    pub retries: Option<u32>,
    pub place: Place,
    pub abort: bool,
}

/// Tasks of one request: consecutive numbers, so that the first and how many say it all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub first: TaskId,
    pub count: u32,
    pub open: u32,
}

#[derive(Debug, Default)]
pub(super) struct ClientState {
    pub requests: HashMap<RequestId, Span>,
    pub functions: HashMap<FunctionName, Frame>,
    pub queue: VecDeque<TaskId>,
    pub sent: Ack,
    pub acked: Ack,
    /// Segments in replies, with the number of the reply.
    pub reply_segments: VecDeque<(u64, Frame)>,
    pub output_dropped: bool,
}

impl ClientState {
    /// Bytes sent and not acknowledged.
    pub fn waiting_bytes(&self) -> u64 {
        self.sent.bytes.saturating_sub(self.acked.bytes)
    }
}

/// A reply without payload, before the client's own numbers are put in.
pub(super) fn empty_reply(engine: Option<EngineId>, outcome: Outcome) -> Reply {
    Reply { request: RequestId(0), position: 0, engine, outcome, started: 0.0, completed: 0.0, segments: Vec::new() }
}
