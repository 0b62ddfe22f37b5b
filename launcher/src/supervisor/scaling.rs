//! Chooses which engines leave when a cluster shrinks. Pure.

use ipclusterz_base::ids::EngineId;
use ipclusterz_launchers::set::SetId;
use std::cmp::Reverse;

/// A set from which engines may be taken.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The set.
    pub set: SetId,
    /// Its engines, registered or not.
    pub engines: Vec<EngineId>,
    /// The engines that have registered, and how many tasks each has.
    pub loads: Vec<(EngineId, u64)>,
}

impl Candidate {
    fn is_registered(&self) -> bool {
        !self.loads.is_empty()
    }

    fn load(&self) -> u64 {
        self.loads.iter().map(|(_, load)| load).sum()
    }
}

/// The sets and engines that leave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Whole sets of which no engine has registered.
    pub sets: Vec<SetId>,
    /// Engines that have registered.
    pub engines: Vec<EngineId>,
}

/// Why this many engines cannot be removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotRemove {
    /// There are fewer engines.
    #[error("{wanted} engines cannot be removed: there are {there}")]
    TooMany {
        /// How many were to go.
        wanted: u32,
        /// How many there are.
        there: u32,
    },
    /// They are ranks of worlds, which leave together.
    #[error(
        "{wanted} engines cannot be removed: engines of one MPI_COMM_WORLD go together, and the sets have {sizes} engines"
    )]
    Together {
        /// How many were to go.
        wanted: u32,
        /// The sizes of the sets.
        sizes: String,
    },
}

/// Chooses `count` engines to remove: first whole sets of which no engine has registered, then idle engines, then those
/// with the fewest tasks. Of equal ones, those with the highest ids are chosen. With `together`, only whole sets are
/// chosen.
pub fn choose(candidates: &[Candidate], together: bool, count: u32) -> Result<Choice, CannotRemove> {
    let there: usize = candidates.iter().map(|candidate| candidate.engines.len()).sum();
    let mut left = count as usize;
    if left > there {
        return Err(CannotRemove::TooMany { wanted: count, there: u32::try_from(there).unwrap_or(u32::MAX) });
    }
    let mut order: Vec<&Candidate> = candidates.iter().collect();
    order.sort_by_key(|candidate| (candidate.is_registered(), candidate.load(), Reverse(candidate.set)));
    let mut choice = Choice::default();
    for candidate in &order {
        let whole = together || !candidate.is_registered();
        if whole && candidate.engines.len() <= left {
            left -= candidate.engines.len();
            if candidate.is_registered() {
                choice.engines.extend(candidate.loads.iter().map(|(id, _)| *id));
            } else {
                choice.sets.push(candidate.set);
            }
        }
    }
    if together && left > 0 {
        let sizes: Vec<String> = candidates.iter().map(|candidate| candidate.engines.len().to_string()).collect();
        return Err(CannotRemove::Together { wanted: count, sizes: sizes.join(", ") });
    }
    let registered = order.iter().filter(|_| !together);
    let mut engines: Vec<(u64, u64, Reverse<EngineId>)> = registered
        .flat_map(|candidate| candidate.loads.iter().map(|(id, load)| (*load, candidate.load(), Reverse(*id))))
        .collect();
    engines.sort_unstable();
    choice.engines.extend(engines.into_iter().take(left).map(|(_, _, Reverse(id))| id));
    Ok(choice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(set: u32, engines: std::ops::Range<u32>, loads: &[u64]) -> Candidate {
        let engines: Vec<EngineId> = engines.map(EngineId).collect();
        let loads = engines.iter().copied().zip(loads.iter().copied()).collect();
        Candidate { set: SetId(set), engines, loads }
    }

    fn ids(ids: &[u32]) -> Vec<EngineId> {
        ids.iter().copied().map(EngineId).collect()
    }

    #[test]
    fn unregistered_sets_leave_first_then_idle_engines_then_the_least_loaded() {
        let sets =
            [candidate(0, 0..1, &[3]), candidate(1, 1..2, &[0]), candidate(2, 2..3, &[1]), candidate(3, 3..4, &[])];
        let choose = |count| choose(&sets, false, count).expect("possible");
        assert_eq!(choose(1), Choice { sets: vec![SetId(3)], engines: vec![] });
        assert_eq!(choose(3), Choice { sets: vec![SetId(3)], engines: ids(&[1, 2]) });
        assert_eq!(choose(4).engines, ids(&[1, 2, 0]));
    }

    #[test]
    fn of_equal_engines_the_highest_id_leaves_and_an_idle_job_leaves_whole() {
        let sets = [candidate(0, 0..2, &[0, 4]), candidate(1, 2..4, &[0, 0])];
        assert_eq!(choose(&sets, false, 2).expect("possible").engines, ids(&[3, 2]));
        assert_eq!(choose(&sets, false, 3).expect("possible").engines, ids(&[3, 2, 0]));
    }

    #[test]
    fn ranks_go_together_or_not_at_all() {
        let sets = [candidate(0, 0..4, &[0; 4]), candidate(1, 4..6, &[0; 2])];
        assert_eq!(choose(&sets, true, 2).expect("possible").engines, ids(&[4, 5]));
        let error = choose(&sets, true, 1).expect_err("impossible");
        assert!(error.to_string().ends_with("the sets have 4, 2 engines"), "{error}");
        assert_eq!(choose(&sets, true, 7), Err(CannotRemove::TooMany { wanted: 7, there: 6 }));
    }
}
