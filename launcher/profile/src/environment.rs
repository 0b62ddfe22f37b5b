//! The environment variables that `ipclusterz` reads, in one place.
//!
//! A variable overrides the profile, and the option of the same meaning overrides the variable. `IPCLUSTERZ_HOME`
//! belongs to [`ipclusterz_base::places`] and is read there.

use ipclusterz_base::places::HOME_VARIABLE;
use std::collections::BTreeMap;
use std::ffi::OsString;

/// Name of the cluster: `--cluster`.
pub const CLUSTER: &str = "IPCLUSTERZ_CLUSTER";
/// Folder on a disk of each host for `engines.stage`; read there.
pub const STAGE_FOLDER: &str = "IPCLUSTERZ_STAGE_DIR";
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
/// What starts the engines: `engines.launcher`.
pub const LAUNCHER: &str = "IPCLUSTERZ_LAUNCHER";
/// Partition or queue of jobs: `batch.partition`.
pub const PARTITION: &str = "IPCLUSTERZ_PARTITION";
/// Project that pays for jobs: `batch.account`.
pub const ACCOUNT: &str = "IPCLUSTERZ_ACCOUNT";
/// Time limit of jobs: `batch.time_limit`.
pub const TIME_LIMIT: &str = "IPCLUSTERZ_TIME_LIMIT";
/// Path of the project's file, or `none`; if unset, the file is searched for.
pub const PROJECT: &str = "IPCLUSTERZ_PROJECT";
/// Folder of the site's profiles.
pub const SITE_PROFILES: &str = "IPCLUSTERZ_SITE_PROFILES";
/// What the controller logs, for example `debug` or `ipclusterz_runtime=debug`; `info` unless set.
pub const LOG: &str = "IPCLUSTERZ_LOG";
/// Set by the script that a shell sources, when it asks for completions.
pub const COMPLETE: &str = "IPCLUSTERZ_COMPLETE";

/// The variables that set one key of a profile each.
pub const KEYS: [(&str, &str); 10] = [
    (ENGINES, "engines.count"),
    (LAUNCHER, "engines.launcher"),
    (PYTHON, "engines.python"),
    (TIMEOUT, "engines.timeout"),
    (RESTART, "engines.restart"),
    (LISTEN, "controller.listen"),
    (ADVERTISE, "controller.advertise"),
    (PARTITION, "batch.partition"),
    (ACCOUNT, "batch.account"),
    (TIME_LIMIT, "batch.time_limit"),
];

/// Each variable with its meaning, in the order of `--help`.
pub const TABLE: [(&str, &str); 17] = [
    ("IPCLUSTERZ_HOME", "folder of all clusters' files (default ~/.local/state/ipclusterz)"),
    (STAGE_FOLDER, "folder on a disk of each host for engines.stage (default in $TMPDIR or /tmp)"),
    (CLUSTER, "same as --cluster"),
    (PROFILE, "same as --profile"),
    (PROJECT, "the project's ipclusterz.toml, or none (default: looked for)"),
    (SITE_PROFILES, "folder of the site's profiles (default /etc/ipclusterz/profiles)"),
    (ENGINES, "same as --engines"),
    (LAUNCHER, "same as engines.launcher of a profile: local, ssh, mpiexec or batch"),
    (PYTHON, "same as --python"),
    (TIMEOUT, "same as --timeout"),
    (RESTART, "true or false, same as --restart"),
    (LISTEN, "same as --listen"),
    (ADVERTISE, "same as --advertise, comma-separated"),
    (PARTITION, "same as batch.partition of a profile"),
    (ACCOUNT, "same as batch.account of a profile"),
    (TIME_LIMIT, "same as batch.time_limit of a profile"),
    (LOG, "what the controller logs: error, warn, info (default) or debug"),
];

/// Known variables that this program does not read: the package reads them, or they mark processes of a launcher.
pub const OTHERS: [&str; 5] = [
    COMPLETE,
    "IPCLUSTERZ_KEY_FILE",
    "IPCLUSTERZ_ENGINE_FILE",
    "IPCLUSTERZ_END_TIME",
    ipclusterz_host::marked::VARIABLE,
];

/// Text for the end of `--help`.
pub fn help() -> String {
    let mut text = String::from("Environment (an option beats a variable, a variable beats the profile):\n");
    for (name, meaning) in TABLE {
        text.push_str(&format!("  {name:<24} {meaning}\n"));
    }
    text
}

/// A snapshot of the environment, so that settings can be tested without touching the process's own.
#[derive(Debug, Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// The variables of this process that are not empty and are UTF-8.
    pub fn of_this_process() -> Self {
        Self::from_pairs(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// A variable that this program reads and whose value is not UTF-8, with that value. Places of files are looked at
    /// where they are used.
    pub fn not_text() -> Option<(&'static str, OsString)> {
        let names =
            TABLE.iter().map(|(name, _)| *name).filter(|name| *name != HOME_VARIABLE).chain(["XDG_CONFIG_HOME"]);
        names.filter_map(|name| Some((name, std::env::var_os(name)?))).find(|(_, value)| value.to_str().is_none())
    }

    /// An environment made of `pairs`. An empty value counts as not set.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Names and values of those that begin with `prefix`.
    pub fn with_prefix(&self, prefix: &'static str) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        pairs.filter(move |(name, _)| name.starts_with(prefix))
    }
}
