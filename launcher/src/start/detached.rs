//! `--daemonize` and `--no-wait`: starts the launcher again in a session of its own, and waits until it is ready, or until what
//! it starts is accepted.
//!
//! The detached launcher reports what it does on a pipe ([`crate::talk::Message`]), so that the shell shows the same
//! lines and gets the same exit code as from a start in the foreground.

use crate::report::{AcceptedReport, StartReport};
use crate::talk::Message;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::signals::{BlockedSignals, Signal, told_to_end};
use ipclusterz_host::stderr::print_line;
use ipclusterz_host::system;
use ipclusterz_launchers::cluster::logs::{LogFolder, open_log};
use ipclusterz_ssh::answers::written_answer;
use ipclusterz_ssh::terminal::Terminal;
use ipclusterz_ssh::{Asker, Question};
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, PipeReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};

/// What became of a detached start.
pub enum Detached {
    /// It is ready.
    Ready(StartReport),
    /// It goes on, and nobody waits for it.
    Accepted(AcceptedReport),
}

/// What the waiting process receives.
enum Event {
    Signal(Signal),
    Message(Message),
    Silence,
}

/// Starts `program` with `arguments` detached, and waits until it is ready or has failed.
///
/// `arguments` are those of this process, without the program's name.
pub fn start_detached(program: &Path, arguments: &[OsString]) -> Result<Detached, Failure> {
    let signals = BlockedSignals::block().map_err(Failure::io("blocking signals"))?;
    let (reader, writer) = io::pipe().map_err(Failure::io("making a pipe"))?;
    let descriptor = writer.as_raw_fd();
    let mut command = Command::new(program);
    command.arg0("ipclusterz").args(arguments.iter().filter(|argument| *argument != "--daemonize"));
    command.arg(format!("--report-descriptor={descriptor}"));
    // If an engine started this process, the launcher must survive when the processes of that engine's set are killed
    // by their mark.
    command.env_remove(ipclusterz_host::marked::VARIABLE);
    // Standard output and error become the launcher's log once it holds the cluster's lock.
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: the closure runs between fork and exec, and makes nothing but system calls.
    unsafe {
        command.pre_exec(move || detach(descriptor));
    }
    let mut child = command.spawn().map_err(Failure::io("starting the detached launcher"))?;
    drop(writer);
    let mut answers = child.stdin.take();
    let mut terminal = Terminal::default();

    let (sender, receiver) = channel();
    let from_signals = sender.clone();
    signals
        .forward(move |signal| from_signals.send(Event::Signal(signal)).is_ok())
        .and_then(|()| read_messages(reader, sender))
        .map_err(Failure::io("starting a thread"))?;
    loop {
        match receiver.recv() {
            Ok(Event::Message(Message::Say(line))) => print_line(&line),
            Ok(Event::Message(Message::Ask { prompt, attempt })) => {
                let answer = terminal.ask(&Question { prompt, attempt });
                if answer.is_none() && told_to_end() {
                    // There is no answer, because a signal told this process to end. That signal is the next event, and
                    // is passed on.
                    continue;
                }
                let line = written_answer(answer.as_ref());
                // An error is ignored: if the launcher has exited, its last message or the end of its pipe says so.
                let _ = answers.as_mut().map(|pipe| pipe.write_all(line.reveal().as_bytes()));
            }
            Ok(Event::Message(Message::Ready(report))) => return Ok(Detached::Ready(*report)),
            Ok(Event::Message(Message::Accepted(report))) => return Ok(Detached::Accepted(*report)),
            Ok(Event::Message(Message::Failed(failure))) => {
                // The name is free for another start only when the launcher has exited.
                let _ = child.wait();
                return Err(failure);
            }
            Ok(Event::Signal(Signal::HangUp)) => {
                // Somebody has logged out, and does not want to lose a place in a queue.
                return Err(Failure::new(Exit::Interrupted, "hung up; the start goes on in the background")
                    .with_hint("`ipclusterz status` says how far it is, `ipclusterz stop` ends it"));
            }
            Ok(Event::Signal(signal @ (Signal::Interrupt | Signal::Terminate))) => {
                // The launcher is in another session, and would go on. It cleans up and reports that, by the signal's name.
                let _ = system::signal_process(child.id(), signal.number());
            }
            Ok(Event::Signal(_)) => {}
            Ok(Event::Silence) | Err(_) => {
                let status = child.wait().map_err(Failure::io("waiting for the detached launcher"))?;
                return Err(Failure::new(
                    Exit::StartFailed,
                    format!("the detached launcher ended without a word ({status})"),
                ));
            }
        }
    }
}

/// Runs in the child, between fork and exec.
fn detach(descriptor: i32) -> io::Result<()> {
    system::restore_core_limit();
    // SAFETY: both calls take integers; sigprocmask gets a set on this stack.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        if libc::setsid() < 0 || libc::fcntl(descriptor, libc::F_SETFD, 0) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn read_messages(pipe: PipeReader, events: Sender<Event>) -> io::Result<()> {
    let read = move || {
        for line in BufReader::new(pipe).lines() {
            // A line that is no message was cut off by the exit of the launcher.
            let message = line.ok().and_then(|line| serde_json::from_str(&line).ok());
            let Some(message) = message else { break };
            if events.send(Event::Message(message)).is_err() {
                return;
            }
        }
        let _ = events.send(Event::Silence);
    };
    std::thread::Builder::new().name("launcher-messages".to_owned()).spawn(read).map(drop)
}

/// For the detached launcher, which must hold the cluster's lock: redirects its output to a new `launcher.log`.
pub fn redirect_to_log(logs: &LogFolder) -> io::Result<()> {
    system::redirect_output(&open_log(&logs.launcher())?)
}
