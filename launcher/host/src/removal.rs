//! Removing files and folders of which it does not matter whether they were there.

use crate::exit_code::Exit;
use crate::failure::Failure;
use std::io;
use std::path::{Path, PathBuf};

/// A file or folder stays.
#[derive(Debug, thiserror::Error)]
#[error("cannot remove {path}: {source}")]
pub struct RemoveError {
    /// What stays.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl From<RemoveError> for Failure {
    fn from(error: RemoveError) -> Self {
        Failure::new(Exit::Failure, error.to_string())
    }
}

/// The result of removing `path`, where a path that does not exist is a success too.
pub fn removed(path: &Path, result: io::Result<()>) -> Result<(), RemoveError> {
    match result {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(RemoveError { path: path.to_path_buf(), source })
        }
        _ => Ok(()),
    }
}
