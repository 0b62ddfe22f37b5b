//! The settings of a start: the merged profile and the cluster's name, checked as far as possible without a trial.

mod checks;
mod error;
mod jobs;
mod place;
mod refusals;
mod stage;
mod surrounding;

pub use error::{SettingsError, seconds};

use crate::environment::{self, Variables};
use crate::error::ProfileError;
use crate::find::Places;
use crate::profile::{Options, Profile};
use crate::tables::Tables;
use crate::tables::engines::{EnginesTable, LauncherKind, Shared};
use ipclusterz_base::places::{self, PlacesError};
use std::collections::BTreeMap;
use std::time::Duration;

/// The settings of a start, which have passed all checks that need no trial.
#[derive(Debug, Clone, PartialEq)]
pub struct StartSettings {
    /// Name of the cluster.
    pub cluster: String,
    /// Name or path of the profile, for the records.
    pub profile: String,
    /// How many engines; at least one.
    pub engines: u32,
    /// Their Python: a path or a name; if `None`, one is searched for.
    pub python: Option<String>,
    /// How long engines may take to register.
    pub timeout: Duration,
    /// Whether an engine that dies is started again.
    pub restart: bool,
    /// Variables set for engines on top of the launcher's own environment.
    pub engine_environment: BTreeMap<String, String>,
    /// Whether the controller has a unix socket.
    pub local: bool,
    /// Its TCP address.
    pub listen: Option<String>,
    /// Hosts to offer for the TCP address.
    pub advertise: Vec<String>,
    /// The whole profile. The fields above are taken from it.
    pub tables: Tables,
}

/// The cluster's name: the option, else the variable, else `default`. Fails if it is no valid name.
pub fn cluster_name(option: Option<&str>, variables: &Variables) -> Result<String, PlacesError> {
    let name = option.or_else(|| variables.get(environment::CLUSTER)).unwrap_or(places::DEFAULT_CLUSTER);
    places::check_name(name)?;
    Ok(name.to_owned())
}

/// Merges a profile and sets the values that follow from others. Does not check what the values mean.
pub fn merged_profile(options: &Options, variables: &Variables, places: &Places) -> Result<Profile, ProfileError> {
    let mut profile = Profile::load(options, variables, places)?;
    checks::derive(&mut profile, variables)?;
    Ok(profile)
}

/// Like [`merged_profile`], and fails if a check fails.
pub fn checked_profile(options: &Options, variables: &Variables, places: &Places) -> Result<Profile, SettingsError> {
    let profile = merged_profile(options, variables, places)?;
    checks::check(&profile)?;
    Ok(profile)
}

/// Runs the checks on a merged profile.
pub fn check_profile(profile: &Profile) -> Result<(), SettingsError> {
    checks::check(profile)
}

impl StartSettings {
    /// The settings of all sources together, checked. `cluster` is the option `--cluster`.
    pub fn new(
        cluster: Option<&str>,
        options: &Options,
        variables: &Variables,
        places: &Places,
    ) -> Result<Self, SettingsError> {
        let cluster = cluster_name(cluster, variables)?;
        let mut profile = checked_profile(options, variables, places)?;
        set_hash_seed(&mut profile.tables.engines, variables);
        set_safe_path(&mut profile.tables.engines, variables);
        set_startup(&mut profile.tables.engines);
        Self::of(cluster, profile)
    }

    /// The settings that a merged profile means for the cluster of that name. Checks only that the timeout is valid.
    pub fn of(cluster: String, profile: Profile) -> Result<Self, SettingsError> {
        let timeout = profile.origin("engines.timeout").about("engines.timeout");
        let tables = profile.tables;
        let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Ok(Self {
            cluster,
            profile: profile.name,
            engines: tables.engines.count,
            python: some(&tables.engines.python),
            timeout: seconds(&timeout, tables.engines.timeout)?,
            restart: tables.engines.restart,
            engine_environment: tables.engines.env.clone(),
            local: tables.controller.local,
            listen: some(&tables.controller.listen),
            advertise: tables.controller.advertise.clone(),
            tables,
        })
    }
}

impl StartSettings {
    /// The variables of this process that `engines.pass_env` passes on to engines elsewhere.
    pub fn passed_environment(&self) -> BTreeMap<String, String> {
        let pass = &self.tables.engines.pass_env;
        let own = std::env::vars_os();
        let own = own.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        own.filter(|(name, _)| pass.iter().any(|pattern| name_matches(pattern, name))).collect()
    }

    /// The variables for engines that do not inherit those of this process: what is passed on, then `engines.env`.
    pub fn environment_elsewhere(&self) -> BTreeMap<String, String> {
        self.passed_environment().into_iter().chain(self.engine_environment.clone()).collect()
    }

    /// How many engines an elastic block has; `None` without elastic blocks.
    pub fn engines_per_block(&self) -> Option<u32> {
        let batch = &self.tables.batch;
        (self.tables.engines.launcher == LauncherKind::Batch && batch.blocks.max > 0)
            .then(|| batch.blocks.nodes.max(1) * batch.engines_per_node.max(1))
    }
}

impl StartSettings {
    /// The engines that a start has, by groups: their names, and how many they are. Without groups all of them, without a
    /// name.
    pub fn groups(&self) -> Vec<(Option<String>, u32)> {
        let batch = &self.tables.batch;
        if self.tables.engines.launcher != LauncherKind::Batch || batch.groups.is_empty() {
            return vec![(None, self.engines)];
        }
        batch.groups.iter().map(|group| (Some(group.name.clone()), batch.engines_of(group))).collect()
    }
}

/// The variable with which a Python that starts is given its hash seed.
const HASH_SEED: &str = "PYTHONHASHSEED";

