//! Requests, the queues of balanced tasks, and which engine does what. Pure: time comes in, effects go out.
//!
//! Each target of a request becomes a task, and each task gets exactly one final answer: the engine's result, or
//! `Aborted`, `Lost` or `Rejected` from here. A task that may have been started is not started again unless its
//! request allows retries.

use super::limits::Limits;
use super::load::Loads;
use super::task::{ClientState, Job, Place, Span, TaskState, empty_reply};
use crate::ids::{EngineId, PeerId, RequestId, TaskId};
use crate::transport::Channel;
use crate::wire::Frame;
use crate::wire::message::{
    Abort, Ack, FunctionCode, FunctionName, Message, Outcome, Output, Placement, Reply, Request, RequestOutput, Task,
    TaskList, TaskResult,
};
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
        let Some(state) = self.clients.remove(&client) else { return };
        for task in state.queue {
            if self.tasks.get(&task).is_some_and(|task| task.place == Place::Queued) {
                self.queued -= 1;
                self.forget(task);
            }
        }
        self.turns.retain(|other| *other != client);
        self.held_bytes -= state.functions.values().map(|code| code.len() as u64).sum::<u64>();
        self.effects.extend(state.reply_segments.into_iter().map(|(_, name)| Effect::Unlink(name)));
    }

    /// An engine takes work from now on.
    pub fn engine_joined(&mut self, engine: EngineId, now: Duration) {
        self.loads.insert(engine);
        self.no_engine_since = None;
        self.dispatch(now);
    }

    /// An engine is gone: its tasks are lost, or start again elsewhere where the request allows that.
    pub fn engine_left(&mut self, engine: EngineId, reason: &str, now: Duration) {
        let outstanding = self.loads.remove(engine);
        // From the last to the first, so that those to be started again stand in their old order.
        for task in outstanding.into_iter().rev() {
            let Some(state) = self.tasks.get_mut(&task) else { continue };
            match &mut state.retries {
                Some(retries) if *retries > 0 && !state.abort && self.clients.contains_key(&state.client) => {
                    *retries -= 1;
                    self.requeue(task);
                }
                _ => self.answer(task, Some(engine), Outcome::Lost(reason.to_owned())),
            }
        }
        self.dispatch(now);
    }

    /// Takes a request. Whatever is wrong with it is answered for each of its targets.
    pub fn submit(&mut self, client: PeerId, request: Request, mut payload: Vec<Frame>, now: Duration) {
        let Some(state) = self.clients.get_mut(&client) else { return };
        let code = (request.carries_function && !payload.is_empty()).then(|| payload.remove(0));
        if let (Some(name), Some(code)) = (request.function, code) {
            self.held_bytes += code.len() as u64;
            if let Some(old) = state.functions.insert(name, code) {
                self.held_bytes -= old.len() as u64;
            }
        }
        let function = request.function.map(|name| (name, state.functions.get(&name).cloned()));
        let (targets, retries) = match request.placement {
            Placement::Engines(engines) => (engines.into_iter().map(Some).collect(), None),
            Placement::Balanced { retries } => (vec![None], Some(retries)),
        };
        let bad = if state.requests.contains_key(&request.id) {
            Some(format!("request {} is under way already", request.id))
        } else if payload.len() <= request.segments.iter().map(|note| note.frame as usize).max().unwrap_or(0)
            && !request.segments.is_empty()
        {
            Some("a segment is announced for a frame that is not there".to_owned())
        } else if matches!(function, Some((_, None))) {
            Some("the function's code was never sent".to_owned())
        } else {
            None
        };
        let count = u32::try_from(targets.len()).unwrap_or(u32::MAX);
        if let Some(reason) = bad {
            for position in 0..count {
                self.reply(client, request.id, position, None, Outcome::Rejected(reason.clone()));
            }
            return;
        }
        let bytes = payload.iter().map(|frame| frame.len() as u64).sum();
        let function = function.and_then(|(name, code)| code.map(|code| (name, code)));
        let job = Rc::new(Job { op: request.op, function, segments: request.segments, payload, bytes });
        self.held_bytes += bytes;
        let first = TaskId(self.last_task + 1);
        self.last_task += u64::from(count);
        state.requests.insert(request.id, Span { first, count, open: count });
        for (position, target) in (0..count).zip(&targets) {
            let task = TaskId(first.0 + u64::from(position));
            let place = target.map_or(Place::Queued, Place::At);
            let job = Rc::clone(&job);
            let state = TaskState { client, request: request.id, position, job, retries, place, abort: false };
            self.tasks.insert(task, state);
            match target {
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
        let duration = result.completed - result.started;
        let known = self.loads.take(engine, result.id, Some(duration), now);
        let segments: Vec<Frame> =
            result.segments.iter().filter_map(|note| payload.get(note.frame as usize).cloned()).collect();
        let client = self.tasks.get(&result.id).map(|task| task.client).and_then(|id| self.clients.get_mut(&id));
        match client {
            Some(client) if known => {
                client.sent.bytes += payload.iter().map(|frame| frame.len() as u64).sum::<u64>();
                let number = client.sent.replies + 1;
                client.reply_segments.extend(segments.into_iter().map(|name| (number, name)));
                let reply = Reply {
                    request: RequestId(0),
                    position: 0,
                    engine: Some(engine),
                    outcome: if result.ok { Outcome::Ok } else { Outcome::Error },
                    started: result.started,
                    completed: result.completed,
                    segments: result.segments,
                };
                self.finish(result.id, reply, payload);
            }
            _ => {
                self.effects.extend(segments.into_iter().map(Effect::Unlink));
                if known {
                    self.forget(result.id);
                }
            }
        }
        self.dispatch(now);
    }

    /// An engine gives tasks back that it has not started.
    pub fn recalled(&mut self, engine: EngineId, tasks: &[TaskId], now: Duration) {
        for task in tasks.iter().rev() {
            if !self.loads.take(engine, *task, None, now) {
                continue;
            }
            match self.tasks.get(task) {
                Some(state) if state.abort => self.answer(*task, Some(engine), Outcome::Aborted),
                Some(state) if !self.clients.contains_key(&state.client) => self.forget(*task),
                Some(_) => self.requeue(*task),
                None => {}
            }
        }
        self.dispatch(now);
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
    pub fn output(&mut self, engine: EngineId, output: Output) {
        let Some(task) = self.tasks.get(&output.task) else { return };
        let Some(client) = self.clients.get_mut(&task.client) else { return };
        if task.place != Place::At(engine) {
            return;
        }
        let mut text = output.text;
        if client.waiting_bytes() > self.limits.output_bytes {
            text = if client.output_dropped {
                String::new()
            } else {
                "\n[output dropped: the client is too slow]\n".to_owned()
            };
            client.output_dropped = true;
        } else {
            client.output_dropped = false;
        }
        client.sent.bytes += text.len() as u64;
        let message = RequestOutput { request: task.request, position: task.position, stream: output.stream, text };
        self.effects.push(Effect::ToClient(task.client, Channel::Data, Message::RequestOutput(message), vec![]));
    }

    /// Gives up what a client names, as far as it has not been started.
    pub fn abort(&mut self, client: PeerId, abort: &Abort, now: Duration) {
        let Some(state) = self.clients.get(&client) else { return };
        let spans: Vec<Span> = match &abort.requests {
            Some(requests) => requests.iter().filter_map(|request| state.requests.get(request).copied()).collect(),
            None => state.requests.values().copied().collect(),
        };
        let mut at_engines: HashMap<EngineId, Vec<TaskId>> = HashMap::new();
        for task in spans.iter().flat_map(|span| (span.first.0..span.first.0 + u64::from(span.count)).map(TaskId)) {
            let Some(state) = self.tasks.get_mut(&task) else { continue };
            match state.place {
                Place::Queued if abort.engines.is_none() => {
                    self.queued -= 1;
                    self.answer(task, None, Outcome::Aborted);
                }
                Place::At(engine) if abort.engines.as_ref().is_none_or(|engines| engines.contains(&engine)) => {
                    state.abort = true;
                    at_engines.entry(engine).or_default().push(task);
                }
                _ => {}
            }
        }
        for (engine, mut tasks) in at_engines {
            tasks.sort_unstable();
            self.recall(engine, tasks);
        }
        self.dispatch(now);
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

    /// Names of segments that somebody is still to read: in replies not acknowledged, and in requests not answered.
    pub fn unread_segments(&self) -> HashSet<Vec<u8>> {
        let replies = self.clients.values().flat_map(|client| &client.reply_segments).map(|(_, name)| name);
        let requests = self.tasks.values().flat_map(|task| task.job.segment_names());
        replies.chain(requests).map(|name| name.to_vec()).collect()
    }

    /// When `tick` should be called next, if at all.
    pub fn next_tick(&self) -> Option<Duration> {
        let grace = self.no_engine_since.map(|since| since + self.limits.no_engine_grace);
        if self.loads.any_stacked() { Some(Duration::ZERO) } else { grace }
    }

    /// Takes back what waits behind long tasks, and gives up when there has been no engine for long.
    pub fn tick(&mut self, now: Duration) {
        for engine in self.loads.stuck(now) {
            let Some(load) = self.loads.get(engine) else { continue };
            let balanced = |task: &TaskId| self.tasks.get(task).is_some_and(|state| state.retries.is_some());
            let behind: Vec<TaskId> = load.outstanding.iter().skip(1).copied().filter(balanced).collect();
            self.loads.hold_back(engine);
            if !behind.is_empty() {
                self.recall(engine, behind);
            }
        }
        if self.no_engine_since.is_some_and(|since| now.saturating_sub(since) >= self.limits.no_engine_grace) {
            self.no_engine_since = None;
            let queued: Vec<TaskId> = self.clients.values_mut().flat_map(|client| client.queue.drain(..)).collect();
            for task in queued {
                if self.tasks.get(&task).is_some_and(|state| state.place == Place::Queued) {
                    self.queued -= 1;
                    let grace = self.limits.no_engine_grace.as_secs();
                    let reason = format!("there has been no engine for {grace} s");
                    self.answer(task, None, Outcome::Lost(reason));
                }
            }
        }
    }

    fn recall(&mut self, engine: EngineId, tasks: Vec<TaskId>) {
        // On `data`, behind the tasks it names, so that the engine has them all.
        self.effects.push(Effect::ToEngine(engine, Channel::Data, Message::Recall(TaskList { tasks }), vec![]));
    }

    fn requeue(&mut self, task: TaskId) {
        if let Some(state) = self.tasks.get_mut(&task) {
            state.place = Place::Queued;
            self.enqueue(task, true);
        }
    }

    fn enqueue(&mut self, task: TaskId, first: bool) {
        let Some(client_id) = self.tasks.get(&task).map(|state| state.client) else { return };
        let Some(client) = self.clients.get_mut(&client_id) else { return };
        if first {
            client.queue.push_front(task);
        } else {
            client.queue.push_back(task);
        }
        self.queued += 1;
        // A client is in `turns` as long as its queue is not empty and it takes its replies.
        if client.queue.len() == 1 || !self.turns.contains(&client_id) {
            self.turns.retain(|other| *other != client_id);
            self.turns.push_back(client_id);
        }
    }

    /// Gives queued tasks to open engines, one client after the other.
    fn dispatch(&mut self, now: Duration) {
        if self.loads.is_empty() && self.queued > 0 {
            self.no_engine_since.get_or_insert(now);
            return;
        }
        while let Some(engine) = self.loads.least() {
            let Some(client) = self.turns.pop_front() else { return };
            let Some(state) = self.clients.get_mut(&client) else { continue };
            if state.waiting_bytes() > self.limits.window.bytes {
                continue; // `ack` brings it back.
            }
            let queued = |task: &TaskId| self.tasks.get(task).is_some_and(|state| state.place == Place::Queued);
            let next = std::iter::from_fn(|| state.queue.pop_front()).find(queued);
            if !state.queue.is_empty() {
                self.turns.push_back(client);
            }
            if let Some(task) = next {
                self.queued -= 1;
                self.give(task, engine, now);
            }
        }
    }

    fn give(&mut self, task: TaskId, engine: EngineId, now: Duration) {
        let Some(state) = self.tasks.get_mut(&task) else { return };
        state.place = Place::At(engine);
        let job = &state.job;
        let function = job.function.as_ref().map(|(name, _)| *name);
        let message = Task { id: task, op: job.op, function, segments: job.segments.clone() };
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
        if let Some(client) = self.clients.get_mut(&state.client) {
            client.sent.replies += 1;
            self.effects.push(Effect::ToClient(state.client, Channel::Data, Message::Reply(reply), payload));
        }
        self.forget(task);
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
        self.dispose(state.job);
    }

    /// Gives up a reference to a job; with the last one go its payload and its segments.
    fn dispose(&mut self, job: Rc<Job>) {
        if let Some(job) = Rc::into_inner(job) {
            self.held_bytes -= job.bytes;
            self.effects.extend(job.segment_names().cloned().map(Effect::Unlink));
        }
    }
}
