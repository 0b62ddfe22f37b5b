//! The environment variables that `ipclusterz` reads, in one place.
//!
//! A variable beats the profile and is beaten by the option of the same meaning. `IPCLUSTERZ_HOME` belongs to
//! [`ipclusterz_runtime::places`] and is read there.

use std::collections::BTreeMap;

/// Name of the cluster: `--cluster`.
pub const CLUSTER: &str = "IPCLUSTERZ_CLUSTER";
/// Name or path of the profile: `--profile`.
pub const PROFILE: &str = "IPCLUSTERZ_PROFILE";
/// Number of engines: `--engines`.
pub const ENGINES: &str = "IPCLUSTERZ_ENGINES";
/// The Python of the engines: `--python`.
pub const PYTHON: &str = "IPCLUSTERZ_PYTHON";
/// Seconds until all engines must have registered: `--timeout`.
pub const TIMEOUT: &str = "IPCLUSTERZ_TIMEOUT";
/// `true` or `false`, whether a dead engine is started again: `--restart`.
pub const RESTART: &str = "IPCLUSTERZ_RESTART";
/// TCP address of the controller: `--listen`.
pub const LISTEN: &str = "IPCLUSTERZ_LISTEN";
/// Comma-separated hosts under which the controller can be reached: `--advertise`.
pub const ADVERTISE: &str = "IPCLUSTERZ_ADVERTISE";
/// What the controller logs, for example `debug` or `ipclusterz_runtime=debug`; `info` unless set.
pub const LOG: &str = "IPCLUSTERZ_LOG";

/// Each variable with its meaning, in the order of `--help`.
pub const TABLE: [(&str, &str); 10] = [
    ("IPCLUSTERZ_HOME", "folder of all clusters' files (default ~/.local/state/ipclusterz)"),
    (CLUSTER, "same as --cluster"),
    (PROFILE, "same as --profile"),
    (ENGINES, "same as --engines"),
    (PYTHON, "same as --python"),
    (TIMEOUT, "same as --timeout"),
    (RESTART, "true or false, same as --restart"),
    (LISTEN, "same as --listen"),
    (ADVERTISE, "same as --advertise, comma-separated"),
    (LOG, "what the controller logs: error, warn, info (default) or debug"),
];

/// Text for the end of `--help`.
pub fn help() -> String {
    let mut text = String::from("Environment (an option beats a variable, a variable beats the profile):\n");
    for (name, meaning) in TABLE {
        text.push_str(&format!("  {name:<21} {meaning}\n"));
    }
    text
}

/// A snapshot of the environment, so that settings can be tested without touching the process's own.
#[derive(Debug, Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// The variables of this process that are set to something.
    pub fn of_this_process() -> Self {
        Self::from_pairs(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// A made-up environment. An empty value counts as not set.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}
