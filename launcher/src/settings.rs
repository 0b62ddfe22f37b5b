//! What `start` will do, weighed and checked: option > `IPCLUSTERZ_*` variable > profile > default profile.

use crate::arguments::StartArguments;
use crate::environment::{self, Variables};
use crate::exit_code::Exit;
use crate::failure::Failure;
use crate::profile::{DEFAULT_NAME, Profile, ProfileError};
use ipclusterz_runtime::places::{self, PlacesError};
use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
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
        /// `--option`, the variable or the profile's key.
        origin: String,
        /// What is wrong with it.
        message: String,
        /// What would be right.
        hint: &'static str,
    },
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        match error {
            SettingsError::Profile(error) => error.into(),
            SettingsError::Places(error) => error.into(),
            SettingsError::BadValue { hint, .. } => Failure::new(Exit::Usage, error.to_string()).with_hint(hint),
        }
    }
}

/// A value with the place it came from, for messages.
struct Sourced<T> {
    value: T,
    origin: String,
}

impl<T> Sourced<T> {
    fn error(&self, message: impl Into<String>, hint: &'static str) -> SettingsError {
        SettingsError::BadValue { origin: self.origin.clone(), message: message.into(), hint }
    }
}

/// The three sources of a value below the command line.
struct Sources<'a> {
    variables: &'a Variables,
    profile: &'a Profile,
}

impl Sources<'_> {
    /// The strongest of option, variable, profile and default. The names are those of the option and of the key.
    fn pick<T: FromStr>(
        &self,
        (option, value): (&str, Option<T>),
        variable: &str,
        (key, user, default): (&str, Option<T>, Option<T>),
    ) -> Result<Sourced<T>, SettingsError> {
        if let Some(value) = value {
            return Ok(Sourced { value, origin: option.to_owned() });
        }
        if let Some(text) = self.variables.get(variable) {
            let value = text.parse().map_err(|_| SettingsError::BadValue {
                origin: variable.to_owned(),
                message: format!("{text:?} is not a value for {option}"),
                hint: "unset the variable, or give it a value that the option would take",
            })?;
            return Ok(Sourced { value, origin: variable.to_owned() });
        }
        let origin = format!("{}: `{key}`", self.profile.origin());
        user.or(default).map(|value| Sourced { value, origin: origin.clone() }).ok_or(SettingsError::BadValue {
            origin,
            message: "has no value, not even a default".to_owned(),
            hint: "set it in the profile",
        })
    }
}

/// The cluster that is meant: option, variable or `default`. The name is checked.
pub fn cluster_name(option: Option<&str>, variables: &Variables) -> Result<String, PlacesError> {
    let name = option.or_else(|| variables.get(environment::CLUSTER)).unwrap_or(places::DEFAULT_CLUSTER);
    places::check_name(name)?;
    Ok(name.to_owned())
}

/// A positive number of seconds from an option.
pub fn seconds(origin: &str, value: f64) -> Result<Duration, SettingsError> {
    let bad = || SettingsError::BadValue {
        origin: origin.to_owned(),
        message: format!("{value} is not a number of seconds to wait"),
        hint: "give a number above 0, such as 30 or 0.5",
    };
    if value > 0.0 { Duration::try_from_secs_f64(value).map_err(|_| bad()) } else { Err(bad()) }
}

