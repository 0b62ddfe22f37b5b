//! What can be wrong with a profile: each error with its place and its hint.

use crate::origin::Origin;
use crate::schema;
use ipclusterz_base::error::PlacesError;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::suggestion::nearest;
use std::io;
use std::path::PathBuf;

/// The place and the name of a key that refers to a profile.
pub type Asked = (Origin, &'static str);

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// No profile has that name.
    #[error("{}there is no profile {name:?}{}", prefix(asked.as_deref()), searched(folders))]
    NoSuchProfile {
        /// The name that was asked for.
        name: String,
        /// The key that asked for it.
        asked: Option<Box<Asked>>,
        /// Where it was looked for.
        folders: Vec<PathBuf>,
        /// The names of all profiles.
        known: Vec<String>,
    },
    /// The operating system could not read the file.
    #[error("{}cannot read the profile {path}: {source}", prefix(asked.as_deref()))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The key that asked for it.
        asked: Option<Box<Asked>>,
        /// Why.
        source: io::Error,
    },
    /// Profiles that extend each other.
    #[error("{}: `extends` goes in a circle: {}", origin.place(), circle.join(" extends "))]
    Circle {
        /// The key that closes it.
        origin: Origin,
        /// The profiles on the circle, with the first repeated at the end.
        circle: Vec<String>,
    },
    /// Somebody else could have put it there, or could change it.
    #[error("{}the profile {path} is not used: {source}", prefix(asked.as_deref()))]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// The key that asked for it.
        asked: Option<Box<Asked>>,
        /// What is wrong with it or a folder above it.
        source: Box<PlacesError>,
    },
    /// The same of a project's file that was found and not named.
    #[error("{path} is not used: {source}")]
    UntrustedProject {
        /// The file.
        path: PathBuf,
        /// What is wrong with it or a folder above it.
        source: Box<PlacesError>,
    },
    /// It is not TOML.
    #[error("{}: {message}", origin.place())]
    Syntax {
        /// Where the parser stopped.
        origin: Origin,
        /// What it expected.
        message: String,
    },
    /// A key that no part of ipclusterz reads.
    #[error("{}: unknown key `{key}`", origin.place())]
    UnknownKey {
        /// Where the key stands.
        origin: Origin,
        /// Its path as written, such as `engines.cuont`.
        key: String,
        /// Its own name.
        name: String,
        /// The keys that the same table may have.
        known: Vec<String>,
    },
    /// A key with a value of the wrong type or range.
    #[error("{}: {message}", origin.about(key))]
    BadValue {
        /// Where the value stands.
        origin: Origin,
        /// The key's path.
        key: String,
        /// What is wrong with the value.
        message: String,
        /// What would be right; if `None`, the hint says where to read about the key.
        hint: Option<String>,
    },
}

fn prefix(asked: Option<&Asked>) -> String {
    asked.map(|(origin, key)| format!("{}: ", origin.about(key))).unwrap_or_default()
}

fn searched(folders: &[PathBuf]) -> String {
    let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    if folders.is_empty() { String::new() } else { format!(" in {}, nor among the shipped ones", folders.join(" or ")) }
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
            ProfileError::UnknownKey { name, known, .. } => {
                format!("{}keys known here: {}", likely_key(name, known), known.join(", "))
            }
            ProfileError::Unreadable { .. } => "is the path right, and the file readable by you?".to_owned(),
            ProfileError::Circle { .. } => "take `extends` out of one of them".to_owned(),
            ProfileError::Untrusted { .. } => "what it says would be run as you".to_owned(),
            ProfileError::UntrustedProject { path, source } if matches!(**source, PlacesError::Foreign { .. }) => {
                format!(
                    "what it says would be run as you; if you trust it, say so with IPCLUSTERZ_PROJECT={} (or none, to ignore it)",
                    path.display()
                )
            }
            ProfileError::UntrustedProject { .. } => {
                "what it says would be run as you; IPCLUSTERZ_PROJECT=none ignores it".to_owned()
            }
            ProfileError::BadValue { hint: Some(hint), .. } => hint.clone(),
            ProfileError::Syntax { .. } | ProfileError::BadValue { hint: None, .. } => {
                "`ipclusterz profile show default` prints every key with an example of its type".to_owned()
            }
        }
    }
}

/// "did you mean": the same key of another table, else a key of the same table, else a key of any.
fn likely_key(name: &str, known: &[String]) -> String {
    let paths = |name: &str| schema::named(name).into_iter().map(|path| format!("`{path}`")).collect::<Vec<_>>();
    let mut likely = paths(name);
    if likely.is_empty() {
        likely.extend(nearest(name, known.iter().map(String::as_str)).map(|likely| format!("`{likely}`")));
    }
    if likely.is_empty() {
        likely.extend(nearest(name, schema::in_order().map(|(path, _)| path.last())).into_iter().flat_map(paths));
    }
    if likely.is_empty() { String::new() } else { format!("did you mean {}? ", likely.join(" or ")) }
}

impl From<ProfileError> for Failure {
    fn from(error: ProfileError) -> Self {
        Failure::new(Exit::Usage, error.to_string()).with_hint(error.hint())
    }
}
