//! `cluster.json`: the launcher's record of what it runs, from which any later command can find, watch and stop it.
//!
//! # Format
//!
//! JSON, mode 0600, replaced whole. `version` is read first. Written before the first process is started, so that
//! nothing can be left behind without a record, and removed last.

use super::identity::ProcessIdentity;
use crate::launchers::SetRecord;
use ipclusterz_runtime::places::{self, PlacesError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// The version written, and the only one read.
pub const HANDLE_VERSION: u32 = 2;

/// How far a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Not all engines have registered yet.
    Starting,
    /// They have.
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
    /// Changes with every start.
    pub run_id: String,
    /// How far it is.
    pub phase: Phase,
    /// Host of the launcher and the controller.
    pub host: String,
    /// Boot of that host on which the pids below mean something.
    pub boot_id: String,
    /// When it was started, in seconds since 1970.
    pub started: u64,
    /// Profile it was started with.
    pub profile: String,
    /// How many engines were asked for.
    pub engines_wanted: u32,
    /// The process that watches over all others.
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

/// Why `cluster.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// The operating system refused.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not JSON of the right form.
    #[error("{path} is damaged: {source}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the parser stopped.
        source: serde_json::Error,
    },
    /// Written by another version of ipclusterz.
    #[error("{path} has version {found}; this ipclusterz reads version {read}")]
    Version {
        /// The file.
        path: PathBuf,
        /// The version in it.
        found: u32,
        /// The version that is read.
        read: u32,
    },
}

impl From<HandleError> for crate::failure::Failure {
    fn from(error: HandleError) -> Self {
        let hint = match error {
            HandleError::Version { .. } => "stop that cluster with the version of ipclusterz that started it",
            _ => "when no process of that cluster is left, remove the file",
        };
        Self::new(crate::exit_code::Exit::Failure, error.to_string()).with_hint(hint)
    }
}

impl ClusterHandle {
    /// Reads `path`; `None` when there is no such file, as for a cluster that is not running.
    pub fn read(path: &Path) -> Result<Option<Self>, HandleError> {
        read_record(path, HANDLE_VERSION)
    }

    /// Parses the text of a record; `path` is for errors alone.
    pub fn parse(text: &[u8], path: &Path) -> Result<Self, HandleError> {
        parse_record(text, path, HANDLE_VERSION)
    }

    /// Writes it to `path`, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), PlacesError> {
        write_record(self, path)
    }
}

/// Reads a record of any kind; `None` when there is no such file.
pub(super) fn read_record<T: DeserializeOwned>(path: &Path, version: u32) -> Result<Option<T>, HandleError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(HandleError::Unreadable { path: path.to_path_buf(), source }),
    };
    parse_record(&text, path, version).map(Some)
}

fn parse_record<T: DeserializeOwned>(text: &[u8], path: &Path, read: u32) -> Result<T, HandleError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let damaged = |source| HandleError::Damaged { path: path.to_path_buf(), source };
    let Versioned { version } = serde_json::from_slice(text).map_err(damaged)?;
    if version != read {
        return Err(HandleError::Version { path: path.to_path_buf(), found: version, read });
    }
    serde_json::from_slice(text).map_err(damaged)
}

/// Writes a record to `path`, whole or not at all.
pub(super) fn write_record(record: &impl Serialize, path: &Path) -> Result<(), PlacesError> {
    let text = serde_json::to_vec(record).map_err(|error| PlacesError::Io {
        what: "encoding",
        path: path.to_path_buf(),
        source: error.into(),
    })?;
    places::write_private(path, &text)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::launchers::{EngineSet, JobRecord, SetId};
    use ipclusterz_runtime::ids::EngineId;

    /// The record of one engine that is a process of this host.
    pub(crate) fn process_record(number: u32, process: ProcessIdentity) -> SetRecord {
        let set = EngineSet { id: SetId(number), first: EngineId(number), count: 1 };
        SetRecord { set, job: JobRecord::Process(process) }
    }

    /// The record of a cluster whose launcher is `launcher`, on this host and boot.
    pub(crate) fn example(launcher: ProcessIdentity) -> ClusterHandle {
        ClusterHandle {
            version: HANDLE_VERSION,
            cluster: "default".to_owned(),
            run_id: "0f3c9a1e".to_owned(),
            phase: Phase::Running,
            host: places::host_name(),
            boot_id: super::super::identity::boot_id(),
            started: 1_800_000_000,
            profile: "default".to_owned(),
            engines_wanted: 2,
            launcher,
            controller: None,
            sets: vec![process_record(0, ProcessIdentity { pid: 7, start_time: 8 })],
            socket_dir: PathBuf::from("/nowhere/socket"),
            shared_memory_dir: PathBuf::from("/nowhere/shm"),
        }
    }

    #[test]
    fn reads_back_and_tells_damage_from_another_version() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("cluster.json");
        assert!(ClusterHandle::read(&path).expect("missing is no error").is_none());
        let handle = example(ProcessIdentity { pid: 5, start_time: 6 });
        handle.write(&path).expect("write");
        assert_eq!(ClusterHandle::read(&path).expect("read"), Some(handle));
        std::fs::write(&path, "{\"version\": 9}").expect("write");
        assert!(matches!(ClusterHandle::read(&path), Err(HandleError::Version { found: 9, .. })));
        std::fs::write(&path, "{\"version\": 2, ").expect("write");
        assert!(matches!(ClusterHandle::read(&path), Err(HandleError::Damaged { .. })));
    }
}
