//! The program of `ipclusterz run`: it is started when the engines are ready, and the cluster ends when it exits.
//!
//! It stays in the launcher's process group and keeps its standard streams, so that the terminal belongs to it: Ctrl-C
//! reaches both processes, and the program decides what to do about it.

use crate::report::StartReport;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::system;
use std::ffi::OsString;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};

/// The program and its arguments, and the process when it runs.
pub struct Program {
    words: Vec<OsString>,
    child: Option<Child>,
    /// How it exited; `None` before.
    pub status: Option<ExitStatus>,
}

impl Program {
    /// Starts nothing yet. `words` are its name and its arguments.
    pub fn new(words: Vec<OsString>) -> Self {
        Self { words, child: None, status: None }
    }

    /// Its name, for messages.
    pub fn name(&self) -> String {
        self.words.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Starts it with the environment in which a client finds this cluster.
    pub fn start(&mut self, report: &StartReport) -> Result<(), Failure> {
        let mut words = self.words.iter();
        let mut command = Command::new(words.next().cloned().unwrap_or_default());
        command.args(words).env(ipclusterz_profile::environment::CLUSTER, &report.cluster);
        let launcher = std::process::id();
        // SAFETY: the closure runs between fork and exec, and makes nothing but system calls.
        unsafe {
            command.pre_exec(move || system::prepare_program(launcher));
        }
        let child = command.spawn().map_err(|error| {
            let not_found = error.kind() == std::io::ErrorKind::NotFound;
            let hint =
                if not_found { "is it on PATH? everything after -- is the program and its arguments" } else { "" };
            Failure::new(Exit::StartFailed, format!("cannot run {:?}: {error}", self.name())).with_hint(hint)
        })?;
        self.child = Some(child);
        Ok(())
    }

    /// Whether it has exited by now. Reaps it if so.
    pub fn has_ended(&mut self) -> bool {
        if let Some(child) = &mut self.child
            && let Ok(Some(status)) = child.try_wait()
        {
            self.child = None;
            self.status = Some(status);
        }
        self.child.is_none() && self.status.is_some()
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Sends it a signal, and continues it if it was stopped: it could not act on the signal.
    pub fn signal(&self, signal: i32) {
        if let Some(child) = &self.child {
            for signal in [signal, libc::SIGCONT] {
                // It has not been reaped, so the pid is still its own.
                let _ = system::signal_process(child.id(), signal);
            }
        }
    }

    /// The exit code as a shell reports it: 128 more than the number of the signal that killed it.
    pub fn code(&self) -> u8 {
        let code = |status: ExitStatus| status.code().or_else(|| status.signal().map(|signal| 128 + signal));
        self.status.and_then(code).and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
    }
}
