//! Records on disk: JSON with a version that is read first, mode 0600, always replaced as a whole. Beside the version stands
//! the release that wrote it, for the error of one that reads another version; fields that are not known are passed over.

use crate::exit_code::Exit;
use crate::failure::Failure;
use ipclusterz_base::places::{self, PlacesError};
use ipclusterz_base::private::{self, Trust};
use ipclusterz_base::release;
use ipclusterz_base::words::printable;
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
    #[error("{path}{by} has version {found}; this ipclusterz {own} reads version {read}", own = release::number())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version in it.
        found: u32,
        /// The version that this program reads.
        read: u32,
        /// Whose it is: ` of ipclusterz 0.1.0`, or nothing.
        by: String,
    },
}

impl RecordError {
    /// What a list says of such a record, in a word.
    pub fn word(&self) -> &'static str {
        match self {
            RecordError::Version { .. } => "other version",
            RecordError::Place(_) | RecordError::Damaged { .. } => "damaged",
        }
    }
}

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Self {
        let hint = match error {
            RecordError::Place(error) => return error.into(),
            RecordError::Version { .. } => "use the ipclusterz that wrote it, with which the cluster was started",
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
        #[serde(default)]
        release: Option<serde_json::Value>,
    }
    let damaged = |source| RecordError::Damaged { path: path.to_path_buf(), source };
    let Versioned { version, release } = serde_json::from_slice(text).map_err(damaged)?;
    if version != read {
        let by = release.as_ref().and_then(|release| release.as_str()).unwrap_or_default();
        let by = if by.is_empty() { String::new() } else { format!(" of ipclusterz {}", printable(by)) };
        return Err(RecordError::Version { path: path.to_path_buf(), found: version, read, by });
    }
    serde_json::from_slice(text).map_err(damaged)
}

/// Writes a record to `path`, whole or not at all.
pub fn write_record(record: &impl Serialize, path: &Path) -> Result<(), PlacesError> {
    let encode = || {
        let mut value = serde_json::to_value(record)?;
        if let Some(fields) = value.as_object_mut() {
            fields.insert("release".to_owned(), release::number().into());
        }
        serde_json::to_vec(&value)
    };
    let text = encode().map_err(|error| PlacesError::Io {
        what: "encoding",
        path: path.to_path_buf(),
        source: error.into(),
    })?;
    places::write_private(path, &text)
}
