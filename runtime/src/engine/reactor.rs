//! The engine's I/O thread: sockets, timers and signals around the core.
//!
//! It owns the sockets and never needs the interpreter, so that an engine inside a long C call still answers. State
//! shared with the thread that runs user code is locked for moments only.

use super::config::EngineConfig;
use super::core::Action;
use super::inspection::StackFile;
use super::keeping::Course;
use super::output::OUTPUT_CHUNK;
use super::process::{self, UserThread};
use super::shared::Shared;
use super::usage::Meter;
use crate::system::block_all_signals;
use crate::transport::session::{Session, SessionEvent};
use crate::wire::message::{Activity, Inspect, Inspected, Message, Task, Welcome};
use crate::wire::part::unpack;
use crate::wire::resend::Sending;
use crate::wire::{Channel, Frame};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long text is gathered before it is sent.
const OUTPUT_DELAY: Duration = Duration::from_millis(20);
/// How often memory use is reported.
const USAGE_EVERY: Duration = Duration::from_secs(2);
/// How often the engine's log is looked at, and how soon again when it was cut.
const LOG_EVERY: Duration = Duration::from_secs(1);
const LOG_AGAIN: Duration = Duration::from_millis(50);
/// So much later than at `end_timeout` the engine ends itself, should nobody else do it: who started it can say so.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// An engine that has not registered for so long says what stands in the way: whoever waits for it may give up sooner than
/// the engine does. Silence at an address is explained by then.
const TELL_AFTER: Duration = Duration::from_secs(10);

/// The thread's own state.
pub(super) struct Reactor {
    // Sockets close before the context.
    session: Session,
    shared: Arc<Shared>,
    user: UserThread,
    stack: Option<StackFile>,
    lease: Duration,
    /// Somebody starts a controller again that dies.
    returns: bool,
    end_timeout: Duration,
    /// When to give up waiting for a session.
    give_up: Option<Instant>,
    /// When to say why there is no first session yet.
    tell_at: Option<Instant>,
    /// When to end the process even if user code runs.
    stop_at: Option<Instant>,
    /// When to warn user code of the end of its time.
    warn_at: Option<Instant>,
    next_usage: Instant,
    next_log: Instant,
    usage: Meter,
    _context: zmq::Context,
}

impl Reactor {
    /// The state of a thread that is about to start. The calling thread runs user code.
    pub fn new(
        context: zmq::Context,
        session: Session,
        shared: Arc<Shared>,
        config: &EngineConfig,
        returns: bool,
    ) -> Reactor {
        Reactor {
            session,
            shared,
            user: UserThread::current(),
            stack: config.stack.clone(),
            lease: config.lease,
            returns,
            end_timeout: config.end_timeout,
            give_up: Some(Instant::now() + config.timeout),
            tell_at: Some(Instant::now() + TELL_AFTER),
            stop_at: None,
            warn_at: config.end.map(|end| Instant::now() + end.left().saturating_sub(end.warn_before)),
            next_usage: Instant::now(),
            next_log: Instant::now(),
            usage: Meter::new(Instant::now()),
            _context: context,
        }
    }

