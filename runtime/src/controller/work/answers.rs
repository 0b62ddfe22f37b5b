//! The one final answer of each task, and what is released with the task: its payload and its segments.

use super::{Effect, Work};
use crate::controller::history::Done;
use crate::controller::task::{Job, TaskState, empty_reply, segment_names, size};
use crate::wire::message::{Message, Outcome, Reply, SegmentNote, TaskOutcome, TaskResult};
use crate::wire::weight::bytes_of;
use crate::wire::{Channel, Frame};
use ipclusterz_base::ids::{EngineId, PeerId, RequestId, TaskId};
use std::rc::Rc;
use std::time::Duration;

impl Work {
    /// An engine has answered.
    pub fn result(&mut self, engine: EngineId, result: TaskResult, payload: Vec<Frame>, now: Duration) {
        let unmet = result.outcome == TaskOutcome::Unmet
            && self.tasks.get(&result.id).is_some_and(|state| {
                state.balanced.is_some() && !state.abort && self.clients.contains_key(&state.client)
            });
        // Finding out that something is missing says nothing about how long the engine's tasks take.
        let seconds = (!unmet).then_some(result.completed - result.started);
        let mut known = self.loads.take(engine, result.id, seconds, now);
        if self.is_elsewhere(result.id, engine) {
            // Another one has it, or is to have it: the first that can do it answers.
            self.is_given_up(result.id, engine);
            known &= !unmet;
            if known {
                self.withdraw(result.id);
            }
        }
        let reply = Reply {
            started: result.started,
            completed: result.completed,
            segments: result.segments,
            ..empty_reply(Some(engine), if result.outcome == TaskOutcome::Ok { Outcome::Ok } else { Outcome::Error })
        };
        if known {
            self.member_ended(engine, result.id, result.standing, now);
        }
        let bytes = bytes_of(&payload, &reply.segments);
        if known && bytes > self.limits.window.request_bytes {
            self.unlink(&reply.segments, &payload);
            let reason = format!("the result has {bytes} bytes; the limit is {}", self.limits.window.request_bytes);
            self.answer(result.id, Some(engine), Outcome::Rejected(reason));
            return self.dispatch(now);
        }
        if known {
            self.segments.extend(segment_names(&reply.segments, &payload).map(|name| name.to_vec()));
        }
        let overrun =
            if reply.outcome == Outcome::Error { self.time_limit_of(result.id, "was interrupted") } else { None };
        let reply = Reply { outcome: overrun.unwrap_or(reply.outcome), ..reply };
        match known {
            true if unmet => self.unmet(result.id, engine, reply, payload),
            true if result.again && reply.outcome == Outcome::Error && self.starts_again(result.id, now) => {
                self.unlink(&reply.segments, &payload);
            }
            true => self.finish(result.id, reply, payload),
            false => self.unlink(&reply.segments, &payload),
        }
        self.dispatch(now);
    }

    /// Sends a task to an engine that has not tried it, or ends it if there is none.
    fn unmet(&mut self, task: TaskId, engine: EngineId, reply: Reply, payload: Vec<Frame>) {
        let Some(balanced) = self.tasks.get_mut(&task).and_then(|state| state.balanced.as_mut()) else { return };
        if let Some(load) = self.loads.get(engine) {
            balanced.choice = Rc::new(balanced.choice.without(load.peer));
        }
        self.held_bytes += size(&payload);
        let former = balanced.unmet.replace(Box::new((reply, payload)));
        self.dispose_unmet(former);
        self.requeue(task);
    }

    /// Ends a task that may go to none of the present engines.
    pub(super) fn nowhere_to_go(&mut self, task: TaskId) {
        if self.falls_back(task, false) {
            return;
        }
        let Some(balanced) = self.tasks.get_mut(&task).and_then(|state| state.balanced.as_mut()) else { return };
        match balanced.unmet.take() {
            Some(unmet) => {
                let (reply, payload) = *unmet;
                self.held_bytes -= size(&payload);
                self.finish(task, reply, payload);
            }
            None => {
                let choice = Rc::clone(&balanced.choice);
                let reason = choice.missing() + &self.what_became_of(choice.named());
                self.answer(task, None, Outcome::Lost(reason));
            }
        }
    }

