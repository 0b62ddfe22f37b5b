//! The failure of a command: message, advice and exit code.
//!
//! The modules have typed errors of their own. A command converts an error into a [`Failure`] where it gives up, so
//! that the exit codes and the wording of hints are in few places.

use crate::exit_code::Exit;
use ipclusterz_base::connection::ConnectionError;
use ipclusterz_base::places::PlacesError;
use ipclusterz_base::words::without_codes;
use serde::{Deserialize, Serialize};

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The exit code's number, as a detached launcher reports it to the shell that started it.
    exit_code: u8,
    /// What happened, with the values that were involved; may have several lines.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without advice.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit_code: exit.code(), message: without_codes(&message.into()), hint: None }
    }

    /// Adds advice. An empty text counts as no advice.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into()).filter(|hint| !hint.is_empty());
        self
    }

    /// Its exit code.
    pub fn exit(&self) -> Exit {
        Exit::from_code(self.exit_code)
    }

    /// For `map_err`: an operation of the operating system failed that normally succeeds. `doing` says what was being
    /// done.
    pub fn io(doing: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> Failure {
        let doing = doing.to_string();
        move |error| Failure::new(Exit::Failure, format!("{doing}: {error}"))
    }

    /// `{"error": {"kind": …, "exit_code": …, "message": …, "hint": …}}`. The printer adds the version.
    pub fn to_json(&self) -> serde_json::Value {
        let kind = match self.exit() {
            Exit::Ok => "ok",
            Exit::Failure => "failure",
            Exit::Usage => "usage",
            Exit::NoCluster => "no_cluster",
            Exit::AlreadyRunning => "already_running",
            Exit::StartFailed => "start_failed",
            Exit::Timeout => "timeout",
            Exit::Unreachable => "unreachable",
            Exit::JournalLeft => "journal_left",
            Exit::Interrupted => "interrupted",
        };
        serde_json::json!({
            "error": { "kind": kind, "exit_code": self.exit_code, "message": self.message, "hint": self.hint },
        })
    }

    /// `error: …` and `hint: …` lines for a terminal.
    pub fn to_text(&self) -> String {
        match &self.hint {
            Some(hint) => format!("error: {}\nhint: {hint}\n", self.message),
            None => format!("error: {}\n", self.message),
        }
    }
}

impl From<PlacesError> for Failure {
    fn from(error: PlacesError) -> Self {
        let exit = if matches!(error, PlacesError::BadName(_)) { Exit::Usage } else { Exit::Failure };
        Failure::new(exit, error.to_string()).with_hint(error.hint())
    }
}

impl From<ConnectionError> for Failure {
    fn from(error: ConnectionError) -> Self {
        Failure::new(Exit::Unreachable, error.to_string()).with_hint(error.hint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_text_say_the_same() {
        let failure = Failure::new(Exit::NoCluster, "there is no cluster \"x\"").with_hint("start one");
        assert_eq!(failure.to_text(), "error: there is no cluster \"x\"\nhint: start one\n");
        let json = failure.to_json();
        assert_eq!(json["error"]["kind"], "no_cluster");
        assert_eq!(json["error"]["exit_code"], 3);
        assert_eq!(json["error"]["hint"], "start one");
    }
}
