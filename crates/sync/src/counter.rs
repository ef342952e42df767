//! Counts by key.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::{Arc, Mutex},
};

use crate::lock::lock;

/// Counts by key, inside state that has a lock of its own. A key whose count is zero takes no memory.
#[derive(Debug, Clone)]
pub struct Counts<K>(HashMap<K, usize>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Counts<K> {
    /// How often a key was added and not removed.
    pub fn get(&self, key: &K) -> usize {
        self.0.get(key).copied().unwrap_or(0)
    }

    /// The keys that are not at zero.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }

    /// Counts one more.
    pub fn add(&mut self, key: K) {
        *self.0.entry(key).or_default() += 1;
    }

    /// Counts one less; a key at zero stays there.
    pub fn remove(&mut self, key: K) {
        if let Entry::Occupied(mut entry) = self.0.entry(key) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// [`Counts`] that threads share, where a guard counts one. Cheap to clone.
#[derive(Debug)]
pub struct Counter<K>(Arc<Mutex<Counts<K>>>);

impl<K> Clone for Counter<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K> Default for Counter<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Copy + Eq + Hash> Counter<K> {
    /// How many guards of a key there are.
    pub fn get(&self, key: &K) -> usize {
        lock(&self.0).get(key)
    }

    /// The keys that have a guard.
    pub fn keys(&self) -> Vec<K> {
        lock(&self.0).keys().copied().collect()
    }

    /// Counts one more, until the guard is dropped.
    pub fn add(&self, key: K) -> Counted<K> {
        lock(&self.0).add(key);
        self.guard(key)
    }

    /// As [`add`](Self::add); none if there are `max` already.
    pub fn add_below(&self, key: K, max: usize) -> Option<Counted<K>> {
        let mut counts = lock(&self.0);
        if counts.get(&key) >= max {
            return None;
        }
        counts.add(key);
        Some(self.guard(key))
    }

    fn guard(&self, key: K) -> Counted<K> {
        Counted {
            counter: self.clone(),
            key,
        }
    }
}

/// One that is counted until this is dropped.
#[derive(Debug)]
#[must_use = "it is counted only as long as this lives"]
pub struct Counted<K: Copy + Eq + Hash> {
    counter: Counter<K>,
    key: K,
}

impl<K: Copy + Eq + Hash> Drop for Counted<K> {
    fn drop(&mut self) {
        lock(&self.counter.0).remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_end_with_their_guards_and_leave_nothing_behind() {
        let counter = Counter::default();
        let first = counter.add(1);
        let second = counter.add_below(1, 2).unwrap();
        assert!(counter.add_below(1, 2).is_none());
        assert_eq!((counter.get(&1), counter.get(&2)), (2, 0));
        drop(first);
        assert!(
            counter.add_below(1, 2).is_some(),
            "the guard is dropped at once"
        );
        assert_eq!((counter.get(&1), counter.keys()), (1, vec![1]));
        drop(second);
        assert!(counter.keys().is_empty());
    }

    #[test]
    fn a_key_that_is_removed_too_often_stays_at_zero() {
        let mut counts = Counts::default();
        counts.remove(1);
        counts.add(1);
        assert_eq!((counts.get(&1), counts.keys().count()), (1, 1));
        counts.remove(1);
        assert_eq!((counts.get(&1), counts.keys().count()), (0, 0));
    }
}
