//! One profile file as typed, optional values.
//!
//! The keys of the embedded default profile are the known keys: a key that is documented is a key that is accepted,
//! and the other way round.

use super::position::Position;
use super::{DEFAULT_PROFILE, ProfileError};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// Tables whose keys are the user's own.
const OPEN_TABLES: [&str; 1] = ["engines.env"];

/// The keys of one file; a key that is absent is `None`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileLayer {
    /// `[engines]`
    pub engines: EnginesLayer,
    /// `[controller]`
    pub controller: ControllerLayer,
}

/// `[engines]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnginesLayer {
    /// How many to start.
    pub count: Option<u32>,
    /// Their Python; empty: look for one.
    pub python: Option<String>,
    /// Seconds until all must have registered.
    pub timeout: Option<f64>,
    /// Whether one that dies is started again.
    pub restart: Option<bool>,
    /// Variables on top of the launcher's own environment.
    pub env: Option<BTreeMap<String, String>>,
}

/// `[controller]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControllerLayer {
    /// Whether to listen on a unix socket.
    pub local: Option<bool>,
    /// TCP address; empty: none.
    pub listen: Option<String>,
    /// Hosts under which the TCP address can be reached.
    pub advertise: Option<Vec<String>>,
}

impl ProfileLayer {
    /// Reads one file's text; `path` is for messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ProfileError> {
        let table = DeTable::parse(text).map_err(|error| ProfileError::Syntax {
            path: path.to_path_buf(),
            position: Position::of(text, error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        })?;
        let known = known_keys();
        if let Some((key, span)) = unknown_key(table.get_ref(), "", &known) {
            let parent = key.rsplit_once('.').map_or("", |(parent, _)| parent).to_owned();
            let siblings =
                known.iter().filter(|known| known.rsplit_once('.').map_or("", |(parent, _)| parent) == parent);
            return Err(ProfileError::UnknownKey {
                path: path.to_path_buf(),
                position: Position::of(text, span.start),
                known: siblings.cloned().collect(),
                key,
            });
        }
        toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            ProfileError::BadValue {
                path: path.to_path_buf(),
                position: Position::of(text, start),
                key: key_at(table.get_ref(), "", start).unwrap_or_default(),
                message: error.message().to_owned(),
            }
        })
    }

    /// Whether no key is missing, as it must be for the default.
    pub fn is_complete(&self) -> bool {
        let Self { engines, controller } = self;
        let EnginesLayer { count, python, timeout, restart, env } = engines;
        let ControllerLayer { local, listen, advertise } = controller;
        count.is_some()
            && python.is_some()
            && timeout.is_some()
            && restart.is_some()
            && env.is_some()
            && local.is_some()
            && listen.is_some()
            && advertise.is_some()
    }
}

/// Paths of all keys of the default profile, tables included.
fn known_keys() -> Vec<String> {
    fn collect(table: &DeTable<'_>, prefix: &str, keys: &mut Vec<String>) {
        for (key, value) in table.iter() {
            let path = join(prefix, key.get_ref());
            if let DeValue::Table(inner) = value.get_ref() {
                collect(inner, &path, keys);
            }
            keys.push(path);
        }
    }
    let mut keys = Vec::new();
    if let Ok(table) = DeTable::parse(DEFAULT_PROFILE) {
        collect(table.get_ref(), "", &mut keys);
    }
    keys
}

/// The first key, in the file's order, that is not among `known`, and where it stands.
fn unknown_key(table: &DeTable<'_>, prefix: &str, known: &[String]) -> Option<(String, Range<usize>)> {
    let mut found: Option<(String, Range<usize>)> = None;
    for (key, value) in table.iter() {
        let path = join(prefix, key.get_ref());
        let candidate = if !known.contains(&path) {
            Some((path, key.span()))
        } else if let (DeValue::Table(inner), false) = (value.get_ref(), OPEN_TABLES.contains(&path.as_str())) {
            unknown_key(inner, &path, known)
        } else {
            None
        };
        // The table iterates in its own order; the user reads from the top.
        if let Some(candidate) = candidate
            && found.as_ref().is_none_or(|found| candidate.1.start < found.1.start)
        {
            found = Some(candidate);
        }
    }
    found
}

/// The path of the innermost key whose value covers the byte `offset`.
fn key_at(table: &DeTable<'_>, prefix: &str, offset: usize) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let path = join(prefix, key.get_ref());
        if let DeValue::Table(inner) = value.get_ref()
            && let Some(found) = key_at(inner, &path, offset)
        {
            return Some(found);
        }
        let covered = value.span().contains(&offset) || key.span().contains(&offset);
        covered.then_some(path)
    })
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(text: &str) -> ProfileError {
        ProfileLayer::parse(text, Path::new("lab.toml")).expect_err("must be refused")
    }

    #[test]
    fn an_unknown_key_names_file_place_path_and_nearest() {
        let error = error_of("[engines]\ncount = 2\ntimeuot = 3\n");
        assert_eq!(error.to_string(), "lab.toml:3:1: unknown key `engines.timeuot`");
        assert!(error.hint().starts_with("did you mean `timeout`?"), "{}", error.hint());
        let error = error_of("[enginse]\ncount = 2\n");
        assert_eq!(error.to_string(), "lab.toml:1:2: unknown key `enginse`");
        assert!(
            error.hint().contains("did you mean `engines`? keys known here: controller, engines"),
            "{}",
            error.hint()
        );
    }

    #[test]
    fn a_wrong_type_names_file_place_and_path() {
        let error = error_of("[engines]\ncount = \"four\"\n");
        assert!(error.to_string().starts_with("lab.toml:2:9: `engines.count`: "), "{error}");
        let error = error_of("[engines]\ncount = -1\n");
        assert!(error.to_string().starts_with("lab.toml:2:9: `engines.count`: "), "{error}");
        let error = error_of("engines = 3\n");
        assert!(error.to_string().starts_with("lab.toml:1:11: `engines`: "), "{error}");
        let error = error_of("[controller]\nadvertise = [\"a\", 5]\n");
        assert!(error.to_string().contains("`controller.advertise`: "), "{error}");
    }

    #[test]
    fn broken_toml_names_the_line() {
        let error = error_of("[engines]\ncount = \n");
        assert!(error.to_string().starts_with("lab.toml:2:"), "{error}");
    }

    #[test]
    fn variables_of_engines_have_any_name_and_whole_seconds_will_do() {
        let layer =
            ProfileLayer::parse("[engines]\ntimeout = 5\n[engines.env]\nOMP_NUM_THREADS = \"1\"\n", Path::new("x"))
                .expect("good");
        assert_eq!(layer.engines.timeout, Some(5.0));
        assert_eq!(layer.engines.env.expect("env")["OMP_NUM_THREADS"], "1");
    }
}
