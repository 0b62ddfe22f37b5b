//! What the model knows: what was submitted, and what became known of it outside the controller.

use crate::runs::Run;
use ipclusterz_base::ids::{EngineId, RequestId, TaskId};
use std::collections::{BTreeMap, BTreeSet};

/// Which request: of which client, by its place among the peers, and the client's own number.
pub type Key = (u32, RequestId);
/// One target of a request, counted from 0.
pub type Target = (Key, u32);

#[derive(Debug)]
pub struct Asked {
    /// The engine asked for by each target; none: whichever is free.
    pub targets: Vec<Option<EngineId>>,
    pub retries: u32,
}

/// A task was given to an engine: that is recorded up to this position of the journal.
#[derive(Debug)]
pub struct Given {
    pub task: TaskId,
    pub target: Target,
    pub engine: usize,
    pub recorded: u64,
}

#[derive(Default)]
pub struct Truth {
    pub asked: BTreeMap<Key, Asked>,
    pub aborted: BTreeSet<Key>,
    /// What the number of a task means.
    pub tasks: BTreeMap<TaskId, Target>,
    pub given: Vec<Given>,
    pub runs: BTreeMap<Target, Vec<Run>>,
    /// Tasks that an engine was given, of which the journal has lost the record.
    pub forgotten: BTreeMap<(TaskId, usize), Target>,
    pub power_cuts: u32,
    /// Tasks that ran twice because the journal has lost its end.
    pub twofold: u64,
    pub answered: BTreeSet<Target>,
    /// What each has written.
    pub texts: BTreeMap<Target, String>,
}

/// The payload of a request, and the first part of that of an answer.
pub fn payload_of((client, request): Key) -> Vec<u8> {
    [&client.to_be_bytes()[..], &request.0.to_be_bytes()[..]].concat()
}

pub fn key_in(payload: &[u8]) -> Key {
    let (client, request) = payload.split_at(4);
    let client = u32::from_be_bytes(client.try_into().expect("four bytes"));
    (client, RequestId(u64::from_be_bytes(request[..8].try_into().expect("eight bytes"))))
}

/// What a target's answer has to be.
pub fn value_of((key, position): Target) -> Vec<u8> {
    [&payload_of(key)[..], &position.to_be_bytes()[..]].concat()
}

impl Truth {
    /// The target of `key` that this engine executes.
    pub fn target(&self, key: Key, engine: EngineId) -> Target {
        let targets = &self.asked[&key].targets;
        let position = targets.iter().position(|target| target.is_none_or(|id| id == engine));
        (key, position.unwrap_or_else(|| panic!("{key:?} is not for engine {engine}")) as u32)
    }

    /// The controller gives a task to an engine. `again`: the message was sent before, unless it had no connection then.
    pub fn is_given(&mut self, task: TaskId, target: Target, engine: usize, recorded: u64, again: bool) {
        let before = self.tasks.insert(task, target);
        assert!(before.is_none_or(|before| before == target), "number {task} means {before:?} and {target:?}");
        if !again || !self.given.iter().any(|given| (given.task, given.engine) == (task, engine)) {
            self.given.push(Given { task, target, engine, recorded });
        }
    }

    /// The journal ends here, for its host has lost power.
    pub fn forget_behind(&mut self, position: u64) {
        self.power_cuts += 1;
        for given in self.given.extract_if(.., |given| given.recorded > position) {
            self.forgotten.insert((given.task, given.engine), given.target);
            for run in self.runs.entry(given.target).or_default() {
                run.forgotten |= (run.task, run.engine) == (given.task, given.engine);
            }
        }
    }
}
