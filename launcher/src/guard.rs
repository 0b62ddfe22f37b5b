//! Starts the guard of a cluster: a process that acts if the launcher is killed.
//!
//! What the guard then does is `ipclusterz guard`, in [`crate::commands`].

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A guard process. It acts when this process exits without having dropped this value.
pub struct Guard {
    child: Child,
}

impl Guard {
    /// Starts the guard: runs `binary`, this program, again in a session of its own.
    pub fn start(binary: &Path, cluster: &str, run_id: &str, log: std::fs::File) -> io::Result<Self> {
        let mut command = Command::new(binary);
        command.arg0("ipclusterz").args(["guard", "--cluster", cluster, "--run-id", run_id]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        // SAFETY: the closure runs between fork and exec, and makes nothing but system calls.
        unsafe {
            command.pre_exec(ipclusterz_host::system::own_session);
        }
        Ok(Self { child: command.spawn()? })
    }
}

impl Drop for Guard {
    /// The launcher ends in order, so the guard finds that there is nothing to do.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
