//! `[engines]`: the engines, and what starts them.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

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

/// See `profiles/default.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "profiles/default.toml explains every key")]
pub struct EnginesTable {
    pub count: u32,
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
    pub hash_seed: Shared,
    pub end_timeout: f64,
    pub directory: String,
    pub wrap: Vec<String>,
    pub setup: Vec<String>,
    pub pass_env: Vec<String>,
    pub env: BTreeMap<String, String>,
}
