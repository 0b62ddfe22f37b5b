//! Why a connection file cannot be used, and what the user can do about it.

use super::CONNECTION_FILE_VERSION;
use crate::error::PlacesError;
use crate::release;
use std::io;
use std::path::PathBuf;

/// Why a connection file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// No such file.
    #[error("there is no connection file {0}")]
    Missing(PathBuf),
    /// The operating system refused.
    #[error("cannot read the connection file {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is somebody else's, or could be changed by others.
    #[error(transparent)]
    Place(PlacesError),
    /// Others can read the secret key in it.
    #[error("the connection file {path} has mode {mode:o}: others on this host could read its secret key")]
    NotPrivate {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not JSON, or not all of it.
    #[error("the connection file {path} is damaged or cut short at line {line}, column {column}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the parser stopped. What it says about that is left out: it quotes the file, and so its secret key.
        line: usize,
        /// In that line.
        column: usize,
    },
    /// Written by another version of ipclusterz.
    #[error(
        "the connection file {path}{by} has version {found}; this ipclusterz {own} reads version {CONNECTION_FILE_VERSION}",
        own = release::number()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The version in it.
        found: u64,
        /// Whose it is: ` of ipclusterz 0.1.0`, or nothing.
        by: String,
    },
    /// Not what an address looks like.
    #[error("{0:?} is no address of a controller: tcp://host:port or ipc:///path")]
    BadAddress(String),
    /// It has no keys, which TCP needs.
    #[error("this connection file has no keys, without which {0} lets nobody in")]
    NoKeys(String),
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] PlacesError),
}

impl ConnectionError {
    /// What the user can do about it.
    pub fn hint(&self) -> String {
        let hint = match self {
            ConnectionError::Write(error) => return error.hint(),
            ConnectionError::Place(_) => {
                "a connection file is believed if nobody else could have put it there: keep it in a folder of yours"
            }
            ConnectionError::Missing(_) => {
                "is the cluster running? `ipclusterz list` shows clusters, `ipclusterz -n 4` starts one"
            }
            ConnectionError::Unreadable { .. } => {
                "connection files are readable by the user who started the cluster alone"
            }
            ConnectionError::NotPrivate { .. } => {
                "chmod 600 the file; if it was open to others for long, restart the cluster for fresh keys"
            }
            ConnectionError::Damaged { .. } => "copy it again from the controller's host, or restart the cluster",
            ConnectionError::Version { .. } => {
                "install the same ipclusterz on both sides, or restart the cluster with this one"
            }
            ConnectionError::BadAddress(_) => "`ipclusterz status` shows the addresses of a cluster",
            ConnectionError::NoKeys(_) => {
                "start the cluster with `--listen 0.0.0.0:10101` or another address: its connection files then have keys"
            }
        };
        hint.to_owned()
    }
}
