//! One at a time, such as fetches of one model: a second one waits and then finds what the first
//! one left.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex},
};

use hubless_sync::lock;
use tokio::sync::OwnedMutexGuard;

type Lock = Arc<tokio::sync::Mutex<()>>;

/// What is being worked on. As much as there are requests, which are bounded.
pub struct Locks<K>(Mutex<HashMap<K, Lock>>);

impl<K> Default for Locks<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Locks<K> {
    /// Waits until no other task holds this key.
    pub async fn lock(&self, key: K) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = lock(&self.0);
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            locks.entry(key).or_default().clone()
        };
        lock.lock_owned().await
    }
}
