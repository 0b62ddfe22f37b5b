//! Clients that do not read. While more than a window of bytes waits for one, nothing of it is started: its balanced
//! tasks wait in its queue, and those that are for chosen engines wait here, in their order. What engines have and have not
//! begun is taken back. It goes on when half a window has been read.

use super::{Effect, Work};
use crate::controller::task::{Place, Written, size};
use crate::wire::message::{Ack, Message, Recall};
use crate::wire::{Channel, Frame};
use ipclusterz_base::ids::{EngineId, PeerId, TaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// A client to which so many notices were sent that it has not said to have is not there any more, whatever else it is.
const NOTICES_MAX: usize = 1 << 16;

impl Work {
    /// A message is sent to a client. False: it does not read, and is not worth keeping.
    pub fn told(&mut self, client: PeerId, channel: Channel, message: &Message, payload: &[Frame]) -> bool {
        let Some(state) = self.clients.get_mut(&client) else { return true };
        state.unread.push(channel, message, payload);
        if let Message::RequestOutput(output) = message
            && let Some(writer) = self.loads.get(output.engine).map(|load| load.peer)
        {
            let written = Written { number: state.unread.last(), bytes: size(payload), engine: output.engine, writer };
            if state.gone {
                state.output_bytes += written.bytes;
                self.credit_writer(client, written);
            } else {
                state.written(written);
            }
        }
        let Some(state) = self.clients.get_mut(&client) else { return true };
        let reads = state.unread.notices() <= NOTICES_MAX;
        if !state.full && state.unread.bytes() > self.limits.window.bytes {
            state.full = true;
            self.hold_back(client);
        }
        reads
    }

    /// Whether a client reads what it is sent: only then is it worth asking for more.
    pub fn is_reading(&self, client: PeerId) -> bool {
        self.clients.get(&client).is_none_or(|state| state.unread.bytes() <= self.limits.output_bytes)
    }

    /// What a client has received.
    pub fn ack(&mut self, client: PeerId, ack: Ack, now: Duration) {
        let Some(state) = self.clients.get_mut(&client) else { return };
        state.unread.arrived(ack.messages);
        while let Some((_, name)) = state.reply_segments.pop_front_if(|(number, _)| *number <= ack.replies) {
            self.effects.push(Effect::Unlink(name));
        }
        if state.full && state.unread.bytes() <= self.limits.window.bytes / 2 {
            state.full = false;
            self.released = true;
        }
        if !state.queue.is_empty() && !self.turns.contains(&client) {
            self.turns.push_back(client);
        }
        self.dispatch(now);
        self.credit_taken(client, ack.messages.data);
        self.keeps_little(client, ack.full);
    }

    /// Takes back what engines have not begun of a client. What stands before a task of a group stays: one that has begun
    /// elsewhere must not wait for this client.
    fn hold_back(&mut self, client: PeerId) {
        let Some(state) = self.clients.get(&client) else { return };
        let mut tasks: Vec<TaskId> = state.requests.values().flat_map(|span| span.tasks()).collect();
        tasks.sort_unstable();
        let mut recalls: BTreeMap<EngineId, Vec<TaskId>> = BTreeMap::new();
        for task in tasks {
            let Some(task_state) = self.tasks.get(&task) else { continue };
            let Place::At(engine) = task_state.place else { continue };
            let behind = recalls.entry(engine).or_default();
            if task_state.job.group.is_some() {
                behind.clear();
            } else {
                behind.push(task);
            }
        }
        for (engine, tasks) in recalls.into_iter().filter(|(_, tasks)| !tasks.is_empty()) {
            let chosen = |task: &&TaskId| self.tasks.get(*task).is_some_and(|state| state.balanced.is_none());
            if let Some(state) = self.clients.get_mut(&client) {
                state.asked.extend(tasks.iter().filter(chosen));
            }
            self.recall(engine, Recall { tasks, ..Recall::default() });
        }
    }

    /// The engines for which tasks of a client have to wait here: all of `targets` while it does not read; those that have
    /// not said yet which tasks they give back, or for which others wait already; and all of a group's if any has to.
    pub(super) fn held_up(&self, client: PeerId, targets: &[Option<EngineId>], group: bool) -> BTreeSet<EngineId> {
        let Some(state) = self.clients.get(&client) else { return BTreeSet::new() };
        let targets = targets.iter().flatten().copied();
        if state.full {
            return targets.collect();
        }
        let mut blocked = self.unsettled(client);
        blocked.extend(state.held.iter().filter_map(|task| self.engine_of(*task)));
        if group && targets.clone().any(|engine| blocked.contains(&engine)) { targets.collect() } else { blocked }
    }

    fn engine_of(&self, task: TaskId) -> Option<EngineId> {
        match self.tasks.get(&task)?.place {
            Place::At(engine) | Place::Held(engine) => Some(engine),
            Place::Queued | Place::Waiting | Place::Delayed => None,
        }
    }

    /// Has a task for a chosen engine wait here.
    pub(super) fn hold(&mut self, task: TaskId, engine: EngineId) {
        let Some(task_state) = self.tasks.get_mut(&task) else { return };
        let Some(state) = self.clients.get_mut(&task_state.client) else { return };
        task_state.place = Place::Held(engine);
        state.asked.remove(&task);
        state.held.insert(task);
        self.holding.insert(task_state.client);
        self.observe_returned(task);
    }

    /// Whether an engine was asked to give this back because its client does not read.
    pub(super) fn was_asked(&self, task: TaskId) -> bool {
        let state = self.tasks.get(&task).and_then(|state| self.clients.get(&state.client));
        state.is_some_and(|state| state.asked.contains(&task))
    }

    /// An engine has said what becomes of a task that it has.
    pub(super) fn said(&mut self, engine: EngineId, task: TaskId) {
        let state = self.tasks.get(&task).filter(|state| state.place == Place::At(engine));
        if let Some(client) = state.and_then(|state| self.clients.get_mut(&state.client)) {
            self.released |= client.asked.remove(&task);
        }
    }

    /// Gives engines what has waited here and need not any longer, if something has changed.
    pub(super) fn release(&mut self, now: Duration) {
        if !std::mem::take(&mut self.released) {
            return;
        }
        let reads = |client: &PeerId| self.clients.get(client).is_none_or(|state| !state.full);
        let clients: Vec<PeerId> = self.holding.iter().copied().filter(reads).collect();
        for client in clients {
            self.release_of(client, now);
        }
    }

    fn release_of(&mut self, client: PeerId, now: Duration) {
        let mut blocked = self.unsettled(client);
        let (mut stay, mut go) = (BTreeSet::new(), Vec::new());
        let held = self.clients.get_mut(&client).map(|state| std::mem::take(&mut state.held)).unwrap_or_default();
        let held: Vec<TaskId> = held.into_iter().collect();
        // Tasks of one request have consecutive numbers.
        for together in held.chunk_by(|one, next| self.is_one_group(*one, *next)) {
            let engines: Vec<EngineId> = together.iter().filter_map(|task| self.engine_of(*task)).collect();
            if engines.iter().any(|engine| blocked.contains(engine)) {
                blocked.extend(engines);
                stay.extend(together);
            } else {
                go.extend(together);
            }
        }
        if stay.is_empty() {
            self.holding.remove(&client);
        } else if let Some(state) = self.clients.get_mut(&client) {
            state.held = stay;
        }
        go.into_iter().for_each(|task| self.give_held(task, now));
    }

    /// Engines that have not said yet which tasks of a client they give back.
    fn unsettled(&self, client: PeerId) -> BTreeSet<EngineId> {
        let asked = self.clients.get(&client).into_iter().flat_map(|state| &state.asked);
        asked.filter_map(|task| self.engine_of(*task)).collect()
    }

    fn is_one_group(&self, one: TaskId, next: TaskId) -> bool {
        let jobs = self.tasks.get(&one).zip(self.tasks.get(&next)).map(|(one, next)| (&one.job, &next.job));
        jobs.is_some_and(|(one, next)| one.group.is_some() && Rc::ptr_eq(one, next))
    }

    /// Gives a task that was held to its engine.
    pub(super) fn give_held(&mut self, task: TaskId, now: Duration) {
        if let Some(Place::Held(engine)) = self.tasks.get(&task).map(|state| state.place) {
            self.give(task, engine, now);
        }
    }

    /// What waits here for an engine, in order.
    pub(super) fn held_for(&self, engine: EngineId) -> Vec<TaskId> {
        let held = self.holding.iter().filter_map(|client| self.clients.get(client)).flat_map(|state| &state.held);
        let is_for = |task: &TaskId| self.tasks.get(task).is_some_and(|state| state.place == Place::Held(engine));
        held.copied().filter(is_for).collect()
    }
}
