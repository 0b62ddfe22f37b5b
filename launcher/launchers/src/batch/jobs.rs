//! The life of one job, as a pure state machine: submitted, pending, running, ended.
//!
//! [`Job::handle`] takes an event and returns actions; it knows no command, clock or thread. The thread in
//! [`super::launcher`] runs the commands. A job's last action is [`SetEvent::Ended`], told exactly once; events after
//! it have no effect.

use super::answers::{Outcome, View, Wait};
use super::words;
use crate::causes::{self, Cause};
use crate::set::{Force, SetEnd, SetEvent};
use ipclusterz_host::failure::Failure;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// An event: what was learned about the job.
#[derive(Debug, Clone)]
pub enum Event {
    /// The queue took the job under this id.
    Submitted(String),
    /// The queue did not take the job.
    Refused {
        /// Why, for a person, and what to do about it.
        failure: Failure,
        /// It is certain that there is no job, so that a retry cannot make two.
        again: bool,
    },
    /// The queue was asked for its jobs, and this is the job's state.
    Seen(View),
    /// The queue was asked for its jobs and did not answer as expected.
    NotSeen(String),
    /// The queue was asked how the job ended; `None` when it did not tell.
    Outcome(Option<Outcome>),
    /// The command that cancels the job failed.
    NotCancelled(String),
    /// `engines.setup` has failed on one of its nodes. For a person: where, and which line.
    SetupFailed(String),
    /// An engine of it was lost: the queue may know why.
    Suspect,
    /// The job is to be ended.
    End(Force),
    /// Time has passed.
    Tick,
}

/// An action for the launcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Submit the job.
    Submit,
    /// Cancel the job.
    Cancel {
        /// Whether to use the stronger command.
        kill: bool,
    },
    /// Ask the queue how the job ended.
    AskOutcome,
    /// Tell the supervisor this event.
    Tell(SetEvent),
}

/// Limits, intervals and texts from the profile.
#[derive(Debug, Clone)]
pub struct Rules {
    /// How often a refused submission is retried.
    pub retries: u32,
    /// The longest interval between two queries of its state.
    pub poll: Duration,
    /// How long it may be pending before it is cancelled; `None` for no limit.
    pub queue_timeout: Option<Duration>,
    /// A job that the queue will not start as things are is cancelled at once.
    pub strict: bool,
    /// It is an array: when one task has ended, others may still be pending.
    pub array: bool,
    /// Whether the queue can be asked how a job ended.
    pub outcome: bool,
    /// The words of `queue.endings`.
    pub endings: BTreeMap<String, String>,
    /// The file with the job's output.
    pub log: PathBuf,
}

/// After this long without an answer, the user is told.
const SILENCE_TOLD: Duration = Duration::from_secs(15);
/// After this long without an answer, a job that is not known to run, or is being ended, is given up.
const SILENCE_FATAL: Duration = Duration::from_secs(600);
/// A queue may be slow to list a job that it has just accepted.
const LISTED_WITHIN: Duration = Duration::from_secs(10);
/// Accounting lags behind: Grid Engine flushes its file every 15 seconds.
const OUTCOME_WITHIN: Duration = Duration::from_secs(30);
/// Interval between two reports that differ only in the time: they are shown to who asks.
const REPORT_INTERVAL: Duration = Duration::from_secs(30);
/// Intervals between two cancellations of the same job: gentle, and with force.
const CANCEL_INTERVALS: [Duration; 2] = [Duration::from_secs(15), Duration::from_secs(3)];

/// After so many looks it is asked anew why an engine was lost.
const SUSPECTED_AGAIN: u32 = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// The submission runs, or is retried at `again`.
    Submitting { again: Option<Instant> },
    /// The queue has accepted the job.
    Queued,
    /// The job has ended, at `since`; the queue is being asked how.
    Over { since: Instant, ask: Option<Instant>, known: Outcome },
    /// The end has been told.
    Ended,
}

/// What becomes of something that could be told.
enum Report {
    /// It is new.
    News,
    /// It has been so for a while.
    Reminder,
    /// It was told a moment ago.
    Nothing,
}

#[derive(Debug, Clone)]
struct Ending {
    force: Force,
    /// Why this state machine decided to end it; `None` when the supervisor asked for it.
    why: Option<String>,
    last: Option<Instant>,
    trouble: Option<String>,
}

