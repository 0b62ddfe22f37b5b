//! What one client has submitted, what was answered, and whether that is right. Pure.

use crate::numbers::Key;
use ipclusterz_base::ids::EngineId;
use ipclusterz_runtime::wire::message::Outcome;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Most problems that are told in words.
const PROBLEMS_MAX: usize = 10;

/// A task that was submitted.
#[derive(Debug)]
struct Entry {
    key: Key,
    /// The engine that it was sent to by its id.
    target: Option<EngineId>,
    submitted: Instant,
    answered: bool,
}

/// Numbers of answers, of one client or of all.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Tasks.
    pub submitted: u64,
    /// Answered with the value that is right.
    pub ok: u64,
    /// Other first answers, by the names of their outcomes.
    pub other: BTreeMap<String, u64>,
    /// First answers that are not right, or of an engine that was not asked, and answers to no task at all.
    pub wrong: u64,
    /// Answers behind the first.
    pub doubled: u64,
    /// Tasks without an answer.
    pub missing: u64,
    /// Some of what was wrong or doubled, in words.
    pub problems: Vec<String>,
}

impl Counts {
    /// Those of another client are added.
    pub fn add(&mut self, other: Counts) {
        self.submitted += other.submitted;
        self.ok += other.ok;
        for (name, count) in other.other {
            *self.other.entry(name).or_default() += count;
        }
        self.wrong += other.wrong;
        self.doubled += other.doubled;
        self.missing += other.missing;
        self.problems.extend(other.problems);
        self.problems.truncate(PROBLEMS_MAX);
    }

    /// Each task has one answer, and each answer is what its engine or the controller had to say.
    pub fn is_right(&self) -> bool {
        self.wrong == 0 && self.doubled == 0 && self.missing == 0
    }

    fn problem(&mut self, problem: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }
}

/// The tasks of one client, in order of submission.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    open: usize,
    counts: Counts,
    latencies: Vec<Duration>,
}

impl Ledger {
    /// How many tasks were submitted.
    pub fn submitted(&self) -> usize {
        self.entries.len()
    }

    /// How many of them have no answer.
    pub fn open(&self) -> usize {
        self.open
    }

    /// A task is submitted now, as the next one.
    pub fn submit(&mut self, key: Key, target: Option<EngineId>) {
        self.entries.push(Entry { key, target, submitted: Instant::now(), answered: false });
        self.open += 1;
    }

    /// The task of this number, counted from 0, was answered.
    pub fn answer(&mut self, number: usize, engine: Option<EngineId>, outcome: &Outcome, payload: &[u8]) {
        let Some(entry) = self.entries.get_mut(number) else {
            self.counts.wrong += 1;
            return self.counts.problem(format!("an answer to task {number}, which was not submitted"));
        };
        if std::mem::replace(&mut entry.answered, true) {
            self.counts.doubled += 1;
            return self.counts.problem(format!("another answer to task {number}: {outcome:?}"));
        }
        self.open -= 1;
        self.latencies.push(entry.submitted.elapsed());
        let is_of_engine = matches!(outcome, Outcome::Ok | Outcome::Error);
        let asked = entry.target.is_none_or(|target| engine == Some(target));
        if is_of_engine && (payload != entry.key.answer() || !asked) {
            let said = String::from_utf8_lossy(payload);
            let problem = format!("task {number}: {outcome:?} of engine {engine:?}, which says {said:?}");
            self.counts.wrong += 1;
            return self.counts.problem(problem);
        }
        match outcome {
            Outcome::Ok => self.counts.ok += 1,
            other => *self.counts.other.entry(other.name().to_owned()).or_default() += 1,
        }
    }

    /// The session is over. What is open has got no answer, and a client says that it is lost.
    pub fn lose_open(&mut self, reason: &str) {
        let lost = Outcome::Lost(reason.to_owned());
        for number in 0..self.entries.len() {
            if !self.entries[number].answered {
                self.answer(number, None, &lost, &[]);
            }
        }
    }

    /// The numbers as they are now.
    pub fn counts(&self) -> Counts {
        Counts { submitted: self.entries.len() as u64, missing: self.open as u64, ..self.counts.clone() }
    }

