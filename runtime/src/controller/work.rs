//! Requests, the queues of balanced tasks, and which engine does what. Pure: time comes in, effects go out.
//!
//! Each target of a request becomes a task, and each task gets exactly one final answer: the engine's result, or
//! `Aborted`, `Lost` or `Rejected` from here. A task that may have been started is not started again unless its
//! request allows retries; one that an engine lacks something for goes to another. Taking back is in `recall`.

mod recall;

use super::limits::Limits;
use super::load::{Horizon, Loads};
use super::queue::Choice;
use super::task::{Balanced, ClientState, Job, Place, Span, TaskState, empty_reply, segment_names, size};
use crate::ids::{EngineId, PeerId, RequestId, TaskId};
use crate::wire::message::{
    Ack, FunctionCode, FunctionName, Group, Message, Op, Outcome, Output, Placement, Reply, Request, RequestOutput,
    SegmentNote, Stream, Task, TaskOutcome, TaskResult,
};
use crate::wire::{Channel, Frame};
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// What `Work` wants done.
#[derive(Debug)]
pub enum Effect {
    /// Send to an engine.
    ToEngine(EngineId, Channel, Message, Vec<Frame>),
    /// Send to a client.
    ToClient(PeerId, Channel, Message, Vec<Frame>),
    /// Remove a segment: its last reader has it mapped.
    Unlink(Frame),
}

/// Everything there is to do, and who does it.
#[derive(Debug)]
pub struct Work {
    limits: Limits,
    clients: HashMap<PeerId, ClientState>,
    /// Clients with queued tasks that may be started, in turn.
    turns: VecDeque<PeerId>,
    tasks: HashMap<TaskId, TaskState>,
    /// Load of each engine.
    pub loads: Loads,
    last_task: u64,
    queued: u64,
    held_bytes: u64,
    no_engine_since: Option<Duration>,
    effects: Vec<Effect>,
    /// The choice of an ordinary balanced task.
    anywhere: Rc<Choice>,
}

impl Work {
    /// Nothing to do yet.
    pub fn new(limits: Limits) -> Self {
        Work {
            limits,
            clients: HashMap::new(),
            turns: VecDeque::new(),
            tasks: HashMap::new(),
            loads: Loads::default(),
            last_task: 0,
            queued: 0,
            held_bytes: 0,
            no_engine_since: None,
            effects: Vec::new(),
            anywhere: Rc::default(),
        }
    }

    /// What is to be done since the last call.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Balanced tasks not yet given to an engine.
    pub fn queued(&self) -> u64 {
        self.queued
    }

    /// Bytes of payload and functions held.
    pub fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// Tasks without a final answer.
    pub fn open_tasks(&self) -> usize {
        self.tasks.len()
    }

    /// A client may submit from now on.
    pub fn client_joined(&mut self, client: PeerId) {
        self.clients.insert(client, ClientState::default());
    }

    /// A client is gone: its queued tasks with it. What engines have goes on; nobody will get the answers.
    pub fn client_left(&mut self, client: PeerId) {
        let Some(mut state) = self.clients.remove(&client) else { return };
        for task in state.queue.take_all(|_| true) {
            if self.is_queued(task) {
                self.unqueued();
                self.forget(task);
            }
        }
        self.turns.retain(|other| *other != client);
        self.held_bytes -= state.functions.values().map(|code| code.len() as u64).sum::<u64>();
        self.effects.extend(state.reply_segments.into_iter().map(|(_, name)| Effect::Unlink(name)));
    }

    /// An engine takes work from now on.
    pub fn engine_joined(&mut self, engine: EngineId, peer: PeerId, horizon: Horizon, now: Duration) {
        self.loads.insert(engine, peer, horizon);
        self.no_engine_since = None;
        self.dispatch(now);
    }

    /// An engine is gone: its tasks are lost, or start again elsewhere where the request allows that.
    pub fn engine_left(&mut self, engine: EngineId, reason: &str, now: Duration) {
        let outstanding = self.loads.remove(engine);
        // From the last to the first, so that those to be started again stand in their old order.
        for task in outstanding.into_iter().rev() {
            let Some(state) = self.tasks.get_mut(&task) else { continue };
            match &mut state.balanced {
                Some(Balanced { retries, choice, .. })
                    if *retries > 0
                        && !state.abort
                        && self.clients.contains_key(&state.client)
                        && !choice.is_hopeless(&self.loads) =>
                {
                    *retries -= 1;
                    self.requeue(task);
                }
                _ if state.job.group.is_some() => {
                    self.answer(task, Some(engine), Outcome::RankLost(reason.to_owned()));
                }
                _ => self.answer(task, Some(engine), Outcome::Lost(reason.to_owned())),
            }
        }
        let loads = &self.loads;
        let hopeless = |choice: &Choice| choice.is_hopeless(loads);
        let waiting = self.clients.values_mut().flat_map(|client| client.queue.take_all(hopeless));
        for task in waiting.collect::<Vec<_>>() {
            if self.is_queued(task) {
                self.unqueued();
                self.nowhere_to_go(task);
            }
        }
        self.dispatch(now);
    }

