//! Answers that are awaited, and how a thread waits for them.
//!
//! One `Pending` stands for all answers of one submission. Who holds it can wait; when nobody holds it any more,
//! its answers are discarded as they arrive.

use super::transcript::{Kept, Transcript};
use super::watched::Watched;
use crate::system::deadline;
use crate::wire::message::{Outcome, Stream};
use crate::wire::part::Part;
use ipclusterz_base::ids::EngineId;
use std::collections::BTreeSet;
use std::num::Saturating;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One final answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// How it ended.
    pub outcome: Outcome,
    /// The engine, if it reached one.
    pub engine: Option<EngineId>,
    /// That engine's process.
    pub engine_uuid: Option<Arc<str>>,
    /// The value or the error.
    pub parts: Vec<Part>,
    /// Seconds since 1970: user code began, by the engine's clock.
    pub started: f64,
    /// User code ended.
    pub completed: f64,
    /// The answer arrived here.
    pub received: f64,
}

/// What one call has written since it was asked last.
#[derive(Debug)]
pub struct Written {
    /// The index of its answer.
    pub index: usize,
    /// Who wrote it.
    pub engine: Option<EngineId>,
    /// The streams and what was written to them, in order.
    pub pieces: Vec<(Stream, String)>,
    /// Its answer is here, and no more comes.
    pub done: bool,
}

#[derive(Debug, Default)]
struct Slot {
    written: Transcript,
    /// Who wrote last.
    writer: Option<EngineId>,
    /// It is among the news.
    in_news: bool,
    /// It was to be given up and had begun already.
    started: bool,
    /// Whoever waits wants to do it in person, if no engine has begun it.
    claimed: bool,
    /// No engine will do it: its answer is what [`Pending::fulfil`] is given.
    ours: bool,
    answer: Option<Answer>,
}

#[derive(Debug, Default)]
struct State {
    slots: Vec<Slot>,
    /// Indexes of the answers that are here, in order of arrival.
    arrived: Vec<usize>,
    /// Slots that have no answer and may be given up yet, as far as is known.
    undecided: Saturating<usize>,
    /// How many answers and pieces of output there were.
    version: Saturating<u64>,
    /// Tokens for `watched`, put there with the last answer, and when there is output to be taken.
    watches: Vec<u64>,
    /// They were put there for output that nobody has taken yet.
    announced: bool,
    /// Slots that have output to be taken, or have ended behind it.
    news: Vec<usize>,
    /// Something was written at some time.
    was_written: bool,
}

impl State {
    fn is_complete(&self) -> bool {
        self.arrived.len() == self.slots.len()
    }

    fn is_news(&mut self, index: usize) {
        if let Some(slot) = self.slots.get_mut(index)
            && !std::mem::replace(&mut slot.in_news, true)
        {
            self.news.push(index);
        }
    }

    /// Tokens that are to be told of output.
    fn announce(&mut self) -> Vec<u64> {
        if std::mem::replace(&mut self.announced, true) { Vec::new() } else { self.watches.clone() }
    }
}

/// The answers of one submission.
#[derive(Debug)]
pub struct Pending {
    /// The engine asked for by each, if one was.
    pub targets: Vec<Option<EngineId>>,
    /// When it was submitted, seconds since 1970.
    pub submitted: f64,
    watched: Arc<Watched>,
    kept: Arc<Kept>,
    /// Threads that wait and take the output.
    takers: AtomicUsize,
    state: Mutex<State>,
    changed: Condvar,
}

