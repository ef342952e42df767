//! Counts by key that go down by themselves.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex},
};

use crate::lock::lock;

/// Counts by key. A key whose count is zero takes no memory. Cheap to clone.
pub(crate) struct Counter<K> {
    counts: Arc<Mutex<HashMap<K, usize>>>,
}

impl<K> Clone for Counter<K> {
    fn clone(&self) -> Self {
        Self {
            counts: Arc::clone(&self.counts),
        }
    }
}

impl<K> Default for Counter<K> {
    fn default() -> Self {
        Self {
            counts: Arc::default(),
        }
    }
}

impl<K: Copy + Eq + Hash> Counter<K> {
    pub(crate) fn get(&self, key: &K) -> usize {
        lock(&self.counts).get(key).copied().unwrap_or(0)
    }

    /// Counts one more, until the guard is dropped.
    pub(crate) fn add(&self, key: K) -> Counted<K> {
        *lock(&self.counts).entry(key).or_default() += 1;
        self.guard(key)
    }

    /// As [`add`](Self::add); none if there are `max` already.
    pub(crate) fn add_below(&self, key: K, max: usize) -> Option<Counted<K>> {
        let mut counts = lock(&self.counts);
        let own = counts.get(&key).copied().unwrap_or(0);
        if own >= max {
            return None;
        }
        counts.insert(key, own + 1);
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
pub(crate) struct Counted<K: Copy + Eq + Hash> {
    counter: Counter<K>,
    key: K,
}

impl<K: Copy + Eq + Hash> Drop for Counted<K> {
    fn drop(&mut self) {
        let mut counts = lock(&self.counter.counts);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
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
        assert_eq!(counter.get(&1), 1);
        drop(second);
        assert!(lock(&counter.counts).is_empty());
    }
}
