//! The thread that keeps one `ssh` process, the master, which other `ssh` processes go through.
//!
//! All processes are started from this thread: the kernel ends them when the thread that started them ends.

use super::children;
use super::explain::{Attempt, closing_reason, explain};
use super::folder::{Asked, PrivateFolder};
use super::relay::RelayHandle;
use crate::asker::{Question, Secret};
use crate::error::SshError;
use crate::poll::{PollSet, Waker};
use crate::remote::OnLoss;
use ipclusterz_host::stderr::print_line;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::process::{Child, ChildStderr, ChildStdout, Command as Process};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// The line that the master prints when it is connected.
pub const READY: &str = "ipclusterz-ready";
/// How many bytes of the master's output are kept for an error.
const OUTPUT_MAX: usize = 256 * 1024;
/// Timeout of a process that nobody waits for, such as one that cancels a forward.
const ERRAND_TIMEOUT: Duration = Duration::from_secs(5);

/// What the keeper is asked to do.
pub enum Command {
    /// Start a process, and send the child back.
    Spawn(Process, Sender<io::Result<Child>>),
    /// Start a process and reap it; its result does not matter.
    Errand(Process),
    /// End this relay with the connection.
    Relay(RelayHandle),
    /// Call this when the connection is lost.
    WhenLost(OnLoss),
    /// Send back why the connection is lost, if it is.
    Ask(Sender<Option<String>>),
    /// End the master.
    End,
}

/// What the thread reports while it connects.
pub enum Progress {
    /// A question for the user.
    Ask(Question, Sender<Result<Secret, &'static str>>),
    /// The result.
    Done(Result<(), SshError>),
}

/// See the module's documentation.
pub struct Keeper {
    pub(super) folder: PrivateFolder,
    pub(super) attempt: Attempt,
    pub(super) commands: Receiver<Command>,
    pub(super) waker: Waker,
    pub(super) progress: Sender<Progress>,
    pub(super) timeout: Duration,
}

struct Master {
    child: Child,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    stderr_text: String,
    stdout_text: String,
}

impl Master {
    /// Reads the available output without blocking.
    fn read(&mut self) {
        let mut buffer = [0; 16 * 1024];
        read_pipe(&mut self.stdout, &mut buffer, &mut self.stdout_text);
        read_pipe(&mut self.stderr, &mut buffer, &mut self.stderr_text);
    }

    /// Whether it has ended. It closes its standard output when it needs it no more, and its standard error when it
    /// ends.
    fn has_ended(&self) -> bool {
        self.stderr.is_none()
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        children::end(&mut self.child);
    }
}

fn read_pipe(pipe: &mut Option<impl Read>, buffer: &mut [u8], text: &mut String) {
    while let Some(stream) = pipe {
        match stream.read(buffer) {
            Ok(0) => *pipe = None,
            Ok(count) => text.push_str(&String::from_utf8_lossy(&buffer[..count])),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(_) => *pipe = None,
        }
    }
    if text.len() > OUTPUT_MAX
        && let Some(cut) = (text.len() - OUTPUT_MAX / 2..text.len()).find(|at| text.is_char_boundary(*at))
    {
        text.drain(..cut);
    }
}

impl Keeper {
    /// Starts the master with `process`, and serves commands until it is told to end.
    pub fn run(mut self, process: Process, program: &str) {
        let mut master = match start(process, program) {
            Ok(master) => master,
            Err(error) => {
                let _ = self.progress.send(Progress::Done(Err(error)));
                return;
            }
        };
        let connected = self.connect(&mut master);
        let failed = connected.is_err();
        if self.progress.send(Progress::Done(connected)).is_ok() && !failed {
            self.serve(master);
        }
    }

    fn connect(&mut self, master: &mut Master) -> Result<(), SshError> {
        let mut deadline = Instant::now() + self.timeout;
        let mut set = PollSet::default();
        let mut attempts = std::collections::BTreeMap::<String, u32>::new();
        loop {
            set.clear();
            let waking = set.add(self.waker.as_fd(), true, false);
            let questions = set.add(self.folder.questions(), true, false);
            add_pipes(&mut set, master);
            if !set.wait(Some(deadline)).map_err(SshError::local("waiting for ssh"))? {
                let (host, doing) = (self.attempt.host.clone(), "connecting".to_owned());
                return Err(SshError::Timeout { host, doing, seconds: self.timeout.as_secs_f64() });
            }
            master.read();
            if master.stdout_text.contains(READY) {
                return Ok(());
            }
            if master.has_ended() {
                children::end(&mut master.child);
                return Err(explain(&master.stderr_text, &self.attempt, &self.folder.shown_keys()));
            }
            if set.is_ready(waking) {
                // Nobody waits for the connection any more.
                let message = "given up".to_owned();
                return Err(SshError::Connect { host: self.attempt.host.clone(), message });
            }
            if set.is_ready(questions)
                && let Some(asked) = self.folder.next_question()
            {
                let since = Instant::now();
                match asked {
                    Asked::Secret(prompt) => {
                        let attempt = attempts.entry(prompt.clone()).or_default();
                        let question = Question { prompt, attempt: *attempt };
                        *attempt += 1;
                        let answer = self.ask(question);
                        self.folder.answer(answer.as_ref());
                    }
                    // ssh asks whether to trust a key. A key that is not in known_hosts is never trusted.
                    Asked::Confirm(prompt) => {
                        master.stderr_text.push_str(&format!("{prompt}\n"));
                        self.folder.answer(None);
                    }
                    Asked::Notice(text) => print_line(&text),
                }
                deadline += since.elapsed();
            }
        }
    }

