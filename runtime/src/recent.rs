//! What is remembered of those that were there, as long as it is not too much: the oldest go first.

use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::collections::BTreeMap;

/// At most `most` values by their keys.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "K: Ord + Deserialize<'de>, V: Deserialize<'de>"))]
pub struct Recent<K, V> {
    most: usize,
    /// Each with its place in `order`.
    values: BTreeMap<K, (u64, V)>,
    order: BTreeMap<u64, K>,
    last: u64,
}

impl<K: Clone + Ord, V> Recent<K, V> {
    /// Nothing yet.
    pub fn new(most: usize) -> Self {
        Recent { most, values: BTreeMap::new(), order: BTreeMap::new(), last: 0 }
    }

    /// Remembers a value as the newest, in place of a former one with that key.
    pub fn insert(&mut self, key: K, value: V) {
        self.remove(&key);
        self.last = self.last.wrapping_add(1);
        self.order.insert(self.last, key.clone());
        self.values.insert(key, (self.last, value));
        if self.values.len() > self.most
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.values.remove(&oldest);
        }
    }

    /// Forgets one, and gives it.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let (place, value) = self.values.remove(key)?;
        self.order.remove(&place);
        Some(value)
    }

    /// One, if it is remembered.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.values.get(key).map(|(_, value)| value)
    }

    /// One, if it is remembered, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.values.get_mut(key).map(|(_, value)| value)
    }

    /// All that are remembered, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.values.values_mut().map(|(_, value)| value)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.values.clear();
        self.order.clear();
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// None are.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_what_is_told_again_is_new() {
        let mut recent = Recent::new(2);
        for (key, value) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
            recent.insert(key, value);
        }
        assert_eq!([recent.get("a"), recent.get("b"), recent.get("c")], [Some(&3), None, Some(&4)]);
        assert_eq!((recent.remove("a"), recent.remove("a"), recent.len()), (Some(3), None, 1));
        for _ in 0..1000 {
            recent.insert("d", 5);
            recent.remove("d");
        }
        assert_eq!((recent.len(), recent.order.len()), (1, 1));
    }
}
