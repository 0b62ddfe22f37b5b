//! `ipclusterz guard`, hidden: what ends jobs and engines elsewhere when the launcher was killed.
//!
//! The kernel ends the launcher's children with it, and engines elsewhere end when their lease is over; but a job that
//! still waits in a queue would begin some day for nobody. The guard does what `ipclusterz gc` does, at once.

use crate::arguments::GuardArguments;
use crate::cluster::ClusterFolder;
use crate::cluster::cleanup::remove_remains;
use crate::cluster::lock::ClusterLock;
use crate::cluster::owned;
use crate::cluster::state::ClusterState;
use crate::exit_code::Exit;
use crate::failure::Failure;
use crate::talk::print_line;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long what cannot be reached is tried again.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// First and longest wait between two tries.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Between two looks, in such a wait, whether there still is anything to do.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The guard of a cluster, on the launcher's side: it acts when this process ends.
pub struct Guard {
    child: Child,
}

impl Guard {
    /// Starts it by running `binary`, this program, again, in a session of its own.
    pub fn start(binary: &Path, cluster: &str, run_id: &str, log: std::fs::File) -> io::Result<Self> {
        let mut command = Command::new(binary);
        command.arg0("ipclusterz").args(["guard", "--cluster", cluster, "--run-id", run_id]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        // SAFETY: the closure runs between fork and exec, and makes nothing but system calls.
        unsafe {
            command.pre_exec(crate::system::own_session);
        }
        Ok(Self { child: command.spawn()? })
    }
}

impl Drop for Guard {
    /// The launcher ends in an orderly way: the guard sees that there is nothing to do.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Waits for the end of the launcher, which is the end of standard input.
pub fn run(arguments: &GuardArguments) -> Result<(), Failure> {
    let mut nothing = [0];
    while matches!(io::stdin().read(&mut nothing), Ok(1..)) {}
    let folder = ClusterFolder::of(&arguments.cluster)?;
    let deadline = Instant::now() + PATIENCE;
    let mut wait = FIRST_WAIT;
    loop {
        // The lock is free once the launcher is gone. Whoever has it now cleans up, and may not succeed.
        let lock = ClusterLock::take(&folder).map_err(Failure::io("locking the cluster's folder"))?;
        let handle = match ClusterState::of(&folder)? {
            ClusterState::Stale(handle) if handle.run_id == arguments.run_id => handle,
            _ => return Ok(()),
        };
        let problem = match lock.as_ref().map(|_| remove_remains(&folder, &handle)) {
            Some(Ok(cleaned)) => {
                print_line(&format!("the launcher is gone; ended: {:?} {:?}", cleaned.killed, cleaned.ended));
                remove_folders();
                return Ok(());
            }
            Some(Err(error)) => error.to_string(),
            None => "another command is cleaning up".to_owned(),
        };
        drop(lock);
        if Instant::now() >= deadline {
            return Err(Failure::new(Exit::Timeout, problem));
        }
        print_line(&format!("{problem}; trying again in {} s", wait.as_secs()));
        let until = Instant::now() + wait;
        // Somebody else may have cleaned up.
        while Instant::now() < until && folder.handle_file().exists() {
            std::thread::sleep(LOOK_INTERVAL.min(wait));
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Those of the launcher's connections, and of others that were killed.
fn remove_folders() {
    for left in owned::left().into_iter().flatten() {
        if let Err(error) = owned::remove(&left.path) {
            print_line(&error.to_string());
        }
    }
}
