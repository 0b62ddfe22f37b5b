//! Renewal: when to submit the job that takes over from one that reaches its time limit. Pure.
//!
//! The successor should be running when its predecessor begins to drain, and not much earlier. How long the successor
//! will be pending is estimated from how long the last jobs were pending.

use crate::set::SetId;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many waits are remembered.
const REMEMBERED: usize = 5;
/// The time that engines take to start and register, with a margin.
const START: Duration = Duration::from_secs(60);
/// The estimate before any wait is known.
const FIRST_GUESS: Duration = Duration::from_secs(300);

/// A set whose job has a time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// The set.
    pub set: SetId,
    /// When it began to run.
    pub began: Instant,
    /// When it reaches its time limit.
    pub ends: Instant,
    /// It needs no successor: one has been submitted, or it drains or is to be stopped.
    pub settled: bool,
}

/// The rule, and the last waits in the queue.
#[derive(Debug, Clone)]
pub struct Renewal {
    drain_before: Duration,
    waits: VecDeque<Duration>,
}

impl Renewal {
    /// `drain_before` is the profile's: a successor should be running that long before the end.
    pub fn new(drain_before: Duration) -> Self {
        Self { drain_before, waits: VecDeque::new() }
    }

    /// Notes that a job was pending for this long.
    pub fn waited(&mut self, wait: Duration) {
        if self.waits.len() == REMEMBERED {
            self.waits.pop_front();
        }
        self.waits.push_back(wait);
    }

    /// How long before the end of `term` to submit its successor.
    ///
    /// At most half of the term: a job that is pending for longer than that would otherwise always have two jobs.
    pub fn lead(&self, term: &Term) -> Duration {
        let longest = self.waits.iter().max().copied();
        let wait = longest.map_or(FIRST_GUESS, |longest| longest + longest / 2);
        let length = term.ends.saturating_duration_since(term.began);
        (wait + START + self.drain_before).min(length / 2)
    }

    /// When to submit the successor of `term`; not before `term` began.
    pub fn submit_at(&self, term: &Term) -> Instant {
        term.ends.checked_sub(self.lead(term)).map_or(term.began, |at| at.max(term.began))
    }

    /// The sets whose successors are to be submitted now.
    pub fn due(&self, now: Instant, terms: &[Term]) -> Vec<SetId> {
        let due = terms.iter().filter(|term| !term.settled && self.submit_at(term) <= now);
        due.map(|term| term.set).collect()
    }

    /// When the next successor is to be submitted.
    pub fn next(&self, terms: &[Term]) -> Option<Instant> {
        terms.iter().filter(|term| !term.settled).map(|term| self.submit_at(term)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn term(length: Duration) -> Term {
        let began = Instant::now();
        Term { set: SetId(0), began, ends: began + length, settled: false }
    }

    #[test]
    fn the_longest_of_the_last_waits_counts() {
        let mut renewal = Renewal::new(2 * MINUTE);
        let day = term(24 * 60 * MINUTE);
        assert_eq!(renewal.lead(&day), 8 * MINUTE);
        renewal.waited(20 * MINUTE);
        renewal.waited(2 * MINUTE);
        assert_eq!(renewal.lead(&day), 33 * MINUTE);
        for _ in 0..REMEMBERED {
            renewal.waited(Duration::ZERO);
        }
        assert_eq!(renewal.lead(&day), 3 * MINUTE);
    }

    #[test]
    fn short_jobs_have_one_successor_at_a_time() {
        let mut renewal = Renewal::new(2 * MINUTE);
        renewal.waited(120 * MINUTE);
        assert_eq!(renewal.lead(&term(10 * MINUTE)), 5 * MINUTE);
    }

    #[test]
    fn a_term_is_due_once() {
        let renewal = Renewal::new(MINUTE);
        let mut hour = term(60 * MINUTE);
        assert_eq!(renewal.due(hour.began, &[hour]), []);
        let at = renewal.next(&[hour]).expect("an hour ends");
        assert_eq!(renewal.due(at, &[hour]), [SetId(0)]);
        hour.settled = true;
        assert_eq!((renewal.due(at, &[hour]), renewal.next(&[hour])), (Vec::new(), None));
    }

    proptest! {
        #[test]
        fn never_before_the_middle_never_after_the_end(
            waits in proptest::collection::vec(0u64..100_000, 0..9), length in 0u64..1_000_000, drain in 0u64..1000,
        ) {
            let mut renewal = Renewal::new(Duration::from_secs(drain));
            waits.into_iter().for_each(|wait| renewal.waited(Duration::from_secs(wait)));
            let term = term(Duration::from_secs(length));
            let at = renewal.submit_at(&term);
            prop_assert!(term.began + Duration::from_secs(length) / 2 <= at && at <= term.ends);
        }
    }
}