impl Pending {
    /// Awaits one answer for each target.
    pub fn new(targets: Vec<Option<EngineId>>, submitted: f64, watched: Arc<Watched>, kept: Arc<Kept>) -> Arc<Pending> {
        let slots: Vec<Slot> = targets.iter().map(|_| Slot::default()).collect();
        let state = Mutex::new(State { undecided: Saturating(slots.len()), slots, ..State::default() });
        let (takers, changed) = Default::default();
        Arc::new(Pending { targets, submitted, watched, kept, takers, state, changed })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many answers are awaited in all.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// None.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// How many are here.
    pub fn done(&self) -> usize {
        self.lock().arrived.len()
    }

    /// The engines whose answers are not here, as far as some were asked for.
    pub fn awaited(&self) -> Vec<EngineId> {
        let state = self.lock();
        let open = self.targets.iter().zip(&state.slots).filter(|(_, slot)| slot.answer.is_none());
        let engines: BTreeSet<EngineId> = open.filter_map(|(target, _)| *target).collect();
        engines.into_iter().collect()
    }

    /// Whether one is here.
    pub fn is_done(&self, index: usize) -> bool {
        self.lock().slots.get(index).is_some_and(|slot| slot.answer.is_some())
    }

    /// Waits until `ready` holds, and gives the state that it held in; none at the deadline.
    fn wait_until(&self, timeout: Duration, ready: impl Fn(&State) -> bool) -> Option<MutexGuard<'_, State>> {
        let deadline = deadline(timeout);
        let mut state = self.lock();
        while !ready(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Some(state)
    }

    /// Waits for all of them.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.wait_until(timeout, State::is_complete).is_some()
    }

    /// Waits for one of them.
    pub fn wait_index(&self, index: usize, timeout: Duration) -> bool {
        let there = |state: &State| state.slots.get(index).is_none_or(|slot| slot.answer.is_some());
        self.wait_until(timeout, there).is_some()
    }

    /// Waits for the `n`-th in order of arrival, counted from 0, and gives its index. `None`: the deadline;
    /// `Some(None)`: there are not so many.
    pub fn nth_done(&self, n: usize, timeout: Duration) -> Option<Option<usize>> {
        let there = |state: &State| n < state.arrived.len() || n >= state.slots.len();
        self.wait_until(timeout, there).map(|state| state.arrived.get(n).copied())
    }

    /// Waits for an answer or output that `version` does not count, unless all answers are here; the present count.
    /// `None`: the deadline.
    pub fn wait_news(&self, version: u64, timeout: Duration) -> Option<u64> {
        let news = |state: &State| state.version.0 > version || state.is_complete();
        self.wait_until(timeout, news).map(|state| state.version.0)
    }

    /// Has `token` queued in the client's [`Watched`] when the last answer arrives, and before that when there is output
    /// to be taken. False: all answers are here already.
    pub fn watch(&self, token: u64) -> bool {
        let mut state = self.lock();
        if state.is_complete() {
            return false;
        }
        state.watches.push(token);
        state.announced = !state.news.is_empty();
        let tokens = if state.announced { vec![token] } else { Vec::new() };
        drop(state);
        self.watched.push(tokens);
        true
    }

    /// A thread begins or ends to wait and to take the output meanwhile, of which watchers are not told.
    pub fn takes(&self, begins: bool) {
        if begins {
            self.takers.fetch_add(1, Relaxed);
            return;
        }
        self.takers.fetch_sub(1, Relaxed);
        let mut state = self.lock();
        let tokens = if state.news.is_empty() || state.is_complete() { Vec::new() } else { state.announce() };
        drop(state);
        self.watched.push(tokens);
    }

    /// Whether such a thread waits.
    pub fn is_taken(&self) -> bool {
        self.takers.load(Relaxed) > 0
    }

    /// Whether there is output to be taken.
    pub fn has_news(&self) -> bool {
        !self.lock().news.is_empty()
    }

    /// Whether there was any output.
    pub fn was_written(&self) -> bool {
        self.lock().was_written
    }

    /// What was written since this was called last, by whichever thread.
    pub fn take_output(&self) -> Vec<Written> {
        let mut state = self.lock();
        state.announced = false;
        let news = std::mem::take(&mut state.news);
        let take = |index: usize| {
            let slot = state.slots.get_mut(index)?;
            slot.in_news = false;
            let engine = slot.answer.as_ref().and_then(|answer| answer.engine).or(slot.writer);
            Some(Written { index, engine, pieces: slot.written.take(), done: slot.answer.is_some() })
        };
        news.into_iter().filter_map(take).collect()
    }

    /// After an abort: waits until each answer is here or known to have begun, and tells whether all were given up.
    /// `None`: the deadline.
    pub fn wait_verdict(&self, timeout: Duration) -> Option<bool> {
        let given_up = |slot: &Slot| slot.answer.as_ref().is_some_and(|answer| answer.outcome == Outcome::Aborted);
        let state = self.wait_until(timeout, |state| state.undecided.0 == 0)?;
        Some(state.slots.iter().all(given_up))
    }

