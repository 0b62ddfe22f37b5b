//! The engine's I/O thread, and the calls for the thread that runs user code.
//!
//! The I/O thread owns the sockets and never needs the interpreter: an engine inside a long C call goes on answering.
//! The two threads share one lock around the core, held for moments only.

use super::core::{Action, Core, Job};
use super::inspection::{MpiFunctions, StackFile};
use super::output::Gathered;
use super::process::{self, UserThread};
use crate::connection::{ConnectionError, ConnectionFile, Role};
use crate::ids::{EngineId, FunctionHash, PeerId, TaskId};
use crate::inspections::{Activities, Inspections};
use crate::places;
use crate::system::{block_all_signals, resident_bytes, wall_clock};
use crate::transport::dial::DialError;
use crate::transport::session::{Session, SessionEvent};
use crate::transport::wake::Waker;
use crate::wire::message::{
    Activity, Broken, Group, Hello, Inspect, Inspected, Message, Op, Rank, Stream, TaskOutcome, Usage,
};
use crate::wire::part::{NoMemory, Packed, Part, unpack};
use crate::wire::segment::SegmentFolder;
use crate::wire::{Channel, Frame};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How an engine is to be run.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The id to ask for.
    pub wanted_id: Option<EngineId>,
    /// How long registration may take.
    pub timeout: Duration,
    /// How long a lost controller is waited for, where it is not this host's.
    pub lease: Duration,
    /// When it will be ended from outside, if that is known.
    pub end: Option<EndOfTime>,
    /// Which rank of an MPI program it is.
    pub world: Option<Rank>,
    /// How MPI is told what happens elsewhere.
    pub mpi: Option<MpiFunctions>,
    /// How the main thread is asked for its stack.
    pub stack: Option<StackFile>,
}

/// When an engine's process will be ended from outside, as a job is at the end of its time.
#[derive(Debug, Clone, Copy)]
pub struct EndOfTime {
    /// Seconds since 1970.
    pub at: f64,
    /// How long before that user code is warned.
    pub warn_before: Duration,
    /// How long before that it is given no balanced task whose duration is not stated.
    pub drain_before: Duration,
}

impl EndOfTime {
    /// From now on; nothing when it is over.
    pub fn left(&self) -> Duration {
        Duration::try_from_secs_f64(self.at - wall_clock()).unwrap_or_default()
    }
}