    /// Takes a request. Whatever is wrong with it is answered for each of its targets. A collective one comes with the
    /// group that it is for, or the answer that there is none.
    pub fn submit(
        &mut self,
        client: PeerId,
        request: Request,
        group: Option<Result<Group, Outcome>>,
        mut payload: Vec<Frame>,
        now: Duration,
    ) {
        let Some(state) = self.clients.get_mut(&client) else { return };
        let code = (request.carries_function && !payload.is_empty()).then(|| payload.remove(0));
        if let (Some(name), Some(code)) = (request.function, code) {
            self.held_bytes += code.len() as u64;
            if let Some(old) = state.functions.insert(name, code) {
                self.held_bytes -= old.len() as u64;
            }
        }
        let function = request.function.map(|name| (name, state.functions.get(&name).cloned()));
        let no_engine =
            matches!(&request.placement, Placement::Balanced { engines: Some(engines), .. } if engines.is_empty());
        let (targets, mut balanced) = match request.placement {
            Placement::Engines(engines) => (engines.into_iter().map(Some).collect(), None),
            Placement::Balanced { retries, engines: None, duration: None } => {
                let choice = Rc::clone(&self.anywhere);
                (vec![None], Some(Balanced { retries, choice, unmet: None }))
            }
            Placement::Balanced { retries, engines, duration } => {
                // What is no length of time at all is longer than any.
                let length = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
                let choice = Rc::new(Choice::of(engines, duration.map(length)));
                (vec![None], Some(Balanced { retries, choice, unmet: None }))
            }
        };
        let (group, no_group) = match group {
            Some(Ok(group)) => (Some(group), None),
            Some(Err(outcome)) => (None, Some(outcome)),
            None => (None, None),
        };
        let bad = if state.requests.contains_key(&request.id) {
            Some(format!("request {} is under way already", request.id))
        } else if request.op == Op::Reform {
            Some("communicators are formed by the controller alone".to_owned())
        } else if payload.len() <= request.segments.iter().map(|note| note.frame as usize).max().unwrap_or(0)
            && !request.segments.is_empty()
        {
            Some("a segment is announced for a frame that is not there".to_owned())
        } else if no_engine {
            Some("it may go to no engine at all".to_owned())
        } else if matches!(function, Some((_, None))) {
            Some("the function's code was never sent".to_owned())
        } else {
            None
        };
        let count = u32::try_from(targets.len()).unwrap_or(u32::MAX);
        if let Some(outcome) = bad.map(Outcome::Rejected).or(no_group) {
            for (position, target) in (0..count).zip(&targets) {
                self.reply(client, request.id, position, *target, outcome.clone());
            }
            return;
        }
        let bytes = size(&payload);
        let function = function.and_then(|(name, code)| code.map(|code| (name, code)));
        let job = Rc::new(Job { op: request.op, function, segments: request.segments, payload, bytes, group });
        self.held_bytes += bytes;
        let first = TaskId(self.last_task + 1);
        self.last_task += u64::from(count);
        state.requests.insert(request.id, Span { first, count, open: count });
        for (position, target) in (0..count).zip(&targets) {
            let task = TaskId(first.0 + u64::from(position));
            let place = target.map_or(Place::Queued, Place::At);
            let (job, balanced) = (Rc::clone(&job), balanced.take());
            let state = TaskState { client, request: request.id, position, job, balanced, place, abort: false };
            self.tasks.insert(task, state);
            match target {
                Some(engine) if self.loads.get(*engine).is_some_and(|load| load.horizon.retiring) => {
                    let reason = format!("engine {engine} is being retired and takes nothing new");
                    self.answer(task, Some(*engine), Outcome::Rejected(reason));
                }
                Some(engine) if self.loads.get(*engine).is_some() => self.give(task, *engine, now),
                Some(engine) => {
                    let reason = format!("there is no engine {engine}");
                    self.answer(task, Some(*engine), Outcome::Lost(reason));
                }
                None => self.enqueue(task, false),
            }
        }
        self.dispose(job);
        self.dispatch(now);
    }

