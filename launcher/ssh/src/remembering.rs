//! An asker that remembers right answers, so that a connection can be restored without its user.

use crate::asker::{Asker, Nobody, Question, Secret};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Remembers right answers, in memory alone. Its copies by [`Remembering::without_asking`] share them.
pub struct Remembering {
    inner: Box<dyn Asker + Send>,
    answers: Arc<Mutex<BTreeMap<String, Secret>>>,
    given_up: Arc<AtomicBool>,
}

impl Remembering {
    /// Asks `inner` the questions that have no remembered answer. `given_up` is set when nobody waits for connections
    /// any more.
    pub fn new(inner: Box<dyn Asker + Send>, given_up: Arc<AtomicBool>) -> Self {
        Self { inner, answers: Arc::default(), given_up }
    }

    /// A copy with the same answers that asks nobody.
    pub fn without_asking(&self) -> Self {
        let (answers, given_up) = (Arc::clone(&self.answers), Arc::clone(&self.given_up));
        Self { inner: Box::new(Nobody), answers, given_up }
    }
}

impl Asker for Remembering {
    fn ask(&mut self, question: &Question) -> Option<Secret> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if question.attempt == 0
            && let Some(known) = answers.get(&question.prompt)
        {
            return Some(known.clone());
        }
        answers.remove(&question.prompt);
        let answer = self.inner.ask(question)?;
        answers.insert(question.prompt.clone(), answer.clone());
        Some(answer)
    }

    fn reason(&self) -> &'static str {
        self.inner.reason()
    }

    fn has_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(attempt: u32) -> Question {
        Question { prompt: "Password: ".to_owned(), attempt }
    }

    struct Given;

    impl Asker for Given {
        fn ask(&mut self, question: &Question) -> Option<Secret> {
            (question.attempt == 0).then(|| Secret::new("x"))
        }
    }

    #[test]
    fn a_wrong_answer_is_forgotten() {
        let mut asker = Remembering::new(Box::new(Given), Arc::default());
        let mut later = asker.without_asking();
        assert!(later.ask(&question(0)).is_none());
        assert!(asker.ask(&question(0)).is_some());
        assert_eq!(later.ask(&question(0)), Some(Secret::new("x")));
        assert!(later.ask(&question(1)).is_none() && later.ask(&question(0)).is_none());
    }
}
