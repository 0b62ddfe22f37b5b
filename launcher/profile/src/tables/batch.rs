//! `[batch]`: what the jobs of a queue ask for.

use serde::Deserialize;

/// Elastic blocks: jobs that start and end with the load-balanced work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blocks {
    /// The fewest jobs at any time, even without work.
    pub min: u32,
    /// The most jobs at any time. 0 means no blocks: one job has all engines.
    pub max: u32,
    /// The nodes of each job.
    pub nodes: u32,
}

/// See `profiles/default.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "profiles/default.toml explains every key")]
pub struct BatchTable {
    pub partition: String,
    pub account: String,
    pub qos: String,
    pub time_limit: String,
    pub nodes: u32,
    pub engines_per_node: u32,
    pub cores_per_engine: u32,
    pub memory: String,
    pub gpus: u32,
    pub constraint: String,
    pub job_name: String,
    pub directives: Vec<String>,
    pub array: bool,
    pub check_world: bool,
    pub blocks: Blocks,
    pub idle_time: f64,
    pub warn_before: f64,
    pub drain_before: f64,
    pub renew: bool,
    pub poll: f64,
    pub queue_timeout: f64,
    pub strict: bool,
}