impl StartSettings {
    /// Weighs all sources. `profiles` is the folder of named profiles.
    pub fn new(
        arguments: &StartArguments,
        variables: &Variables,
        profiles: Option<&Path>,
    ) -> Result<Self, SettingsError> {
        let cluster = cluster_name(arguments.common.cluster.as_deref(), variables)?;
        let name = arguments.profile.as_deref().or_else(|| variables.get(environment::PROFILE)).unwrap_or(DEFAULT_NAME);
        let profile = Profile::load(name, profiles)?;
        let sources = Sources { variables, profile: &profile };
        let (user, default) = (&profile.user, &profile.default);

        let engines = sources.pick(
            ("--engines", arguments.engines),
            environment::ENGINES,
            ("engines.count", user.engines.count, default.engines.count),
        )?;
        if engines.value == 0 {
            return Err(engines.error("0 engines cannot do anything", "start at least one: `ipclusterz -n 1`"));
        }
        let python = sources.pick(
            ("--python", arguments.python.clone()),
            environment::PYTHON,
            ("engines.python", user.engines.python.clone(), default.engines.python.clone()),
        )?;
        let timeout = sources.pick(
            ("--timeout", arguments.timeout),
            environment::TIMEOUT,
            ("engines.timeout", user.engines.timeout, default.engines.timeout),
        )?;
        let restart = sources.pick(
            ("--restart", arguments.restart.then_some(true)),
            environment::RESTART,
            ("engines.restart", user.engines.restart, default.engines.restart),
        )?;
        let mut engine_environment = default.engines.env.clone().unwrap_or_default();
        engine_environment.extend(user.engines.env.clone().unwrap_or_default());
        let (local, listen, advertise) = addresses(arguments, &sources)?;
        Ok(Self {
            cluster,
            profile: profile.name.clone(),
            engines: engines.value,
            python: Some(python.value).filter(|python| !python.is_empty()),
            timeout: seconds(&timeout.origin, timeout.value)?,
            restart: restart.value,
            engine_environment,
            local,
            listen,
            advertise,
        })
    }
}

/// Where the controller is to be reached.
fn addresses(
    arguments: &StartArguments,
    sources: &Sources<'_>,
) -> Result<(bool, Option<String>, Vec<String>), SettingsError> {
    let (user, default) = (&sources.profile.user.controller, &sources.profile.default.controller);
    let listen = sources.pick(
        ("--listen", arguments.listen.clone()),
        environment::LISTEN,
        ("controller.listen", user.listen.clone(), default.listen.clone()),
    )?;
    let comma_separated = |hosts: &Vec<String>| hosts.join(",");
    let advertise = sources.pick(
        ("--advertise", Some(comma_separated(&arguments.advertise)).filter(|hosts| !hosts.is_empty())),
        environment::ADVERTISE,
        (
            "controller.advertise",
            user.advertise.as_ref().map(comma_separated),
            default.advertise.as_ref().map(comma_separated),
        ),
    )?;
    let hosts: Vec<String> =
        advertise.value.split(',').map(|host| host.trim().to_owned()).filter(|host| !host.is_empty()).collect();
    let local = user.local.or(default.local).unwrap_or(true);

    if !listen.value.is_empty() {
        check_listen(&listen)?;
    } else if !hosts.is_empty() {
        return Err(advertise.error("there is no TCP port to offer", "add `--listen 0.0.0.0:0` or another address"));
    } else if !local {
        let origin = format!("{}: `controller.local`", sources.profile.origin());
        let message = "without a unix socket and without a TCP address nobody could reach the controller".to_owned();
        return Err(SettingsError::BadValue { origin, message, hint: "set controller.listen, or local = true" });
    }
    Ok((local, Some(listen.value).filter(|listen| !listen.is_empty()), hosts))
}

/// Refuses what cannot be an address with a port; whether this host has the address is the controller's to find out.
fn check_listen(listen: &Sourced<String>) -> Result<(), SettingsError> {
    const HINT: &str = "give ADDRESS:PORT, such as 0.0.0.0:10101, [::]:10101, or 127.0.0.1:0 for a free port";
    let Some((address, port)) = listen.value.rsplit_once(':') else {
        return Err(listen.error(format!("{:?} has no port", listen.value), HINT));
    };
    let bracketed = address.starts_with('[') && address.ends_with(']');
    if address.is_empty() || (address.contains(':') && !bracketed) || address.contains(['/', ' ']) {
        return Err(listen.error(format!("{address:?} is not an address"), HINT));
    }
    match port.parse::<u16>() {
        Ok(_) => Ok(()),
        Err(_) => Err(listen.error(format!("{port:?} is not a port (0 to 65535)"), HINT)),
    }
}

#[cfg(test)]
mod tests;