/// Has all engines start with one hash seed, if `engines.hash_seed` says so: what the variable says, wherever they run,
/// else the profile's number, else one that is new for each cluster.
fn set_hash_seed(engines: &mut EnginesTable, variables: &Variables) {
    let seed = match (variables.get(HASH_SEED), engines.hash_seed) {
        (_, Shared::Unset) => return,
        (Some(own), _) => own.to_owned(),
        (None, Shared::Number(seed)) => seed.to_string(),
        (None, Shared::Share) => random_seed().to_string(),
    };
    engines.env.entry(HASH_SEED.to_owned()).or_insert(seed);
}

/// The variable that keeps Python from putting the working folder before its standard library before a line of our code
/// runs: a user's `random.py` or `enum.py` there would be everybody's, and break the start itself. Unlike the option `-P`,
/// versions before 3.11 let it pass; with these, engines put the folder last as soon as they run.
pub const SAFE_PATH: &str = "PYTHONSAFEPATH";

/// By this an engine knows that the variable is not the user's, and takes it out of its environment.
pub const SAFE_PATH_OF_ENGINES: &str = "ipclusterz";

fn set_safe_path(engines: &mut EnginesTable, variables: &Variables) {
    let value = variables.get(SAFE_PATH).unwrap_or(SAFE_PATH_OF_ENGINES);
    engines.env.entry(SAFE_PATH.to_owned()).or_insert_with(|| value.to_owned());
}

/// What each engine runs before it takes work, as variables: code may be long, and is nobody else's to read.
fn set_startup(engines: &mut EnginesTable) {
    let startup = [
        ("IPCLUSTERZ_STARTUP_SCRIPT", &engines.startup_script),
        ("IPCLUSTERZ_STARTUP_COMMAND", &engines.startup_command),
    ];
    for (name, value) in startup.into_iter().filter(|(_, value)| !value.is_empty()) {
        engines.env.entry(name.to_owned()).or_insert_with(|| value.clone());
    }
}

/// Any seed but 0, with which Python would not mix hashes at all.
fn random_seed() -> u32 {
    u32::from_str_radix(&places::random_hex(4), 16).unwrap_or_default().max(1)
}

/// Whether `name` matches `pattern`, in which `*` stands for any text.
pub fn name_matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| name_matches(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_engines_of_a_cluster_have_one_hash_seed() {
        let seed = |profile: &[&str], variable: &[(&str, &str)]| {
            let options =
                Options { set: profile.iter().map(|text| (*text).to_owned()).collect(), ..Options::default() };
            let variables =
                Variables::from_pairs(variable.iter().map(|(name, text)| (name.to_string(), text.to_string())));
            let settings = StartSettings::new(None, &options, &variables, &Places::default()).expect("settings");
            assert_eq!(settings.engine_environment, settings.tables.engines.env);
            settings.engine_environment.get(HASH_SEED).cloned()
        };
        let (first, second) = (seed(&[], &[]).expect("a seed"), seed(&[], &[]).expect("a seed"));
        assert!(first.parse::<u32>().is_ok_and(|number| number > 0) && first != second, "{first} {second}");
        assert_eq!(seed(&["engines.hash_seed=7"], &[]).as_deref(), Some("7"));
        assert_eq!(seed(&["engines.hash_seed=7"], &[(HASH_SEED, "random")]).as_deref(), Some("random"));
        assert_eq!(seed(&["engines.hash_seed=unset"], &[(HASH_SEED, "3")]), None);
        assert_eq!(seed(&["engines.env.PYTHONHASHSEED=5"], &[(HASH_SEED, "3")]).as_deref(), Some("5"));
    }

    #[test]
    fn engines_leave_the_working_folder_out_unless_the_user_has_a_say() {
        let value = |profile: &[&str], variable: &[(&str, &str)]| {
            let options =
                Options { set: profile.iter().map(|text| (*text).to_owned()).collect(), ..Options::default() };
            let variables =
                Variables::from_pairs(variable.iter().map(|(name, text)| (name.to_string(), text.to_string())));
            let settings = StartSettings::new(None, &options, &variables, &Places::default()).expect("settings");
            settings.engine_environment.get(SAFE_PATH).cloned()
        };
        assert_eq!(value(&[], &[]).as_deref(), Some(SAFE_PATH_OF_ENGINES));
        assert_eq!(value(&[], &[(SAFE_PATH, "1")]).as_deref(), Some("1"));
        assert_eq!(value(&["engines.env.PYTHONSAFEPATH=yes"], &[(SAFE_PATH, "1")]).as_deref(), Some("yes"));
    }

    #[test]
    fn tunnels_are_not_encrypted_where_nothing_is() {
        let settings = |set: &[&str]| {
            let options = Options { set: set.iter().map(|text| (*text).to_owned()).collect(), ..Options::default() };
            StartSettings::new(None, &options, &Variables::default(), &Places::default())
        };
        assert!(settings(&["controller.encrypt_tunnels=true"]).expect("settings").tables.controller.encrypt_tunnels);
        assert!(!settings(&["controller.encrypt=false"]).expect("settings").tables.controller.encrypt_tunnels);
        let both = settings(&["controller.encrypt=false", "controller.encrypt_tunnels=true"]).expect_err("refused");
        assert_eq!(
            both.to_string(),
            "--set: `controller.encrypt_tunnels`: true makes no sense where `controller.encrypt` (--set) is false"
        );
    }

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, name, expected) in [
            ("OMP_*", "OMP_NUM_THREADS", true),
            ("*", "A", true),
            ("*_PATH", "LD_LIBRARY_PATH", true),
            ("A*B*C", "AxxBC", true),
            ("A*B*C", "AxxCB", false),
            ("PATH", "PATHS", false),
            ("P*H", "PATH", true),
        ] {
            assert_eq!(name_matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
