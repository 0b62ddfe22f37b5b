//! What engines offer, and what tasks need of it.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// So much of a resource, in ten-thousandths: a third of a GPU can be asked for, and three of them are not more than one.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amount(pub u64);

impl Amount {
    /// How many make one.
    pub const UNIT: f64 = 10_000.0;

    /// How many that is.
    #[allow(clippy::cast_precision_loss, reason = "nothing has so many")]
    pub fn value(self) -> f64 {
        self.0 as f64 / Self::UNIT
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.value())
    }
}

/// What an engine offers to a task, or what a task needs of an engine.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// How much of what: GPUs, bytes of memory, licences.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub amounts: BTreeMap<String, Amount>,
    /// What an engine is called, too.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
}

impl Resources {
    /// Nothing.
    pub fn is_empty(&self) -> bool {
        self.amounts.is_empty() && self.tags.is_empty()
    }

    /// Whether this is enough for `needs`.
    pub fn meet(&self, needs: &Resources) -> bool {
        self.lacks(needs).next().is_none()
    }

    /// What is missing here of `needs`, for people: `gpus: 2 are needed, 1 is offered`.
    pub fn lacks<'a>(&'a self, needs: &'a Resources) -> impl Iterator<Item = String> + 'a {
        let offered = |name: &String| self.amounts.get(name).copied().unwrap_or_default();
        let short = needs.amounts.iter().filter(move |(name, needed)| offered(name) < **needed);
        let short = short.map(move |(name, needed)| format!("{name}: {needed} needed, {} offered", offered(name)));
        short.chain(needs.tags.difference(&self.tags).map(|tag| format!("no tag {tag}")))
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amounts = self.amounts.iter().map(|(name, amount)| format!("{name}={amount}"));
        let words: Vec<String> = amounts.chain(self.tags.iter().cloned()).collect();
        formatter.write_str(&words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(amounts: &[(&str, u64)], tags: &[&str]) -> Resources {
        Resources {
            amounts: amounts.iter().map(|(name, amount)| ((*name).to_owned(), Amount(*amount))).collect(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        let offer = resources(&[("gpus", 10_000), ("memory", 160_000)], &["bigmem"]);
        assert!(offer.meet(&Resources::default()) && offer.meet(&resources(&[("gpus", 3_333)], &["bigmem"])));
        let needs = resources(&[("gpus", 20_000), ("licence", 10_000)], &["fast"]);
        let lacks: Vec<String> = offer.lacks(&needs).collect();
        assert_eq!(lacks, ["gpus: 2 needed, 1 offered", "licence: 1 needed, 0 offered", "no tag fast"]);
        assert_eq!(needs.to_string(), "gpus=2, licence=1, fast");
    }
}
