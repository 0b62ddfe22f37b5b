//! Which task goes to which engine, and when: tasks are queued, taken in turn from each client, and given out.

use super::{Effect, Work};
use crate::controller::task::{Place, TaskState};
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
        client.queue.push(task, &balanced.choice);
        self.queued += 1;
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
            self.enqueue(task);
        }
    }

    /// One task fewer waits. Where none does, none has been waiting in vain.
    pub(super) fn unqueued(&mut self) {
        self.queued -= 1;
        if self.queued.0 == 0 {
            self.no_engine_since = None;
        }
    }

    /// Gives queued tasks to open engines, one client after the other.
    pub(super) fn dispatch(&mut self, now: Duration) {
        if !self.holding.is_empty() {
            self.release(now);
        }
        if self.loads.is_empty() && self.queued.0 > 0 {
            if !self.closing {
                self.no_engine_since.get_or_insert(now);
            }
            return;
        }
        // Clients in a row all of whose tasks wait for engines that are busy.
        let mut passed = 0_usize;
        while self.loads.any_open() && passed < self.turns.len() {
            let Some(client) = self.turns.pop_front() else { return };
            let Some(state) = self.clients.get_mut(&client) else { continue };
            if state.full {
                continue; // `ack` brings it back.
            }
            let tasks = &self.tasks;
            let queued = |task| tasks.get(&task).is_some_and(|state| state.place == Place::Queued);
            let next = state.queue.take(&self.loads, now, queued);
            if !state.queue.is_empty() {
                self.turns.push_back(client);
                passed = passed.saturating_add(1);
            }
            if let Some((task, engine)) = next {
                passed = 0;
                self.unqueued();
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
        let message = Task { id: task, op: job.op, function, segments, group, client: state.client };
        self.effects.push(Effect::ToEngine(engine, Channel::Data, Message::Task(message), job.payload.clone()));
        self.loads.give(engine, task, now);
    }
}
