//! What does not change while a cluster runs.

use super::loss::Limit;
use ipclusterz_launchers::rank_loss::RankLoss;
use std::time::Duration;

/// How sets are started again, and how long is waited for engines.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Start sets that die again.
    pub restart: bool,
    /// How often a start that fails is tried again.
    pub retries: u32,
    /// What the loss of an engine is to the others of its set, if the sets are worlds.
    pub rank_loss: Option<RankLoss>,
    /// How often a world may be started again.
    pub restart_limit: Limit,
    /// How long engines may take to register once their processes run.
    pub timeout: Duration,
    /// This host.
    pub host: String,
}
