//! The trait of both backends: commands, files and forwards on one other host.

use crate::ends::{Endpoint, Forward, LocalListener};
use crate::error::SshError;
use std::time::Instant;

/// The result of a command on another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOutput {
    /// Its exit status; 255 when a signal ended it.
    pub status: i32,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

impl RunOutput {
    /// Its standard output as text; an error when its status is not 0. `host` and `command` are for the error.
    pub fn text(self, host: &str, command: &str) -> Result<String, SshError> {
        if self.status == 0 {
            return Ok(String::from_utf8_lossy(&self.stdout).into_owned());
        }
        let stderr = String::from_utf8_lossy(&self.stderr).into_owned();
        Err(SshError::Command { host: host.to_owned(), command: command.to_owned(), status: self.status, stderr })
    }
}

/// Called once, with the reason, when a connection is lost. It may be called from any thread, and must not block.
pub type OnLoss = Box<dyn FnOnce(String) + Send>;

/// A connection to another host, authenticated and ready.
///
/// Each call blocks until it is done or has timed out. After an error that [`SshError::is_passing`], the connection may
/// be lost; then every further call says so. After any other error it goes on. Dropping it ends the connection, its
/// forwards and the processes that it needed here; commands on the other host may go on.
pub trait Remote: Send {
    /// The host, for messages.
    fn host(&self) -> &str;

    /// Runs `command` in the login shell, with `stdin` as its input, until it exits or `deadline` has passed.
    ///
    /// A command that fails is not an error: its status tells. A command that has not exited by the deadline is a
    /// timeout, and may go on running.
    fn run(&mut self, command: &str, stdin: &[u8], deadline: Instant) -> Result<RunOutput, SshError>;

    /// Writes a file atomically, with these permissions. Creates its folder, mode 0700, when it is missing. A relative
    /// path begins in the home folder.
    fn upload(&mut self, path: &str, content: &[u8], mode: u32) -> Result<(), SshError>;

    /// Reads a file. [`SshError::Missing`] when it does not exist.
    fn download(&mut self, path: &str) -> Result<Vec<u8>, SshError>;

    /// Forwards connections from `listener`, on this host, to `to`, on the other host.
    ///
    /// A connection that cannot be made there is closed here.
    fn forward_local(&mut self, listener: LocalListener, to: &Endpoint) -> Result<Forward, SshError>;

    /// Forwards connections from `listen`, on the other host, to `to`, on this host. The host of a TCP `listen` is the
    /// loopback address.
    fn forward_back(&mut self, listen: &Endpoint, to: &Endpoint) -> Result<Forward, SshError>;

    /// Calls `tell` when the connection is lost, or at once if it is lost already. Only the last `tell` is called.
    fn when_lost(&mut self, tell: OnLoss);
}
