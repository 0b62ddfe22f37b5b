//! What checks need of other hosts and of queues, as a seam: the real thing beside the fakes of tests.

use ipclusterz_host::failure::Failure;
use ipclusterz_launchers::program::ask;
use std::time::Duration;

/// What a command did, here or elsewhere.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Whether it ended well.
    pub success: bool,
    /// How it ended, for a person.
    pub how: String,
    /// Its standard output.
    pub output: String,
    /// Its standard error.
    pub errors: String,
}

impl Answer {
    /// That of a command of this host, which was given until `deadline`.
    pub fn of_command(answer: ask::Answer, deadline: Duration) -> Self {
        let (success, how) = (answer.is_success(), answer.how(deadline));
        Self { success, how, output: answer.output, errors: answer.errors }
    }

    /// The last line of its errors, else of its output, to be put behind a message.
    pub fn reason(&self) -> String {
        let last = |text: &str| text.lines().rfind(|line| !line.trim().is_empty()).map(|line| format!(": {line}"));
        last(&self.errors).or_else(|| last(&self.output)).unwrap_or_default()
    }
}

/// What `ipclusterz` there is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// The stages of a start.
    ProfileCheck,
    /// All that a start needs.
    Doctor,
}

impl Question {
    /// Its command, before the profile's file.
    pub fn words(self) -> &'static str {
        match self {
            Question::ProfileCheck => "profile check",
            Question::Doctor => "doctor --profile",
        }
    }
}

/// Other hosts and the queue of one profile.
pub trait Outside {
    /// Logs in to a host, written as in `[ssh]`, and has its shell run `command`.
    ///
    /// An error means that the host was not reached or did not let us in; a command that fails is an answer.
    fn on_host(&self, host: &str, command: &str, deadline: Duration) -> Result<Answer, Failure>;

    /// Asks the queue something without submitting anything: what it answered, for a person.
    fn ask_queue(&self, deadline: Duration) -> Result<String, Failure>;

    /// The script that the first set of engines would be submitted with.
    fn script(&self) -> Result<String, Failure>;

    /// Has the queue look at that script without running it: what it said; `None` when it has no way to.
    fn validate(&self) -> Result<Option<String>, Failure>;

    /// The words that are put before the command of so many engines in the job that this process runs in; `None` when it
    /// runs in none.
    fn start_in_job(&self, engines: u32) -> Result<Option<Vec<String>>, Failure>;

    /// Finds `ipclusterz` of this version on the host of `ssh.controller`: where it is, for a person.
    fn find_there(&self) -> Result<String, Failure>;

    /// Has the one that was found look at the profile there, and returns what it printed. Nothing stays there.
    fn ask_there(&self, question: Question) -> Result<String, Failure>;
}
