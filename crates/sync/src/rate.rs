//! How often something may happen, by key and in all.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::lock::lock;

/// Admits so many events in each window of time, of one key and of all keys. Cheap to clone.
#[derive(Debug)]
pub struct Rate<K> {
    window: Duration,
    of_key_max: u32,
    of_all_max: u32,
    counts: Arc<Mutex<Window<K>>>,
}

#[derive(Debug)]
struct Window<K> {
    since: Option<Instant>,
    of_all: u32,
    /// At most `of_all_max` keys.
    of_key: HashMap<K, u32>,
}

impl<K> Clone for Rate<K> {
    fn clone(&self) -> Self {
        Self {
            counts: self.counts.clone(),
            ..*self
        }
    }
}

impl<K: Eq + Hash> Rate<K> {
    /// At most `of_key_max` events of one key in each `window`, and `of_all_max` of all keys.
    pub fn new(window: Duration, of_key_max: u32, of_all_max: u32) -> Self {
        let counts = Window {
            since: None,
            of_all: 0,
            of_key: HashMap::new(),
        };
        Self {
            window,
            of_key_max,
            of_all_max,
            counts: Arc::new(Mutex::new(counts)),
        }
    }

    /// Whether an event of this key may happen now. If so, it counts.
    pub fn admits(&self, key: K, now: Instant) -> bool {
        let mut counts = lock(&self.counts);
        let is_over = |since| now.duration_since(since) >= self.window;
        if counts.since.is_none_or(is_over) {
            counts.since = Some(now);
            counts.of_all = 0;
            counts.of_key.clear();
        }
        let of_key = counts.of_key.get(&key).copied().unwrap_or(0);
        let admits = counts.of_all < self.of_all_max && of_key < self.of_key_max;
        if admits {
            counts.of_all += 1;
            counts.of_key.insert(key, of_key + 1);
        }
        admits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_all_keys_are_admitted_only_so_often_in_a_window() {
        const WINDOW: Duration = Duration::from_secs(60);
        let (rate, start) = (Rate::new(WINDOW, 8, 64), Instant::now());
        let admitted = |key, now| (0..100).filter(|_| rate.admits(key, now)).count();
        assert_eq!(admitted(0, start), 8);
        assert_eq!(
            (1..100).map(|key| admitted(key, start)).sum::<usize>(),
            64 - 8
        );
        assert_eq!(admitted(0, start + WINDOW), 8);
    }
}
