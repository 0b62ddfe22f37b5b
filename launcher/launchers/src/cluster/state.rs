//! Whether a cluster is alive, derived from its `cluster.json` and the process table, without a connection to it.

use super::alive;
use super::handle::{ClusterHandle, Phase};
use crate::cluster::folder::ClusterFolder;
use ipclusterz_base::places;
use ipclusterz_host::identity;
use ipclusterz_host::record_file::RecordError;

/// The state of a cluster as far as it is known without talking to it.
#[derive(Debug, Clone, PartialEq)]
pub enum ClusterState {
    /// It has no record: it was never started, or was stopped in an orderly way.
    Absent,
    /// Its launcher runs on this host.
    Live(ClusterHandle),
    /// Its launcher has ended without cleaning up.
    Stale(ClusterHandle),
    /// Its launcher was started on another host, whose processes cannot be seen from here.
    Elsewhere(ClusterHandle),
    /// The same, and the launcher has given no sign of life for longer than it may, see [`super::alive`].
    Gone(ClusterHandle),
}

impl ClusterState {
    /// Reads the record in `folder` and checks whether the launcher is alive.
    pub fn of(folder: &ClusterFolder) -> Result<Self, RecordError> {
        let handle = ClusterHandle::read(&folder.handle_file())?;
        let Some(handle) = handle else { return Ok(ClusterState::Absent) };
        Ok(match Self::judge(handle, &places::host_name(), &identity::boot_id()) {
            ClusterState::Elsewhere(handle) if alive::is_silent(folder) => ClusterState::Gone(handle),
            state => state,
        })
    }

    fn judge(handle: ClusterHandle, host: &str, boot_id: &str) -> Self {
        if handle.host != host {
            ClusterState::Elsewhere(handle)
        } else if handle.boot_id == boot_id && handle.launcher.is_alive() {
            ClusterState::Live(handle)
        } else {
            ClusterState::Stale(handle)
        }
    }

    /// One word for tables and JSON.
    pub fn word(&self) -> &'static str {
        match self {
            ClusterState::Absent => "absent",
            ClusterState::Live(handle) => match handle.phase {
                Phase::Starting => "starting",
                Phase::Running => "running",
                Phase::Stopping => "stopping",
            },
            ClusterState::Stale(_) => "stale",
            ClusterState::Elsewhere(_) => "elsewhere",
            ClusterState::Gone(_) => "gone",
        }
    }

    /// The record, if there is one.
    pub fn handle(&self) -> Option<&ClusterHandle> {
        match self {
            ClusterState::Absent => None,
            ClusterState::Live(handle)
            | ClusterState::Stale(handle)
            | ClusterState::Elsewhere(handle)
            | ClusterState::Gone(handle) => Some(handle),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipclusterz_host::identity::ProcessIdentity;

    #[test]
    fn life_is_told_by_host_boot_pid_and_start_time() {
        let own = ProcessIdentity::of(std::process::id()).expect("own stat");
        let mut handle = ClusterHandle::starting("default", "default", 2).expect("a record");
        handle.phase = Phase::Running;
        let (host, boot) = (handle.host.clone(), handle.boot_id.clone());
        let word = |handle: ClusterHandle, host: &str, boot: &str| ClusterState::judge(handle, host, boot).word();
        assert_eq!(word(handle.clone(), &host, &boot), "running");
        assert_eq!(word(handle.clone(), &host, "after a reboot"), "stale");
        assert_eq!(word(handle.clone(), "another host", &boot), "elsewhere");
        let reused = ProcessIdentity { start_time: own.start_time + 1, ..own };
        assert_eq!(word(ClusterHandle { launcher: reused, ..handle }, &host, &boot), "stale");
    }

    #[test]
    fn a_launcher_on_another_host_is_gone_when_it_gives_no_sign() {
        let root = tempfile::tempdir().expect("temporary folder");
        let folder = ClusterFolder::at(root.path());
        let mut handle = ClusterHandle::starting("lab", "slurm", 2).expect("a record");
        handle.host = "another host".to_owned();
        handle.write(&folder.handle_file()).expect("write");
        let word = || ClusterState::of(&folder).expect("a state").word();
        assert_eq!(word(), "gone");
        std::fs::write(folder.alive_file(), "").expect("write");
        assert_eq!(word(), "elsewhere");
    }

    #[test]
    fn a_folder_without_a_record_is_no_cluster() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let state = ClusterState::of(&ClusterFolder::at(folder.path())).expect("no error");
        assert_eq!(state, ClusterState::Absent);
    }
}
