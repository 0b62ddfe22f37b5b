//! Passphrases, passwords and other answers that only the user can give.

use super::poll::PollSet;
use super::terminal::{LOOK, Terminal};
use crate::talk::Message;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

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

/// Nobody is to be asked any more: this process was told to end.
static OVER: AtomicBool = AtomicBool::new(false);

/// Ends every question that is being asked, and all later ones. When this process is told to end, by a signal.
pub fn stop_asking() {
    OVER.store(true, Ordering::Release);
}

/// Whether that was said.
pub fn asking_is_over() -> bool {
    OVER.load(Ordering::Acquire)
}

/// The process that detached this one, which has a terminal and passes questions on.
static STARTER: OnceLock<Starter> = OnceLock::new();

/// Has the process that detached this one asked, rather than a terminal. Once, when this process begins.
pub fn ask_starter(questions: Arc<Mutex<File>>) {
    // The first one stays.
    let _ = STARTER.set(Starter { questions });
}

/// The terminal where a profile allows to ask, else nobody.
pub fn of_terminal(ask: bool) -> Box<dyn Asker + Send> {
    match (ask, STARTER.get()) {
        (false, _) => Box::new(Nobody),
        (true, Some(starter)) => Box::new(starter.clone()),
        (true, None) => Box::new(Terminal::default()),
    }
}

/// Asks by a line of JSON on the pipe to the starter ([`Message::Ask`]). The answer comes on standard input: `+` and the
/// secret, or `-` for none.
#[derive(Clone)]
struct Starter {
    questions: Arc<Mutex<File>>,
}

impl Asker for Starter {
    fn ask(&mut self, question: &Question) -> Option<Secret> {
        let message = Message::Ask { prompt: question.prompt.clone(), attempt: question.attempt };
        let mut line = serde_json::to_vec(&message).ok()?;
        line.push(b'\n');
        // Once the cluster is ready the starter has gone.
        self.questions.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line).ok()?;
        read_answer()
    }

    fn reason(&self) -> &'static str {
        "there is no terminal to ask on, or it was not answered"
    }
}

/// Waits until there is something on standard input; `None` once nobody is to be asked any more.
fn wait_for_answer() -> Option<()> {
    let stdin = std::io::stdin();
    while !asking_is_over() {
        let mut set = PollSet::default();
        set.add(stdin.as_fd(), true, false);
        // An error is one that reading tells as well.
        if set.wait(Some(Instant::now() + LOOK)).unwrap_or(true) {
            return Some(());
        }
    }
    None
}

/// Reads the answer to a question from standard input.
pub fn read_answer() -> Option<Secret> {
    wait_for_answer()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).ok()?;
    let answer = Secret::new(answer);
    answer.reveal().trim_end_matches(['\r', '\n']).strip_prefix('+').map(Secret::new)
}

/// An answer as [`read_answer`] wants it.
pub fn written_answer(answer: Option<&Secret>) -> Secret {
    Secret::new(answer.map_or_else(|| "-\n".to_owned(), |answer| format!("+{}\n", answer.reveal())))
}

/// Answers nothing.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl Asker for Nobody {
    fn ask(&mut self, _: &Question) -> Option<Secret> {
        None
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
