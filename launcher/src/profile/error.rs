//! What can be wrong with a profile.

use super::position::Position;
use crate::exit_code::Exit;
use crate::failure::Failure;
use crate::suggestion::nearest;
use std::io;
use std::path::PathBuf;

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// No file of that name.
    #[error("there is no profile {name:?}{}", folder.as_ref().map(|folder| format!(" in {}", folder.display())).unwrap_or_default())]
    NoSuchProfile {
        /// The name that was asked for.
        name: String,
        /// Where it was looked for.
        folder: Option<PathBuf>,
        /// The names there are.
        known: Vec<String>,
    },
    /// The operating system refused.
    #[error("cannot read the profile {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not TOML.
    #[error("{path}:{position}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where the parser stopped.
        position: Position,
        /// What it expected.
        message: String,
    },
    /// A key that no part of ipclusterz reads.
    #[error("{path}:{position}: unknown key `{key}`")]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// Where the key stands.
        position: Position,
        /// Its path, such as `engines.cuont`.
        key: String,
        /// The keys that the same table may have.
        known: Vec<String>,
    },
    /// A key with a value of the wrong type or range.
    #[error("{path}:{position}: `{key}`: {message}")]
    BadValue {
        /// The file.
        path: PathBuf,
        /// Where the value stands.
        position: Position,
        /// The key's path.
        key: String,
        /// What is wrong with the value.
        message: String,
    },
}

impl ProfileError {
    /// What the user can do about it.
    pub fn hint(&self) -> String {
        match self {
            ProfileError::NoSuchProfile { name, known, .. } => {
                let likely = nearest(name, known.iter().map(String::as_str));
                let likely = likely.map(|likely| format!("did you mean {likely:?}? ")).unwrap_or_default();
                format!("{likely}profiles there are: {}; or give the path of a .toml file", known.join(", "))
            }
            ProfileError::UnknownKey { key, known, .. } => {
                let last = key.rsplit('.').next().unwrap_or(key);
                let last_of = |candidate: &str| candidate.rsplit('.').next().unwrap_or(candidate).to_owned();
                let names: Vec<String> = known.iter().map(|candidate| last_of(candidate)).collect();
                let likely = nearest(last, names.iter().map(String::as_str));
                let likely = likely.map(|likely| format!("did you mean `{likely}`? ")).unwrap_or_default();
                format!("{likely}keys known here: {}", names.join(", "))
            }
            ProfileError::Unreadable { .. } => "is the path right, and the file readable by you?".to_owned(),
            ProfileError::Syntax { .. } | ProfileError::BadValue { .. } => {
                "profiles/default.toml of the ipclusterz source has every key with an example".to_owned()
            }
        }
    }
}

impl From<ProfileError> for Failure {
    fn from(error: ProfileError) -> Self {
        Failure::new(Exit::Usage, error.to_string()).with_hint(error.hint())
    }
}
