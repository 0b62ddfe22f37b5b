//! A simulated engine: the core of a real one, and instead of Python a number that is made of the task's key.

use crate::executions::Executions;
use crate::numbers::{Key, Random};
use crate::pool::Peer;
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::{EngineId, TaskId};
use ipclusterz_base::places;
use ipclusterz_runtime::engine::core::{Action, Core, Job};
use ipclusterz_runtime::engine::keeping::{Course, Keeping};
use ipclusterz_runtime::system::wall_clock;
use ipclusterz_runtime::transport::session::{Session, SessionEvent};
use ipclusterz_runtime::wire::message::{Activity, Hello, Inspect, Inspected, Message, Task, TaskOutcome, Welcome};
use ipclusterz_runtime::wire::part::{Packed, Part, unpack};
use ipclusterz_runtime::wire::resend::Sending;
use ipclusterz_runtime::wire::{Channel, Frame};
use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What all engines of a run have in common.
#[derive(Debug)]
pub struct Conduct {
    /// Seconds that a task takes.
    pub busy: RangeInclusive<f64>,
    /// The share of tasks that end with an error.
    pub fail: f64,
    /// The share of tasks that are answered wrongly.
    pub wrong: f64,
    /// How long an engine without a controller waits for one.
    pub lease: Duration,
    /// Where each execution is noted.
    pub executions: RefCell<Executions>,
}

/// A task that is being executed.
#[derive(Debug)]
struct Running {
    id: TaskId,
    outcome: TaskOutcome,
    /// The payload of its answer.
    answer: Vec<u8>,
    started: f64,
    ends: Instant,
}

/// One engine.
pub struct Engine {
    conduct: Rc<Conduct>,
    random: Random,
    wanted_id: Option<EngineId>,
    uuid: String,
    core: Core,
    keeping: Keeping,
    running: Option<Running>,
    outbox: Vec<Sending>,
    id: Option<EngineId>,
    /// When it ends for want of a controller.
    give_up: Option<Instant>,
    ended: Option<String>,
}

impl Engine {
    /// One that has not registered.
    pub fn new(conduct: Rc<Conduct>, random: Random, wanted_id: Option<EngineId>) -> Engine {
        Engine {
            give_up: Some(Instant::now() + conduct.lease),
            conduct,
            random,
            wanted_id,
            uuid: places::random_hex(16),
            core: Core::default(),
            keeping: Keeping::default(),
            running: None,
            outbox: Vec::new(),
            id: None,
            ended: None,
        }
    }

    /// The controller knows it.
    pub fn has_registered(&self) -> bool {
        self.id.is_some()
    }

    /// Why it has ended, if it has.
    pub fn ended(&self) -> Option<&str> {
        self.ended.as_deref()
    }

    fn end(&mut self, reason: &str) {
        self.ended.get_or_insert_with(|| reason.to_owned());
    }

    fn established(&mut self, welcome: &Welcome, session: &mut Session) {
        self.id = welcome.engine_id;
        self.give_up = None;
        session.set_wanted_id(welcome.engine_id);
        match self.keeping.established(welcome) {
            Course::New => self.core.session_lost(),
            Course::Resumed(again, lost) => {
                lost.into_iter().for_each(|number| self.core.forget_behind(number));
                self.outbox.extend(again);
            }
        }
    }

    fn lost(&mut self, session: &mut Session) {
        let resume = self.keeping.interrupted();
        if resume.is_none() {
            self.core.session_lost();
        }
        // What was not sent is kept, if the session goes on.
        self.outbox.clear();
        session.set_resume(resume);
        self.give_up = Some(Instant::now() + self.conduct.lease);
    }

    fn message(&mut self, channel: Channel, message: Message, payload: Vec<Frame>) {
        if let Some(ack) = self.keeping.heard(channel, &message, &payload) {
            // It is not counted itself.
            self.outbox.push((Channel::Control, ack, vec![]));
        }
        self.core.arrived = self.keeping.arrived();
        // No folder of segments: it has said that it has none.
        let unpack = |frames, task: &Task| unpack(frames, &task.segments, None).map_err(|error| error.to_string());
        for action in self.core.message(message, payload, unpack) {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::SendData(message, payload) => self.say(Channel::Data, message, payload),
            Action::SendControl(message) => self.say(Channel::Control, message, vec![]),
            Action::Inspect(inspect) => self.inspected(&inspect),
            Action::Stop => self.end("shut down"),
            // It has no MPI, and its tasks are short.
            Action::Interrupt | Action::Kill | Action::EndEpoch(_) | Action::Left(_) | Action::BreakOff(_) => {}
        }
    }

