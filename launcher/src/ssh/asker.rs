//! Passphrases, passwords and other answers that only the user can give.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Something that must not be printed. Overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes it over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// For the one call that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        bytes.fill(0);
        // So that the compiler does not leave out what nobody reads.
        std::hint::black_box(&bytes);
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Text for the user, ending as a prompt does: `Password of me@n1: `.
    pub prompt: String,
    /// How often the answer was wrong before.
    pub attempt: u32,
}

/// Whoever answers.
pub trait Asker {
    /// The answer; `None` when there is nobody to ask, or who is asked does not want to answer.
    fn ask(&mut self, question: &Question) -> Option<Secret>;

    /// Why there was no answer, for an error.
    fn reason(&self) -> &'static str {
        "there was nobody to ask"
    }

    /// Whether whoever waits for the connection does so no more; looked at again and again while it is made.
    fn has_given_up(&self) -> bool {
        false
    }
}

/// The terminal where a profile allows to ask, else nobody.
pub fn of_terminal(ask: bool) -> Box<dyn Asker + Send> {
    if ask { Box::new(Terminal) } else { Box::new(Nobody) }
}

/// Answers nothing.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl Asker for Nobody {
    fn ask(&mut self, _: &Question) -> Option<Secret> {
        None
    }
}

/// The terminal of this process, if it has one; what is typed is not shown.
#[derive(Debug, Clone, Copy)]
pub struct Terminal;

impl Asker for Terminal {
    fn ask(&mut self, question: &Question) -> Option<Secret> {
        // Fails without a controlling terminal, and at Ctrl-D.
        rpassword::prompt_password(&question.prompt).ok().map(Secret::new)
    }

    fn reason(&self) -> &'static str {
        "there is no terminal to ask on"
    }
}

/// Remembers right answers in memory, so that a connection can be made again without its user.
pub struct Remembering {
    inner: Box<dyn Asker + Send>,
    answers: Arc<Mutex<BTreeMap<String, Secret>>>,
    given_up: Arc<AtomicBool>,
}

impl Remembering {
    /// Asks `inner` for what is not known yet. `given_up` is set when nobody waits for connections any more.
    pub fn new(inner: Box<dyn Asker + Send>, given_up: Arc<AtomicBool>) -> Self {
        Self { inner, answers: Arc::default(), given_up }
    }

    /// With the same memory, but with nobody behind it.
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

    #[test]
    fn debug_output_has_no_secret() {
        assert!(!format!("{:?}", Secret::new("hunter2")).contains("hunter2"));
    }
}