    /// Ends a task with an answer of the controller's own.
    pub(super) fn answer(&mut self, task: TaskId, engine: Option<EngineId>, outcome: Outcome) {
        let reply = empty_reply(engine, outcome);
        self.finish(task, reply, Vec::new());
    }

    /// Ends a task: its client gets `reply`, with the client's own numbers put in.
    pub(super) fn finish(&mut self, task: TaskId, mut reply: Reply, payload: Vec<Frame>) {
        let Some(state) = self.tasks.get(&task) else { return };
        reply.request = state.request;
        reply.position = state.position;
        if self.limits.durable {
            self.effects.push(Effect::Done(state.client, Box::new(done(state, &reply))));
        }
        self.observe_ended(state.client, &reply, &payload);
        self.ended(task, reply.outcome.fate(), reply.engine);
        let Some(state) = self.tasks.get(&task) else { return };
        match self.clients.get_mut(&state.client) {
            Some(client) => {
                client.replies += 1;
                let number = client.replies.0;
                let names = segment_names(&reply.segments, &payload).cloned();
                client.reply_segments.extend(names.map(|name| (number, name)));
                self.effects.push(Effect::ToClient(state.client, Channel::Data, Message::Reply(reply), payload));
            }
            None => self.unlink(&reply.segments, &payload),
        }
        self.remove(task);
    }

    /// A reply to something that never became a task.
    pub(super) fn reply(
        &mut self,
        client: PeerId,
        request: RequestId,
        position: u32,
        engine: Option<EngineId>,
        outcome: Outcome,
    ) {
        if let Some(state) = self.clients.get_mut(&client) {
            state.replies += 1;
            state.failures.add(request, position, outcome.fate());
        }
        let reply = Reply { request, position, ..empty_reply(engine, outcome) };
        self.observe_ended(client, &reply, &[]);
        self.effects.push(Effect::ToClient(client, Channel::Data, Message::Reply(reply), Vec::new()));
    }

    fn unlink(&mut self, segments: &[SegmentNote], payload: &[Frame]) {
        self.effects.extend(segment_names(segments, payload).cloned().map(Effect::Unlink));
    }

    /// Drops a task whose client is gone.
    pub(super) fn forget(&mut self, task: TaskId) {
        if let Some(TaskState { client, request, position, .. }) = self.tasks.get(&task) {
            let reply = Reply { request: *request, position: *position, ..empty_reply(None, Outcome::Aborted) };
            self.observe_ended(*client, &reply, &[]);
        }
        self.remove(task);
    }

    /// Drops a task that has its answer, if it gets one.
    fn remove(&mut self, task: TaskId) {
        // Nobody will know better.
        self.forget_for_children(task);
        self.leave_gates(task);
        let Some(state) = self.tasks.remove(&task) else { return };
        self.forget_times(task, &state);
        if let Some(client) = self.clients.get_mut(&state.client) {
            self.released |= client.close(task, state.request);
        }
        self.take_back_all(task, &state);
        self.dispose_unmet(state.balanced.and_then(|balanced| balanced.unmet));
        self.dispose(state.job);
    }

    /// Gives up an answer that is not to be sent.
    fn dispose_unmet(&mut self, unmet: Option<Box<(Reply, Vec<Frame>)>>) {
        if let Some((reply, payload)) = unmet.as_deref() {
            self.held_bytes -= size(payload);
            self.unlink(&reply.segments, payload);
        }
    }

    /// Gives up a reference to a job; with the last one go its payload and its segments.
    pub(super) fn dispose(&mut self, job: Rc<Job>) {
        if let Some(job) = Rc::into_inner(job) {
            self.held_bytes -= job.bytes;
            self.effects.extend(job.segment_names().cloned().map(Effect::Unlink));
        }
    }
}

/// What is remembered of a task that has ended.
fn done(state: &TaskState, reply: &Reply) -> Done {
    let why = reply.outcome.why().map(str::to_owned);
    Done {
        request: reply.request,
        position: reply.position,
        op: state.job.op,
        name: state.job.name.clone(),
        submitted: state.job.submitted,
        state: reply.outcome.name(),
        why,
        engine: reply.engine,
        times: (reply.started, reply.completed),
    }
}