    /// How long each answer has taken.
    pub fn latencies(&self) -> &[Duration] {
        &self.latencies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> [Key; 3] {
        [0, 1, 2].map(|number| Key::new(1, 2, number))
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        keys().into_iter().for_each(|key| ledger.submit(key, None));
        ledger
    }

    fn right(ledger: &mut Ledger, number: usize) {
        ledger.answer(number, Some(EngineId(0)), &Outcome::Ok, &keys()[number].answer());
    }

    #[test]
    fn right_answers_in_any_order_are_all_there_is() {
        let mut ledger = ledger();
        [2, 0, 1].into_iter().for_each(|number| right(&mut ledger, number));
        assert_eq!(ledger.counts(), Counts { submitted: 3, ok: 3, ..Counts::default() });
        assert!(ledger.counts().is_right() && ledger.open() == 0);
        assert_eq!(ledger.latencies().len(), 3);
    }

    #[test]
    fn the_answer_of_another_task_is_wrong() {
        let mut ledger = ledger();
        ledger.answer(0, Some(EngineId(0)), &Outcome::Ok, &keys()[1].answer());
        ledger.answer(1, Some(EngineId(0)), &Outcome::Error, b"no key");
        ledger.answer(2, Some(EngineId(0)), &Outcome::Ok, b"");
        let counts = ledger.counts();
        assert_eq!((counts.wrong, counts.ok, counts.missing, counts.other.len()), (3, 0, 0, 0));
        assert!(!counts.is_right() && counts.problems[1].contains("no key"), "{counts:?}");
    }

    #[test]
    fn a_second_answer_is_doubled_whatever_it_says() {
        let mut ledger = ledger();
        for number in [0, 1, 2, 1, 1] {
            right(&mut ledger, number);
        }
        ledger.answer(0, None, &Outcome::Lost("killed".to_owned()), &[]);
        let counts = ledger.counts();
        assert_eq!((counts.doubled, counts.ok, counts.wrong), (3, 3, 0));
        assert!(!counts.is_right() && counts.problems[2].contains("killed"), "{counts:?}");
    }

    #[test]
    fn what_has_no_answer_is_missing() {
        let mut ledger = ledger();
        right(&mut ledger, 1);
        let counts = ledger.counts();
        assert_eq!((counts.missing, counts.ok), (2, 1));
        assert!(!counts.is_right());
    }

    #[test]
    fn an_answer_to_no_task_is_wrong() {
        let mut ledger = ledger();
        [0, 1, 2].into_iter().for_each(|number| right(&mut ledger, number));
        ledger.answer(3, Some(EngineId(0)), &Outcome::Ok, &keys()[0].answer());
        assert_eq!((ledger.counts().wrong, ledger.counts().ok), (1, 3));
    }

    #[test]
    fn who_was_asked_by_its_id_has_to_answer() {
        let mut ledger = Ledger::default();
        keys().into_iter().for_each(|key| ledger.submit(key, Some(EngineId(4))));
        ledger.answer(0, Some(EngineId(4)), &Outcome::Ok, &keys()[0].answer());
        ledger.answer(1, Some(EngineId(5)), &Outcome::Ok, &keys()[1].answer());
        ledger.answer(2, None, &Outcome::Lost(String::new()), &[]);
        let counts = ledger.counts();
        assert_eq!((counts.ok, counts.wrong, counts.other.get("lost")), (1, 1, Some(&1)));
    }

    #[test]
    fn other_outcomes_are_counted_by_name_and_are_not_wrong() {
        let mut ledger = ledger();
        ledger.answer(0, Some(EngineId(0)), &Outcome::Error, &keys()[0].answer());
        ledger.lose_open("the session is over");
        let counts = ledger.counts();
        let expected = [("error", 1), ("lost", 2)].map(|(name, count)| (name.to_owned(), count));
        assert_eq!(counts.other, BTreeMap::from(expected));
        assert!(counts.is_right() && ledger.open() == 0);
        right(&mut ledger, 2);
        assert_eq!(ledger.counts().doubled, 1, "an answer to what was given up");
    }

    #[test]
    fn the_counts_of_all_clients_are_added() {
        let mut all = Counts::default();
        for _ in 0..2 {
            let mut ledger = ledger();
            right(&mut ledger, 0);
            right(&mut ledger, 0);
            ledger.answer(1, None, &Outcome::Aborted, &[]);
            all.add(ledger.counts());
        }
        assert_eq!((all.submitted, all.ok, all.doubled, all.missing), (6, 2, 2, 2));
        assert_eq!((all.other.get("aborted"), all.problems.len()), (Some(&2), 2));
    }
}
