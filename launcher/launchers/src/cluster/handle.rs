//! `cluster.json`: the launcher's record of what it runs. Any later command finds, watches and stops the cluster with
//! it.
//!
//! # Format
//!
//! JSON, mode 0600, replaced atomically. `version` is read first. The record is written before the first process is
//! started, so that no process is left without a record, and is removed last.

use crate::record::SetRecord;
use ipclusterz_base::places::{self, PlacesError};
use ipclusterz_host::failure::Failure;
use ipclusterz_host::identity::{ProcessIdentity, boot_id};
use ipclusterz_host::record_file::{RecordError, parse_record, read_record, write_record};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The version written, and the only one read.
pub const HANDLE_VERSION: u32 = 2;

/// The phase of a cluster's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Not all engines have registered yet.
    Starting,
    /// All engines have registered.
    Running,
    /// It is being stopped.
    Stopping,
}

/// See the module's documentation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterHandle {
    /// [`HANDLE_VERSION`].
    pub version: u32,
    /// Name of the cluster.
    pub cluster: String,
    /// Random id of this run; changes with every start.
    pub run_id: String,
    /// Its phase.
    pub phase: Phase,
    /// Host of the launcher and the controller.
    pub host: String,
    /// Id of the host's boot; the pids below are valid for this boot alone.
    pub boot_id: String,
    /// When it was started, in seconds since 1970.
    pub started: u64,
    /// Profile it was started with.
    pub profile: String,
    /// How many engines were asked for.
    pub engines_wanted: u32,
    /// Seconds that engines have at their end: so much longer does stopping the cluster take.
    #[serde(default)]
    pub end_timeout: f64,
    /// It ends with the process that it was started for.
    #[serde(default)]
    pub owned: bool,
    /// The launcher's process.
    pub launcher: ProcessIdentity,
    /// The controller, once it is started.
    pub controller: Option<ProcessIdentity>,
    /// What the launcher has started: processes here and elsewhere, and jobs.
    pub sets: Vec<SetRecord>,
    /// Folder of the controller's unix socket.
    pub socket_dir: PathBuf,
    /// Folder of shared memory segments.
    pub shared_memory_dir: PathBuf,
}

impl ClusterHandle {
    /// The record of a cluster that this process is about to start, with a new run id. Writes nothing.
    pub fn starting(cluster: &str, profile: &str, engines_wanted: u32) -> Result<Self, Failure> {
        let run_id = places::random_hex(4);
        let places::RunDirs { socket_dir, shared_memory_dir } = places::run_dirs(cluster, &run_id)?;
        Ok(Self {
            version: HANDLE_VERSION,
            cluster: cluster.to_owned(),
            run_id,
            phase: Phase::Starting,
            host: places::host_name(),
            boot_id: boot_id(),
            started: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            profile: profile.to_owned(),
            engines_wanted,
            end_timeout: 0.0,
            owned: false,
            launcher: ProcessIdentity::of(std::process::id()).map_err(Failure::io("reading /proc/self/stat"))?,
            controller: None,
            sets: Vec::new(),
            socket_dir,
            shared_memory_dir,
        })
    }

    /// Reads `path`; `None` when there is no such file, as for a cluster that is not running. A damaged record and
    /// another version are errors.
    pub fn read(path: &Path) -> Result<Option<Self>, RecordError> {
        read_record(path, HANDLE_VERSION)
    }

    /// Parses the text of a record. `path` is used in errors alone.
    pub fn parse(text: &[u8], path: &Path) -> Result<Self, RecordError> {
        parse_record(text, path, HANDLE_VERSION)
    }

    /// Writes the record to `path` atomically.
    pub fn write(&self, path: &Path) -> Result<(), PlacesError> {
        write_record(self, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipclusterz_base::release;

    #[test]
    fn reads_back_and_tells_damage_from_another_version() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("cluster.json");
        assert!(ClusterHandle::read(&path).expect("missing is no error").is_none());
        let handle = ClusterHandle::starting("default", "slurm", 2).expect("a record");
        handle.write(&path).expect("write");
        assert_eq!(ClusterHandle::read(&path).expect("read"), Some(handle));
        let written: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).expect("read")).expect("JSON");
        assert_eq!(written["release"], release::number());
        std::fs::write(&path, r#"{"version": 9, "release": "4.5.6", "engines": 1}"#).expect("write");
        let refused = ClusterHandle::read(&path).expect_err("another version").to_string();
        let own = release::number();
        let expected = format!("cluster.json of ipclusterz 4.5.6 has version 9; this ipclusterz {own} reads version 2");
        assert!(refused.ends_with(&expected), "{refused}");
        std::fs::write(&path, "{\"version\": 2, ").expect("write");
        assert!(matches!(ClusterHandle::read(&path), Err(RecordError::Damaged { .. })));
    }
}