    /// An engine has answered.
    pub fn result(&mut self, engine: EngineId, result: TaskResult, payload: Vec<Frame>, now: Duration) {
        let unmet = result.outcome == TaskOutcome::Unmet
            && self.tasks.get(&result.id).is_some_and(|state| {
                state.balanced.is_some() && !state.abort && self.clients.contains_key(&state.client)
            });
        // A look at what is missing says nothing about how long the engine's tasks take.
        let seconds = (!unmet).then_some(result.completed - result.started);
        let known = self.loads.take(engine, result.id, seconds, now);
        let reply = Reply {
            started: result.started,
            completed: result.completed,
            segments: result.segments,
            ..empty_reply(Some(engine), if result.outcome == TaskOutcome::Ok { Outcome::Ok } else { Outcome::Error })
        };
        match known {
            true if unmet => self.unmet(result.id, engine, reply, payload),
            true => self.finish(result.id, reply, payload),
            false => self.unlink(&reply.segments, &payload),
        }
        self.dispatch(now);
    }

    /// A task goes to an engine that it was not tried on, and is at its end if there is none.
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

    /// Ends a task that no engine which is there may be given.
    fn nowhere_to_go(&mut self, task: TaskId) {
        let Some(balanced) = self.tasks.get_mut(&task).and_then(|state| state.balanced.as_mut()) else { return };
        match balanced.unmet.take() {
            Some(unmet) => {
                let (reply, payload) = *unmet;
                self.held_bytes -= size(&payload);
                self.finish(task, reply, payload);
            }
            None => {
                let reason = balanced.choice.missing();
                self.answer(task, None, Outcome::Lost(reason));
            }
        }
    }

    /// An engine lacks a function.
    pub fn need_function(&mut self, engine: EngineId, task: TaskId) {
        if let Some(TaskState { job, place: Place::At(at), .. }) = self.tasks.get(&task)
            && *at == engine
            && let Some((function, code)) = &job.function
        {
            let message = Message::Function(FunctionCode { function: *function });
            self.effects.push(Effect::ToEngine(engine, Channel::Data, message, vec![code.clone()]));
        }
    }

    /// The client will send these functions anew.
    pub fn forget_functions(&mut self, client: PeerId, functions: &[FunctionName]) {
        let Some(state) = self.clients.get_mut(&client) else { return };
        for function in functions {
            if let Some(code) = state.functions.remove(function) {
                self.held_bytes -= code.len() as u64;
            }
        }
    }

    /// Passes text on to the client, unless too much of it is waiting there.
    pub fn output(&mut self, engine: EngineId, output: Output, payload: Vec<Frame>) {
        let Some(task) = self.tasks.get(&output.task) else { return };
        let Some(client) = self.clients.get_mut(&task.client) else { return };
        let Some(mut text) = payload.into_iter().next().filter(|_| task.place == Place::At(engine)) else { return };
        if client.waiting_bytes() > self.limits.output_bytes {
            // A note would be no line of what is displayed.
            if client.output_dropped || output.stream == Stream::Display {
                return;
            }
            client.output_dropped = true;
            text = Frame::from(&b"\n[output dropped: the client is too slow]\n"[..]);
        } else {
            client.output_dropped = false;
        }
        client.sent.bytes += text.len() as u64;
        let message = RequestOutput { request: task.request, position: task.position, stream: output.stream };
        self.effects.push(Effect::ToClient(task.client, Channel::Data, Message::RequestOutput(message), vec![text]));
    }

    /// What a client has received.
    pub fn ack(&mut self, client: PeerId, ack: Ack, now: Duration) {
        let Some(state) = self.clients.get_mut(&client) else { return };
        state.acked.replies = ack.replies.min(state.sent.replies).max(state.acked.replies);
        state.acked.bytes = ack.bytes.min(state.sent.bytes).max(state.acked.bytes);
        while let Some((_, name)) = state.reply_segments.pop_front_if(|(number, _)| *number <= state.acked.replies) {
            self.effects.push(Effect::Unlink(name));
        }
        if !state.queue.is_empty() && !self.turns.contains(&client) {
            self.turns.push_back(client);
            self.dispatch(now);
        }
    }

    /// Names of segments that somebody is still to read: in replies not acknowledged or not sent, and in requests not
    /// answered.
    pub fn unread_segments(&self) -> HashSet<Vec<u8>> {
        let replies = self.clients.values().flat_map(|client| &client.reply_segments).map(|(_, name)| name);
        let requests = self.tasks.values().flat_map(|task| task.job.segment_names());
        let unmet = self.tasks.values().filter_map(|task| task.balanced.as_ref()?.unmet.as_deref());
        let unmet = unmet.flat_map(|(reply, payload)| segment_names(&reply.segments, payload));
        replies.chain(requests).chain(unmet).map(|name| name.to_vec()).collect()
    }

    fn is_queued(&self, task: TaskId) -> bool {
        self.tasks.get(&task).is_some_and(|state| state.place == Place::Queued)
    }

    fn requeue(&mut self, task: TaskId) {
        if let Some(state) = self.tasks.get_mut(&task) {
            state.place = Place::Queued;
            self.enqueue(task, true);
        }
    }

