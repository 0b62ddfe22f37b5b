//! The engine as the thread that runs user code uses it: it takes tasks, returns results and writes output.

use super::buffers;
use super::core::{Action, Core, Job};
use super::output::{Allowance, Room, first_piece};
use super::reader;
use super::shared::{Shared, State};
use crate::inspections::Activities;
use crate::system::wall_clock;
use crate::wire::Frame;
use crate::wire::message::{Broken, FunctionName, Group, Message, Op, Resources, Stream, TaskOutcome};
use crate::wire::part::{Packed, Part};
use ipclusterz_base::ids::{EngineId, FunctionHash, TaskId};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A task that user code executes.
#[derive(Debug)]
pub struct TaskHandle {
    /// The controller's number.
    pub id: TaskId,
    /// What to do.
    pub op: Op,
    /// The function to call: hash, and code unless it is to be fetched.
    pub function: Option<(FunctionHash, Option<Frame>)>,
    /// The payload, or why it could not be read.
    pub payload: Result<Vec<Part>, String>,
    /// The engines that execute it together, if it is collective.
    pub group: Option<Group>,
    /// What it has of what this engine offers.
    pub needs: Resources,
    started: f64,
    /// The same by a clock that nobody sets.
    since: Instant,
}

/// Why a result cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Larger than the controller takes.
    #[error("the result has {size} bytes; the limit is {limit}")]
    TooLarge {
        /// Bytes.
        size: u64,
        /// Bytes.
        limit: u64,
    },
    /// No memory for a copy.
    #[error("there is no memory for a result of {0} bytes")]
    NoMemory(usize),
}

/// A registered engine.
pub struct Engine {
    pub(super) shared: Arc<Shared>,
    pub(super) thread: Option<JoinHandle<()>>,
    pub(super) id: EngineId,
    pub(super) uuid: String,
    pub(super) cluster: String,
    pub(super) run_id: String,
    /// Descriptors 1 and 2 are read.
    pub(super) captures: bool,
}

impl Engine {
    /// What the user calls it.
    pub fn id(&self) -> EngineId {
        self.id
    }

    /// Identifies its process.
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// Name of the cluster.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Changes with every start of the cluster.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// The controller's address that answered, as its connection file offers it.
    pub fn address(&self) -> String {
        self.shared.lock().address.clone()
    }

    /// The next task if one is ready; never waits.
    pub fn try_next(&self) -> Option<TaskHandle> {
        let mut state = self.shared.lock();
        if state.ended.is_some() { None } else { self.start(&mut state) }
    }

    /// Waits for the next task. `Err`: the engine is to end. `Ok(None)`: nothing came in `timeout`, or `call` was called.
    pub fn next(&self, timeout: Duration) -> Result<Option<TaskHandle>, String> {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.lock();
        loop {
            if let Some(reason) = &state.ended {
                return Err(reason.clone());
            }
            if std::mem::take(&mut state.called) {
                return Ok(None);
            }
            if let Some(task) = self.start(&mut state) {
                return Ok(Some(task));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            state = self.shared.wait_timeout(state, left);
        }
    }

    /// Has `next` return, for something that the thread of user code is to do beside tasks.
    pub fn call(&self) {
        self.shared.lock().called = true;
        self.shared.changed.notify_all();
    }

    /// User code begins, or ends, to run that is no task: it is interrupted as one when the engine is to end. False: that is
    /// so already.
    pub fn aside(&self, begins: bool) -> bool {
        let mut state = self.shared.lock();
        state.aside = begins;
        state.ended.is_none()
    }

    fn start(&self, state: &mut State) -> Option<TaskHandle> {
        let job = state.core.start_next()?;
        state.begin_output();
        let now = Instant::now();
        state.accounts.begin(job.client);
        state.allowance = Some(Allowance::new(now));
        state.running_since = Some(now);
        if let Some((group, mpi)) = job.group.as_ref().zip(self.shared.mpi) {
            mpi.begin_turn(group);
            job.left.iter().for_each(|left| mpi.left(left));
        }
        Some(started(job))
    }

    /// What other engines are doing, and if asked for where their main threads are; those that do not answer in time are
    /// left out. They are also told of a communicator that is `broken`.
    pub fn inspect(&self, engines: &[EngineId], stacks: bool, broken: Option<Broken>, timeout: Duration) -> Activities {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.lock();
        let inspect = state.inspections.ask(engines, stacks, broken);
        let number = inspect.number;
        state.outbox.push(Action::SendControl(Message::Inspect(inspect)));
        self.shared.waker.wake();
        while !state.inspections.is_complete(number) && state.ended.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.shared.wait_timeout(state, left);
        }
        state.inspections.take(number)
    }

    /// Asks for the code of a running task's function.
    pub fn ask_code(&self) {
        let mut state = self.shared.lock();
        let need = state.core.need();
        state.outbox.extend(need);
        drop(state);
        self.shared.waker.wake();
    }

