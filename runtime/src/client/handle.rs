//! The client as other threads use it: how it is connected, identified and closed.
//!
//! What it submits is in `submit`; what it asks of the cluster is in `cluster`.

use super::answer_id::CLIENT_DIGITS;
use super::error::ClientError;
use super::numbers::Run;
use super::reactor;
use super::shared::{Refusal, Shared, State};
use crate::system;
use crate::transport::context;
use crate::transport::dial::DialError;
use crate::transport::session::Session;
use crate::wire::Channel;
use crate::wire::message::{Goodbye, Hello, Message};
use crate::wire::reaper;
use crate::wire::segment::SegmentFolder;
use ipclusterz_base::connection::{ConnectionFile, ControllerProcess, Role};
use ipclusterz_base::places;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A controller that does not go on is waited for so long.
pub(super) const HALTED_FOR: Duration = Duration::from_millis(500);

/// A connection to a controller.
pub struct Client {
    pub(super) shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    uuid: String,
    begins: String,
    cluster: String,
    pid: u32,
    /// The controller's process, as the connection file has it.
    pub(super) controller: Option<ControllerProcess>,
    /// Somebody starts a controller again that has died.
    pub(super) returns: bool,
}

impl Client {
    /// Connects, and waits until the controller has admitted this client.
    pub fn connect(file: &ConnectionFile, timeout: Duration) -> Result<Client, ClientError> {
        Client::connect_with(file, timeout, || Ok(()))
    }

    /// The same for a launcher: what is said of an engine that died waits for its [`Client::engine_ended`].
    pub fn connect_as_launcher(file: &ConnectionFile, timeout: Duration) -> Result<Client, ClientError> {
        Client::connect_as(true, None, file, timeout, || Ok(()))
    }

    /// As `connect`; `check` is called every few milliseconds and may end the wait with an error.
    pub fn connect_with<E: From<ClientError>>(
        file: &ConnectionFile,
        timeout: Duration,
        check: impl FnMut() -> Result<(), E>,
    ) -> Result<Client, E> {
        Client::connect_as(false, None, file, timeout, check)
    }

    /// The same, and goes on with the session of this name, if there is one. Whoever has it is told, and closed.
    pub fn connect_to_session<E: From<ClientError>>(
        session: &str,
        file: &ConnectionFile,
        timeout: Duration,
        check: impl FnMut() -> Result<(), E>,
    ) -> Result<Client, E> {
        let client = Client::connect_as(false, Some(session), file, timeout, check)?;
        if client.session().is_none() {
            let why = "the controller is of a release that has no sessions with names";
            return Err(ClientError::NoHistory(why.to_owned()).into());
        }
        client.count_open(timeout)?;
        Ok(client)
    }