    fn ask(&mut self, question: Question) -> Option<Secret> {
        let (sender, receiver) = channel();
        self.progress.send(Progress::Ask(question, sender)).ok()?;
        let answer = receiver.recv().ok()?;
        // For the error, if there will be one: a given answer was wrong in that case.
        let reason = answer.as_ref().map_or_else(|reason| *reason, |_| "wrong");
        reason.clone_into(&mut self.attempt.reason);
        answer.ok()
    }

    /// Keeps the master until told to end. Goes on answering commands when the master has ended by itself.
    fn serve(mut self, master: Master) {
        let mut master = Some(master);
        let mut lost: Option<String> = None;
        let mut on_loss: Option<OnLoss> = None;
        let mut relays: Vec<RelayHandle> = Vec::new();
        let mut errands: Vec<(Child, Instant)> = Vec::new();
        let mut set = PollSet::default();
        loop {
            self.waker.reset();
            while let Ok(command) = self.commands.try_recv() {
                match command {
                    Command::Spawn(process, reply) => drop(reply.send(children::spawn(process))),
                    Command::Errand(process) => {
                        if let Ok(child) = children::spawn(process) {
                            errands.push((child, Instant::now() + ERRAND_TIMEOUT));
                        }
                    }
                    Command::Relay(relay) if lost.is_some() => relay.end(),
                    Command::Relay(relay) => relays.push(relay),
                    Command::WhenLost(tell) => match &lost {
                        Some(reason) => tell(reason.clone()),
                        None => on_loss = Some(tell),
                    },
                    Command::Ask(reply) => drop(reply.send(lost.clone())),
                    Command::End => {
                        relays.iter().for_each(RelayHandle::end);
                        errands.iter_mut().for_each(|(child, _)| children::end(child));
                        return;
                    }
                }
            }
            errands.retain_mut(|(child, until)| {
                if Instant::now() >= *until {
                    children::end(child);
                }
                matches!(child.try_wait(), Ok(None))
            });
            if let Some(present) = &mut master {
                present.read();
                if present.has_ended() {
                    let reason = closing_reason(&present.stderr_text);
                    master = None;
                    relays.drain(..).for_each(|relay| relay.end());
                    if let Some(tell) = on_loss.take() {
                        tell(reason.clone());
                    }
                    lost = Some(reason);
                }
            }
            // Questions are refused now: nobody answers them.
            while self.folder.next_question().is_some() {
                self.folder.answer(None);
            }
            set.clear();
            set.add(self.waker.as_fd(), true, false);
            set.add(self.folder.questions(), true, false);
            if let Some(master) = &master {
                add_pipes(&mut set, master);
            }
            // poll does not report the end of a child.
            let look = (!errands.is_empty()).then(|| Instant::now() + Duration::from_millis(100));
            if set.wait(look).is_err() {
                return;
            }
        }
    }
}

fn add_pipes(set: &mut PollSet, master: &Master) {
    for pipe in [master.stdout.as_ref().map(AsFd::as_fd), master.stderr.as_ref().map(AsFd::as_fd)].into_iter().flatten()
    {
        set.add(pipe, true, false);
    }
}

fn start(process: Process, program: &str) -> Result<Master, SshError> {
    let start = || -> io::Result<Master> {
        let mut child = children::spawn(process)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut master =
            Master { child, stdout: None, stderr: None, stderr_text: String::new(), stdout_text: String::new() };
        if let (Some(stdout), Some(stderr)) = (stdout, stderr) {
            children::unblock(&stdout)?;
            children::unblock(&stderr)?;
            master.stdout = Some(stdout);
            master.stderr = Some(stderr);
        }
        Ok(master)
    };
    start().map_err(|source| SshError::Program { program: program.to_owned(), source })
}
