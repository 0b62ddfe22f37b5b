//! The settings of the core. They do not change while a cluster runs, except `rank_loss`, which the launcher reports.

use super::loss::Limit;
use ipclusterz_launchers::rank_loss::RankLoss;
use std::time::Duration;

/// How sets are started again, and how long engines are waited for.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Whether sets that die are started again.
    pub restart: bool,
    /// Whether the job of a set can start single engines again.
    pub again_in_job: bool,
    /// Whether engines that were lost may come back in sets of their own.
    pub own_jobs: bool,
    /// With so many engines a start is good; 0 means all.
    pub least: u32,
    /// How long engines may wait in a queue before a start is given up, if not for ever.
    pub queue_timeout: Option<Duration>,
    /// Whether a controller that dies is started again.
    pub restart_controller: bool,
    /// How often a failed start of a set is tried again.
    pub retries: u32,
    /// What the loss of an engine means for the others of its set, if the sets are worlds.
    pub rank_loss: Option<RankLoss>,
    /// How often a world may be started again.
    pub restart_limit: Limit,
    /// How long engines may take to end once they are told to.
    pub end_timeout: Duration,
    /// How long engines may take to register once their processes run.
    pub timeout: Duration,
    /// The name of this host.
    pub host: String,
}

/// So long a controller may take to listen, however short the timeout for engines is.
const LISTEN_AT_LEAST: Duration = Duration::from_secs(10);

impl Policy {
    /// How long the controller may take to listen.
    pub fn listen_patience(&self) -> Duration {
        self.timeout.max(LISTEN_AT_LEAST)
    }
}
