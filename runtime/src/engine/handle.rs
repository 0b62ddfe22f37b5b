//! The engine as the thread that runs user code uses it: it takes tasks, returns results and writes output.

use super::core::{Action, Job};
use super::output::{Allowance, OUTPUT_CHUNK};
use super::shared::{Shared, State};
use crate::inspections::Activities;
use crate::system::wall_clock;
use crate::wire::Frame;
use crate::wire::message::{Broken, FunctionName, Group, Message, Op, Stream, TaskOutcome};
use crate::wire::part::{Packed, Part};
use ipclusterz_base::ids::{EngineId, FunctionHash, TaskId};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// User code waits while so much text is unsent.
const OUTPUT_MAX: usize = 4 << 20;

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
    started: f64,
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
        if state.ended.is_some() { None } else { start(&mut state) }
    }

    /// Waits for the next task. `Err`: the engine is to end. `Ok(None)`: nothing came in `timeout`.
    pub fn next(&self, timeout: Duration) -> Result<Option<TaskHandle>, String> {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.lock();
        loop {
            if let Some(reason) = &state.ended {
                return Err(reason.clone());
            }
            if let Some(task) = start(&mut state) {
                return Ok(Some(task));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            state = self.shared.wait_timeout(state, left);
        }
    }

    /// What other engines are doing; those that do not answer in time are left out. They are also told of a
    /// communicator that is `broken`.
    pub fn inspect(&self, engines: &[EngineId], broken: Option<Broken>, timeout: Duration) -> Activities {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.lock();
        let inspect = state.inspections.ask(engines, broken);
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
    pub fn finish(&self, task: &TaskHandle, outcome: TaskOutcome, packed: Packed) {
        let names: Vec<Frame> =
            packed.segments.iter().filter_map(|note| packed.frames.get(note.frame as usize).cloned()).collect();
        let mut state = self.shared.lock();
        state.end_output();
        match state.core.finish(task.id, outcome, (task.started, wall_clock()), packed) {
            Some(action) => state.outbox.push(action),
            None => names.iter().for_each(|name| {
                if let Some(folder) = &self.shared.segments {
                    folder.unlink(name);
                }
            }),
        }
        let ask = state.core.ask();
        state.outbox.extend(ask);
        drop(state);
        self.shared.waker.wake();
    }

    /// Writes text of a task; waits while too much is unsent. False: it does not run any more, and the text is dropped.
    pub fn write(&self, task: TaskId, stream: Stream, text: &str) -> bool {
        let mut state = self.shared.lock();
        while state.core.runs(task) && state.output.bytes() > OUTPUT_MAX && state.ended.is_none() {
            state = self.shared.wait(state);
        }
        if !state.core.runs(task) {
            return false;
        }
        let first = state.output.bytes() == 0;
        state.written(stream, text);
        let wake = (first && state.output.bytes() > 0) || state.output.bytes() > OUTPUT_CHUNK;
        drop(state);
        if wake {
            self.shared.waker.wake();
        }
        true
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
    }
}

fn start(state: &mut State) -> Option<TaskHandle> {
    let job = state.core.start_next()?;
    state.allowance = Some(Allowance::new(Instant::now()));
    Some(started(job))
}

fn started(job: Job) -> TaskHandle {
    let function = job.function.map(|(name, code)| (name.0, code));
    TaskHandle { id: job.id, op: job.op, function, payload: job.payload, group: job.group, started: wall_clock() }
}