    /// Says something to the controller; without a connection, as soon as there is one again.
    fn say(&mut self, channel: Channel, message: Message, payload: Vec<Frame>) {
        if self.keeping.say(channel, &message, &payload) {
            self.outbox.push((channel, message, payload));
        }
    }

    fn inspected(&mut self, inspect: &Inspect) {
        let seconds = self.running.as_ref().map_or(0.0, |running| wall_clock() - running.started);
        let activity = Some(Activity { busy: self.running.is_some(), seconds, ..Activity::default() });
        let (number, asker) = (inspect.number, inspect.asker);
        self.say(Channel::Control, Message::Inspected(Inspected { number, asker, engine: None, activity }), vec![]);
    }

    /// Ends what is due, and begins what is next, as long as that takes no time.
    fn work(&mut self) {
        loop {
            if let Some(running) = self.running.take_if(|running| running.ends <= Instant::now()) {
                self.finish(running);
            }
            if self.running.is_some() || self.ended.is_some() {
                return;
            }
            let Some(job) = self.core.start_next() else { return };
            self.running = Some(self.begin(&job));
        }
    }

    fn begin(&mut self, job: &Job) -> Running {
        let (least, most) = (*self.conduct.busy.start(), *self.conduct.busy.end());
        let busy = Duration::from_secs_f64(least + (most - least) * self.random.share());
        let fails = self.random.share() < self.conduct.fail;
        let lies = self.random.share() < self.conduct.wrong;
        let (outcome, answer) = match self.execute(job) {
            Ok(key) => {
                let outcome = if fails { TaskOutcome::Error } else { TaskOutcome::Ok };
                (outcome, if lies { key.bytes() } else { key.answer() }.to_vec())
            }
            Err(problem) => (TaskOutcome::Error, problem.into_bytes()),
        };
        Running { id: job.id, outcome, answer, started: wall_clock(), ends: Instant::now() + busy }
    }

    /// Notes that the task begins.
    fn execute(&self, job: &Job) -> Result<Key, String> {
        let parts: &[Part] = job.payload.as_ref().map_err(String::clone)?;
        let [only] = parts else { return Err(format!("a payload of {} frames has no key", parts.len())) };
        let key = Key::read(only).ok_or_else(|| format!("{} bytes are no key", only.len()))?;
        self.conduct.executions.borrow_mut().add(key).map_err(|error| format!("noting an execution: {error}"))?;
        Ok(key)
    }

    fn finish(&mut self, running: Running) {
        let packed =
            Packed { bytes: running.answer.len() as u64, frames: vec![running.answer.into()], segments: vec![] };
        let times = (running.started, wall_clock());
        if let Some(action) = self.core.finish(running.id, running.outcome, times, packed) {
            self.act(action);
        }
    }
}

impl Peer for Engine {
    fn hello(&self) -> Hello {
        let hello = Hello::new(Role::Engine, self.uuid.clone(), places::host_name(), std::process::id());
        Hello { wanted_id: self.wanted_id, lease: self.conduct.lease.as_secs_f64(), ..hello }
    }

    fn take(&mut self, event: SessionEvent, session: &mut Session) {
        match event {
            SessionEvent::Established(welcome) => self.established(&welcome, session),
            SessionEvent::Lost(_) => self.lost(session),
            SessionEvent::Refused(reason) | SessionEvent::Ended(reason) => self.end(&reason),
            SessionEvent::OtherVersion(refused) => self.end(&refused.reason),
            // It is asked again. The latter is for agents.
            SessionEvent::Crowded(_) | SessionEvent::OfStrand(..) => {}
            SessionEvent::Message(channel, message, payload) => self.message(channel, message, payload),
        }
    }

    fn sends(&mut self, _session: &mut Session) -> Vec<Sending> {
        self.work();
        if self.give_up.is_some_and(|at| at <= Instant::now()) {
            self.end("its lease is over");
        }
        std::mem::take(&mut self.outbox)
    }

    fn has_ended(&self) -> bool {
        self.ended.is_some()
    }
}
