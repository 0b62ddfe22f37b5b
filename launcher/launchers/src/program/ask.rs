//! Runs a command for its output, with a timeout. None of its processes is left when the timeout has passed. What the
//! output means is for the caller to parse.

use ipclusterz_host::marked::{self, Mark};
use ipclusterz_host::spawn::{self, ChildOptions};
use ipclusterz_host::system;
use std::io::{self, Read, Seek};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The result of a command.
#[derive(Debug)]
pub struct Answer {
    /// Its exit status; `None` when it timed out and was killed.
    pub status: Option<ExitStatus>,
    /// Its standard output.
    pub output: String,
    /// Its standard error.
    pub errors: String,
}

impl Answer {
    /// How it ended, for a person.
    pub fn how(&self, deadline: Duration) -> String {
        match self.status {
            Some(status) => status.to_string(),
            None => format!("it did not end within {} seconds", deadline.as_secs_f64()),
        }
    }

    /// Whether it exited successfully by itself.
    pub fn is_success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// The last line of its standard error that is not blank, else of its standard output.
    pub fn last_line(&self) -> Option<&str> {
        [&self.errors, &self.output].into_iter().find_map(|text| text.lines().rfind(|line| !line.trim().is_empty()))
    }
}

/// Runs the command. Blocks until it has exited or `deadline`, which is a timeout, has passed; then it is killed.
pub fn ask(mut command: Command, deadline: Duration) -> io::Result<Answer> {
    command.stdin(Stdio::null());
    ask_with_input(command, deadline)
}

/// The same for a command that reads what its caller has given it.
pub fn ask_with_input(mut command: Command, deadline: Duration) -> io::Result<Answer> {
    // Files, not pipes: a process that a killed command leaves behind could keep a pipe open for ever.
    let (mut output, mut errors) = (system::memory_file()?, system::memory_file()?);
    let mark = Mark::of_trial(&ipclusterz_base::places::random_hex(8));
    command.env(marked::VARIABLE, mark.value());
    command.stdout(output.try_clone()?).stderr(errors.try_clone()?);
    let options = ChildOptions { signal_at_launcher_end: libc::SIGKILL, raise_file_limit: false };
    let mut child = spawn::spawn_with_input(command, options)?;
    let in_time = system::wait_for_end(child.id(), deadline)?;
    let _ = system::signal_group(child.id(), libc::SIGKILL);
    let status = child.wait()?;
    end_marked(&mark);
    Ok(Answer { status: in_time.then_some(status), output: content(&mut output)?, errors: content(&mut errors)? })
}

/// Kills the processes that the command has started and left behind.
fn end_marked(mark: &Mark) {
    const PATIENCE: Duration = Duration::from_secs(2);
    let give_up = Instant::now() + PATIENCE;
    loop {
        let left = mark.processes();
        let Some(one) = left.first() else { return };
        marked::kill(&left);
        let _ = system::wait_for_end(one.pid, PATIENCE);
        if Instant::now() > give_up {
            return;
        }
    }
}

fn content(file: &mut std::fs::File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_a_command_prints_is_told_apart() {
        let answer = ask(shell("echo out; echo one >&2; echo two >&2; exit 3"), Duration::from_secs(30)).expect("run");
        assert_eq!((answer.output.as_str(), answer.errors.as_str()), ("out\n", "one\ntwo\n"));
        assert_eq!(answer.how(Duration::from_secs(30)), "exit status: 3");
        assert_eq!(answer.last_line(), Some("two"));
        assert!(!answer.is_success());
    }

    #[test]
    fn nothing_outlives_the_deadline() {
        // Neither the command nor its child, which has a session of its own, is left.
        let script = "setsid sleep 1000 & echo $!; exec sleep 1000";
        let deadline = Duration::from_millis(300);
        let answer = ask(shell(script), deadline).expect("run");
        assert_eq!(answer.how(deadline), "it did not end within 0.3 seconds");
        let child: u32 = answer.output.trim().parse().expect("a pid");
        let gone = ipclusterz_host::identity::ProcessIdentity::of(child).map_or(true, |identity| !identity.is_alive());
        assert!(gone, "process {child} is left");
    }
}
