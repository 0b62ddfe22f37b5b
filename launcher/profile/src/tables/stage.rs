//! `engines.stage`: whether engines run from a disk of their host, and from what.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};

/// What the names of archives end with that `tar` unpacks.
pub const TAR: [&str; 8] = [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".txz", ".tar.zst", ".tzst"];
/// Those that `unsquashfs` unpacks.
pub const SQUASHFS: [&str; 3] = [".squashfs", ".sqfs", ".sqsh"];

/// See `profiles/default.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Stage {
    /// Engines run from where Python is installed.
    #[default]
    Off,
    /// The environment of the engines' Python is copied to a disk of each host.
    Environment,
    /// This archive of an environment is.
    Archive(String),
}

impl Stage {
    /// The archive, if one is named.
    pub fn archive(&self) -> Option<&str> {
        if let Stage::Archive(path) = self { Some(path) } else { None }
    }

    /// Whether the archive, if one is named, can be unpacked, by its name.
    pub fn has_known_ending(&self) -> bool {
        self.archive().is_none_or(|path| TAR.iter().chain(&SQUASHFS).any(|ending| path.ends_with(ending)))
    }
}

impl<'de> Deserialize<'de> for Stage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "true, false, or the path of an archive, such as \"/shared/env.tar.zst\"";
        match toml::Value::deserialize(deserializer)? {
            toml::Value::Boolean(true) => Ok(Stage::Environment),
            toml::Value::Boolean(false) => Ok(Stage::Off),
            // What options say is text.
            toml::Value::String(text) => match text.as_str() {
                "true" => Ok(Stage::Environment),
                "false" => Ok(Stage::Off),
                _ if text.contains('/') => Ok(Stage::Archive(text)),
                other => Err(D::Error::invalid_value(Unexpected::Str(other), &EXPECTED)),
            },
            other => Err(D::Error::invalid_value(Unexpected::Other(&other.to_string()), &EXPECTED)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Table {
        stage: Stage,
    }

    #[test]
    fn it_is_a_word_or_the_path_of_an_archive() {
        let of = |text: &str| toml::from_str::<Table>(&format!("stage = {text}")).map(|table| table.stage);
        assert_eq!((of("true"), of("false")), (Ok(Stage::Environment), Ok(Stage::Off)));
        assert_eq!((of("\"true\""), of("\"false\"")), (Ok(Stage::Environment), Ok(Stage::Off)));
        let archive = of("\"/x/env.tar.zst\"").expect("a path");
        assert!(archive.archive() == Some("/x/env.tar.zst") && archive.has_known_ending());
        assert!(!Stage::Archive("/x/env.zip".to_owned()).has_known_ending());
        for text in ["1", "\"yes\"", "\"\"", "[\"/x\"]"] {
            assert!(of(text).expect_err(text).message().contains("the path of an archive"), "{text}");
        }
    }
}
