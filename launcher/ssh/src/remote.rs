//! What both backends offer: commands, files and forwards on one other host.

use crate::ends::{Endpoint, Forward, LocalListener};
use crate::error::SshError;
use std::time::Instant;

/// What a command on another host did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOutput {
    /// Its exit status; 255 when a signal ended it.
    pub status: i32,
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

impl RunOutput {
    /// Its standard output as text, or an error when it failed.
    pub fn text(self, host: &str, command: &str) -> Result<String, SshError> {
        if self.status == 0 {
            return Ok(String::from_utf8_lossy(&self.stdout).into_owned());
        }
        let stderr = String::from_utf8_lossy(&self.stderr).into_owned();
        Err(SshError::Command { host: host.to_owned(), command: command.to_owned(), status: self.status, stderr })
    }
}

/// What is called once, with the reason, when a connection is lost. From any thread; must not block.
pub type OnLoss = Box<dyn FnOnce(String) + Send>;

/// A connection to another host, let in and ready.
///
/// Each call blocks until it is done or its deadline has come. After an error that [`SshError::is_passing`] the
/// connection may be lost, and then every further call says so; after any other error it goes on. Dropping it ends
/// the connection, its forwards and the processes that it needed here; commands there may go on.
pub trait Remote: Send {
    /// The host, for messages.
    fn host(&self) -> &str;

    /// Has the login shell run `command`, with `stdin` as its input, until its end or `deadline`.
    ///
    /// A command that fails is no error: its status tells. One that is not done by the deadline is left alone.
    fn run(&mut self, command: &str, stdin: &[u8], deadline: Instant) -> Result<RunOutput, SshError>;

    /// Writes a file, whole or not at all, with these permissions. Its folder is made, 0700, when it is missing. A path
    /// that is not absolute begins in the home folder.
    fn upload(&mut self, path: &str, content: &[u8], mode: u32) -> Result<(), SshError>;

    /// Reads a file. [`SshError::Missing`] when there is none.
    fn download(&mut self, path: &str) -> Result<Vec<u8>, SshError>;

    /// Carries connections that come in at `listener`, here, to `to`, there.
    ///
    /// A connection that cannot be made there is closed here.
    fn forward_local(&mut self, listener: LocalListener, to: &Endpoint) -> Result<Forward, SshError>;

    /// Carries connections that come in at `listen`, there, to `to`, here. The host of a TCP address is the loopback one.
    fn forward_back(&mut self, listen: &Endpoint, to: &Endpoint) -> Result<Forward, SshError>;

    /// Has `tell` called when the connection is lost; at once if it is already. Only the last one given is called.
    fn when_lost(&mut self, tell: OnLoss);
}