/// One job.
#[derive(Debug)]
pub struct Job {
    rules: Rules,
    id: Option<String>,
    stage: Stage,
    attempts: u32,
    /// When the first submission began; later, when the queue accepted the job.
    since: Instant,
    listed: bool,
    /// Consecutive queries that did not list it.
    missing: u32,
    running: bool,
    /// The tasks of it that waited while others ran, when it was last seen.
    tasks_waiting: Vec<u32>,
    /// Its processes are stopped.
    suspended: bool,
    /// It was given up while it was pending.
    never_ran: bool,
    /// Why it is pending, or why that is not known, as it was told last, and when.
    told: Option<(Wait, Instant)>,
    silent_since: Option<Instant>,
    silence: String,
    ending: Option<Ending>,
    setup_failure: Option<String>,
    looks: u32,
    looked: Instant,
}

impl Job {
    /// A new job and its first action, which is to submit it.
    pub fn new(rules: Rules, now: Instant) -> (Self, Vec<Action>) {
        let job = Self {
            rules,
            id: None,
            stage: Stage::Submitting { again: None },
            attempts: 1,
            since: now,
            listed: false,
            missing: 0,
            running: false,
            tasks_waiting: Vec::new(),
            suspended: false,
            never_ran: false,
            told: None,
            silent_since: None,
            silence: String::new(),
            ending: None,
            setup_failure: None,
            looks: 0,
            looked: now,
        };
        (job, vec![Action::Submit])
    }

