//! What the engines of a cluster offer to tasks: those that there are, and those that may come.

use ipclusterz_profile::tables::Tables;
use ipclusterz_profile::tables::engines::EnginesTable;
use ipclusterz_runtime::wire::message::{Amount, Resources};

/// Each kind once.
pub fn offers(tables: &Tables) -> Vec<Resources> {
    let groups = &tables.batch.groups;
    let mut kinds = vec![];
    if groups.is_empty() {
        kinds.push(offered(&tables.engines));
    }
    kinds.extend(groups.iter().map(|group| offered(&tables.batch.engines_in(Some(&group.name), &tables.engines))));
    kinds.dedup();
    kinds
}

fn offered(engines: &EnginesTable) -> Resources {
    Resources {
        amounts: engines.resources.iter().map(|(name, amount)| (name.clone(), Amount(amount.0))).collect(),
        tags: engines.tags.iter().cloned().collect(),
    }
}