    /// From here on, an answer that it was given up leaves it to the caller; false if its answer is here, or if an engine
    /// has begun it.
    pub fn claim(&self, index: usize) -> bool {
        let mut state = self.lock();
        let Some(slot) = state.slots.get_mut(index) else { return false };
        slot.claimed = slot.answer.is_none() && !slot.started;
        slot.claimed
    }

    /// After a claim and an abort: waits until it is known whose it is. `None`: the deadline.
    pub fn wait_claim(&self, index: usize, timeout: Duration) -> Option<bool> {
        let known = |state: &State| {
            state.slots.get(index).is_none_or(|slot| slot.answer.is_some() || slot.started || slot.ours)
        };
        self.wait_until(timeout, known).map(|state| state.slots.get(index).is_some_and(|slot| slot.ours))
    }

    /// The caller of `claim` does not want it any more: what was or will be given up is aborted.
    pub fn unclaim(&self, index: usize, now: f64) {
        if let Some(slot) = self.lock().slots.get_mut(index) {
            slot.claimed = false;
            if !std::mem::take(&mut slot.ours) {
                return;
            }
        }
        self.abandon(index, &Outcome::Aborted, now);
    }

    /// The answer of one that was claimed; any other is ignored.
    pub fn fulfil(&self, index: usize, answer: Answer) {
        let mut state = self.lock();
        if state.slots.get_mut(index).is_some_and(|slot| std::mem::take(&mut slot.ours)) {
            self.settle(state, index, answer);
        }
    }

    /// The answer, if it is here.
    pub fn answer(&self, index: usize) -> Option<Answer> {
        self.lock().slots.get(index)?.answer.clone()
    }

