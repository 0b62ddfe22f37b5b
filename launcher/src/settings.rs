//! What `start` will do: the merged profile and the cluster's name, checked as far as anyone can without trying.

mod checks;

use crate::arguments::StartArguments;
use crate::batch::script;
use crate::environment::{self, Variables};
use crate::exit_code::Exit;
use crate::failure::Failure;
use crate::profile::{self, Options, Places, Profile, ProfileError};
use crate::tables::Tables;
use crate::tables::engines::LauncherKind;
use ipclusterz_runtime::places::{self, PlacesError};
use std::collections::BTreeMap;
use std::time::Duration;

/// A start that can be carried out as far as anyone can tell without trying.
#[derive(Debug, Clone, PartialEq)]
pub struct StartSettings {
    /// Name of the cluster.
    pub cluster: String,
    /// Name or path of the profile, for the records.
    pub profile: String,
    /// How many engines; at least one.
    pub engines: u32,
    /// Their Python: a path or a name; `None`: look for one.
    pub python: Option<String>,
    /// How long they may take to register.
    pub timeout: Duration,
    /// Whether one that dies is started again.
    pub restart: bool,
    /// Variables set for engines on top of the launcher's own environment.
    pub engine_environment: BTreeMap<String, String>,
    /// Whether the controller has a unix socket.
    pub local: bool,
    /// Its TCP address.
    pub listen: Option<String>,
    /// Hosts to offer for the TCP address.
    pub advertise: Vec<String>,
    /// The whole of the profile; what is above has been taken from it.
    pub tables: Tables,
}

/// Why there is no such start.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The profile.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The cluster's name.
    #[error(transparent)]
    Places(#[from] PlacesError),
    /// A value, named with the place it came from.
    #[error("{origin}: {message}")]
    BadValue {
        /// `--option`, the variable, or the profile's file, line and key.
        origin: String,
        /// What is wrong with it.
        message: String,
        /// What would be right.
        hint: String,
    },
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        match error {
            SettingsError::Profile(error) => error.into(),
            SettingsError::Places(error) => error.into(),
            SettingsError::BadValue { ref hint, .. } => Failure::new(Exit::Usage, error.to_string()).with_hint(hint),
        }
    }
}

/// The cluster that is meant: option, variable or `default`. The name is checked.
pub fn cluster_name(option: Option<&str>, variables: &Variables) -> Result<String, PlacesError> {
    let name = option.or_else(|| variables.get(environment::CLUSTER)).unwrap_or(places::DEFAULT_CLUSTER);
    places::check_name(name)?;
    Ok(name.to_owned())
}

/// The longest time that is taken for one: thirty years. Far larger ones would overflow a clock.
const LONGEST: f64 = 1e9;

/// A positive number of seconds from an option.
pub fn seconds(origin: &str, value: f64) -> Result<Duration, SettingsError> {
    if value > 0.0 && value <= LONGEST {
        return Ok(Duration::from_secs_f64(value));
    }
    Err(SettingsError::BadValue {
        origin: origin.to_owned(),
        message: format!("{value} is not a number of seconds to wait"),
        hint: "give a number above 0, such as 30 or 0.5".to_owned(),
    })
}

/// The options of `start` that bear on the profile.
pub fn options_of(arguments: &StartArguments) -> Options {
    let mut keys = Vec::new();
    let mut add = |option, key, value: Option<toml::Value>| keys.extend(value.map(|value| (option, key, value)));
    add("--engines", "engines.count", arguments.engines.map(|count| i64::from(count).into()));
    add("--python", "engines.python", arguments.python.as_deref().map(Into::into));
    add("--timeout", "engines.timeout", arguments.timeout.map(Into::into));
    add("--restart", "engines.restart", arguments.restart.then_some(true.into()));
    add("--listen", "controller.listen", arguments.listen.as_deref().map(Into::into));
    let hosts = arguments.advertise.iter().flat_map(|hosts| hosts.split(','));
    add("--advertise", "controller.advertise", (!arguments.advertise.is_empty()).then(|| profile::list(hosts)));
    Options { profile: arguments.profile.clone(), set: arguments.set.clone(), keys }
}

/// A merged profile with what follows from its values, before any check of what they mean.
pub fn merged_profile(options: &Options, variables: &Variables, places: &Places) -> Result<Profile, ProfileError> {
    let mut profile = Profile::load(options, variables, places)?;
    checks::derive(&mut profile)?;
    Ok(profile)
}

/// The same after all checks.
pub fn checked_profile(options: &Options, variables: &Variables, places: &Places) -> Result<Profile, SettingsError> {
    let profile = merged_profile(options, variables, places)?;
    checks::check(&profile)?;
    Ok(profile)
}

/// The checks alone.
pub fn check_profile(profile: &Profile) -> Result<(), SettingsError> {
    checks::check(profile)
}

impl StartSettings {
    /// Weighs all sources.
    pub fn new(arguments: &StartArguments, variables: &Variables, places: &Places) -> Result<Self, SettingsError> {
        let cluster = cluster_name(arguments.common.cluster.as_deref(), variables)?;
        Self::of(cluster, checked_profile(&options_of(arguments), variables, places)?)
    }

    /// What a merged profile means for the cluster of that name.
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
    /// Variables of this process that `engines.pass_env` lets through to engines elsewhere.
    pub fn passed_environment(&self) -> BTreeMap<String, String> {
        let pass = &self.tables.engines.pass_env;
        let own = std::env::vars_os();
        let own = own.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        own.filter(|(name, _)| pass.iter().any(|pattern| script::matches(pattern, name))).collect()
    }

    /// Variables for engines that do not inherit those of this process: what is passed, then `engines.env`.
    pub fn environment_elsewhere(&self) -> BTreeMap<String, String> {
        self.passed_environment().into_iter().chain(self.engine_environment.clone()).collect()
    }

    /// How many engines a block has, where jobs come and go with the work.
    pub fn engines_per_block(&self) -> Option<u32> {
        let batch = &self.tables.batch;
        (self.tables.engines.launcher == LauncherKind::Batch && batch.blocks.max > 0)
            .then(|| batch.blocks.nodes.max(1) * batch.engines_per_node.max(1))
    }
}

#[cfg(test)]
mod tests;
