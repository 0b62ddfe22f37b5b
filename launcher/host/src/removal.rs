//! Removing files and folders that may be gone already.

use crate::exit_code::Exit;
use crate::failure::Failure;
use std::io;
use std::path::{Path, PathBuf};

/// A file or folder could not be removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot remove {path}: {source}")]
pub struct RemoveError {
    /// What could not be removed.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl From<RemoveError> for Failure {
    fn from(error: RemoveError) -> Self {
        Failure::new(Exit::Failure, error.to_string())
    }
}

/// Turns the result of removing `path` into an error that names the path. A path that does not exist is a success.
pub fn removed(path: &Path, result: io::Result<()>) -> Result<(), RemoveError> {
    match result {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(RemoveError { path: path.to_path_buf(), source })
        }
        _ => Ok(()),
    }
}
