//! What a running launcher says: lines on stderr, and until it is ready also on the pipe to the process that detached
//! it.

use crate::report::{AcceptedReport, StartReport};
use ipclusterz_host::failure::Failure;
use ipclusterz_host::stderr::{print_line, print_problem};
use ipclusterz_ssh::answers::read_answer;
use ipclusterz_ssh::whom::ask_instead_of_terminal;
use ipclusterz_ssh::{Asker, Question, Secret};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// One line of JSON on the pipe from a detached launcher to the process that started it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// A line for the user.
    Say(String),
    /// A question for the user; the answer goes to the launcher's standard input.
    Ask {
        /// Ends as a prompt does.
        prompt: String,
        /// How many answers were wrong before.
        attempt: u32,
    },
    /// The last message: all engines are ready.
    Ready(Box<StartReport>),
    /// The last message to who does not wait for that: all that is to be started is.
    Accepted(Box<AcceptedReport>),
    /// The last message: there will be no cluster.
    Failed(Failure),
}

/// Says lines on stderr, and to the process that detached this one.
#[derive(Debug, Default)]
pub struct Talk {
    starter: Option<Arc<Mutex<File>>>,
}

impl Talk {
    /// Says lines on stderr alone.
    pub fn on_stderr() -> Self {
        Self::default()
    }

    /// Says lines to the process that detached this one as well.
    pub fn with_starter(pipe: Arc<Mutex<File>>) -> Self {
        Self { starter: Some(pipe) }
    }

    /// Says one line.
    pub fn say(&mut self, line: impl Into<String>) {
        let line = line.into();
        print_line(&line);
        self.tell(&Message::Say(line));
    }

    /// Says a line about something that went wrong, which is wanted also in quiet.
    pub fn warn(&mut self, line: impl Into<String>) {
        let line = line.into();
        print_problem(&line);
        self.tell(&Message::Say(line));
    }

    /// Sends the last message to the process that detached this one, and returns whether there is one that hears it. Later
    /// lines go to stderr alone.
    pub fn conclude(&mut self, message: &Message) -> bool {
        self.tell(message);
        self.starter.take().is_some()
    }

    fn tell(&mut self, message: &Message) {
        let Some(pipe) = &mut self.starter else { return };
        let Ok(mut line) = serde_json::to_vec(message) else { return };
        line.push(b'\n');
        let written = pipe.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line);
        if written.is_err() {
            // The starter was killed. The cluster exists all the same, and `ipclusterz list` shows it.
            self.starter = None;
        }
    }
}

/// Passes questions of this process to the one that detached it, through the same pipe.
pub fn ask_starter(pipe: Arc<Mutex<File>>) {
    ask_instead_of_terminal(move || Box::new(Starter { questions: Arc::clone(&pipe) }));
}

/// Asks by a line of JSON on the pipe to the starter ([`Message::Ask`]). The answer comes on standard input: `+` and the
/// secret, or `-` for none.
struct Starter {
    questions: Arc<Mutex<File>>,
}

impl Asker for Starter {
    fn ask(&mut self, question: &Question) -> Option<Secret> {
        let message = Message::Ask { prompt: question.prompt.clone(), attempt: question.attempt };
        let mut line = serde_json::to_vec(&message).ok()?;
        line.push(b'\n');
        // Writing fails once the cluster is ready, because the starter has exited.
        self.questions.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line).ok()?;
        read_answer()
    }

    fn reason(&self) -> &'static str {
        "there is no terminal to ask on, or it was not answered"
    }
}
