//! What checks need of other hosts and queues, as a trait: [`super::real`] implements it, and tests have fakes.

use ipclusterz_host::failure::Failure;
use ipclusterz_launchers::program::ask;
use std::time::Duration;

/// The result of a command, on this host or another.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Whether it exited with success.
    pub success: bool,
    /// How it exited, in words for a person.
    pub how: String,
    /// Its standard output.
    pub output: String,
    /// Its standard error.
    pub errors: String,
}

impl Answer {
    /// The answer of a command of this host, which had until `deadline`.
    pub fn of_command(answer: ask::Answer, deadline: Duration) -> Self {
        let (success, how) = (answer.is_success(), answer.how(deadline));
        Self { success, how, output: answer.output, errors: answer.errors }
    }

    /// The last line of its standard error, else of its output, as the end of a message.
    pub fn reason(&self) -> String {
        let last = |text: &str| text.lines().rfind(|line| !line.trim().is_empty()).map(|line| format!(": {line}"));
        last(&self.errors).or_else(|| last(&self.output)).unwrap_or_default()
    }
}

/// What the `ipclusterz` of the other host is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Only the stages of a start.
    ProfileCheck,
    /// The same, and a start with one engine.
    ProfileRun,
    /// Everything that a start needs.
    Doctor,
}

impl Question {
    /// The command, without the profile's file that follows it.
    pub fn words(self) -> &'static str {
        match self {
            Question::ProfileCheck => "profile check",
            Question::ProfileRun => "profile check --run",
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

    /// Asks the queue something without submitting anything. Returns its answer, in words for a person.
    fn ask_queue(&self, deadline: Duration) -> Result<String, Failure>;

    /// The script with which the first set of engines would be submitted.
    fn script(&self) -> Result<String, Failure>;

    /// Has the queue validate that script without running it. Returns what it said; `None` if it cannot validate
    /// scripts.
    fn validate(&self) -> Result<Option<String>, Failure>;

    /// The words that precede an engine's command to start this many engines in the job that this process runs in;
    /// `None` outside of a job.
    fn start_in_job(&self, engines: u32) -> Result<Option<Vec<String>>, Failure>;

    /// Finds `ipclusterz` of this version on the host of `ssh.controller`. Returns where it is, in words for a person.
    fn find_there(&self) -> Result<String, Failure>;

    /// Has that `ipclusterz` check the profile, and returns what it printed. Leaves nothing on the host.
    fn ask_there(&self, question: Question) -> Result<String, Failure>;
}