    /// Waits for the code that was asked for. `Err`: it will not come.
    pub fn wait_code(&self, name: FunctionHash, timeout: Duration) -> Result<Option<Frame>, String> {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.lock();
        loop {
            if let Some(code) = state.core.take_code(FunctionName(name)) {
                return Ok(Some(code));
            }
            if let Some(reason) = &state.ended {
                return Err(reason.clone());
            }
            if state.core.need().is_none() {
                return Err("the connection to the controller was lost".to_owned());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            state = self.shared.wait_timeout(state, left);
        }
    }

    /// Copies a result's buffers into what will be sent.
    pub fn pack<'a>(&self, buffers: impl IntoIterator<Item = &'a [u8]> + Clone) -> Result<Packed, PackError> {
        let state = self.shared.lock();
        let (owner, limit) = (state.registered.map(|(_, peer)| peer), state.result_limit);
        drop(state);
        let size = buffers.clone().into_iter().fold(0_u64, |size, bytes| size.saturating_add(bytes.len() as u64));
        if size > limit {
            return Err(PackError::TooLarge { size, limit });
        }
        let home = self.shared.segments.as_ref().zip(owner);
        let mut packed = Packed::default();
        let copied = buffers.into_iter().try_for_each(|bytes| packed.push(bytes, home));
        copied.map_err(|none| PackError::NoMemory(none.0))?;
        Ok(packed)
    }

    /// Sends the result of a task. If the session broke meanwhile, it is dropped: the controller has already answered.
    /// `why`: what the other members of its group are told when it failed.
    pub fn finish(&self, task: &TaskHandle, outcome: TaskOutcome, packed: Packed, why: &str) {
        self.finish_as(task, outcome, packed, |result| self.end_part(task, outcome, why, result));
    }

    /// The same, with an error after which the task may be started again.
    pub fn finish_again(&self, task: &TaskHandle, packed: Packed) {
        self.finish_as(task, TaskOutcome::Error, packed, Core::finish_again);
    }

    fn finish_as(&self, task: &TaskHandle, outcome: TaskOutcome, packed: Packed, told: impl Fn(Action) -> Action) {
        let names: Vec<Frame> =
            packed.segments.iter().filter_map(|note| packed.frames.get(note.frame as usize).cloned()).collect();
        if self.captures {
            buffers::flush();
        }
        let mut state = self.shared.lock();
        state.end_output();
        self.shared.wake_reader(&state);
        let result = state.core.finish(task.id, outcome, task.times(), packed);
        match result.map(told) {
            Some(action) => state.outbox.push(action),
            None => names.iter().for_each(|name| {
                if let Some(folder) = &self.shared.segments {
                    folder.unlink(name);
                }
            }),
        }
        if let (Some(_), Some(mpi)) = (&task.group, self.shared.mpi) {
            mpi.end_turn();
        }
        let ask = state.core.ask();
        state.outbox.extend(ask);
        drop(state);
        self.shared.waker.wake();
    }

    /// The result of a task that a group does together says where this engine stands.
    fn end_part(&self, task: &TaskHandle, outcome: TaskOutcome, why: &str, result: Action) -> Action {
        let Some((group, mpi)) = task.group.as_ref().zip(self.shared.mpi) else { return result };
        let why = match outcome {
            TaskOutcome::Ok => "",
            _ if why.is_empty() => "it failed",
            _ => why,
        };
        let standing = mpi.standing(group, why);
        Core::finish_part(standing, result)
    }

    /// Writes text that belongs to no task to standard output, or to standard error, of this process.
    pub fn log(&self, to_errors: bool, text: &str) {
        self.shared.logs.write(to_errors, text);
    }

    /// Writes text of a task, as far as its client lets it go on within `timeout`; says how much that is. None: the task
    /// does not run any more, and the rest is dropped.
    pub fn write(&self, task: TaskId, stream: Stream, text: &str, timeout: Duration) -> Option<usize> {
        let deadline = Instant::now() + timeout;
        let (mut state, mut rest) = (self.shared.lock(), text);
        loop {
            if !state.core.runs(task) {
                return None;
            }
            match state.room() {
                Room::Free => {
                    // What was written before comes before.
                    let first = state.output.bytes() == 0;
                    state.take_descriptors();
                    rest = write_piece(&mut state, stream, rest);
                    self.shared.wake(&state, first);
                    self.shared.wake_reader(&state);
                }
                Room::None => {
                    state.drop_output(stream, rest.len());
                    return Some(text.len());
                }
                Room::Until(until) => {
                    let left = until.min(deadline).saturating_duration_since(Instant::now());
                    if left.is_zero() && deadline <= Instant::now() {
                        return Some(text.len() - rest.len());
                    }
                    self.shared.waker.wake();
                    state = self.shared.wait_timeout(state, left);
                }
            }
            if rest.is_empty() {
                return Some(text.len());
            }
        }
    }
}

impl Drop for Engine {
    /// Sends what is left to send and ends the I/O thread.
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.waker.wake();
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was printed when it happened.
            let _ = thread.join();
        }
        if self.captures {
            buffers::flush();
            reader::stop(&self.shared);
        }
    }
}

impl TaskHandle {
    /// When it began, and when it ends if that is now, in seconds since 1970.
    fn times(&self) -> (f64, f64) {
        (self.started, self.started + self.since.elapsed().as_secs_f64())
    }
}

/// Writes the first piece, and returns what is left.
fn write_piece<'a>(state: &mut State, stream: Stream, text: &'a str) -> &'a str {
    let (piece, rest) = first_piece(stream, text);
    state.written(stream, piece);
    rest
}

fn started(job: Job) -> TaskHandle {
    let function = job.function.map(|(name, code)| (name.0, code));
    let (started, since) = (wall_clock(), Instant::now());
    let (payload, group, needs) = (job.payload, job.group, job.needs);
    TaskHandle { id: job.id, op: job.op, function, payload, group, needs, started, since }
}
