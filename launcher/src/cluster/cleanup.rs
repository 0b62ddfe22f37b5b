//! Removing what a launcher left behind that could not do so itself.

use super::ClusterFolder;
use super::handle::ClusterHandle;
use super::identity::{self, ProcessIdentity};
use super::lock::ClusterLock;
use super::owned;
use super::state::ClusterState;
use crate::exit_code::Exit;
use crate::launchers::JobRecord;
use crate::launchers::program::segments;
use crate::marked;
use crate::system;
use crate::talk::print_line;
use ipclusterz_runtime::places;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// For whoever has the cluster's lock to give it back: longer than a host takes that cannot be reached.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries to take it.
const LOCK_INTERVAL: Duration = Duration::from_millis(100);

/// What had to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Pids of processes that still ran and were killed, each with its process group.
    pub killed: Vec<u32>,
    /// Jobs that were cancelled and processes that were killed elsewhere, for a person.
    pub ended: Vec<String>,
}

/// Why something is still there.
#[derive(Debug, thiserror::Error)]
pub enum CleanupError {
    /// A file or folder stays.
    #[error("cannot remove {path}: {source}")]
    Remove {
        /// What stays.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A job, or processes on another host, may still be there.
    #[error("{0}")]
    Job(String),
    /// Another command has the cluster's lock.
    #[error("cluster {0:?} is being started or stopped by another ipclusterz")]
    Busy(String),
    /// The lock cannot be taken.
    #[error("locking the cluster's folder: {0}")]
    Lock(io::Error),
    /// A process stays.
    #[error("process {pid} of the cluster does not end, although it was killed")]
    Process {
        /// Its pid.
        pid: u32,
    },
}

impl From<CleanupError> for crate::failure::Failure {
    fn from(error: CleanupError) -> Self {
        match error {
            CleanupError::Busy(_) => {
                Self::new(Exit::AlreadyRunning, error.to_string()).with_hint("try again in a moment")
            }
            _ => Self::new(Exit::Failure, error.to_string()),
        }
    }
}

/// [`remove_remains`] by a command that does not have the cluster's lock, which it waits for: the guard may be at it.
/// `None` when somebody else has done it meanwhile, or a new launcher has taken over.
pub fn take_and_remove(
    cluster: &str,
    folder: &ClusterFolder,
    handle: &ClusterHandle,
) -> Result<Option<Cleaned>, CleanupError> {
    let give_up = Instant::now() + LOCK_PATIENCE;
    let mut waiting = false;
    loop {
        let lock = ClusterLock::take(folder).map_err(CleanupError::Lock)?;
        match ClusterState::of(folder) {
            Ok(ClusterState::Stale(left)) if left.run_id == handle.run_id => {}
            _ => return Ok(None),
        }
        if lock.is_some() {
            return remove_remains(folder, handle).map(Some);
        }
        if Instant::now() >= give_up {
            return Err(CleanupError::Busy(cluster.to_owned()));
        }
        if !std::mem::replace(&mut waiting, true) {
            let seconds = LOCK_PATIENCE.as_secs();
            print_line(&format!("waiting up to {seconds} s for another command that is ending cluster {cluster:?}"));
        }
        std::thread::sleep(LOCK_INTERVAL);
    }
}

/// Ends what a cluster whose launcher is gone has left: processes here and elsewhere, jobs; then removes its files.
///
/// The caller must know that the launcher is gone, or be it. A process is killed only when pid and start time are the
/// recorded ones: it could be anybody's otherwise. A job is cancelled by its id. Where something cannot be reached the
/// record stays, so that it can be tried again.
pub fn remove_remains(folder: &ClusterFolder, handle: &ClusterHandle) -> Result<Cleaned, CleanupError> {
    let mut cleaned = Cleaned::default();
    let same_boot = handle.host == places::host_name() && handle.boot_id == identity::boot_id();
    let mut processes: Vec<ProcessIdentity> = handle.controller.into_iter().collect();
    let mut jobs = Vec::new();
    for record in &handle.sets {
        match &record.job {
            JobRecord::Process(process) => processes.push(*process),
            job => jobs.push(job),
        }
    }
    if same_boot {
        processes.retain(ProcessIdentity::is_alive);
        for process in &processes {
            // It may have ended since; then there is nothing to kill.
            let _ = system::signal_group(process.pid, libc::SIGKILL);
            cleaned.killed.push(process.pid);
        }
        for process in &processes {
            wait_until_gone(process)?;
        }
        // The ranks of an mpiexec are not in its process group.
        let ranks = marked::processes_of_run(&handle.run_id);
        marked::kill(&ranks);
        for process in &ranks {
            wait_until_gone(process)?;
            cleaned.killed.push(process.pid);
        }
        for record in &handle.sets {
            if let JobRecord::Process(process) = record.job {
                // It may have been an mpiexec. Its own words for temporary files are not known here any more.
                segments::remove_session(process.pid, &std::env::temp_dir());
            }
        }
    }
    for job in jobs {
        let what = job.destroy().map_err(|failure| CleanupError::Job(failure.message))?;
        cleaned.ended.extend(what);
    }
    // After the jobs, which cost somebody something.
    for left in if same_boot { owned::left_by(handle.launcher) } else { Vec::new() } {
        owned::remove(&left)?;
    }
    remove_files(folder, handle)?;
    Ok(cleaned)
}

/// Removes sockets, shared memory, connection files and, last, the record.
pub fn remove_files(folder: &ClusterFolder, handle: &ClusterHandle) -> Result<(), CleanupError> {
    for directory in [&handle.socket_dir, &handle.shared_memory_dir] {
        removed(directory, std::fs::remove_dir_all(directory))?;
    }
    for file in [folder.client_file(), folder.engine_file(), folder.handle_file()] {
        removed(&file, std::fs::remove_file(&file))?;
    }
    Ok(())
}

/// That it was not there is as good.
pub(super) fn removed(path: &Path, result: io::Result<()>) -> Result<(), CleanupError> {
    match result {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(CleanupError::Remove { path: path.to_path_buf(), source })
        }
        _ => Ok(()),
    }
}