    /// Has a balanced task wait for an engine, unless it is one that could only wait in vain.
    fn enqueue(&mut self, task: TaskId, first: bool) {
        let Some(TaskState { client: id, balanced: Some(balanced), .. }) = self.tasks.get(&task) else { return };
        if balanced.choice.is_hopeless(&self.loads) {
            return self.nowhere_to_go(task);
        }
        let Some(client) = self.clients.get_mut(id) else { return };
        client.queue.push(task, &balanced.choice, first);
        self.queued += 1;
        // A client is in `turns` as long as its queue is not empty and it takes its replies.
        if !self.turns.contains(id) {
            self.turns.push_back(*id);
        }
    }

    /// One task fewer waits. Where none does, none has been waiting in vain.
    fn unqueued(&mut self) {
        self.queued -= 1;
        if self.queued == 0 {
            self.no_engine_since = None;
        }
    }

    /// Gives queued tasks to open engines, one client after the other.
    fn dispatch(&mut self, now: Duration) {
        if self.loads.is_empty() && self.queued > 0 {
            self.no_engine_since.get_or_insert(now);
            return;
        }
        // Clients in a row all of whose tasks wait for engines that are busy.
        let mut passed = 0;
        while self.loads.any_open() && passed < self.turns.len() {
            let Some(client) = self.turns.pop_front() else { return };
            let Some(state) = self.clients.get_mut(&client) else { continue };
            if state.waiting_bytes() > self.limits.window.bytes {
                continue; // `ack` brings it back.
            }
            let tasks = &self.tasks;
            let queued = |task| tasks.get(&task).is_some_and(|state| state.place == Place::Queued);
            let next = state.queue.take(&self.loads, now, queued);
            if !state.queue.is_empty() {
                self.turns.push_back(client);
                passed += 1;
            }
            if let Some((task, engine)) = next {
                passed = 0;
                self.unqueued();
                self.give(task, engine, now);
            }
        }
    }

    fn give(&mut self, task: TaskId, engine: EngineId, now: Duration) {
        let Some(state) = self.tasks.get_mut(&task) else { return };
        state.place = Place::At(engine);
        let job = &state.job;
        let function = job.function.as_ref().map(|(name, _)| *name);
        let (segments, group) = (job.segments.clone(), job.group.clone());
        let message = Task { id: task, op: job.op, function, segments, group };
        self.effects.push(Effect::ToEngine(engine, Channel::Data, Message::Task(message), job.payload.clone()));
        self.loads.give(engine, task, now);
    }

    /// Ends a task with an answer of the controller's own.
    fn answer(&mut self, task: TaskId, engine: Option<EngineId>, outcome: Outcome) {
        let reply = empty_reply(engine, outcome);
        self.finish(task, reply, Vec::new());
    }

    /// Ends a task: its client gets `reply`, with the client's own numbers put in.
    fn finish(&mut self, task: TaskId, mut reply: Reply, payload: Vec<Frame>) {
        let Some(state) = self.tasks.get(&task) else { return };
        reply.request = state.request;
        reply.position = state.position;
        match self.clients.get_mut(&state.client) {
            Some(client) => {
                client.sent.bytes += size(&payload);
                client.sent.replies += 1;
                let number = client.sent.replies;
                let names = segment_names(&reply.segments, &payload).cloned();
                client.reply_segments.extend(names.map(|name| (number, name)));
                self.effects.push(Effect::ToClient(state.client, Channel::Data, Message::Reply(reply), payload));
            }
            None => self.unlink(&reply.segments, &payload),
        }
        self.forget(task);
    }

    fn unlink(&mut self, segments: &[SegmentNote], payload: &[Frame]) {
        self.effects.extend(segment_names(segments, payload).cloned().map(Effect::Unlink));
    }

    /// A reply to something that never became a task.
    fn reply(&mut self, client: PeerId, request: RequestId, position: u32, engine: Option<EngineId>, outcome: Outcome) {
        if let Some(state) = self.clients.get_mut(&client) {
            state.sent.replies += 1;
        }
        let reply = Reply { request, position, ..empty_reply(engine, outcome) };
        self.effects.push(Effect::ToClient(client, Channel::Data, Message::Reply(reply), Vec::new()));
    }

    /// Drops a task that has its answer, or whose client is gone.
    fn forget(&mut self, task: TaskId) {
        let Some(state) = self.tasks.remove(&task) else { return };
        if let Some(client) = self.clients.get_mut(&state.client)
            && let Some(span) = client.requests.get_mut(&state.request)
        {
            span.open -= 1;
            if span.open == 0 {
                client.requests.remove(&state.request);
            }
        }
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
    fn dispose(&mut self, job: Rc<Job>) {
        if let Some(job) = Rc::into_inner(job) {
            self.held_bytes -= job.bytes;
            self.effects.extend(job.segment_names().cloned().map(Effect::Unlink));
        }
    }
}
