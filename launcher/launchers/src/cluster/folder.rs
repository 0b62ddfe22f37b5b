//! The folder of one cluster and the names of the files in it. Responsible for paths alone: it creates and removes
//! nothing.

use super::logs::LogFolder;
use ipclusterz_base::places::{self, PlacesError};
use std::path::{Path, PathBuf};

/// The folder of one cluster and the files in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFolder {
    path: PathBuf,
}

impl ClusterFolder {
    /// The folder of the cluster `name`, which need not exist.
    pub fn of(name: &str) -> Result<Self, PlacesError> {
        Ok(Self { path: places::cluster_dir(name)? })
    }

    /// A folder at any path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The launcher's record of what it runs.
    pub fn handle_file(&self) -> PathBuf {
        self.path.join("cluster.json")
    }

    /// The record of a tunnel, when this folder belongs to a tunnel instead of a cluster of this host.
    pub fn tunnel_file(&self) -> PathBuf {
        self.path.join("tunnel.json")
    }

    /// Locked by the launcher for as long as it lives. Removed with the whole folder alone, by the process that has
    /// locked it.
    pub fn lock_file(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// The sign of life of its launcher, for other hosts: see [`super::alive`].
    pub fn alive_file(&self) -> PathBuf {
        self.path.join("alive")
    }

    /// Says that a process takes over what a launcher has left on a host that is gone.
    pub fn takeover_file(&self) -> PathBuf {
        self.path.join("takeover")
    }

    /// What the trial of `ipclusterz profile check --run` has found.
    pub fn probe_file(&self) -> PathBuf {
        self.path.join("probe")
    }

    /// The connection file of clients.
    pub fn client_file(&self) -> PathBuf {
        self.path.join("client.json")
    }

    /// The connection file of engines.
    pub fn engine_file(&self) -> PathBuf {
        self.path.join("engine.json")
    }

    /// The program that runs `engines.setup` before an engine, see [`crate::setup`].
    pub fn setup_file(&self) -> PathBuf {
        self.path.join("setup.sh")
    }

    /// What hosts of jobs are told about the environment of engines, see [`crate::stage`].
    pub fn stage_file(&self) -> PathBuf {
        self.path.join("stage.json")
    }

    /// Folder in which they find each other.
    pub fn stage_meeting(&self) -> PathBuf {
        self.path.join("stage")
    }

    /// Folder in which engines of this host, or of all hosts that share it, keep what users have put there. It is beside
    /// the engines' connection file, which is all that they know.
    pub fn uploads(&self) -> PathBuf {
        self.path.join("uploads")
    }

    /// Folder of the controller's journal.
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    /// Folder of logs, which outlive a cluster that fails.
    pub fn logs(&self) -> LogFolder {
        LogFolder::at(self.path.join("logs"))
    }
}