fn wait_until_gone(process: &ProcessIdentity) -> Result<(), CleanupError> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let ended =
        !process.is_alive() || system::wait_for_end(process.pid, PATIENCE).unwrap_or_default() || !process.is_alive();
    if ended { Ok(()) } else { Err(CleanupError::Process { pid: process.pid }) }
}

#[cfg(test)]
mod tests {
    use super::super::handle::tests::{example, process_record};
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    fn bystander() -> (Child, ProcessIdentity) {
        let child = Command::new("sleep").arg("1000").process_group(0).spawn().expect("sleep");
        let identity = ProcessIdentity::of(child.id()).expect("stat");
        (child, identity)
    }

    #[test]
    fn only_processes_with_the_recorded_start_time_are_killed() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let folder = ClusterFolder::at(folder.path());
        let (mut left_over, left_over_identity) = bystander();
        let (mut stranger, stranger_identity) = bystander();
        let mut handle = example(ProcessIdentity { pid: 1, start_time: 0 });
        let reused = ProcessIdentity { start_time: stranger_identity.start_time + 1, ..stranger_identity };
        handle.sets = vec![process_record(0, left_over_identity), process_record(1, reused)];
        handle.socket_dir = folder.path().join("socket");
        std::fs::create_dir(&handle.socket_dir).expect("create");
        handle.write(&folder.handle_file()).expect("write");

        let cleaned = remove_remains(&folder, &handle).expect("clean");
        assert_eq!(cleaned.killed, [left_over_identity.pid]);
        assert!(!left_over_identity.is_alive());
        assert!(stranger_identity.is_alive());
        assert!(!handle.socket_dir.exists() && !folder.handle_file().exists());

        stranger.kill().expect("kill");
        stranger.wait().expect("reap");
        left_over.wait().expect("reap");
    }
}
