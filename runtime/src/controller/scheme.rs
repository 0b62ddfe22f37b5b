//! By which rule an engine is chosen for the next balanced task, of those that have room for one.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Which of several engines is given a task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// The one that has least to do; where several have as little, they have turns.
    #[default]
    LeastLoad,
    /// The one that was given its last task longest ago.
    Lru,
    /// Any, each as likely.
    Random,
    /// Any; one that has half as much to do is twice as likely.
    Weighted,
    /// The next by its number, whatever it has to do.
    Pure,
}

impl Scheme {
    /// All of them, each with the word for it.
    pub const WORDS: [(Scheme, &str); 5] = [
        (Scheme::LeastLoad, "leastload"),
        (Scheme::Lru, "lru"),
        (Scheme::Random, "random"),
        (Scheme::Weighted, "weighted"),
        (Scheme::Pure, "pure"),
    ];
}

impl FromStr for Scheme {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::WORDS.iter().find(|(_, word)| *word == text);
        found
            .map(|(scheme, _)| *scheme)
            .ok_or_else(|| format!("{text:?} is none of {:?}", Self::WORDS.map(|(_, word)| word)))
    }
}

/// A number that looks like chance, for each `seed` another one: the finalizer of SplitMix64 (Steele, Lea and Flood, 2014). The same
/// events lead to the same choices, as a journal needs.
pub(super) fn scattered(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
