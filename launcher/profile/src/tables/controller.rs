//! `[controller]`: where the controller listens, and what survives its death.

use ipclusterz_host::units;
use serde::{Deserialize, Deserializer};

/// `controller.journal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Journal {
    /// Everything that is accepted is written down first.
    #[default]
    On,
    /// Nothing is.
    Off,
    /// What cannot be written down is accepted all the same.
    BestEffort,
}

impl Journal {
    /// The word for it in profiles and options.
    pub fn word(self) -> &'static str {
        match self {
            Journal::On => "on",
            Journal::Off => "off",
            Journal::BestEffort => "best-effort",
        }
    }
}

/// See `profiles/default.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "profiles/default.toml explains every key")]
pub struct ControllerTable {
    pub local: bool,
    pub listen: String,
    pub advertise: Vec<String>,
    pub encrypt: bool,
    pub encrypt_tunnels: bool,
    pub compress: bool,
    pub session_grace: f64,
    pub engine_grace: f64,
    pub wait_for_engines: f64,
    pub crash_limit: u32,
    pub scheme: String,
    pub prefetch: Prefetch,
    pub kill_grace: f64,
    pub restart: bool,
    pub journal: Journal,
    pub keep_results: f64,
    pub keep_results_bytes: String,
    pub keep_events: f64,
    pub keep_events_bytes: String,
}

/// `controller.prefetch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefetch {
    /// As many tasks as keep an engine busy.
    Auto,
    /// So many.
    Number(u32),
}

impl<'de> Deserialize<'de> for Prefetch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = toml::Value::deserialize(deserializer)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let number = || text.parse().map(Prefetch::Number);
        if text == "auto" { Ok(Prefetch::Auto) } else { number().map_err(|_| bad_prefetch(&value.to_string())) }
    }
}

fn bad_prefetch<E: serde::de::Error>(value: &str) -> E {
    E::invalid_value(serde::de::Unexpected::Other(value), &"\"auto\" or a whole number from 0 on")
}

impl ControllerTable {
    /// How many bytes of results are kept; `None` if `keep_results_bytes` is no size, which is checked before anything is started.
    pub fn kept_bytes(&self) -> Option<u64> {
        units::memory(&self.keep_results_bytes.replacen(' ', "", 1))
    }

    /// The same of events.
    pub fn kept_bytes_of_events(&self) -> Option<u64> {
        units::memory(&self.keep_events_bytes.replacen(' ', "", 1))
    }
}
