//! Tasks that have not ended, for people.

use super::Work;
use crate::controller::task::{Place, Span, TaskState};
use crate::wire::message::Op;
use ipclusterz_base::ids::{EngineId, PeerId, RequestId, TaskId};
use std::time::Duration;

/// A task without an answer.
#[derive(Debug)]
pub struct OpenTask<'a> {
    /// The controller's number.
    pub task: TaskId,
    /// Its request.
    pub request: RequestId,
    /// Which of the request's targets.
    pub position: u32,
    /// What is to be done.
    pub op: Op,
    /// The name of its function.
    pub name: Option<&'a str>,
    /// `queued`, `waiting`, `held` or `running`.
    pub state: &'static str,
    /// The engine that has it, or will.
    pub engine: Option<EngineId>,
    /// When it was submitted.
    pub submitted: Duration,
}

impl Work {
    /// How many tasks of a client have not ended.
    pub fn open_of(&self, client: PeerId) -> u64 {
        self.clients.get(&client).map_or(0, |state| state.open_replies.0)
    }

    /// How many of them some engine may still do: they wait, or may be done once more.
    pub fn to_be_done_of(&self, client: PeerId) -> u64 {
        let requests = self.clients.get(&client).into_iter().flat_map(|state| state.requests.values());
        let states = requests.flat_map(Span::tasks).filter_map(|task| self.tasks.get(&task));
        let may_be_done = |state: &&TaskState| {
            matches!(state.place, Place::Queued | Place::Waiting | Place::Delayed)
                || state.balanced.as_ref().is_some_and(|balanced| balanced.retries > 0)
        };
        states.filter(may_be_done).count() as u64
    }

    /// The tasks of a client that have not ended, in the order in which they were submitted.
    pub fn open_tasks_of(&self, client: PeerId) -> impl Iterator<Item = OpenTask<'_>> {
        let requests = self.clients.get(&client).into_iter().flat_map(|state| state.requests.values());
        requests.flat_map(Span::tasks).filter_map(|task| {
            let state = self.tasks.get(&task)?;
            let (word, engine) = match state.place {
                Place::Queued => ("queued", None),
                Place::Waiting | Place::Delayed => ("waiting", None),
                Place::Held(engine) => ("held", Some(engine)),
                Place::At(engine) => ("running", Some(engine)),
            };
            Some(OpenTask {
                task,
                request: state.request,
                position: state.position,
                op: state.job.op,
                name: state.job.name.as_deref(),
                state: word,
                engine,
                submitted: state.job.submitted,
            })
        })
    }
}