    fn connect_as<E: From<ClientError>>(
        launcher: bool,
        name: Option<&str>,
        file: &ConnectionFile,
        timeout: Duration,
        mut check: impl FnMut() -> Result<(), E>,
    ) -> Result<Client, E> {
        if file.role != Role::Client {
            return Err(ClientError::WrongRole(file.role).into());
        }
        // Not at the first segment: a fork just then would have it half begun.
        reaper::begin();
        let uuid = places::random_hex(16);
        let pid = system::process_id();
        let name = name.map(str::to_owned);
        let goes_on = name.is_some();
        let user = system::user_name();
        let hello =
            Hello { launcher, session: name, user, ..Hello::new(Role::Client, uuid.clone(), places::host_name(), pid) };
        let context = context::open().map_err(|shortage| ClientError::Dial(shortage.into()))?;
        let session = Session::dial(&context, file, hello).map_err(ClientError::from)?;
        let segments = file.shared_memory.as_deref().filter(|_| session.is_local());
        let segments = segments.map_or(Ok(None), SegmentFolder::open);
        let segments = segments.map_err(|error| ClientError::from(DialError::of_place(error)))?;
        let shared = Arc::new(Shared::new(segments).map_err(|error| ClientError::of_io("eventfd", error))?);
        if goes_on {
            shared.lock().core.expect_foreign();
        }
        let thread = std::thread::Builder::new()
            .name("ipclusterz-io".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || reactor::run(session, shared, context)
            })
            .map_err(|error| ClientError::of_io("starting the I/O thread", error))?;
        let cluster = file.cluster.clone();
        let (begins, thread, controller) = (uuid.clone(), Mutex::new(Some(thread)), file.controller);
        let returns = file.keeper.is_some();
        let mut client = Client { shared, thread, uuid, begins, cluster, pid, controller, returns };
        client.await_session(timeout, &mut check)?;
        if let Some(session) = client.session() {
            client.begins = session.id;
        }
        Ok(client)
    }

    fn await_session<E: From<ClientError>>(
        &self,
        timeout: Duration,
        check: &mut impl FnMut() -> Result<(), E>,
    ) -> Result<(), E> {
        let begin = Instant::now();
        let deadline = system::deadline(timeout);
        loop {
            if begin.elapsed() >= HALTED_FOR
                && let Some(halted) = self.controller.and_then(ControllerProcess::halted)
            {
                return Err(ClientError::Silent(halted).into());
            }
            let mut state = self.shared.lock();
            if state.core.standing.is_none() && state.refusal.is_none() {
                state = self.shared.wait(state, Duration::from_millis(20));
            }
            if state.core.standing.is_some() {
                return Ok(());
            }
            match (state.refusal, &state.closed) {
                (Some(Refusal::Key), _) => return Err(ClientError::Refused(state.problem.clone()).into()),
                (Some(Refusal::Version), _) => {
                    let (message, hint) = (state.problem.clone(), state.advice.clone());
                    return Err(ClientError::OtherVersion { message, hint }.into());
                }
                (Some(Refusal::Room), _) => return Err(ClientError::Crowded(state.problem.clone()).into()),
                (None, Some(reason)) => return Err(ClientError::Disconnected(reason.clone()).into()),
                (None, None) => {}
            }
            if Instant::now() >= deadline {
                return Err(ClientError::Unreachable(timeout.as_secs_f64(), state.problem.clone()).into());
            }
            drop(state);
            check()?;
        }
    }

    /// Identifies this client.
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

    /// What its message ids begin with: the first digits of the uuid of its session's first client.
    pub fn name(&self) -> &str {
        self.begins.get(..CLIENT_DIGITS).unwrap_or_default()
    }

    pub(super) fn check_process(&self) -> Result<(), ClientError> {
        if system::process_id() == self.pid { Ok(()) } else { Err(ClientError::Forked(self.pid)) }
    }

    /// The state, in which there may be no session any more; but it is not another client's.
    pub(super) fn usable_or_lost(&self) -> Result<MutexGuard<'_, State>, ClientError> {
        self.check_process()?;
        let state = self.shared.lock();
        match &state.taken {
            Some(taken) => Err(ClientError::Taken(taken.clone())),
            None => Ok(state),
        }
    }

    /// Who has taken the session over, in words.
    pub fn taken(&self) -> Option<String> {
        self.shared.lock().taken.clone()
    }

    pub(super) fn usable(&self) -> Result<MutexGuard<'_, State>, ClientError> {
        let state = self.usable_or_lost()?;
        if state.closed.is_some() {
            return Err(ClientError::Closed);
        }
        if state.core.standing.is_none() {
            return Err(ClientError::Disconnected(state.problem.clone()));
        }
        Ok(state)
    }

    pub(super) fn send(&self, channel: Channel, message: Message) -> Result<(), ClientError> {
        self.usable()?.send(channel, message);
        // Messages taken from the backlog leave room there.
        self.shared.changed.notify_all();
        self.shared.waker.wake();
        Ok(())
    }

    pub(super) fn wait_until(
        &self,
        timeout: Duration,
        mut ready: impl FnMut(&State) -> bool,
    ) -> Result<(), ClientError> {
        let deadline = system::deadline(timeout);
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

    /// Before a session with a name is left: waits until everything was sent, says goodbye, and waits until the controller has
    /// it all. True: it has, or there is none any more; false at the deadline.
    pub fn leave(&self, left: &mut bool, timeout: Duration) -> Result<bool, ClientError> {
        let begin = Instant::now();
        if !*left {
            if self.wait_until(timeout, |state| state.core.is_sent() || state.closed.is_some()).is_err() {
                return Ok(false);
            }
            let goodbye = Goodbye { reason: "the client was closed".to_owned(), taken: false };
            self.send(Channel::Data, Message::Goodbye(goodbye))?;
            *left = true;
        }
        let taken = |state: &State| state.core.is_taken() || state.closed.is_some();
        Ok(self.wait_until(timeout.saturating_sub(begin.elapsed()), taken).is_ok())
    }

    /// Answers that will not come if this client leaves; see [`super::core::Core::unanswered`].
    pub fn unanswered(&self) -> (usize, usize) {
        self.shared.lock().core.unanswered()
    }

    /// Everything that was submitted here.
    pub fn submitted(&self) -> Result<Vec<Run>, ClientError> {
        Ok(self.usable_or_lost()?.core.numbers.runs().to_vec())
    }

    /// Sends what is left and closes the connection; what is under way is lost to this client.
    pub fn close(&self) {
        if self.check_process().is_err() {
            // The thread is not in this process, its sockets belong to the parent, and locks may be held for ever.
            return;
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.shared.lock().closed.get_or_insert_with(|| "the client was closed".to_owned());
        self.shared.waker.wake();
        if let Some(thread) = thread {
            // A panic of the thread was printed when it happened.
            let _ = thread.join();
        }
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().closed.is_some()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.close();
    }
}
