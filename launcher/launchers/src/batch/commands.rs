//! Runs a queue's commands. Each has a timeout, and a failure is reported with the whole command and its output.
//!
//! Responsible for processes; [`super::answers`] parses what the commands print.

use super::placeholders::command_line;
use ipclusterz_base::private::{self, Trust};
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::hints;
use ipclusterz_host::spawn::{self, ChildOptions};
use ipclusterz_host::system;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// What a command printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("cannot run `{command}`: {source}")]
    Start {
        /// As a line of shell.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// It timed out and was killed.
    #[error("`{command}` did not end within {} s and was killed{}", .patience.as_secs(), indented(.stderr))]
    TooLong {
        /// As a line of shell.
        command: String,
        /// Its timeout.
        patience: Duration,
        /// What it printed to standard error before that.
        stderr: String,
    },
    /// It exited with a failure.
    #[error("`{command}` failed ({status}){}", indented(&both(.printed)))]
    Failed {
        /// As a line of shell.
        command: String,
        /// Its exit status.
        status: ExitStatus,
        /// What it printed.
        printed: Printed,
    },
    /// Its output does not match the profile's pattern.
    #[error("`{command}` printed no {what}{}", indented(&both(.printed)))]
    Unreadable {
        /// As a line of shell.
        command: String,
        /// What was expected, with its pattern.
        what: String,
        /// What it printed.
        printed: Printed,
    },
}

impl CommandError {
    /// Whether the command certainly changed nothing, so that it is safe to retry.
    pub fn did_nothing(&self) -> bool {
        matches!(self, CommandError::Start { .. } | CommandError::Failed { .. })
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        let hint = match &error {
            CommandError::Start { .. } => hints::QUEUE_COMMANDS,
            CommandError::TooLong { .. } | CommandError::Failed { .. } => hints::QUEUE_SERVER,
            CommandError::Unreadable { .. } => "correct the pattern in [queue]",
        };
        Failure::new(Exit::StartFailed, error.to_string()).with_hint(hint)
    }
}

fn both(printed: &Printed) -> String {
    format!("{}\n{}", printed.stderr.trim(), printed.stdout.trim())
}

/// The text as indented lines below a message; empty when there are none.
fn indented(text: &str) -> String {
    const MOST: usize = 20;
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    lines.take(MOST).map(|line| format!("\n    {line}")).collect()
}

/// Runs a command until it exits or `patience` has passed. Then everything that is left of its process group is killed.
///
/// `input` becomes its standard input. `parsed` sets the C locale, so that patterns find English messages; it must be
/// false for a command that passes its environment on to jobs.
pub fn run(
    command: &[String],
    input: Option<&Path>,
    parsed: bool,
    patience: Duration,
) -> Result<Printed, CommandError> {
    let deadline = Instant::now() + patience;
    let line = || command_line(command);
    let failed = |source| CommandError::Start { command: line(), source };
    let mut child = start(command, input, parsed).map_err(failed)?;
    let stdout = read(child.stdout.take()).map_err(failed)?;
    let stderr = read(child.stderr.take()).map_err(failed)?;
    let ended = system::wait_for_end(child.id(), patience).map_err(failed)?;
    // Processes that it started in its group would hold the pipes open. The group id still is its own: it is not reaped
    // yet.
    let _ = system::signal_group(child.id(), libc::SIGKILL);
    let status = child.wait().map_err(failed)?;
    let grace = deadline.max(Instant::now() + Duration::from_millis(200));
    let printed = Printed { stdout: text(&stdout, grace), stderr: text(&stderr, grace) };
    if !ended {
        return Err(CommandError::TooLong { command: line(), patience, stderr: printed.stderr });
    }
    if !status.success() {
        return Err(CommandError::Failed { command: line(), status, printed });
    }
    Ok(printed)
}

fn start(arguments: &[String], input: Option<&Path>, parsed: bool) -> io::Result<Child> {
    let Some((program, arguments)) = arguments.split_first() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the profile has no such command"));
    };
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    if parsed {
        command.env("LC_ALL", "C");
    }
    command.stdin(match input {
        Some(path) => Stdio::from(private::open(path, Trust::Ours)?),
        None => Stdio::null(),
    });
    let options = ChildOptions { signal_at_launcher_end: libc::SIGKILL, raise_file_limit: false };
    spawn::spawn_with_input(command, options)
}

/// Reads a pipe in a thread of its own, so that neither pipe fills up and none that stays open blocks the caller.
fn read(pipe: Option<impl Read + Send + 'static>) -> io::Result<Receiver<Vec<u8>>> {
    const MOST_BYTES: u64 = 16 << 20;
    let (sender, receiver) = channel();
    std::thread::Builder::new().name("queue output".to_owned()).spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A broken pipe ends the output. So does the size limit: the rest is discarded.
            let _ = pipe.by_ref().take(MOST_BYTES).read_to_end(&mut bytes);
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        let _ = sender.send(bytes);
    })?;
    Ok(receiver)
}

fn text(receiver: &Receiver<Vec<u8>>, deadline: Instant) -> String {
    let left = deadline.saturating_duration_since(Instant::now()).min(Duration::from_secs(2));
    match receiver.recv_timeout(left) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, patience: Duration) -> Result<Printed, CommandError> {
        run(&["sh".to_owned(), "-c".to_owned(), script.to_owned()], None, true, patience)
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn what_it_printed_comes_back() {
        let printed = shell("echo out; echo err >&2; seq 100000 >&2", LONG).expect("success");
        assert_eq!(printed.stdout, "out\n");
        assert!(printed.stderr.starts_with("err\n1\n") && printed.stderr.ends_with("100000\n"));
    }

    #[test]
    fn a_failure_shows_command_status_and_messages() {
        let error = shell("echo sorry >&2; exit 3", LONG).expect_err("failure");
        assert_eq!(error.to_string(), "`sh -c 'echo sorry >&2; exit 3'` failed (exit status: 3)\n    sorry");
        assert!(error.did_nothing());
    }

    #[test]
    fn what_hangs_is_killed_with_its_children() {
        let began = Instant::now();
        let error = shell("echo so far >&2; sleep 1000 & sleep 1000", Duration::from_millis(300)).expect_err("timeout");
        assert!(began.elapsed() < LONG);
        assert!(error.to_string().ends_with("did not end within 0 s and was killed\n    so far"), "{error}");
        assert!(!error.did_nothing());
    }

    #[test]
    fn a_child_that_holds_the_pipes_holds_nobody() {
        let began = Instant::now();
        let printed = shell("setsid sleep 2 & echo done", LONG).expect("success");
        assert!(began.elapsed() < LONG);
        assert!(printed.stdout.is_empty() || printed.stdout == "done\n");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&["/no/such/sbatch".to_owned()], None, true, LONG).expect_err("no such program");
        let failure = Failure::from(error);
        assert!(failure.message.starts_with("cannot run `/no/such/sbatch`: No such file"), "{}", failure.message);
        assert!(failure.hint.expect("hint").contains("login node"));
    }

    #[test]
    fn input_is_the_file() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("job.sh");
        std::fs::write(&path, "text").expect("write");
        let printed = run(&["cat".to_owned()], Some(&path), false, LONG).expect("cat");
        assert_eq!(printed.stdout, "text");
    }
}
