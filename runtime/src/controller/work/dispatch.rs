//! Which task goes to which engine, and when: tasks are queued, taken in turn from each client, and given out.

use super::{Effect, Work};
use crate::controller::queue::Reserved;
use crate::controller::task::{Balanced, Place, TaskState};
use crate::wire::Channel;
use crate::wire::message::{Message, Task};
use ipclusterz_base::ids::{EngineId, TaskId};
use std::time::Duration;

impl Work {
    pub(super) fn is_queued(&self, task: TaskId) -> bool {
        self.tasks.get(&task).is_some_and(|state| state.place == Place::Queued)
    }

    /// Has a balanced task wait for an engine, unless it is one that could only wait in vain.
    pub(super) fn enqueue(&mut self, task: TaskId) {
        let Some(TaskState { client: id, balanced: Some(balanced), .. }) = self.tasks.get(&task) else { return };
        if !self.closing && balanced.choice.is_hopeless(&self.loads) {
            return self.nowhere_to_go(task);
        }
        let Some(client) = self.clients.get_mut(id) else { return };
        let priority = balanced.priority();
        client.queue.push(task, &balanced.choice, priority);
        self.queued += 1;
        *self.levels.entry(priority).or_default() += 1;
        // A client is in `turns` as long as its queue is not empty and it takes its replies.
        if !self.turns.contains(id) {
            self.turns.push_back(*id);
        }
    }

    /// A task that was at an engine waits again, in its former place.
    pub(super) fn requeue(&mut self, task: TaskId) {
        if self.falls_back(task, true) {
            return;
        }
        if let Some(state) = self.tasks.get_mut(&task) {
            state.place = Place::Queued;
            self.observe_returned(task);
            self.enqueue(task);
        }
    }

    /// A task does not wait any more, whatever becomes of it. Where none does, none has been waiting in vain.
    pub(super) fn unqueued(&mut self, task: TaskId) {
        let balanced = self.tasks.get(&task).and_then(|state| state.balanced.as_ref());
        let priority = balanced.map_or(0, Balanced::priority);
        if let Some(count) = self.levels.get_mut(&priority) {
            *count -= 1;
            if count.0 == 0 {
                self.levels.remove(&priority);
            }
        }
        self.queued -= 1;
        if self.queued.0 == 0 {
            self.no_engine_since = None;
        }
    }

    /// Gives queued tasks to open engines: those of the highest priority first, and of one priority one client after the other.
    pub(super) fn dispatch(&mut self, now: Duration) {
        self.settle_children();
        if !self.holding.is_empty() {
            self.release(now);
        }
        if self.loads.is_empty() && self.queued.0 > 0 {
            if !self.closing {
                self.no_engine_since.get_or_insert(now);
            }
            return;
        }
        let mut reserved = Reserved::new();
        let mut priority = self.highest_below(None);
        while let Some(level) = priority.filter(|_| self.loads.any_open()) {
            self.dispatch_level(level, &mut reserved, now);
            priority = self.highest_below(Some(level));
        }
    }

    /// The highest priority of tasks that wait, of those below `limit`.
    fn highest_below(&self, limit: Option<i32>) -> Option<i32> {
        match limit {
            Some(limit) => self.levels.range(..limit).next_back(),
            None => self.levels.last_key_value(),
        }
        .map(|(priority, _)| *priority)
    }

    /// Gives out tasks of one priority. A client that was given something stands behind the others then; one all of whose tasks wait
    /// for engines that are busy keeps its turn.
    fn dispatch_level(&mut self, priority: i32, reserved: &mut Reserved, now: Duration) {
        let mut at = 0_usize;
        while self.loads.any_open()
            && let Some(client) = self.turns.get(at).copied()
        {
            let Some(state) = self.clients.get_mut(&client).filter(|state| !state.full) else {
                self.turns.remove(at); // `ack` brings it back.
                continue;
            };
            let tasks = &self.tasks;
            let queued = |task| tasks.get(&task).is_some_and(|state| state.place == Place::Queued);
            let next = state.queue.take(priority, &self.loads, reserved, now, queued);
            let is_empty = state.queue.is_empty();
            if is_empty || next.is_some() {
                self.turns.remove(at);
            } else {
                at = at.saturating_add(1);
            }
            if let Some((task, engine)) = next {
                self.turns.extend((!is_empty).then_some(client));
                self.unqueued(task);
                self.give(task, engine, now);
            }
        }
    }

    pub(super) fn give(&mut self, task: TaskId, engine: EngineId, now: Duration) {
        let Some(state) = self.tasks.get_mut(&task) else { return };
        state.place = Place::At(engine);
        let job = &state.job;
        let function = job.function.as_ref().map(|(name, _)| *name);
        let segments = job.segments.clone();
        let first = TaskId(task.0.saturating_sub(u64::from(state.position)));
        let group = job.group.clone().map(|group| self.groups.given(&job.members, group, first, state.position));
        let needs = state.balanced.as_ref().map(|balanced| balanced.choice.needs().clone()).unwrap_or_default();
        let message = Task { id: task, op: job.op, function, segments, group, client: state.client, needs };
        self.effects.push(Effect::ToEngine(engine, Channel::Data, Message::Task(message), job.payload.clone()));
        self.observe_given(task, engine);
        self.loads.give(engine, task, now);
        self.limit_time(task, engine, now);
    }
}
