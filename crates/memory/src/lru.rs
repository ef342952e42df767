//! A small cache that forgets what was not used for the longest time.

use std::{collections::HashMap, hash::Hash};

/// Entries carry the weight they were put in with; all together weigh at most `capacity`, except
/// that one entry is always kept. Looking for the oldest is linear: there are a few hundred.
pub struct Lru<K, V> {
    capacity: usize,
    weight: usize,
    clock: u64,
    entries: HashMap<K, Entry<V>>,
}

struct Entry<V> {
    value: V,
    weight: usize,
    used: u64,
}

impl<K: Eq + Hash + Copy, V: Clone> Lru<K, V> {
    /// For entries that weigh `capacity` together.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            weight: 0,
            clock: 0,
            entries: HashMap::new(),
        }
    }

    /// The value of a key, which counts as used now.
    pub fn get(&mut self, key: K) -> Option<V> {
        self.clock += 1;
        let entry = self.entries.get_mut(&key)?;
        entry.used = self.clock;
        Some(entry.value.clone())
    }

    /// Puts a value under a key, over the one that is there.
    pub fn insert(&mut self, key: K, value: V, weight: usize) {
        self.remove(key);
        self.clock += 1;
        self.weight += weight;
        self.entries.insert(
            key,
            Entry {
                value,
                weight,
                used: self.clock,
            },
        );
        while self.weight > self.capacity && self.entries.len() > 1 {
            let Some(oldest) = self.oldest() else { return };
            self.remove(oldest);
        }
    }

    /// Drops the entry of a key, if there is one.
    pub fn remove(&mut self, key: K) {
        if let Some(entry) = self.entries.remove(&key) {
            self.weight -= entry.weight;
        }
    }

    /// Drops all entries.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.weight = 0;
    }

    fn oldest(&self) -> Option<K> {
        self.entries
            .iter()
            .min_by_key(|(_, entry)| entry.used)
            .map(|(key, _)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut cache = Lru::new(3);
        for key in 0..3 {
            cache.insert(key, key * 10, 1);
        }
        assert_eq!(cache.get(0), Some(0));
        cache.insert(3, 30, 1);
        assert_eq!(
            [0, 1, 2, 3].map(|key| cache.get(key)),
            [Some(0), None, Some(20), Some(30)]
        );
        cache.insert(4, 40, 100);
        assert_eq!(
            [0, 2, 3, 4].map(|key| cache.get(key)),
            [None, None, None, Some(40)]
        );
    }
}
