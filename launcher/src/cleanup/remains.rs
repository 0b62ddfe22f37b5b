//! Removes what is left of a cluster whose launcher could not clean up after itself.

use super::{folders, jobs};
use crate::journals::{self, KeptJournal};
use ipclusterz_base::places::{self, PlacesError};
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::identity::{self, ProcessIdentity};
use ipclusterz_host::stderr::print_line;
use ipclusterz_host::{marked, memory_cgroup, system};
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_launchers::cluster::handle::ClusterHandle;
use ipclusterz_launchers::cluster::lock::ClusterLock;
use ipclusterz_launchers::cluster::state::ClusterState;
use ipclusterz_launchers::program::segments::{self, Segments};
use ipclusterz_launchers::record::JobRecord;
use std::time::{Duration, Instant};

/// How long to wait until another command releases the cluster's lock: longer than it may wait for an unreachable host.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);
/// The time between two attempts to take the lock.
const LOCK_INTERVAL: Duration = Duration::from_millis(100);

/// What a cleanup had to end.
#[derive(Debug, Clone, Default)]
pub struct Cleaned {
    /// Pids of processes that still ran and were killed, each with its process group.
    pub killed: Vec<u32>,
    /// Jobs that were cancelled and processes that were killed elsewhere, for a person.
    pub ended: Vec<String>,
    /// Processes of a host that is gone, which cannot be looked at, for a person.
    pub not_looked_at: Vec<String>,
    /// The journal, which stays.
    pub journal: Option<KeptJournal>,
}

