//! Why a place cannot be used.

use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong with a place.
#[derive(Debug, thiserror::Error)]
pub enum PlacesError {
    /// Neither `IPCLUSTERZ_HOME`, `XDG_STATE_HOME` nor `HOME` is set.
    #[error("no folder for the state of clusters: none of IPCLUSTERZ_HOME, XDG_STATE_HOME and HOME is set")]
    NoHome,
    /// A cluster's name becomes part of paths.
    #[error("{0:?} is no name for a cluster: 1 to 63 letters, digits, '_', '.' and '-', the first a letter or digit")]
    BadName(String),
    /// It belongs to somebody else, as what variables name does after `su`.
    #[error("{path} belongs to user {owner}, and this process runs as user {user}")]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Its owner: name and number.
        owner: String,
        /// The user of this process.
        user: String,
    },
    /// Records and connection files are text, and hold paths.
    #[error("{path:?}, which {variable} names, is not UTF-8 text")]
    NotText {
        /// The folder.
        path: PathBuf,
        /// The variable that names it.
        variable: &'static str,
    },
    /// Somebody else could read or replace what is in it.
    #[error("{path} is not private: {why}")]
    NotPrivate {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The kernel's limit on the path of a unix socket.
    #[error("{0} is too long for the path of a unix socket (107 bytes)")]
    SocketPathTooLong(PathBuf),
    /// The operating system refused.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// To which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl PlacesError {
    /// An error of the operating system, with what was being done to which path.
    pub fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| PlacesError::Io { what, path, source }
    }

    /// Whether there is nothing at that place.
    pub fn is_missing(&self) -> bool {
        matches!(self, PlacesError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

impl From<PlacesError> for io::Error {
    fn from(error: PlacesError) -> Self {
        let kind = match &error {
            PlacesError::Io { source, .. } => source.kind(),
            _ => io::ErrorKind::PermissionDenied,
        };
        io::Error::new(kind, error)
    }
}
