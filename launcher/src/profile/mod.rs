//! Profiles: what a cluster is made of, as TOML.
//!
//! Responsible for finding, reading and checking a profile's file; not for weighing it against options and variables,
//! which [`crate::settings`] does.

mod error;
mod layer;
mod position;

pub use error::ProfileError;
pub use layer::{ControllerLayer, EnginesLayer, ProfileLayer};

use std::io;
use std::path::{Path, PathBuf};

/// The complete profile that every other one extends.
pub const DEFAULT_PROFILE: &str = include_str!("../../../profiles/default.toml");

/// The name under which [`DEFAULT_PROFILE`] is known.
pub const DEFAULT_NAME: &str = "default";

/// A profile as read: the user's layer above the complete default.
#[derive(Debug)]
pub struct Profile {
    /// What the user asked for: a name or a path.
    pub name: String,
    /// The user's file, if there is one.
    pub file: Option<PathBuf>,
    /// Keys of that file; those it lacks are `None`.
    pub user: ProfileLayer,
    /// The embedded default, where no key is `None`.
    pub default: ProfileLayer,
}

impl Profile {
    /// Finds and reads `name`: a path when it has a `/` or ends in `.toml`, else a file in `folder`.
    ///
    /// The name `default` needs no file.
    pub fn load(name: &str, folder: Option<&Path>) -> Result<Self, ProfileError> {
        let default = ProfileLayer::parse(DEFAULT_PROFILE, Path::new("profiles/default.toml"))?;
        let by_path = name.contains('/') || name.ends_with(".toml");
        let file =
            if by_path { Some(PathBuf::from(name)) } else { folder.map(|folder| folder.join(format!("{name}.toml"))) };
        let text = match file.as_deref().map(|file| (file, std::fs::read_to_string(file))) {
            Some((_, Ok(text))) => Some(text),
            Some((file, Err(source))) if source.kind() != io::ErrorKind::NotFound || by_path => {
                return Err(ProfileError::Unreadable { path: file.to_path_buf(), source });
            }
            _ => None,
        };
        match (text, file) {
            (Some(text), Some(file)) => {
                let user = ProfileLayer::parse(&text, &file)?;
                Ok(Self { name: name.to_owned(), file: Some(file), user, default })
            }
            _ if name == DEFAULT_NAME => {
                Ok(Self { name: name.to_owned(), file: None, user: ProfileLayer::default(), default })
            }
            _ => Err(ProfileError::NoSuchProfile {
                name: name.to_owned(),
                folder: folder.map(Path::to_path_buf),
                known: known_profiles(folder),
            }),
        }
    }

    /// The file's path for messages.
    pub fn origin(&self) -> String {
        self.file.as_ref().map_or_else(|| "the default profile".to_owned(), |file| file.display().to_string())
    }
}

/// Folder of the user's profiles: `$XDG_CONFIG_HOME/ipclusterz/profiles`, else `~/.config/ipclusterz/profiles`.
pub fn user_folder() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(config.join("ipclusterz/profiles"))
}

/// Names that `--profile` would find.
fn known_profiles(folder: Option<&Path>) -> Vec<String> {
    let mut names = vec![DEFAULT_NAME.to_owned()];
    // A folder that cannot be listed has no names to offer; the error that brought us here is the one to report.
    let entries = folder.and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    for entry in entries {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "toml")
            && let Some(stem) = path.file_stem().and_then(|stem| stem.to_str())
        {
            names.push(stem.to_owned());
        }
    }
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_profile_needs_no_file_and_is_complete() {
        let profile = Profile::load("default", None).expect("embedded");
        assert!(profile.file.is_none());
        assert!(profile.default.is_complete(), "profiles/default.toml lacks a key");
    }

    #[test]
    fn a_named_profile_is_found_and_a_missing_one_names_those_there_are() {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::write(folder.path().join("lab.toml"), "[engines]\ncount = 8\n").expect("write");
        let profile = Profile::load("lab", Some(folder.path())).expect("found");
        assert_eq!(profile.user.engines.count, Some(8));
        let error = Profile::load("lob", Some(folder.path())).expect_err("missing");
        assert!(error.to_string().contains("\"lob\""), "{error}");
        let hint = error.hint();
        assert!(hint.contains("did you mean \"lab\"?") && hint.contains("default, lab"), "{hint}");
    }

    #[test]
    fn a_path_must_exist() {
        let error = Profile::load("/nowhere/lab.toml", None).expect_err("missing");
        assert!(error.to_string().contains("/nowhere/lab.toml"), "{error}");
    }
}
