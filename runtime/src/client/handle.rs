//! A client for other threads: connect, submit, ask, end.

use super::answer_id::{AnswerId, AnswerIdError, CLIENT_DIGITS};
use super::core::{Event, Outgoing};
use super::pending::Pending;
use super::reactor::{self, Shared, State};
use super::watched::Watched;
use crate::connection::{ConnectionFile, Role};
use crate::ids::{EngineId, FunctionHash, RequestId};
use crate::inspections::Activities;
use crate::places;
use crate::system::wall_clock;
use crate::transport::dial::DialError;
use crate::transport::session::Session;
use crate::wire::Channel;
use crate::wire::message::{
    Abort, Empty, EngineInfo, EngineList, FunctionName, Hello, Message, Op, Placement, Status, Targets,
};
use crate::wire::part::Packed;
use crate::wire::segment::SegmentFolder;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Why a client cannot do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No address to dial.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection file is an engine's.
    #[error("this is a connection file for an {0}, not for a client")]
    WrongRole(Role),
    /// The controller refused.
    #[error("{0}")]
    Refused(String),
    /// No controller in time.
    #[error("no controller within {0:.1} s: {1}")]
    Unreachable(f64, String),
    /// There was one.
    #[error("not connected: {0}")]
    Disconnected(String),
    /// Closed by its owner.
    #[error("the client is closed")]
    Closed,
    /// Made by another process.
    #[error("this client was made in process {0} before a fork; make a new one here")]
    Forked(u32),
    /// Larger than the controller allows, or than there is memory for.
    #[error("a payload of {size} bytes is too large: the limit is {limit} bytes")]
    TooLarge {
        /// Bytes.
        size: u64,
        /// Bytes.
        limit: u64,
    },
    /// No memory for a copy.
    #[error("there is no memory for a payload of {0} bytes")]
    NoMemory(usize),
    /// The deadline of a call is over.
    #[error("no answer within {0:.1} s")]
    Timeout(f64),
    /// The kernel refused something.
    #[error("{0}: {1}")]
    System(&'static str, std::io::Error),
}

/// Work for one list of engines, or for whichever is free.
#[derive(Debug)]
pub struct Item {
    /// None: balanced.
    pub targets: Option<Vec<EngineId>>,
    /// The payload, from `Client::pack`.
    pub packed: Packed,
}

/// What is common to all items of one submission.
#[derive(Debug, Clone, Copy)]
pub struct Submission<'a> {
    /// What to do.
    pub op: Op,
    /// The function to call: hash and code.
    pub function: Option<(FunctionHash, &'a [u8])>,
    /// For balanced items: how often each may be started again when its engine dies.
    pub retries: u32,
    /// For balanced items: the engines that they may go to; none: all there are.
    pub engines: Option<&'a [EngineId]>,
    /// For balanced items: how many seconds each will take, if that is known.
    pub duration: Option<f64>,
    /// For items with targets: these do it together, as a group of one MPI program.
    pub collective: bool,
}

/// Bytes that may wait in this process for room in the controller's window; more makes `submit` wait.
const BACKLOG_MAX: u64 = 1 << 30;

/// A connection to a controller.
pub struct Client {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    uuid: String,
    cluster: String,
    pid: u32,
}

impl Client {
    /// Connects, and waits until the controller has let this client in.
    pub fn connect(file: &ConnectionFile, timeout: Duration) -> Result<Client, ClientError> {
        Client::connect_with(file, timeout, || Ok(()))
    }