    /// How each ended, by the name of its outcome; none: it is not here.
    pub fn statuses(&self) -> Vec<Option<&'static str>> {
        let name = |slot: &Slot| slot.answer.as_ref().map(|answer| answer.outcome.name());
        self.lock().slots.iter().map(name).collect()
    }

    /// Standard output and error as received up to now.
    pub fn outputs(&self, index: usize) -> Option<(String, String)> {
        let state = self.lock();
        let written = &state.slots.get(index)?.written;
        Some((written.joined(Stream::Stdout), written.joined(Stream::Stderr)))
    }

    /// The last value of each name that it has published until now.
    pub fn published(&self, index: usize) -> Vec<(String, String)> {
        self.lock().slots.get(index).map(|slot| slot.written.published()).unwrap_or_default()
    }

    /// What was written behind `cursor`, in order, and the cursor behind that; 0 is the first. None: there is no such
    /// answer, or this cursor was never given for it.
    pub fn output_since(&self, index: usize, cursor: usize) -> Option<(usize, Vec<(Stream, String)>)> {
        let state = self.lock();
        let written = &state.slots.get(index)?.written;
        Some((written.len(), written.since(cursor)?))
    }

    /// Text of a running task arrived.
    pub(super) fn output(&self, index: usize, engine: EngineId, stream: Stream, text: &str) {
        let text = &*if stream == Stream::Display { self.watched.comms_of(engine, text) } else { text.into() };
        if text.is_empty() {
            return;
        }
        let mut state = self.lock();
        let Some(slot) = state.slots.get_mut(index) else { return };
        slot.written.write(stream, text, &self.kept);
        slot.writer = Some(engine);
        state.version += 1;
        state.was_written = true;
        state.is_news(index);
        let tokens = if self.is_taken() { Vec::new() } else { state.announce() };
        drop(state);
        self.changed.notify_all();
        self.watched.push(tokens);
    }

    /// It was to be given up, but has begun.
    pub(super) fn started(&self, index: usize) {
        let mut state = self.lock();
        let Some(slot) = state.slots.get_mut(index) else { return };
        if slot.answer.is_none() && !std::mem::replace(&mut slot.started, true) {
            state.undecided -= 1;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// An answer arrived; a second one is ignored.
    pub(super) fn resolve(&self, index: usize, answer: Answer) {
        let mut state = self.lock();
        let Some(slot) = state.slots.get_mut(index).filter(|slot| slot.answer.is_none() && !slot.ours) else { return };
        if answer.outcome != Outcome::Aborted || !std::mem::take(&mut slot.claimed) {
            return self.settle(state, index, answer);
        }
        slot.ours = true;
        // For `wait_verdict` it has begun.
        if !std::mem::replace(&mut slot.started, true) {
            state.undecided -= 1;
        }
        drop(state);
        self.changed.notify_all();
    }

    fn settle(&self, mut state: MutexGuard<'_, State>, index: usize, answer: Answer) {
        let Some(slot) = state.slots.get_mut(index) else { return };
        slot.answer = Some(answer);
        slot.written.end(&self.kept);
        let (started, wrote) = (slot.started, slot.written.len() > 0);
        if !started {
            state.undecided -= 1;
        }
        if wrote {
            state.is_news(index);
        }
        state.arrived.push(index);
        state.version += 1;
        let watches = if state.is_complete() { std::mem::take(&mut state.watches) } else { Vec::new() };
        drop(state);
        self.changed.notify_all();
        self.watched.push(watches);
    }

    /// Ends whatever has no answer yet.
    pub(super) fn abandon(&self, index: usize, outcome: &Outcome, received: f64) {
        let answer = Answer {
            outcome: outcome.clone(),
            engine: self.targets.get(index).copied().flatten(),
            engine_uuid: None,
            parts: vec![],
            started: 0.0,
            completed: 0.0,
            received,
        };
        self.resolve(index, answer);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.kept.free(state.slots.iter().map(|slot| slot.written.len()).sum());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending() -> Arc<Pending> {
        Pending::new(vec![None, None], 0.0, Arc::default(), Arc::default())
    }

    fn answer(outcome: Outcome) -> Answer {
        let (parts, started, completed, received) = (vec![], 0.0, 0.0, 0.0);
        Answer { outcome, engine: None, engine_uuid: None, parts, started, completed, received }
    }

    #[test]
    fn what_is_claimed_and_given_up_is_answered_by_the_caller() {
        let pending = pending();
        assert!(pending.claim(0));
        assert_eq!(pending.wait_claim(0, Duration::ZERO), None);
        pending.resolve(0, answer(Outcome::Aborted));
        assert_eq!(pending.wait_claim(0, Duration::ZERO), Some(true));
        assert!(!pending.is_done(0) && !pending.claim(0));
        pending.resolve(0, answer(Outcome::Error));
        pending.fulfil(0, answer(Outcome::Ok));
        pending.fulfil(0, answer(Outcome::Error));
        assert_eq!(pending.statuses(), [Some("ok"), None]);
        assert!(!pending.wait(Duration::ZERO));
        pending.resolve(1, answer(Outcome::Aborted));
        assert_eq!(pending.statuses(), [Some("ok"), Some("aborted")]);
        assert_eq!(pending.wait_verdict(Duration::ZERO), Some(false));
    }

    #[test]
    fn what_is_not_wanted_after_all_is_aborted() {
        let pending = pending();
        assert!(pending.claim(0) && pending.claim(1));
        pending.resolve(0, answer(Outcome::Aborted));
        pending.unclaim(0, 0.0);
        pending.unclaim(1, 0.0);
        assert_eq!(pending.statuses(), [Some("aborted"), None]);
        pending.resolve(1, answer(Outcome::Aborted));
        assert_eq!(pending.statuses(), [Some("aborted"); 2]);
    }

    #[test]
    fn what_an_engine_has_begun_is_not_the_callers() {
        let pending = pending();
        assert!(pending.claim(0) && pending.claim(1));
        pending.started(0);
        assert_eq!(pending.wait_claim(0, Duration::ZERO), Some(false));
        pending.resolve(1, answer(Outcome::Ok));
        assert_eq!(pending.wait_claim(1, Duration::ZERO), Some(false));
        pending.fulfil(1, answer(Outcome::Error));
        assert_eq!(pending.statuses(), [None, Some("ok")]);
        assert_eq!(pending.wait_claim(7, Duration::ZERO), Some(false));
    }
}
