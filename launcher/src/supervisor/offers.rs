//! What the engines of a cluster offer to tasks: those that there are, and those that may come.

use ipclusterz_profile::tables::Tables;
use ipclusterz_profile::tables::engines::EnginesTable;
use ipclusterz_runtime::wire::message::{Amount, Resources};

/// Each kind once.
pub fn offers(tables: &Tables) -> Vec<Resources> {
    let groups = &tables.batch.groups;
    if groups.is_empty() {
        return vec![offered(&tables.engines)];
    }
    let mut kinds = vec![];
    for group in groups {
        let offer = offered(&tables.batch.engines_in(Some(&group.name), &tables.engines));
        if !kinds.contains(&offer) {
            kinds.push(offer);
        }
    }
    kinds
}

fn offered(engines: &EnginesTable) -> Resources {
    Resources {
        amounts: engines.resources.iter().map(|(name, amount)| (name.clone(), Amount(amount.0))).collect(),
        tags: engines.tags.iter().cloned().collect(),
    }
}
