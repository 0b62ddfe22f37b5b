//! Records on disk: JSON with a version that is read first, mode 0600, always replaced as a whole.

use crate::exit_code::Exit;
use crate::failure::Failure;
use ipclusterz_base::places::{self, PlacesError};
use ipclusterz_base::private::{self, Trust};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It cannot be read, or somebody else could have changed it.
    #[error(transparent)]
    Place(#[from] PlacesError),
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
        /// The version that this program reads.
        read: u32,
    },
}

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Self {
        let hint = match error {
            RecordError::Place(error) => return error.into(),
            RecordError::Version { .. } => "stop that cluster with the version of ipclusterz that started it",
            _ => "when no process of that cluster is left, remove the file",
        };
        Self::new(Exit::Failure, error.to_string()).with_hint(hint)
    }
}

/// Reads the record at `path`. `None` if there is no such file; an error if its version is not `version`.
pub fn read_record<T: DeserializeOwned>(path: &Path, version: u32) -> Result<Option<T>, RecordError> {
    match private::read(path, Trust::Ours) {
        Err(error) if error.is_missing() => Ok(None),
        text => parse_record(&text?, path, version).map(Some),
    }
}

/// Parses the text of a record, which must have the version `read`. `path` is used in errors alone.
pub fn parse_record<T: DeserializeOwned>(text: &[u8], path: &Path, read: u32) -> Result<T, RecordError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let damaged = |source| RecordError::Damaged { path: path.to_path_buf(), source };
    let Versioned { version } = serde_json::from_slice(text).map_err(damaged)?;
    if version != read {
        return Err(RecordError::Version { path: path.to_path_buf(), found: version, read });
    }
    serde_json::from_slice(text).map_err(damaged)
}

/// Writes a record to `path`, whole or not at all.
pub fn write_record(record: &impl Serialize, path: &Path) -> Result<(), PlacesError> {
    let text = serde_json::to_vec(record).map_err(|error| PlacesError::Io {
        what: "encoding",
        path: path.to_path_buf(),
        source: error.into(),
    })?;
    places::write_private(path, &text)
}
