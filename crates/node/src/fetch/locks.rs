//! One fetch of a model at a time: a second one waits and then finds what the first one left.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use hubless_content::ContentHash;
use tokio::sync::OwnedMutexGuard;

type Lock = Arc<tokio::sync::Mutex<()>>;

/// The models that are being fetched. As many as there are requests, which are bounded.
#[derive(Default)]
pub(crate) struct FetchLocks(Mutex<HashMap<ContentHash, Lock>>);

impl FetchLocks {
    /// Waits until no other fetch of this model runs.
    pub(crate) async fn lock(&self, model: ContentHash) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            locks.entry(model).or_default().clone()
        };
        lock.lock_owned().await
    }
}
