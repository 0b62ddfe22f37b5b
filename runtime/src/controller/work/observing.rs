//! What is noted of tasks for those who look on.

use super::Work;
use crate::controller::task::TaskState;
use crate::wire::Frame;
use crate::wire::message::{Bytes, Happened, Placement, Reply, Request, SegmentNote, Submission, TaskEnded, TaskName};
use crate::wire::weight::bytes_of;
use ipclusterz_base::ids::{EngineId, PeerId, RequestId, TaskId};
use std::collections::{BTreeMap, BTreeSet};

impl Work {
    /// An engine has a task now.
    pub(super) fn observe_given(&mut self, task: TaskId, engine: EngineId) {
        if !self.observed.is_on() {
            return;
        }
        let Some(state) = self.tasks.get(&task).filter(|state| state.has_client()) else { return };
        self.observed.note(|| Happened::Given { task: name(state), engine });
    }

    /// A task has no engine any more, and waits for one.
    pub(super) fn observe_returned(&mut self, task: TaskId) {
        let Some(state) = self.tasks.get(&task) else { return };
        self.observed.note(|| Happened::Returned { task: name(state) });
    }

    /// All that there is.
    pub fn observe_all(&mut self) {
        let mut open: BTreeMap<(PeerId, RequestId), Vec<&TaskState>> = BTreeMap::new();
        for state in self.tasks.values().filter(|state| state.has_client()) {
            open.entry((state.client, state.request)).or_default().push(state);
        }
        for ((client, request), tasks) in open {
            let span = self.clients.get(&client).and_then(|state| state.requests.get(&request));
            // Of a client that is gone nobody remembers how many there were.
            let last = tasks.iter().map(|state| state.position.saturating_add(1)).max();
            let count = span.map(|span| span.count).or(last).unwrap_or_default();
            let open: BTreeSet<u32> = tasks.iter().map(|state| state.position).collect();
            let Some(job) = tasks.first().map(|state| &state.job) else { continue };
            let of_job = Submission {
                client,
                request,
                count,
                ended: (0..count).filter(|position| !open.contains(position)).collect(),
                op: job.op,
                name: job.name.clone(),
                bytes: bytes(job.bytes, &job.segments),
                part: job.map,
            };
            self.observed.note(|| Happened::Submitted(Box::new(of_job)));
        }
        for engine in self.loads.engines() {
            let outstanding = self.loads.get(engine).into_iter().flat_map(|load| &load.outstanding);
            for state in outstanding.filter_map(|task| self.tasks.get(task)).filter(|state| state.has_client()) {
                self.observed.note(|| Happened::Given { task: name(state), engine });
            }
        }
    }

    /// A task has its answer.
    pub(super) fn observe_ended(&mut self, client: PeerId, reply: &Reply, payload: &[Frame]) {
        if client == TaskState::NOBODY {
            return;
        }
        self.observed.note(|| {
            Happened::Ended(Box::new(TaskEnded {
                task: TaskName { client, request: reply.request, position: reply.position },
                engine: reply.engine,
                fate: reply.outcome.fate(),
                why: reply.outcome.why().map(str::to_owned),
                started: reply.started,
                completed: reply.completed,
                bytes: bytes(bytes_of(payload, &reply.segments), &reply.segments),
            }))
        });
    }
}

/// That a request was submitted, with so many bytes for each of its tasks.
pub(super) fn submission(client: PeerId, request: &Request, all: u64) -> Happened {
    let count = match &request.placement {
        Placement::Engines(engines) => u32::try_from(engines.len()).unwrap_or(u32::MAX),
        Placement::Balanced { .. } => 1,
    };
    Happened::Submitted(Box::new(Submission {
        client,
        request: request.id,
        count,
        ended: Vec::new(),
        op: request.op,
        name: request.name.clone(),
        bytes: bytes(all, &request.segments),
        part: request.map,
    }))
}

fn name(state: &TaskState) -> TaskName {
    TaskName { client: state.client, request: state.request, position: state.position }
}

fn bytes(all: u64, segments: &[SegmentNote]) -> Bytes {
    Bytes { all, shared: segments.iter().map(|note| note.length).fold(0, u64::saturating_add) }
}