/// Why a cleanup is incomplete.
#[derive(Debug, thiserror::Error)]
pub enum CleanupError {
    /// A file or folder could not be removed.
    #[error(transparent)]
    Remove(#[from] PlacesError),
    /// A job, or processes on another host, may still be there.
    #[error("{0}")]
    Job(String),
    /// Another command has the cluster's lock.
    #[error("cluster {0:?} is being started or stopped by another ipclusterz")]
    Busy(String),
    /// The lock cannot be taken.
    #[error("locking the cluster's folder: {0}")]
    Lock(PlacesError),
    /// A process has not exited.
    #[error("process {pid} of the cluster does not end, although it was killed")]
    Process {
        /// Its pid.
        pid: u32,
    },
}

impl From<CleanupError> for ipclusterz_host::failure::Failure {
    fn from(error: CleanupError) -> Self {
        match error {
            CleanupError::Busy(_) => {
                Self::new(Exit::AlreadyRunning, error.to_string()).with_hint("try again in a moment")
            }
            _ => Self::new(Exit::Failure, error.to_string()),
        }
    }
}

/// Calls [`remove_remains`] for a command that does not hold the cluster's lock. Waits for the lock, because the guard
/// may be cleaning up. Returns `None` if another process has removed the remains, or a new launcher has taken over.
/// Fails if the lock is not released in time.
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

/// Ends what is left of a cluster whose launcher is gone: processes on this host and elsewhere, and jobs. Then removes
/// its files.
///
/// The caller must know that the launcher is gone, or be the launcher. A job is cancelled by its id. If something
/// cannot be reached, the record stays, so that the cleanup can be tried again.
pub fn remove_remains(folder: &ClusterFolder, handle: &ClusterHandle) -> Result<Cleaned, CleanupError> {
    let mut cleaned = Cleaned::default();
    let same_boot = handle.host == places::host_name() && handle.boot_id == identity::boot_id();
    if same_boot {
        cleaned.killed = kill_processes(handle)?;
    }
    cleaned.ended = end_elsewhere(folder, handle)?;
    if handle.host != places::host_name() {
        cleaned.not_looked_at = not_looked_at(handle);
    }
    if same_boot {
        // What cannot be removed is empty, and costs nobody anything.
        let _ = memory_cgroup::remove_left();
    }
    // The folders come after the jobs, because a job that goes on costs somebody something.
    if same_boot && let Some(error) = folders::remove_left(Some(handle.launcher)).into_iter().next() {
        return Err(error.into());
    }
    cleaned.journal = journals::remove_files_of(folder, handle)?;
    Ok(cleaned)
}

/// Ends what is not a process of the cluster's host. What cannot be ended does not keep the others, and stays in the record.
fn end_elsewhere(folder: &ClusterFolder, handle: &ClusterHandle) -> Result<Vec<String>, CleanupError> {
    let (mut ended, mut left, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for record in handle.sets.iter().filter(|record| !record.job.is_here()) {
        match jobs::destroy(&record.job) {
            Ok(what) => ended.extend(what),
            Err(failure) => {
                left.push(record.clone());
                problems.push(failure.message);
            }
        }
    }
    if problems.is_empty() {
        return Ok(ended);
    }
    let here = handle.sets.iter().filter(|record| record.job.is_here()).cloned();
    // With the old record, what is gone already is asked for once more.
    let _ = ClusterHandle { sets: here.chain(left).collect(), ..handle.clone() }.write(&folder.handle_file());
    if !ended.is_empty() {
        problems.push(format!("ended: {}", ended.join(", ")));
    }
    Err(CleanupError::Job(problems.join("; ")))
}

/// The processes of the cluster's host, for a person on another one.
fn not_looked_at(handle: &ClusterHandle) -> Vec<String> {
    let sets = handle.sets.iter().filter(|record| record.job.is_here()).map(|record| record.job.to_string());
    let controller = handle.controller.iter().map(|process| format!("process {}", process.pid));
    controller.chain(sets).map(|process| format!("{process} on {}", handle.host)).collect()
}

/// Kills the processes of a cluster on this host, waits until they are gone, and returns their pids.
///
/// A process is killed only if its pid and its start time are the recorded ones: otherwise it could be anybody's.
fn kill_processes(handle: &ClusterHandle) -> Result<Vec<u32>, CleanupError> {
    let of_sets: Vec<ProcessIdentity> = handle
        .sets
        .iter()
        .filter_map(|record| match record.job {
            JobRecord::Process(process) => Some(process),
            _ => None,
        })
        .collect();
    let recorded = handle.controller.iter().chain(&of_sets).copied();
    let alive: Vec<ProcessIdentity> = recorded.filter(ProcessIdentity::is_alive).collect();
    let mut left = Segments::of_run(&handle.socket_dir);
    left.look(&marked::processes_of_run(&handle.run_id));
    for process in &alive {
        // The process may have exited since. Then there is nothing to kill.
        let _ = system::signal_group(process.pid, libc::SIGKILL);
    }
    alive.iter().try_for_each(wait_until_gone)?;
    // The ranks of an mpiexec are not in its process group.
    let ranks = marked::processes_of_run(&handle.run_id);
    marked::kill(&ranks);
    ranks.iter().try_for_each(wait_until_gone)?;
    left.remove();
    for process in of_sets {
        // The process may have been an mpiexec. Its folder for temporary files is not recorded, so the default one is
        // searched.
        segments::remove_session(process.pid, &std::env::temp_dir());
    }
    Ok(alive.iter().chain(&ranks).map(|process| process.pid).collect())
}

fn wait_until_gone(process: &ProcessIdentity) -> Result<(), CleanupError> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let ended =
        !process.is_alive() || system::wait_for_end(process.pid, PATIENCE).unwrap_or_default() || !process.is_alive();
    if ended { Ok(()) } else { Err(CleanupError::Process { pid: process.pid }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipclusterz_base::ids::EngineId;
    use ipclusterz_launchers::record::SetRecord;
    use ipclusterz_launchers::set::{EngineSet, SetId};
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    /// The record of one engine that is a process of this host.
    fn process_record(number: u32, process: ProcessIdentity) -> SetRecord {
        let set = EngineSet { id: SetId(number), first: EngineId(number), count: 1, group: None };
        SetRecord { set, job: JobRecord::Process(process) }
    }

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
        let mut handle = ClusterHandle::starting("default", "default", 2).expect("a record");
        handle.launcher = ProcessIdentity { pid: 1, start_time: 0 };
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
