//! Tasks with a time: those that have to begin in time, may run only so long, or are started again a little later.

use super::{Effect, Work};
use crate::controller::limits::Limits;
use crate::controller::task::{Conditions, Overrun, Place, TaskState};
use crate::wire::message::{Outcome, Recall};
use ipclusterz_base::ids::{EngineId, TaskId};
use std::time::Duration;

/// What was interrupted has so long in any case.
const LEAST_GRACE: Duration = Duration::from_millis(10);

impl Work {
    /// When something is due, if anything is.
    pub(super) fn next_timer(&self) -> Option<Duration> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Does what is due.
    pub(super) fn do_what_is_due(&mut self, now: Duration) {
        let mut done = false;
        while let Some((_, task)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.pop_first();
            self.is_due(task, now);
            done = true;
        }
        if done {
            self.dispatch(now);
        }
    }

    /// A task has ended: nothing of it is due.
    pub(super) fn forget_times(&mut self, task: TaskId, state: &TaskState) {
        let Some(conditions) = state.balanced.as_ref().and_then(|balanced| balanced.conditions.as_ref()) else {
            return;
        };
        let Conditions { begin_by, end_by, resumes, .. } = **conditions;
        for at in [begin_by, end_by, resumes].into_iter().flatten() {
            self.timers.remove(&(at, task));
        }
    }

    /// Does what is due for one task, if anything is.
    pub(super) fn is_due(&mut self, task: TaskId, now: Duration) {
        let Some(place) = self.tasks.get(&task).map(|state| state.place) else { return };
        let Some(conditions) = self.conditions(task) else { return };
        let due = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        let (begin, end, resumes) = (due(conditions.begin_by), due(conditions.end_by), due(conditions.resumes));
        match place {
            Place::Delayed if resumes => {
                conditions.resumes = None;
                self.requeue(task);
            }
            Place::Queued | Place::Waiting | Place::Delayed if begin => self.is_too_late(task),
            Place::At(engine) if begin && !conditions.late => {
                // It may have begun: its engine says so.
                conditions.late = true;
                self.recall(engine, Recall { tasks: vec![task], ..Recall::default() });
            }
            Place::At(engine) if end => self.has_run_too_long(task, engine, now),
            _ => {}
        }
    }

    /// Whether a task is not to be begun any more, because it is too late.
    pub(super) fn is_late(&mut self, task: TaskId) -> bool {
        self.conditions(task).is_some_and(|conditions| conditions.late)
    }

    /// An engine has begun a task that might have been too late.
    pub(super) fn has_begun(&mut self, task: TaskId) {
        if let Some(conditions) = self.conditions(task) {
            (conditions.begin_by, conditions.late) = (None, false);
        }
    }

    /// Ends a task that was not begun in time.
    pub(super) fn is_too_late(&mut self, task: TaskId) {
        let seconds = self.conditions(task).and_then(|conditions| conditions.timeout).unwrap_or_default().as_secs_f64();
        let why = self.why(task).into_iter().next().map(|why| format!(": {why}")).unwrap_or_default();
        self.withdraw(task);
        self.answer(
            task,
            None,
            Outcome::TimedOut(format!("no engine began it within its timeout of {seconds} s{why}")),
        );
    }

    /// A task with a time limit begins now, or about now: its engine had nothing else to do.
    pub(super) fn limit_time(&mut self, task: TaskId, engine: EngineId, now: Duration) {
        let Some(conditions) = self.conditions(task) else { return };
        let Some(limit) = conditions.time_limit else { return };
        let at = now.saturating_add(limit);
        if let Some(former) = conditions.end_by.replace(at) {
            self.timers.remove(&(former, task));
        }
        self.timers.insert((at, task));
        self.loads.hold_back(engine);
    }

    /// A task has reached its time limit: it is interrupted. If that does not end it, its engine is told to end, and then its launcher
    /// to end it, for the engine may be stopped. It has its answer even if nobody can.
    fn has_run_too_long(&mut self, task: TaskId, engine: EngineId, now: Duration) {
        let (here, Limits { kill_grace, engine_grace, .. }) = (self.loads.is_here(engine), self.limits);
        let Some(conditions) = self.conditions(task) else { return };
        let (next, recall) = match (conditions.overrun, here) {
            (Overrun::Not | Overrun::Unheard, true) => {
                (Overrun::Interrupted, Some(Recall { interrupt: vec![task], ..Recall::default() }))
            }
            (Overrun::Not, false) => (Overrun::Unheard, None),
            (Overrun::Interrupted, true) => (Overrun::Killed, Some(Recall { kill: vec![task], ..Recall::default() })),
            (Overrun::Unheard | Overrun::Interrupted | Overrun::Killed, _) => (Overrun::Reported, None),
            (Overrun::Reported, _) => return self.is_beyond_reach(task, engine),
        };
        let grace = if next == Overrun::Unheard { kill_grace.saturating_mul(2).max(engine_grace) } else { kill_grace };
        let again = now.saturating_add(grace.max(LEAST_GRACE));
        (conditions.overrun, conditions.end_by) = (next, Some(again));
        self.timers.insert((again, task));
        if let Some(recall) = recall {
            self.recall(engine, recall);
        }
        if next == Overrun::Reported {
            self.effects.push(Effect::Hangs(engine));
        }
    }

    /// A task has run for too long, and nobody has ended its engine.
    fn is_beyond_reach(&mut self, task: TaskId, engine: EngineId) {
        let end = "neither the engine nor its launcher has ended it (`ipclusterz logs` has the reason)";
        if let Some(outcome) = self.time_limit_of(task, end) {
            self.answer(task, Some(engine), outcome);
        }
    }

    /// What a task is told that was ended because it had run for too long; none: it was not.
    pub(super) fn time_limit_of(&mut self, task: TaskId, end: &str) -> Option<Outcome> {
        let conditions = self.conditions(task).filter(|conditions| conditions.overrun > Overrun::Unheard)?;
        let seconds = conditions.time_limit.unwrap_or_default().as_secs_f64();
        Some(Outcome::TimedOut(format!("it ran for longer than its time limit of {seconds} s, and {end}")))
    }

    /// A task is started again after an error, when its time has come. False: it is not.
    pub(super) fn starts_again(&mut self, task: TaskId, now: Duration) -> bool {
        let Some(state) = self.tasks.get_mut(&task).filter(|state| !state.abort) else { return false };
        let Some(balanced) = state.balanced.as_mut().filter(|balanced| balanced.retries > 0) else { return false };
        if !self.clients.contains_key(&state.client) {
            return false;
        }
        balanced.retries = balanced.retries.saturating_sub(1);
        let delay = balanced.conditions.as_ref().map(|conditions| conditions.retry_delay).unwrap_or_default();
        self.has_begun(task);
        if delay.is_zero() {
            self.requeue(task);
            return true;
        }
        let at = now.saturating_add(delay);
        self.set_place(task, Place::Delayed);
        if let Some(conditions) = self.conditions(task) {
            conditions.resumes = Some(at);
        }
        self.timers.insert((at, task));
        self.observe_returned(task);
        true
    }
}
