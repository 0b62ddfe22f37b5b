//! `[batch]`: what the jobs of a queue ask for.

use super::engines::{Amount, EnginesTable};
use serde::Deserialize;
use std::collections::BTreeMap;

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

/// Engines of a kind, which have jobs of their own. What it does not say is as `[batch]` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// What it is called.
    pub name: String,
    /// How many engines; 0: as many as its nodes hold.
    #[serde(default)]
    pub engines: u32,
    /// As in `[batch]`, like all that follow.
    pub partition: Option<String>,
    /// See there.
    pub account: Option<String>,
    /// See there.
    pub qos: Option<String>,
    /// See there.
    pub time_limit: Option<String>,
    /// See there.
    pub nodes: Option<u32>,
    /// See there.
    pub engines_per_node: Option<u32>,
    /// See there.
    pub cores_per_engine: Option<u32>,
    /// See there.
    pub memory: Option<String>,
    /// See there.
    pub gpus: Option<u32>,
    /// See there.
    pub constraint: Option<String>,
    /// See there.
    pub directives: Option<Vec<String>>,
    /// As in `[engines]`.
    pub tags: Option<Vec<String>>,
    /// See there.
    pub resources: Option<BTreeMap<String, Amount>>,
}

/// The keys of a group, sorted.
pub const GROUP_KEYS: [&str; 15] = [
    "account",
    "constraint",
    "cores_per_engine",
    "directives",
    "engines",
    "engines_per_node",
    "gpus",
    "memory",
    "name",
    "nodes",
    "partition",
    "qos",
    "resources",
    "tags",
    "time_limit",
];

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
    pub groups: Vec<Group>,
    pub idle_time: f64,
    pub warn_before: f64,
    pub drain_before: f64,
    pub renew: bool,
    pub poll: f64,
    pub queue_timeout: f64,
    pub strict: bool,
}

impl BatchTable {
    /// The table as it is for the jobs of a group; this one where there is no such group.
    pub fn of_group(&self, name: Option<&str>) -> Self {
        let group = self.groups.iter().find(|group| Some(group.name.as_str()) == name).cloned().unwrap_or_default();
        let base = Self { groups: Vec::new(), ..self.clone() };
        Self {
            partition: group.partition.unwrap_or(base.partition),
            account: group.account.unwrap_or(base.account),
            qos: group.qos.unwrap_or(base.qos),
            time_limit: group.time_limit.unwrap_or(base.time_limit),
            nodes: group.nodes.unwrap_or(base.nodes),
            engines_per_node: group.engines_per_node.unwrap_or(base.engines_per_node),
            cores_per_engine: group.cores_per_engine.unwrap_or(base.cores_per_engine),
            memory: group.memory.unwrap_or(base.memory),
            gpus: group.gpus.unwrap_or(base.gpus),
            constraint: group.constraint.unwrap_or(base.constraint),
            directives: group.directives.unwrap_or(base.directives),
            ..base
        }
    }

    /// What the engines of a group offer to tasks, in the table `[engines]` that they have.
    pub fn engines_in(&self, name: Option<&str>, engines: &EnginesTable) -> EnginesTable {
        let group = self.groups.iter().find(|group| Some(group.name.as_str()) == name);
        group.map_or_else(|| engines.clone(), |it| engines.offering(it.tags.as_deref(), it.resources.as_ref()))
    }

    /// How many engines a group has: as many as it says, else as its nodes hold; 0 where nothing says.
    pub fn engines_of(&self, group: &Group) -> u32 {
        let own = self.of_group(Some(&group.name));
        if group.engines > 0 { group.engines } else { own.nodes.saturating_mul(own.engines_per_node) }
    }

    /// How many engines all groups have.
    pub fn engines_of_groups(&self) -> u32 {
        self.groups.iter().fold(0, |sum, group| sum.saturating_add(self.engines_of(group)))
    }

    /// The names of the groups, for messages: `big, small`.
    pub fn names_of_groups(&self) -> String {
        self.groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}
