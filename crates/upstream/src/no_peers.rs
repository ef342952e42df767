//! Models that no peer gave lately, so that not each of their files waits for peers first.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hubless_content::ContentHash;
use tokio::time::Instant;

/// How long it holds that no peer gives a model.
const HOLDS: Duration = Duration::from_secs(30);

/// Models remembered.
const MODELS_MAX: usize = 1000;

/// Models that no peer gave, and since when.
#[derive(Default)]
pub struct NoPeersCache(Mutex<HashMap<ContentHash, Instant>>);

impl NoPeersCache {
    /// Notes that no peer gave it just now.
    pub fn note(&self, model: ContentHash) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.retain(|_, since| since.elapsed() < HOLDS);
        if since.len() < MODELS_MAX {
            since.insert(model, Instant::now());
        }
    }

    /// Whether no peer gave it lately.
    pub fn has(&self, model: ContentHash) -> bool {
        let since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since
            .get(&model)
            .is_some_and(|since| since.elapsed() < HOLDS)
    }
}