/// Why an engine could not register.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Its connection file is of no use.
    #[error(transparent)]
    ConnectionFile(#[from] ConnectionError),
    /// The file is a client's.
    #[error("{0} is a connection file for a {1}, not for an engine")]
    WrongRole(String, Role),
    /// No address to dial.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The deadline is over, or the controller refused.
    #[error("could not register: {0}")]
    Refused(String),
    /// The kernel refused something.
    #[error("{0}: {1}")]
    System(&'static str, std::io::Error),
}

/// How long text is gathered before it is sent.
const OUTPUT_DELAY: Duration = Duration::from_millis(20);
/// Text is sent at once when there is so much of it.
const OUTPUT_CHUNK: usize = 64 << 10;
/// User code waits when so much text is not sent yet.
const OUTPUT_MAX: usize = 4 << 20;
/// How often memory use is told.
const USAGE_EVERY: Duration = Duration::from_secs(2);
/// How long user code may go on after the engine was told to stop.
const STOP_GRACE: Duration = Duration::from_secs(1);

#[derive(Default)]
struct State {
    core: Core,
    outbox: Vec<Action>,
    /// Text not sent yet.
    output: Gathered,
    registered: Option<(EngineId, PeerId)>,
    /// The controller's address that answered.
    address: String,
    /// Registration failed, or the engine is to end.
    ended: Option<String>,
    /// The I/O thread is to send what is left and end.
    closing: bool,
    /// Answers to what other engines were asked.
    inspections: Inspections,
}

impl State {
    /// Moves gathered text to the outbox, before whatever comes next.
    fn flush_output(&mut self) {
        for (stream, text) in self.output.take() {
            self.outbox.extend(self.core.output(stream, text));
        }
    }
}

struct Shared {
    state: Mutex<State>,
    /// A task may be ready, registration may be over, output was sent.
    changed: Condvar,
    waker: Waker,
    segments: Option<SegmentFolder>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not take the engine's heartbeat away.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task in the hands of user code.
#[derive(Debug)]
pub struct TaskHandle {
    /// The controller's number.
    pub id: TaskId,
    /// What to do.
    pub op: Op,
    /// The function to call: hash and code.
    pub function: Option<(FunctionHash, Frame)>,
    /// The payload, or why it could not be read.
    pub payload: Result<Vec<Part>, String>,
    /// Who does it together, when it is collective.
    pub group: Option<Group>,
    started: f64,
}

/// A registered engine.
pub struct Engine {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    id: EngineId,
    uuid: String,
}

impl Engine {
    /// Registers with the controller of `connection_file`. The calling thread is the one that will run user code.
    pub fn register(connection_file: &Path, config: &EngineConfig) -> Result<Engine, EngineError> {
        let file = ConnectionFile::read(connection_file)?;
        if file.role != Role::Engine {
            return Err(EngineError::WrongRole(connection_file.display().to_string(), file.role));
        }
        let uuid = places::random_hex(16);
        let hello = Hello {
            wanted_id: config.wanted_id,
            drain_before: config.end.map_or(0.0, |end| end.drain_before.as_secs_f64()),
            world: config.world.clone().map(Box::new),
            ..Hello::new(Role::Engine, uuid.clone(), places::host_name(), std::process::id())
        };
        let context = zmq::Context::new();
        let mut session = Session::dial(&context, &file, hello)?;
        session.set_end(config.end.map(|end| Instant::now() + end.left()));
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            waker: Waker::new().map_err(|error| EngineError::System("eventfd", error))?,
            segments: file.shared_memory.filter(|_| session.is_local()).map(SegmentFolder::new),
        });
        process::end_group_on_sigterm();
        let deadline = Instant::now() + config.timeout;
        let reactor = Reactor {
            session,
            shared: Arc::clone(&shared),
            user: UserThread::current(),
            mpi: config.mpi,
            stack: config.stack,
            lease: config.lease,
            give_up: Some(deadline),
            stop_at: None,
            warn_at: config.end.map(|end| Instant::now() + end.left().saturating_sub(end.warn_before)),
            next_usage: Instant::now(),
            told_bytes: 0,
            _context: context,
        };
        let thread = std::thread::Builder::new()
            .name("ipclusterz-io".to_owned())
            .spawn(move || reactor.run())
            .map_err(|error| EngineError::System("starting the I/O thread", error))?;
        let mut state = shared.lock();
        while state.registered.is_none() && state.ended.is_none() {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        match (state.registered, state.ended.take()) {
            (Some((id, _)), None) => {
                drop(state);
                Ok(Engine { shared, thread: Some(thread), id, uuid })
            }
            (_, reason) => Err(EngineError::Refused(reason.unwrap_or_default())),
        }
    }

    /// What the user calls it.
    pub fn id(&self) -> EngineId {
        self.id
    }

    /// Names its process.
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// The controller's address that answered, as its connection file offers it.
    pub fn address(&self) -> String {
        self.shared.lock().address.clone()
    }

    /// The next task if one is ready; never waits.
    pub fn try_next(&self) -> Option<TaskHandle> {
        let mut state = self.shared.lock();
        if state.ended.is_some() { None } else { state.core.start_next().map(started) }
    }

    /// Waits for the next task. `Err`: the engine is to end. `Ok(None)`: nothing came in `timeout`.
    pub fn next(&self, timeout: Duration) -> Result<Option<TaskHandle>, String> {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.lock();
        loop {
            if let Some(reason) = &state.ended {
                return Err(reason.clone());
            }
            if let Some(job) = state.core.start_next() {
                return Ok(Some(started(job)));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What other engines are doing; of those that do not answer in time, nothing. By the way they are told of a
    /// communicator that is broken.
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
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.inspections.take(number)
    }

    /// Copies a result's buffers into what will be sent.
    pub fn pack<'a>(&self, buffers: impl IntoIterator<Item = &'a [u8]>) -> Result<Packed, NoMemory> {
        let owner = self.shared.lock().registered.map(|(_, peer)| peer);
        let home = self.shared.segments.as_ref().zip(owner);
        let mut packed = Packed::default();
        buffers.into_iter().try_for_each(|bytes| packed.push(bytes, home))?;
        Ok(packed)
    }

    /// Ends a task. A task of a session that broke is forgotten: the controller has answered for it.
    pub fn finish(&self, task: &TaskHandle, outcome: TaskOutcome, packed: Packed) {
        let names: Vec<Frame> =
            packed.segments.iter().filter_map(|note| packed.frames.get(note.frame as usize).cloned()).collect();
        let mut state = self.shared.lock();
        state.flush_output();
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

    /// Text of the running task; waits while too much of it is unsent. False: nothing runs, the text is not taken.
    pub fn write(&self, stream: Stream, text: &str) -> bool {
        let mut state = self.shared.lock();
        if !state.core.is_running() {
            return false;
        }
        while state.output.bytes() > OUTPUT_MAX && state.ended.is_none() {
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let first = state.output.bytes() == 0;
        state.output.push(stream, text);
        let wake = first || state.output.bytes() > OUTPUT_CHUNK;
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

fn started(job: Job) -> TaskHandle {
    let function = job.function.and_then(|(name, code)| code.map(|code| (name.0, code)));
    TaskHandle { id: job.id, op: job.op, function, payload: job.payload, group: job.group, started: wall_clock() }
}

struct Reactor {
    // Sockets close before the context.
    session: Session,
    shared: Arc<Shared>,
    user: UserThread,
    mpi: Option<MpiFunctions>,
    stack: Option<StackFile>,
    lease: Duration,
    /// When to give up for want of a session.
    give_up: Option<Instant>,
    /// When to end the process although user code runs.
    stop_at: Option<Instant>,
    /// When to warn user code of the end of its time.
    warn_at: Option<Instant>,
    next_usage: Instant,
    told_bytes: u64,
    _context: zmq::Context,
}

impl Reactor {
    fn run(mut self) {
        block_all_signals();
        if let Err(error) = self.serve() {
            self.end(&format!("the engine's socket failed: {error}"));
        }
    }

    /// Until the engine has ended and everything is sent.
    fn serve(&mut self) -> Result<(), zmq::Error> {
        let mut events = Vec::new();
        loop {
            let more = self.session.receive(&mut events)?;
            for event in events.drain(..) {
                self.event(event);
            }
            let (output_waits, done) = self.send_all()?;
            if done {
                return Ok(());
            }
            if let Some(deadline) = self.give_up
                && Instant::now() >= deadline
            {
                let problem = self.session.problem().to_owned();
                self.end(&problem);
            }
            // Not before it is registered: then nobody can have asked to be warned.
            if self.give_up.is_none() && self.warn_at.take_if(|at| Instant::now() >= *at).is_some() {
                self.user.warn();
            }
            if self.stop_at.is_some_and(|at| Instant::now() >= at) {
                process::end_group(1);
            }
            if !more {
                self.sleep(output_waits)?;
            }
        }
    }

    fn sleep(&mut self, output_waits: bool) -> Result<(), zmq::Error> {
        let now = Instant::now();
        let mut until = self.next_usage.max(now);
        let warn_at = self.warn_at.filter(|_| self.give_up.is_none());
        for deadline in [self.give_up, self.stop_at, warn_at].into_iter().flatten() {
            until = until.min(deadline);
        }
        let mut timeout = until.saturating_duration_since(now);
        if output_waits {
            timeout = timeout.min(OUTPUT_DELAY);
        }
        self.shared.waker.prepare();
        let state = self.shared.lock();
        let nothing = state.outbox.is_empty() && (state.output.bytes() > 0) == output_waits;
        let closing = state.closing;
        drop(state);
        let result = if nothing && !closing { self.session.wait(self.shared.waker.fd(), timeout) } else { Ok(()) };
        self.shared.waker.awake();
        if output_waits {
            self.shared.lock().flush_output();
            self.shared.changed.notify_all();
        }
        result
    }

    /// Sends what user code has left; whether text is being gathered, and whether the thread is done.
    fn send_all(&mut self) -> Result<(bool, bool), zmq::Error> {
        let mut state = self.shared.lock();
        if state.output.bytes() > OUTPUT_CHUNK {
            state.flush_output();
            self.shared.changed.notify_all();
        }
        let actions = std::mem::take(&mut state.outbox);
        let output_waits = state.output.bytes() > 0;
        let done = state.closing;
        drop(state);
        for action in actions {
            self.act(action)?;
        }
        if Instant::now() >= self.next_usage {
            self.next_usage = Instant::now() + USAGE_EVERY;
            let bytes = resident_bytes();
            if bytes.abs_diff(self.told_bytes) > 1 << 20 && self.give_up.is_none() {
                self.told_bytes = bytes;
                self.session.send(Channel::Control, &Message::Usage(Usage { resident_bytes: bytes }), vec![])?;
            }
        }
        Ok((output_waits, done))
    }

    fn act(&mut self, action: Action) -> Result<(), zmq::Error> {
        match action {
            Action::SendData(message, payload) => self.session.send(Channel::Data, &message, payload)?,
            Action::Interrupt => self.user.interrupt(),
            Action::EndEpoch(over) => {
                if let Some(mpi) = self.mpi {
                    mpi.end_epoch(&over);
                }
            }
            Action::Inspect(inspect) => {
                let answer = self.inspect(inspect);
                self.session.send(Channel::Control, &answer, vec![])?;
            }
            Action::SendControl(message) => self.session.send(Channel::Control, &message, vec![])?,
            Action::Stop => self.stop("shut down"),
        }
        Ok(())
    }

    fn inspect(&self, inspect: Inspect) -> Message {
        if let (Some(mpi), Some(broken)) = (self.mpi, &inspect.broken) {
            mpi.break_off(broken);
        }
        let stack = self.stack.map(|stack| stack.ask(self.user).unwrap_or_else(|error| format!("unreadable: {error}")));
        let activity = Activity {
            busy: self.shared.lock().core.is_running(),
            stack: stack.unwrap_or_default(),
            calls: self.mpi.map(|mpi| mpi.calls()).unwrap_or_default(),
        };
        let (number, asker) = (inspect.number, inspect.asker);
        Message::Inspected(Inspected { number, asker, engine: None, activity: Some(activity) })
    }

    fn event(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Established(welcome) => {
                self.give_up = None;
                self.told_bytes = 0;
                self.next_usage = Instant::now();
                let mut state = self.shared.lock();
                state.registered = welcome.engine_id.map(|id| (id, welcome.peer));
                state.address = self.session.address();
                drop(state);
                self.shared.changed.notify_all();
            }
            SessionEvent::Refused(reason) => self.end(&reason),
            SessionEvent::Lost(reason) => {
                self.shared.lock().core.session_lost();
                if self.session.is_local() {
                    self.stop(&reason);
                } else {
                    self.give_up = Some(Instant::now() + self.lease);
                }
            }
            SessionEvent::Message(_, Message::Inspected(inspected), _) => {
                self.shared.lock().inspections.answered(inspected);
                self.shared.changed.notify_all();
            }
            SessionEvent::Message(_, message, payload) => {
                let folder = self.shared.segments.clone();
                let unpack = |frames, task: &crate::wire::message::Task| {
                    unpack(frames, &task.segments, folder.as_ref())
                        .map_err(|error| format!("the payload cannot be read: {error}"))
                };
                let mut state = self.shared.lock();
                let actions = state.core.message(message, payload, unpack);
                state.outbox.extend(actions);
                drop(state);
                self.shared.changed.notify_all();
            }
        }
    }

    /// Asks user code to end, and ends the process soon in any case.
    fn stop(&mut self, reason: &str) {
        self.stop_at.get_or_insert(Instant::now() + STOP_GRACE);
        self.shared.lock().ended.get_or_insert_with(|| reason.to_owned());
        self.shared.changed.notify_all();
    }

    /// Registration failed, or the lease is over.
    fn end(&mut self, reason: &str) {
        self.give_up = None;
        let registered = self.shared.lock().registered.is_some();
        if registered {
            self.stop(reason);
        } else {
            let mut state = self.shared.lock();
            state.ended.get_or_insert_with(|| reason.to_owned());
            state.closing = true;
            drop(state);
            self.shared.changed.notify_all();
        }
    }
}