    pub fn run(mut self) {
        block_all_signals();
        // A bug ends this thread, which was printed; the engine must not live on without it.
        match catch_unwind(AssertUnwindSafe(|| self.serve())) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.end(&format!("the engine's socket failed: {error}")),
            Err(_) => self.end("a bug in ipclusterz ended the engine's thread; please report what it printed"),
        }
    }

    /// Runs until the engine has ended and everything is sent.
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
            self.look_at_clock();
            if !more {
                self.sleep(output_waits)?;
            }
        }
    }

    /// Does what is due: cuts the log, gives up, warns user code, or ends the process.
    fn look_at_clock(&mut self) {
        if Instant::now() >= self.next_log {
            self.next_log = Instant::now() + if self.shared.logs.keep_within() { LOG_AGAIN } else { LOG_EVERY };
        }
        if let Some(deadline) = self.give_up
            && Instant::now() >= deadline
        {
            let problem = self.session.problem().to_owned();
            self.end(&problem);
        }
        if self.tell_at.take_if(|at| Instant::now() >= *at).is_some() {
            self.shared.logs.write(true, format!("this engine is not registered yet: {}\n", self.session.problem()));
        }
        // Not before registration: nobody can have asked to be warned before.
        if self.give_up.is_none() && self.warn_at.take_if(|at| Instant::now() >= *at).is_some() {
            self.user.warn();
        }
        if self.stop_at.is_some_and(|at| Instant::now() >= at) {
            let seconds = self.end_timeout.as_secs_f64();
            let line = format!("this engine ends itself after {seconds} s (engines.end_timeout)\n");
            self.shared.logs.write(true, line);
            process::end_group(1);
        }
    }

    fn sleep(&mut self, output_waits: bool) -> Result<(), zmq::Error> {
        let now = Instant::now();
        let mut until = self.next_usage.min(self.next_log).max(now);
        let warn_at = self.warn_at.filter(|_| self.give_up.is_none());
        for deadline in [self.give_up, self.tell_at, self.stop_at, warn_at].into_iter().flatten() {
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

    /// Sends what user code has left. Returns whether text is still being gathered, and whether the thread is done.
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
        self.tell_usage()?;
        Ok((output_waits, done))
    }

    /// Reports from time to time what this process uses, if that has changed.
    fn tell_usage(&mut self) -> Result<(), zmq::Error> {
        let now = Instant::now();
        if now < self.next_usage {
            return Ok(());
        }
        self.next_usage = now + USAGE_EVERY;
        let changed = self.usage.look(now);
        if let Some(usage) = changed.filter(|_| self.give_up.is_none()) {
            self.say(Channel::Control, Message::Usage(usage), vec![])?;
        }
        Ok(())
    }

    fn act(&mut self, action: Action) -> Result<(), zmq::Error> {
        match action {
            Action::SendData(message, payload) => self.say(Channel::Data, message, payload)?,
            Action::Interrupt => self.user.interrupt(),
            // MPI was told at once.
            Action::EndEpoch(_) | Action::Left(_) | Action::BreakOff(_) => {}
            Action::Inspect(inspect) => {
                let signal = inspect.signal;
                let answer = self.inspect(inspect);
                self.say(Channel::Control, answer, vec![])?;
                signal.into_iter().for_each(|number| self.user.signal_soon(number));
            }
            Action::SendControl(message) => self.say(Channel::Control, message, vec![])?,
            Action::Stop => self.stop("shut down"),
            Action::Kill => process::kill_soon("the task that it runs has to end, and was not ended by an interrupt"),
        }
        Ok(())
    }

    /// Says something to the controller; without a connection, as soon as there is one again.
    fn say(&mut self, channel: Channel, message: Message, payload: Vec<Frame>) -> Result<(), zmq::Error> {
        let now = self.shared.lock().keeping.say(channel, &message, &payload);
        if now { self.session.send(channel, &message, payload) } else { Ok(()) }
    }

    fn inspect(&mut self, inspect: Inspect) -> Message {
        if let (Some(mpi), Some(broken)) = (self.shared.mpi, &inspect.broken) {
            mpi.break_off(broken);
        }
        let asked = self.stack.as_mut().filter(|_| inspect.stacks);
        let stack = asked.map(|stack| stack.ask(self.user).unwrap_or_else(|error| format!("unreadable: {error}")));
        let state = self.shared.lock();
        let (busy, since) = (state.core.is_running(), state.running_since);
        drop(state);
        let activity = Activity {
            busy,
            seconds: since.map_or(0.0, |since| since.elapsed().as_secs_f64()),
            stack: stack.unwrap_or_default(),
            calls: self.shared.mpi.map(|mpi| mpi.calls()).unwrap_or_default(),
            signalled: inspect.signal.is_some(),
        };
        let (number, asker) = (inspect.number, inspect.asker);
        Message::Inspected(Inspected { number, asker, engine: None, activity: Some(activity) })
    }

    fn event(&mut self, event: SessionEvent) {
        if let SessionEvent::Message(channel, message, payload) = &event {
            self.heard(*channel, message, payload);
        }
        match event {
            SessionEvent::Established(welcome) => {
                (self.give_up, self.tell_at) = (None, None);
                self.usage.tell_again();
                if let Some(limit) = welcome.log {
                    self.shared.logs.set_limit(limit);
                }
                self.next_usage = Instant::now();
                let again = self.established(&welcome);
                for (channel, message, payload) in again {
                    // A connection that breaks at once is an event of its own.
                    let _ = self.session.send(channel, &message, payload);
                }
                let mut state = self.shared.lock();
                state.registered = welcome.engine_id.map(|id| (id, welcome.peer));
                state.result_limit = welcome.window.request_bytes;
                state.address = self.session.address();
                drop(state);
                self.shared.changed.notify_all();
            }
            SessionEvent::Refused(reason) | SessionEvent::Ended(reason) => self.end(&reason),
            SessionEvent::OtherVersion(refused) => {
                self.shared.lock().advice = Some(refused.hint.unwrap_or_default());
                self.end(&refused.reason);
            }
            SessionEvent::Crowded(reason) => {
                // Where it was registered before, it is asked for again as long as the lease lasts.
                if self.shared.lock().registered.is_none() {
                    self.end(&reason);
                }
            }
            SessionEvent::Lost(reason) => {
                let resume = self.shared.lock().keeping.interrupted();
                if resume.is_none() {
                    self.session_lost();
                }
                if self.session.is_local() && resume.is_none() && !self.returns {
                    self.stop(&reason);
                } else {
                    self.give_up = Some(Instant::now() + self.lease);
                    self.session.set_resume(resume);
                }
            }
            // For agents.
            SessionEvent::OfStrand(..) => {}
            SessionEvent::Message(_, Message::OutputTaken(taken), _) => {
                self.shared.lock().accounts.taken(taken, Instant::now());
                self.shared.changed.notify_all();
            }
            SessionEvent::Message(_, Message::Inspected(inspected), _) => {
                self.shared.lock().inspections.answered(inspected);
                self.shared.changed.notify_all();
            }
            SessionEvent::Message(_, message, payload) => {
                let folder = self.shared.segments.clone();
                let unpack = |frames, task: &Task| {
                    unpack(frames, &task.segments, folder.as_ref())
                        .map_err(|error| format!("the payload cannot be read: {error}"))
                };
                let mut state = self.shared.lock();
                let mut actions = state.core.message(message, payload, unpack);
                // With the lock: what runs now is what it is about.
                actions.retain(|action| !self.shared.told_mpi(action));
                state.outbox.extend(actions);
                drop(state);
                self.shared.changed.notify_all();
            }
        }
    }

    /// Counts a message, and tells the controller from time to time what has arrived.
    fn heard(&mut self, channel: Channel, message: &Message, payload: &[Frame]) {
        let mut state = self.shared.lock();
        let ack = state.keeping.heard(channel, message, payload);
        state.core.arrived = state.keeping.arrived();
        drop(state);
        if let Some(ack) = ack {
            // A connection that breaks at once is an event of its own.
            let _ = self.session.send(Channel::Control, &ack, vec![]);
        }
    }

    /// What has to be sent again, now that there is a session.
    fn established(&mut self, welcome: &Welcome) -> Vec<Sending> {
        self.session.set_wanted_id(welcome.engine_id);
        let mut state = self.shared.lock();
        let course = state.keeping.established(welcome);
        match course {
            Course::New => {
                drop(state);
                self.session_lost();
                Vec::new()
            }
            Course::Resumed(again, lost) => {
                lost.into_iter().for_each(|number| state.core.forget_behind(number));
                again
            }
        }
    }

    /// Nobody waits for an answer, and no output is waited for.
    fn session_lost(&self) {
        let mut state = self.shared.lock();
        state.core.session_lost();
        state.accounts.clear();
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Interrupts user code, so that the process can end in order; at its deadline it ends in any case.
    fn stop(&mut self, reason: &str) {
        if self.stop_at.is_some() {
            return;
        }
        self.stop_at = Some(Instant::now() + self.end_timeout + STOP_GRACE);
        let mut state = self.shared.lock();
        state.ended.get_or_insert_with(|| reason.to_owned());
        let running = state.core.is_running() || state.aside;
        // What runs goes on for nobody: the controller answers for it.
        state.core.session_lost();
        drop(state);
        self.shared.changed.notify_all();
        if running {
            process::end_group_at_exit();
            self.user.interrupt();
        }
    }

    /// Registration failed, or the lease has expired.
    fn end(&mut self, reason: &str) {
        (self.give_up, self.tell_at) = (None, None);
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