    /// The same; `check` is called every few milliseconds and may end the wait.
    pub fn connect_with<E: From<ClientError>>(
        file: &ConnectionFile,
        timeout: Duration,
        mut check: impl FnMut() -> Result<(), E>,
    ) -> Result<Client, E> {
        if file.role != Role::Client {
            return Err(ClientError::WrongRole(file.role).into());
        }
        let uuid = places::random_hex(16);
        let pid = std::process::id();
        let hello = Hello::new(Role::Client, uuid.clone(), places::host_name(), pid);
        let context = zmq::Context::new();
        let session = Session::dial(&context, file, hello).map_err(ClientError::from)?;
        let segments = file.shared_memory.clone().filter(|_| session.is_local()).map(SegmentFolder::new);
        let shared = Arc::new(Shared::new(segments).map_err(|error| ClientError::System("eventfd", error))?);
        let thread = std::thread::Builder::new()
            .name("ipclusterz-io".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || reactor::run(session, shared, context)
            })
            .map_err(|error| ClientError::System("starting the I/O thread", error))?;
        let cluster = file.cluster.clone();
        let client = Client { shared, thread: Mutex::new(Some(thread)), uuid, cluster, pid };
        client.await_session(timeout, &mut check)?;
        Ok(client)
    }

    fn await_session<E: From<ClientError>>(
        &self,
        timeout: Duration,
        check: &mut impl FnMut() -> Result<(), E>,
    ) -> Result<(), E> {
        let deadline = Instant::now() + timeout;
        loop {
            let mut state = self.shared.lock();
            if state.core.standing.is_none() && !state.refused {
                state = self.shared.wait(state, Duration::from_millis(20));
            }
            if state.core.standing.is_some() {
                return Ok(());
            }
            if state.refused || state.closed.is_some() {
                return Err(ClientError::Refused(state.problem.clone()).into());
            }
            if Instant::now() >= deadline {
                return Err(ClientError::Unreachable(timeout.as_secs_f64(), state.problem.clone()).into());
            }
            drop(state);
            check()?;
        }
    }

    /// Names this client.
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// The controller's address that answered last.
    pub fn address(&self) -> String {
        self.shared.lock().address.clone()
    }

    /// The cluster's name.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The beginning of its uuid, which is the beginning of its message ids.
    pub fn name(&self) -> &str {
        &self.uuid[..CLIENT_DIGITS]
    }

    fn check_process(&self) -> Result<(), ClientError> {
        if std::process::id() == self.pid { Ok(()) } else { Err(ClientError::Forked(self.pid)) }
    }

    fn usable(&self) -> Result<MutexGuard<'_, State>, ClientError> {
        self.check_process()?;
        let state = self.shared.lock();
        if state.closed.is_some() {
            return Err(ClientError::Closed);
        }
        if state.core.standing.is_none() {
            return Err(ClientError::Disconnected(state.problem.clone()));
        }
        Ok(state)
    }

    /// Copies buffers into a payload; they may change as soon as this returns.
    pub fn pack<'a>(&self, buffers: impl IntoIterator<Item = &'a [u8]> + Clone) -> Result<Packed, ClientError> {
        let mut packed = Packed::default();
        let size = buffers.clone().into_iter().map(|bytes| bytes.len() as u64).sum();
        let standing = self.usable()?.core.standing;
        let Some(standing) = standing else { return Err(ClientError::Closed) };
        let limit = standing.request_limit();
        if size > limit {
            return Err(ClientError::TooLarge { size, limit });
        }
        let home = self.shared.segments.as_ref().map(|folder| (folder, standing.peer));
        for bytes in buffers {
            packed.push(bytes, home).map_err(|none| ClientError::NoMemory(none.0))?;
        }
        Ok(packed)
    }

    /// Whether `submit` would wait for room.
    pub fn is_full(&self) -> bool {
        self.shared.lock().core.backlog_bytes() > BACKLOG_MAX
    }

    /// Waits for room, at most `timeout`.
    pub fn wait_for_room(&self, timeout: Duration) -> bool {
        let state = self.shared.lock();
        if state.core.backlog_bytes() <= BACKLOG_MAX || state.closed.is_some() {
            return true;
        }
        self.shared.wait(state, timeout).core.backlog_bytes() <= BACKLOG_MAX
    }

    /// Hands work over; returns at once. The first request's number comes with the answers to be awaited: item `i` has
    /// number `first + i`.
    pub fn submit(
        &self,
        submission: Submission<'_>,
        items: Vec<Item>,
    ) -> Result<(RequestId, Arc<Pending>), ClientError> {
        let mut targets = Vec::with_capacity(items.len());
        for item in &items {
            match &item.targets {
                Some(engines) => targets.extend(engines.iter().copied().map(Some)),
                None => targets.push(None),
            }
        }
        let pending = Pending::new(targets, wall_clock(), Arc::clone(&self.shared.watched));
        let mut state = self.usable()?;
        let first = state.core.number(items.len());
        let function = submission.function.map(|(hash, code)| {
            let name = FunctionName(hash);
            (name, state.core.functions.code(name, code))
        });
        let mut base = 0;
        for (id, item) in (first.0..).map(RequestId).zip(items) {
            let count = item.targets.as_ref().map_or(1, Vec::len);
            let placement = match item.targets {
                Some(engines) => Placement::Engines(engines),
                None => Placement::Balanced {
                    retries: submission.retries,
                    engines: submission.engines.map(<[EngineId]>::to_vec),
                    duration: submission.duration,
                },
            };
            state.core.submit(Outgoing {
                id,
                placement,
                op: submission.op,
                function: function.clone(),
                packed: item.packed,
                pending: Arc::downgrade(&pending),
                base,
                count,
                collective: submission.collective,
            });
            base += count;
        }
        drop(state);
        self.shared.waker.wake();
        Ok((first, pending))
    }

    fn send(&self, channel: Channel, message: Message) -> Result<(), ClientError> {
        self.usable()?.send(channel, message);
        // What was taken from the backlog leaves room there.
        self.shared.changed.notify_all();
        self.shared.waker.wake();
        Ok(())
    }

    /// Gives up what was not started: of these requests or of all, on these engines or anywhere.
    pub fn abort(&self, requests: Option<Range<RequestId>>, engines: Option<Vec<EngineId>>) -> Result<(), ClientError> {
        if engines.is_none() {
            self.usable()?.core.abort_unsent(requests.as_ref(), wall_clock());
            self.shared.changed.notify_all();
        }
        let requests = requests.map(|requests| (requests.start.0..requests.end.0).map(RequestId).collect());
        // Behind the requests that it names.
        self.send(Channel::Data, Message::Abort(Abort { requests, engines }))
    }

    /// Raises KeyboardInterrupt in what runs on these engines.
    pub fn interrupt(&self, engines: Vec<EngineId>) -> Result<(), ClientError> {
        // Behind the requests whose code it is meant for, and before those that come after it.
        self.send(Channel::Data, Message::Interrupt(Targets { engines: Some(engines) }))
    }

    /// Has engines end once they have done what was submitted to them; does not wait. What they have not begun of
    /// balanced work goes to others, and they get nothing new.
    pub fn retire(&self, engines: Vec<EngineId>) -> Result<(), ClientError> {
        self.send(Channel::Data, Message::Retire(EngineList { engines }))
    }

    /// Asks engines to end, or (none) all of them and the controller; does not wait.
    pub fn request_shutdown(&self, engines: Option<Vec<EngineId>>) -> Result<(), ClientError> {
        self.send(Channel::Control, Message::Shutdown(Targets { engines }))
    }

    /// The same, and waits until they are gone.
    pub fn shutdown(&self, engines: Option<&[EngineId]>, timeout: Duration) -> Result<(), ClientError> {
        self.request_shutdown(engines.map(<[EngineId]>::to_vec))?;
        let gone = |state: &State| match engines {
            Some(engines) => engines.iter().all(|id| !state.core.engines.contains_key(id)),
            None => state.core.standing.is_none(),
        };
        self.wait_until(timeout, gone)
    }

    fn wait_until(&self, timeout: Duration, mut ready: impl FnMut(&State) -> bool) -> Result<(), ClientError> {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.lock();
        while !ready(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ClientError::Timeout(timeout.as_secs_f64()));
            }
            state = self.shared.wait(state, left);
        }
        Ok(())
    }

    /// Engines that are there, by id.
    pub fn engines(&self) -> Vec<EngineInfo> {
        self.shared.lock().core.engines.values().map(|(info, _)| info.clone()).collect()
    }

    /// Their ids, sorted.
    pub fn engine_ids(&self) -> Result<Vec<EngineId>, ClientError> {
        Ok(self.usable()?.core.engines.keys().copied().collect())
    }

    /// Waits until there are `count` engines; false at the deadline.
    pub fn wait_for_engines(&self, count: usize, timeout: Duration) -> Result<bool, ClientError> {
        drop(self.usable()?);
        let enough = |state: &State| state.core.engines.len() >= count || state.core.standing.is_none();
        let in_time = self.wait_until(timeout, enough).is_ok();
        Ok(self.usable()?.core.engines.len() >= count && in_time)
    }

    /// The answers that these message ids name.
    pub fn answer_ids(&self, texts: &[String]) -> Result<Vec<AnswerId>, AnswerIdError> {
        let ids: Vec<AnswerId> =
            texts.iter().map(|text| AnswerId::parse(text, self.name())).collect::<Result<_, _>>()?;
        let state = self.shared.lock();
        match ids.iter().find(|id| !state.core.was_submitted(**id)) {
            Some(unknown) => Err(AnswerIdError::Unknown(unknown.text(self.name()))),
            None => Ok(ids),
        }
    }

    /// Waits until none of these answers is to come any more (none named: nothing at all that was submitted); false at
    /// the deadline. What has come is taken from the end of the list, so that a second call goes on where this one
    /// ended.
    pub fn wait_answers(&self, ids: Option<&mut Vec<AnswerId>>, timeout: Duration) -> Result<bool, ClientError> {
        self.check_process()?;
        let result = match ids {
            Some(ids) => self.wait_until(timeout, |state| {
                while ids.pop_if(|id| !state.core.is_under_way(*id)).is_some() {}
                ids.is_empty()
            }),
            None => self.wait_until(timeout, |state| state.core.under_way() == 0),
        };
        Ok(result.is_ok())
    }

    /// Submissions that are complete, of those whose `Pending` is watched.
    pub fn watched(&self) -> &Watched {
        &self.shared.watched
    }

    /// The next thing that happened, oldest first; none at the deadline.
    pub fn wait_event(&self, timeout: Duration) -> Result<Option<Event>, ClientError> {
        // The deadline is no error here: then nothing happened.
        let _ = self.wait_until(timeout, |state| !state.core.events.is_empty() || state.closed.is_some());
        Ok(self.shared.lock().core.events.pop_front())
    }

    /// The state of the cluster.
    pub fn status(&self, timeout: Duration) -> Result<Status, ClientError> {
        let before = self.usable()?.core.status.0;
        self.send(Channel::Control, Message::StatusRequest(Empty {}))?;
        let answered = self.wait_until(timeout, |state| state.core.status.0 > before || state.core.standing.is_none());
        if answered.is_err() && self.shared.lock().core.is_away() {
            return Err(ClientError::Unreachable(timeout.as_secs_f64(), self.shared.lock().problem.clone()));
        }
        answered?;
        let mut state = self.usable()?;
        state.core.status.1.take().ok_or(ClientError::Timeout(timeout.as_secs_f64()))
    }

    /// What engines are doing; of those that do not answer in time, nothing.
    pub fn inspect(&self, engines: &[EngineId], timeout: Duration) -> Result<Activities, ClientError> {
        let inspect = self.usable()?.core.inspections.ask(engines, None);
        let number = inspect.number;
        self.send(Channel::Control, Message::Inspect(inspect))?;
        // At the deadline there is what has come.
        let _ = self.wait_until(timeout, |state| state.core.inspections.is_complete(number));
        Ok(self.shared.lock().core.inspections.take(number))
    }

    /// Sends what is left to send and ends; what is under way is lost to this client. Nothing of it is open afterwards.
    pub fn close(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if std::process::id() != self.pid {
            // After a fork there is no such thread here, and its sockets are not ours.
            return std::mem::forget(thread);
        }
        self.shared.lock().closed.get_or_insert_with(|| "the client was closed".to_owned());
        self.shared.waker.wake();
        if let Some(thread) = thread {
            // A panic of that thread was printed when it happened.
            let _ = thread.join();
        }
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().closed.is_some()
    }

    /// Requests without all their answers.
    pub fn under_way(&self) -> usize {
        self.shared.lock().core.under_way()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.close();
    }
}
