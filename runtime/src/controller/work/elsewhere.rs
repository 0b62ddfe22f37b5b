//! Tasks of engines that are away for long. Those that may be done once more go to others, and the engine may do them all the same: so
//! there may be two that have one task. The first answer is the one, and who has not begun it then need not.

use super::Work;
use crate::controller::task::{Balanced, Place, TaskState};
use crate::wire::message::Recall;
use ipclusterz_base::ids::{EngineId, TaskId};
use std::time::Duration;

impl Work {
    /// An engine has been away for long: others do what it has, as far as requests allow that.
    pub fn go_elsewhere(&mut self, engine: EngineId, now: Duration) {
        for task in self.given_to(engine) {
            let here = |state: &&mut TaskState| state.place == Place::At(engine) && !state.abort;
            let Some(state) = self.tasks.get_mut(&task).filter(here) else { continue };
            let client = state.client;
            let Some(balanced) = state.balanced.as_mut().filter(|balanced| balanced.retries > 0) else { continue };
            if self.clients.contains_key(&client) {
                balanced.retries = balanced.retries.saturating_sub(1);
                balanced.elsewhere.push(engine);
                self.requeue(task);
            }
        }
        self.dispatch(now);
    }

    /// An engine has its connections again. It goes on with what no other one has yet, and gives back what it has not begun of the rest.
    pub fn came_back(&mut self, engine: EngineId, now: Duration) {
        self.loads.set_away(engine, false);
        let mut tasks = self.given_to(engine);
        tasks.retain(|task| self.is_elsewhere(*task, engine));
        let (waiting, tasks): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|task| self.is_queued(*task));
        waiting.into_iter().for_each(|task| self.goes_on(task, engine));
        if !tasks.is_empty() {
            self.recall(engine, Recall { tasks, ..Recall::default() });
        }
        self.dispatch(now);
    }

    fn given_to(&self, engine: EngineId) -> Vec<TaskId> {
        self.loads.get(engine).map(|load| load.outstanding.iter().copied().collect()).unwrap_or_default()
    }

    /// Whether a task went to others while this engine was away, which may still do it.
    pub(super) fn is_elsewhere(&self, task: TaskId, engine: EngineId) -> bool {
        let balanced = self.tasks.get(&task).and_then(|state| state.balanced.as_ref());
        balanced.is_some_and(|balanced| balanced.elsewhere.contains(&engine))
    }

    /// An engine will not do a task that went to others meanwhile. False: it is no such task.
    pub(super) fn is_given_up(&mut self, task: TaskId, engine: EngineId) -> bool {
        let is_such = self.is_elsewhere(task, engine);
        if let Some(balanced) = self.tasks.get_mut(&task).and_then(|state| state.balanced.as_mut()) {
            balanced.elsewhere.retain(|other| *other != engine);
        }
        is_such
    }

    /// The engine that was away does a task that has waited for others in vain.
    fn goes_on(&mut self, task: TaskId, engine: EngineId) {
        self.withdraw(task);
        self.is_given_up(task, engine);
        let Some(state) = self.tasks.get_mut(&task) else { return };
        state.place = Place::At(engine);
        if let Some(balanced) = &mut state.balanced {
            balanced.retries = balanced.retries.saturating_add(1);
        }
        self.observe_given(task, engine);
    }

    /// A task waits no longer in the queue of its client.
    pub(super) fn withdraw(&mut self, task: TaskId) {
        let Some(TaskState { client, place: Place::Queued, balanced: Some(balanced), .. }) = self.tasks.get(&task)
        else {
            return;
        };
        if let Some(client) = self.clients.get_mut(client) {
            client.queue.remove(task, &balanced.choice, balanced.priority());
        }
        self.unqueued(task);
    }

    /// Nobody else does a task: one of the engines that were away while they had it may. True: it is waited for. `here`: only
    /// if it has its connections again.
    pub(super) fn falls_back(&mut self, task: TaskId, here: bool) -> bool {
        let Some(TaskState { balanced: Some(balanced), .. }) = self.tasks.get(&task) else { return false };
        let may =
            |engine: &EngineId| if here { self.loads.is_here(*engine) } else { self.loads.get(*engine).is_some() };
        let Some(engine) = balanced.elsewhere.iter().copied().find(may) else { return false };
        self.is_given_up(task, engine);
        if let Some(state) = self.tasks.get_mut(&task) {
            state.place = Place::At(engine);
            if state.abort {
                self.recall(engine, Recall { tasks: vec![task], ..Recall::default() });
            }
        }
        self.observe_given(task, engine);
        true
    }

    /// A task has its answer, or nobody waits for one: who else has it need not begin it.
    pub(super) fn take_back_all(&mut self, task: TaskId, state: &TaskState) {
        let Some(Balanced { elsewhere, .. }) = &state.balanced else { return };
        let at = if let Place::At(engine) = state.place { Some(engine) } else { None };
        for engine in elsewhere.iter().copied().chain(at) {
            if self.loads.has(engine, task) {
                self.recall(engine, Recall { tasks: vec![task], ..Recall::default() });
            }
        }
    }
}