    /// Its id, once the queue has accepted it.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether its end has been told. Events have no effect any more.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Ended
    }

    /// When to query its state next: soon after something has begun to change, then at growing intervals.
    pub fn next_look(&self) -> Option<Instant> {
        let doubled = Duration::from_millis(500).saturating_mul(1 << self.looks.min(16));
        (self.stage == Stage::Queued).then(|| self.looked + doubled.min(self.rules.poll))
    }

    /// When to send [`Event::Tick`]; `None` when none is needed.
    pub fn next_tick(&self) -> Option<Instant> {
        match self.stage {
            Stage::Submitting { again } => again,
            Stage::Over { ask, .. } => ask,
            Stage::Queued | Stage::Ended => None,
        }
    }

    /// Handles an event; returns what to do now, in this order.
    pub fn handle(&mut self, event: Event, now: Instant) -> Vec<Action> {
        if self.is_over() {
            return Vec::new();
        }
        match event {
            Event::Submitted(id) => self.submitted(id, now),
            Event::Refused { failure, again } => self.refused(failure, again, now),
            Event::Seen(view) => self.seen(view, now),
            Event::NotSeen(message) => self.not_seen(message, now),
            Event::Outcome(outcome) => self.outcome(outcome, now),
            Event::NotCancelled(message) => {
                if let Some(ending) = &mut self.ending {
                    ending.trouble = Some(message);
                }
                Vec::new()
            }
            Event::SetupFailed(failure) => self.setup_failed(failure, now),
            Event::Suspect => {
                // At once, and then as often as when something has begun to change: a queue learns it a moment later.
                if self.looks >= SUSPECTED_AGAIN {
                    (self.looks, self.looked) = (0, now.checked_sub(self.rules.poll).unwrap_or(now));
                }
                Vec::new()
            }
            Event::End(force) => self.end(force, None, now),
            Event::Tick => self.tick(now),
        }
    }

    fn submitted(&mut self, id: String, now: Instant) -> Vec<Action> {
        let said = format!("job {id} is submitted");
        self.id = Some(id);
        self.stage = Stage::Queued;
        (self.since, self.looked, self.looks) = (now, now, 0);
        match self.ending.take() {
            Some(ending) => self.end(ending.force, ending.why, now),
            None => vec![Action::Tell(SetEvent::Waiting(said))],
        }
    }

    fn refused(&mut self, failure: Failure, again: bool, now: Instant) -> Vec<Action> {
        if self.ending.is_some() || !again || self.attempts > self.rules.retries {
            self.stage = Stage::Ended;
            return vec![Action::Tell(SetEvent::Ended(SetEnd::not_started(failure)))];
        }
        let wait = Duration::from_secs(1 << self.attempts.min(5)).min(Duration::from_secs(30));
        let (attempt, all) = (self.attempts, self.rules.retries + 1);
        self.attempts += 1;
        self.stage = Stage::Submitting { again: Some(now + wait) };
        let text = format!("attempt {attempt} of {all}, the next in {} s: {}", wait.as_secs(), failure.message);
        vec![Action::Tell(SetEvent::Waiting(text))]
    }

    fn seen(&mut self, view: View, now: Instant) -> Vec<Action> {
        if self.stage != Stage::Queued {
            return Vec::new();
        }
        (self.looked, self.silent_since) = (now, None);
        self.looks = self.looks.saturating_add(1);
        if view != View::Absent {
            (self.listed, self.missing) = (true, 0);
        }
        match view {
            View::Absent => {
                self.missing += 1;
                // A single query may hit a moment in which the queue's server is between two lists.
                let listed = self.listed || now.saturating_duration_since(self.since) >= LISTED_WITHIN;
                if self.missing >= 2 && listed { self.over(Outcome::default(), now) } else { Vec::new() }
            }
            View::Over(outcome) => self.over(outcome, now),
            _ if self.ending.is_some() => self.cancel_again(now),
            View::Waiting(_) if self.running && self.rules.array => Vec::new(),
            View::Waiting(_) if self.running => {
                self.end(Force::Terminate, Some("was put back into the queue".to_owned()), now)
            }
            View::Waiting(wait) => self.still_waiting(wait, now),
            View::Running(nodes) => self.runs(&nodes),
            View::Partly { nodes, waiting, wait } => self.some_tasks_wait(&nodes, waiting, wait, now),
            View::Suspended(why) => self.stands_still(why),
            View::Stuck(reason) => self.end(Force::Terminate, Some(format!("cannot run: {reason}")), now),
        }
    }

    fn runs(&mut self, nodes: &str) -> Vec<Action> {
        self.told = None;
        let (began, resumed) = (!self.running, self.suspended);
        (self.running, self.suspended) = (true, false);
        let text = words::running(self.name(), nodes);
        match (began, resumed) {
            (true, _) => vec![Action::Tell(SetEvent::Running(text))],
            (false, true) => vec![Action::Tell(SetEvent::Resumed(text))],
            (false, false) => self.all_tasks_run(),
        }
    }

    /// It has begun, and its processes are stopped.
    fn stands_still(&mut self, why: String) -> Vec<Action> {
        let mut actions = if self.running { Vec::new() } else { self.runs("") };
        if !std::mem::replace(&mut self.suspended, true) {
            let text = words::suspended(self.name(), &why);
            actions.push(Action::Tell(SetEvent::Suspended(text)));
        }
        actions
    }

    /// Reports why the job is pending, or cancels it after the timeout, or because it cannot start.
    fn still_waiting(&mut self, wait: Wait, now: Instant) -> Vec<Action> {
        let waited = now.saturating_duration_since(self.since);
        // Not at the first look: a queue may know the exact reason, or another one, a moment later.
        let was_told = self.told.as_ref().is_some_and(|(told, _)| told.impossible);
        if wait.impossible && self.rules.strict && was_told {
            return self.give_up(words::given_up(&wait), now);
        }
        if self.rules.queue_timeout.is_some_and(|timeout| waited >= timeout) {
            return self.give_up(words::waited_too_long(&wait, waited), now);
        }
        let text = words::pending(self.name(), &wait, waited);
        match self.report(wait, now) {
            Report::News => vec![Action::Tell(SetEvent::Waiting(text))],
            Report::Reminder => vec![Action::Tell(SetEvent::StillWaiting(text))],
            Report::Nothing => Vec::new(),
        }
    }

    /// Reports which tasks of an array wait while others run.
    fn some_tasks_wait(&mut self, nodes: &str, tasks: Vec<u32>, wait: Wait, now: Instant) -> Vec<Action> {
        let mut actions = if self.running && !self.suspended { Vec::new() } else { self.runs(nodes) };
        let text = words::tasks_pending(self.name(), &tasks, &wait, now.saturating_duration_since(self.since));
        let report = self.report(wait, now);
        if matches!(report, Report::News) {
            actions.push(Action::Tell(SetEvent::Waiting(text.clone())));
        }
        if !matches!(report, Report::Nothing) || tasks != self.tasks_waiting {
            // Tasks are counted from 1.
            let engines = tasks.iter().map(|task| task.saturating_sub(1)).collect();
            actions.push(Action::Tell(SetEvent::Partly(engines, text)));
        }
        self.tasks_waiting = tasks;
        actions
    }

    /// Reports that no task waits any more, if one did.
    fn all_tasks_run(&mut self) -> Vec<Action> {
        if std::mem::take(&mut self.tasks_waiting).is_empty() {
            return Vec::new();
        }
        vec![Action::Tell(SetEvent::Partly(Vec::new(), words::running(self.name(), "")))]
    }

    /// Cancels a job that is not waited for any longer.
    fn give_up(&mut self, why: String, now: Instant) -> Vec<Action> {
        self.never_ran = true;
        self.end(Force::Terminate, Some(why), now)
    }

    /// Whether to report `wait`. Notes that it is.
    fn report(&mut self, wait: Wait, now: Instant) -> Report {
        match &mut self.told {
            Some((told, at)) if !wait.is_news_after(told) => {
                let due = now.saturating_duration_since(*at) >= REPORT_INTERVAL;
                *at = if due { now } else { *at };
                if due { Report::Reminder } else { Report::Nothing }
            }
            _ => {
                self.told = Some((wait, now));
                Report::News
            }
        }
    }

    fn not_seen(&mut self, message: String, now: Instant) -> Vec<Action> {
        if self.stage != Stage::Queued {
            return Vec::new();
        }
        self.looked = now;
        self.looks = self.looks.saturating_add(1);
        let silent = now.saturating_duration_since(*self.silent_since.get_or_insert(now));
        self.silence = message;
        let mut actions = Vec::new();
        if silent >= SILENCE_FATAL && (!self.running || self.ending.is_some()) {
            // The queue may not receive this, but if the job exists, it is the last chance to end it.
            actions.push(Action::Cancel { kill: true });
            let text = format!("job {}: no answer for {}: {}", self.name(), super::clock::rough(silent), self.silence);
            actions.extend(self.ended(false, text, causes::named(causes::QUEUE_DOWN)));
            return actions;
        }
        if self.ending.is_some() {
            return self.cancel_again(now);
        }
        if silent >= SILENCE_TOLD {
            actions.extend(self.silent(silent, now).map(Action::Tell));
        }
        actions
    }

    /// What is told of a queue that does not answer.
    fn silent(&mut self, silent: Duration, now: Instant) -> Option<SetEvent> {
        let before = self.told.as_ref().map(|(wait, _)| wait.last.clone().unwrap_or_else(|| wait.reason.clone()));
        let text = words::silent(self.name(), silent, &self.silence, self.running, before.as_deref());
        let wait = Wait { reason: self.silence.clone(), text: text.clone(), last: before, ..Wait::default() };
        match (self.report(wait, now), self.running) {
            (Report::News, true) => Some(SetEvent::News(text)),
            (Report::News, false) => Some(SetEvent::Waiting(text)),
            (Report::Reminder, false) => Some(SetEvent::StillWaiting(text)),
            (Report::Reminder, true) | (Report::Nothing, _) => None,
        }
    }

    /// Ends the job on all nodes: engines on some of them are not what was asked for.
    fn setup_failed(&mut self, failure: String, now: Instant) -> Vec<Action> {
        if self.ending.is_some() || self.setup_failure.is_some() {
            return Vec::new();
        }
        self.setup_failure = Some(failure);
        self.end(Force::Terminate, None, now)
    }

    fn end(&mut self, force: Force, why: Option<String>, now: Instant) -> Vec<Action> {
        let before = self.ending.take();
        let stronger = before.as_ref().is_none_or(|before| before.force != Force::Kill && force == Force::Kill);
        let ending = before.unwrap_or(Ending { force, why, last: None, trouble: None });
        let force = if stronger { force } else { ending.force };
        self.ending = Some(Ending { force, ..ending });
        match self.stage {
            // The submission runs; whether there is a job is known when it has exited.
            Stage::Submitting { again: None } | Stage::Ended => Vec::new(),
            Stage::Submitting { again: Some(_) } => self.ended(false, "no job was submitted".to_owned(), None),
            Stage::Queued if stronger => {
                (self.looks, self.looked) = (0, now);
                self.cancel(now)
            }
            Stage::Queued => Vec::new(),
            Stage::Over { ref known, .. } => {
                let known = known.clone();
                self.ended_as(&known)
            }
        }
    }

    fn cancel(&mut self, now: Instant) -> Vec<Action> {
        let Some(ending) = &mut self.ending else { return Vec::new() };
        ending.last = Some(now);
        vec![Action::Cancel { kill: ending.force == Force::Kill }]
    }

    fn cancel_again(&mut self, now: Instant) -> Vec<Action> {
        let Some(ending) = &self.ending else { return Vec::new() };
        let patience = CANCEL_INTERVALS[usize::from(ending.force == Force::Kill)];
        let due = ending.last.is_none_or(|last| now.saturating_duration_since(last) >= patience);
        if due { self.cancel(now) } else { Vec::new() }
    }

    fn over(&mut self, known: Outcome, now: Instant) -> Vec<Action> {
        // The caller wants the job gone, and accounting may lag by half a minute.
        let hurry = self.ending.is_some() && (known.state.is_none() || known.failed);
        if !self.rules.outcome || hurry {
            return self.ended_as(&known);
        }
        self.stage = Stage::Over { since: now, ask: None, known };
        vec![Action::AskOutcome]
    }

    fn outcome(&mut self, outcome: Option<Outcome>, now: Instant) -> Vec<Action> {
        let Stage::Over { since, ask, known } = &mut self.stage else { return Vec::new() };
        match outcome {
            Some(outcome) => {
                let failed = outcome.failed || known.failed;
                let state = outcome.state.or_else(|| known.state.clone());
                let cause = outcome.cause.or(known.cause);
                self.ended_as(&Outcome { state, failed, cause, ..outcome })
            }
            None if now.saturating_duration_since(*since) >= OUTCOME_WITHIN => {
                let known = known.clone();
                self.ended_as(&known)
            }
            None => {
                *ask = Some(now + Duration::from_secs(1));
                Vec::new()
            }
        }
    }

    fn ended_as(&mut self, outcome: &Outcome) -> Vec<Action> {
        let known = outcome.state.is_some() || outcome.code.is_some();
        let orderly = known && outcome.code.unwrap_or(0) == 0 && outcome.signal.is_none() && !outcome.failed;
        let how = match (&self.ending, known) {
            (Some(Ending { why: Some(why), .. }), _) => format!("job {} {why}", self.name()),
            (Some(_), _) if !orderly => format!("job {} was cancelled", self.name()),
            (_, true) => words::ended(&format!("job {}", self.name()), outcome, &self.rules.endings),
            (_, false) => format!("job {} is gone from the queue, which does not tell how it ended", self.name()),
        };
        self.ended(orderly, how, outcome.cause.filter(|_| self.ending.is_none()))
    }

    fn ended(&mut self, orderly: bool, mut how: String, cause: Option<&'static Cause>) -> Vec<Action> {
        let orderly = orderly && self.setup_failure.is_none();
        if let Some(trouble) = self.ending.take().and_then(|ending| ending.trouble).filter(|_| !orderly) {
            how = format!("{how}; before that: {trouble}");
        }
        self.stage = Stage::Ended;
        let log = (!orderly && self.id.is_some()).then(|| self.rules.log.clone());
        // A queue may lose sight of a job whose engines live.
        let mut end = SetEnd { certain: false, cause, ..SetEnd::new(orderly, how, log) };
        if self.never_ran {
            (end.not_started, end.log, end.hint) = (true, None, Some(words::WAITED_HINT.to_owned()));
        } else if !self.running && cause.is_some_and(|cause| cause.name == causes::CANCELLED) {
            (end.not_started, end.log) = (true, None);
        }
        let name = self.name();
        let failure = self.setup_failure.as_ref().map(|failure| format!("job {name}: {failure}"));
        vec![Action::Tell(SetEvent::Ended(end.because_of_setup(failure)))]
    }

    fn tick(&mut self, now: Instant) -> Vec<Action> {
        match &mut self.stage {
            Stage::Submitting { again } if again.is_some_and(|again| again <= now) => {
                *again = None;
                vec![Action::Submit]
            }
            Stage::Over { ask, .. } if ask.is_some_and(|ask| ask <= now) => {
                *ask = None;
                vec![Action::AskOutcome]
            }
            _ => Vec::new(),
        }
    }

    fn name(&self) -> &str {
        self.id.as_deref().unwrap_or("?")
    }
}

#[cfg(test)]
mod tests;
