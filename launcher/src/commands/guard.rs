//! `ipclusterz guard`, hidden: ends jobs and engines elsewhere after the launcher was killed.
//!
//! When a launcher is killed, the kernel kills its children, and engines elsewhere exit when their lease expires. But a
//! job that still waits in a queue would start some day without anybody to use it. The guard does what `ipclusterz gc`
//! does, at once. It also removes the shared memory of an MPI that was killed, which nobody knows once its ranks have gone:
//! so it notes from time to time what they have mapped.

use crate::arguments::GuardArguments;
use crate::cleanup::folders;
use crate::cleanup::remains::remove_remains;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::stderr::{never_wait, print_line, print_problem};
use ipclusterz_host::{marked, system};
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_launchers::cluster::lock::ClusterLock;
use ipclusterz_launchers::cluster::state::ClusterState;
use ipclusterz_launchers::program::segments::Segments;
use std::io::{self, Read};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The first wait before the ranks' segments are noted; each is twice as long as the one before, up to the longest.
const FIRST_SCAN: Duration = Duration::from_millis(500);
const LONGEST_SCAN: Duration = Duration::from_secs(20);
/// How long to retry what cannot be reached.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// The first wait between two attempts; each wait is twice as long as the one before, up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// The time between two checks, during such a wait, whether anything is left to do.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// For a launcher that was killed to count as ended, once its end of the pipe is closed.
const EXIT_PATIENCE: Duration = Duration::from_secs(2);

/// Waits until the launcher exits, which closes standard input. Then cleans up, and fails if that takes too long.
pub fn run(arguments: &GuardArguments) -> Result<(), Failure> {
    never_wait(None).map_err(Failure::io("starting the thread of the log"))?;
    let mut segments = note_segments_until_the_launcher_exits(&arguments.run_id);
    let folder = ClusterFolder::of(&arguments.cluster)?;
    let deadline = Instant::now() + PATIENCE;
    let mut wait = FIRST_WAIT;
    let mut waited = false;
    loop {
        // The lock is free once the launcher is gone. Another process that holds it is cleaning up, and may fail.
        let lock = ClusterLock::take(&folder)?;
        let handle = match ClusterState::of(&folder)? {
            ClusterState::Stale(handle) if handle.run_id == arguments.run_id => handle,
            // The kernel closes the files of a killed process a moment before the process counts as ended. An orderly
            // launcher waits for this process instead: so the wait is short, and there is one.
            ClusterState::Live(handle)
                if handle.run_id == arguments.run_id && !std::mem::replace(&mut waited, true) =>
            {
                // It may have ended since.
                let _ = system::wait_for_end(handle.launcher.pid, EXIT_PATIENCE);
                continue;
            }
            _ => return Ok(()),
        };
        let problem = match lock.as_ref().map(|_| remove_remains(&folder, &handle)) {
            Some(Ok(cleaned)) => {
                print_line(&format!("the launcher is gone; ended: {:?} {:?}", cleaned.killed, cleaned.ended));
                segments.remove();
                // Also removes the folders of other processes that were killed.
                for error in folders::remove_left(None) {
                    print_problem(&error.to_string());
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
        print_problem(&format!("{problem}; trying again in {} s", wait.as_secs()));
        let until = Instant::now() + wait;
        // Another process may have cleaned up.
        while Instant::now() < until && folder.handle_file().exists() {
            std::thread::sleep(LOOK_INTERVAL.min(wait));
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// The exit of the launcher closes standard input.
fn note_segments_until_the_launcher_exits(run_id: &str) -> Segments {
    let (sender, exit) = channel::<()>();
    std::thread::spawn(move || {
        let _sender = sender;
        while matches!(io::stdin().read(&mut [0]), Ok(1..)) {}
    });
    let (mut segments, mut wait) = (Segments::default(), FIRST_SCAN);
    while exit.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
        segments.look(&marked::processes_of_run(run_id));
        wait = (wait * 2).min(LONGEST_SCAN);
    }
    segments
}
