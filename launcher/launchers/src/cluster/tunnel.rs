//! `tunnel.json`: the record of an `ipclusterz tunnel`, beside the connection file that the tunnel writes.
//!
//! # Format
//!
//! JSON, mode 0600, replaced atomically. `version` is read first. The record is written before anything else of the
//! tunnel exists, and removed last. It is in a cluster's folder when the tunnel has a name (`--as`), else in the folder
//! of its socket.

use super::folder::ClusterFolder;
use ipclusterz_base::places::{self, PlacesError};
use ipclusterz_base::private::{self, Folder};
use ipclusterz_host::identity::{Fate, Owner};
use ipclusterz_host::owned;
use ipclusterz_host::record_file::{RecordError, read_record, write_record};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The version written, and the only one read.
pub const TUNNEL_VERSION: u32 = 1;

/// See the module's documentation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelRecord {
    /// [`TUNNEL_VERSION`].
    pub version: u32,
    /// The process that runs the tunnel.
    pub owner: Owner,
    /// When it was started, in seconds since 1970.
    pub started: u64,
    /// The host that it leads to, as the user wrote it.
    pub host: String,
    /// Name of the cluster on that host, once it is found.
    pub cluster: Option<String>,
    /// Folder of its socket on this host.
    pub socket_dir: PathBuf,
}

impl TunnelRecord {
    /// Reads the record in `folder`; `None` when the folder belongs to no tunnel.
    pub fn read(folder: &ClusterFolder) -> Result<Option<Self>, RecordError> {
        read_record(&folder.tunnel_file(), TUNNEL_VERSION)
    }

    /// Writes the record to `folder` atomically.
    pub fn write(&self, folder: &ClusterFolder) -> Result<(), PlacesError> {
        write_record(self, &folder.tunnel_file())
    }

    /// One word for tables and JSON.
    pub fn word(&self) -> &'static str {
        match (self.owner.fate(), &self.cluster) {
            (Fate::Gone, _) => "stale",
            (Fate::Elsewhere, _) => "elsewhere",
            (Fate::Alive, None) => "connecting",
            (Fate::Alive, Some(_)) => "open",
        }
    }

    /// The destination for messages: `to cluster "default" on me@n1`.
    pub fn where_to(&self) -> String {
        match &self.cluster {
            Some(cluster) => format!("to cluster {cluster:?} on {}", self.host),
            None => format!("to {}", self.host),
        }
    }

    /// Removes the socket, the connection file and, last, the record itself. The caller must know that the owner is
    /// gone, or be the owner, and must hold the lock of a folder that has a name.
    pub fn remove_remains(&self, folder: &ClusterFolder) -> Result<(), PlacesError> {
        owned::remove(&self.socket_dir)?;
        [folder.client_file(), folder.tunnel_file()].iter().try_for_each(|file| private::remove(file))
    }
}

/// A tunnel's name, if it has one, its folder, and its record.
pub type Found = (Option<String>, ClusterFolder, Result<TunnelRecord, RecordError>);

/// All tunnels of this user: those with names, sorted by name, then the others.
pub fn all() -> Result<Vec<Found>, PlacesError> {
    let mut found = Vec::new();
    let mut look = |name: Option<String>, folder: ClusterFolder| {
        if let Some(record) = TunnelRecord::read(&folder).transpose() {
            found.push((name, folder, record));
        }
    };
    for name in places::list_clusters()? {
        let folder = ClusterFolder::of(&name)?;
        look(Some(name), folder);
    }
    let base = places::run_base();
    let names = Folder::open(&base).ok().and_then(|folder| folder.names().ok()).unwrap_or_default();
    for folder in names.into_iter().map(|name| base.join(name)).filter(|folder| folder.is_dir()) {
        look(None, ClusterFolder::at(folder));
    }
    Ok(found)
}
