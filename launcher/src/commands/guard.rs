//! `ipclusterz guard`, hidden: what ends jobs and engines elsewhere when the launcher was killed.
//!
//! The kernel ends the launcher's children with it, and engines elsewhere end when their lease is over; but a job that
//! still waits in a queue would begin some day for nobody. The guard does what `ipclusterz gc` does, at once.

use crate::arguments::GuardArguments;
use crate::cleanup::folders;
use crate::cleanup::remains::remove_remains;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::stderr::print_line;
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_launchers::cluster::lock::ClusterLock;
use ipclusterz_launchers::cluster::state::ClusterState;
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// How long what cannot be reached is tried again.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// First and longest wait between two tries.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Between two looks, in such a wait, whether there still is anything to do.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

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
                // Those of other processes that were killed.
                for error in folders::remove_left(None) {
                    print_line(&error.to_string());
                }
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
