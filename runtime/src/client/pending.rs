//! Answers that are awaited, and how a thread waits for them.
//!
//! One `Pending` stands for all answers of one submission. Who holds it can wait; when nobody holds it any more,
//! its answers are discarded as they arrive.

use crate::ids::EngineId;
use crate::wire::message::{Outcome, Stream};
use crate::wire::part::Part;
use std::collections::VecDeque;
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

#[derive(Debug, Default)]
struct Slot {
    stdout: String,
    stderr: String,
    answer: Option<Answer>,
}

#[derive(Debug)]
struct State {
    slots: Vec<Slot>,
    done: usize,
    /// Answers not handed out by `next_done`, in order of arrival.
    arrived: VecDeque<usize>,
}

/// The answers of one submission.
#[derive(Debug)]
pub struct Pending {
    /// The engine asked for by each, if one was.
    pub targets: Vec<Option<EngineId>>,
    /// When it was submitted, seconds since 1970.
    pub submitted: f64,
    state: Mutex<State>,
    changed: Condvar,
}

impl Pending {
    /// Awaits one answer for each target.
    pub fn new(targets: Vec<Option<EngineId>>, submitted: f64) -> Arc<Pending> {
        let slots = targets.iter().map(|_| Slot::default()).collect();
        let state = Mutex::new(State { slots, done: 0, arrived: VecDeque::new() });
        Arc::new(Pending { targets, submitted, state, changed: Condvar::new() })
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
        self.lock().done
    }

    /// Whether one is here.
    pub fn is_done(&self, index: usize) -> bool {
        self.lock().slots.get(index).is_some_and(|slot| slot.answer.is_some())
    }

    /// Waits until `ready` holds; false at the deadline.
    fn wait_until(&self, timeout: Duration, ready: impl Fn(&State) -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        while !ready(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Waits for all of them.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.wait_until(timeout, |state| state.done == state.slots.len())
    }

    /// Waits for one of them.
    pub fn wait_index(&self, index: usize, timeout: Duration) -> bool {
        self.wait_until(timeout, |state| state.slots.get(index).is_none_or(|slot| slot.answer.is_some()))
    }

    /// Waits for one that was not handed out yet, in order of arrival. `None`: the deadline; `Some(None)`: all were.
    pub fn next_done(&self, timeout: Duration) -> Option<Option<usize>> {
        let there = |state: &State| !state.arrived.is_empty() || state.done == state.slots.len();
        self.wait_until(timeout, there).then(|| self.lock().arrived.pop_front())
    }

    /// The answer, if it is here.
    pub fn answer(&self, index: usize) -> Option<Answer> {
        self.lock().slots.get(index)?.answer.clone()
    }

    /// Standard output and error as received up to now.
    pub fn outputs(&self, index: usize) -> Option<(String, String)> {
        self.lock().slots.get(index).map(|slot| (slot.stdout.clone(), slot.stderr.clone()))
    }

    /// Text of a running task arrived.
    pub(super) fn output(&self, index: usize, stream: Stream, text: &str) {
        if let Some(slot) = self.lock().slots.get_mut(index) {
            match stream {
                Stream::Stdout => slot.stdout.push_str(text),
                Stream::Stderr => slot.stderr.push_str(text),
            }
        }
    }

    /// An answer arrived; a second one is ignored.
    pub(super) fn resolve(&self, index: usize, answer: Answer) {
        let state = self.lock();
        if state.slots.get(index).is_some_and(|slot| slot.answer.is_none()) {
            self.settle(state, index, answer);
        }
    }

    fn settle(&self, mut state: MutexGuard<'_, State>, index: usize, answer: Answer) {
        state.slots[index].answer = Some(answer);
        state.done += 1;
        state.arrived.push_back(index);
        drop(state);
        self.changed.notify_all();
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
