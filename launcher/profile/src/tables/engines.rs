//! `[engines]`: the engines, and what starts them.

use super::stage::Stage;
use ipclusterz_host::units::memory;
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Which launcher starts the engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LauncherKind {
    /// Processes on this host.
    Local,
    /// Processes on the hosts of `[ssh]`.
    Ssh,
    /// The ranks of one mpiexec.
    Mpiexec,
    /// Jobs of a queue.
    Batch,
}

impl LauncherKind {
    /// Its name in a profile.
    pub fn word(self) -> &'static str {
        match self {
            LauncherKind::Local => "local",
            LauncherKind::Ssh => "ssh",
            LauncherKind::Mpiexec => "mpiexec",
            LauncherKind::Batch => "batch",
        }
    }
}

/// `engines.on_rank_loss`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnRankLoss {
    /// All ranks are ended and started again.
    #[default]
    Restart,
    /// The other ranks go on.
    Shrink,
    /// All ranks are ended.
    Stop,
}

impl OnRankLoss {
    /// Its name in a profile.
    pub fn word(self) -> &'static str {
        match self {
            OnRankLoss::Restart => "restart",
            OnRankLoss::Shrink => "shrink",
            OnRankLoss::Stop => "stop",
        }
    }
}

/// `engines.bind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bind {
    /// Engines run where the scheduler puts them.
    #[default]
    None,
    /// Each has a block of the cores.
    Core,
    /// Each has the cores of a NUMA node.
    Numa,
}

impl Bind {
    /// Its name in a profile.
    pub fn word(self) -> &'static str {
        match self {
            Bind::None => "none",
            Bind::Core => "core",
            Bind::Numa => "numa",
        }
    }
}

/// `engines.gpus`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Gpus {
    /// Engines see what they inherit.
    #[default]
    None,
    /// Those that a host has, or that its engines inherit, are dealt out.
    Auto,
    /// These are dealt out.
    Ids(Vec<String>),
}

impl<'de> Deserialize<'de> for Gpus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "\"none\", \"auto\", or the GPUs: \"0,1\" or [0, 1]";
        let bad = |value: &toml::Value| D::Error::invalid_value(Unexpected::Other(&value.to_string()), &EXPECTED);
        let id = |value: &toml::Value| match value {
            toml::Value::String(text) => Ok(text.trim().to_owned()),
            toml::Value::Integer(number) => Ok(number.to_string()),
            other => Err(bad(other)),
        };
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) if text == "none" => Ok(Gpus::None),
            toml::Value::String(text) if text == "auto" => Ok(Gpus::Auto),
            toml::Value::String(text) => Ok(Gpus::Ids(text.split(',').map(|id| id.trim().to_owned()).collect())),
            toml::Value::Array(items) => items.iter().map(id).collect::<Result<_, _>>().map(Gpus::Ids),
            other => id(&other).map(|id| Gpus::Ids(vec![id])),
        }
    }
}

/// A number, or one of two words: the form of `engines.threads` and `engines.hash_seed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shared {
    /// `"share"`: as it fits the other engines.
    Share,
    /// This number.
    Number(u32),
    /// `"unset"`: nothing is set.
    Unset,
}

impl<'de> Deserialize<'de> for Shared {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "\"share\", \"unset\" or a whole number from 0 on";
        // What options and variables say is text.
        let number = |text: &str| text.parse().map(Shared::Number).ok();
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => match text.as_str() {
                "share" => Ok(Shared::Share),
                "unset" => Ok(Shared::Unset),
                text => number(text).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(text), &EXPECTED)),
            },
            other => {
                let text = other.to_string();
                number(&text).ok_or_else(|| D::Error::invalid_value(Unexpected::Other(&text), &EXPECTED))
            }
        }
    }
}

/// So much of a resource, in ten-thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount(pub u64);

impl Amount {
    const UNIT: f64 = 10_000.0;
    /// More of something than there is.
    const MOST: f64 = 5e14;

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within bounds")]
    fn of(number: f64) -> Option<Amount> {
        (0.0..=Self::MOST).contains(&number).then(|| Amount((number * Self::UNIT).round() as u64))
    }
}

impl fmt::Display for Amount {
    #[allow(clippy::cast_precision_loss, reason = "for a command line")]
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0 as f64 / Self::UNIT)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "a number from 0 on, or a size as \"16G\"";
        let value = toml::Value::deserialize(deserializer)?;
        #[allow(clippy::cast_precision_loss, reason = "no resource has so many digits")]
        let number = match &value {
            toml::Value::Integer(number) => Some(*number as f64),
            toml::Value::Float(number) => Some(*number),
            // What options and variables say is text.
            toml::Value::String(text) => text.parse().ok().or_else(|| memory(text).map(|bytes| bytes as f64)),
            _ => None,
        };
        let bad = || D::Error::invalid_value(Unexpected::Other(&value.to_string()), &EXPECTED);
        number.and_then(Amount::of).ok_or_else(bad)
    }
}

/// See `profiles/default.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "profiles/default.toml explains every key")]
pub struct EnginesTable {
    pub count: u32,
    pub min: u32,
    pub launcher: LauncherKind,
    pub python: String,
    pub timeout: f64,
    pub restart: bool,
    pub retries: u32,
    pub on_rank_loss: OnRankLoss,
    pub restart_limit: u32,
    pub restart_window: f64,
    pub lease: f64,
    pub threads: Shared,
    pub bind: Bind,
    pub gpus: Gpus,
    pub memory: String,
    pub tags: Vec<String>,
    pub resources: BTreeMap<String, Amount>,
    pub hash_seed: Shared,
    pub end_timeout: f64,
    pub directory: String,
    pub fork: bool,
    pub agent: bool,
    pub capture_output: bool,
    pub preload: Vec<String>,
    pub startup_script: String,
    pub startup_command: String,
    pub stage: Stage,
    pub wrap: Vec<String>,
    pub setup: Vec<String>,
    pub pass_env: Vec<String>,
    pub env: BTreeMap<String, String>,
}

impl EnginesTable {
    /// The table as it is for engines that offer something else.
    pub fn offering(&self, tags: Option<&[String]>, resources: Option<&BTreeMap<String, Amount>>) -> Self {
        let mut table = self.clone();
        if let Some(tags) = tags {
            table.tags = tags.to_vec();
        }
        if let Some(resources) = resources {
            table.resources.clone_from(resources);
        }
        table
    }

    /// The most memory that an engine may have, in bytes, if there is a limit that can be read.
    pub fn memory_bytes(&self) -> Option<u64> {
        memory(&self.memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Table {
        gpus: Gpus,
    }

    #[test]
    fn gpus_are_a_word_or_ids_in_either_form() {
        let of = |text: &str| toml::from_str::<Table>(&format!("gpus = {text}")).map(|table| table.gpus);
        let ids = |ids: &[&str]| Gpus::Ids(ids.iter().map(|id| (*id).to_owned()).collect());
        assert_eq!((of("\"none\""), of("\"auto\"")), (Ok(Gpus::None), Ok(Gpus::Auto)));
        for (text, wanted) in [
            ("\"0,1, 3\"", ids(&["0", "1", "3"])),
            ("[0, \"MIG-1a\"]", ids(&["0", "MIG-1a"])),
            ("2", ids(&["2"])),
            ("\"\"", ids(&[""])),
        ] {
            assert_eq!(of(text), Ok(wanted), "{text}");
        }
        for text in ["true", "[1.5]", "{ a = 1 }"] {
            assert!(of(text).expect_err(text).message().contains("\"auto\", or the GPUs"), "{text}");
        }
    }
}
