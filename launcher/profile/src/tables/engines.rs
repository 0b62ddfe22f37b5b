//! `[engines]`: the engines, and what starts them.

use serde::{Deserialize, Serialize};
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
    pub end_timeout: f64,
    pub directory: String,
    pub wrap: Vec<String>,
    pub setup: Vec<String>,
    pub pass_env: Vec<String>,
    pub env: BTreeMap<String, String>,
}
