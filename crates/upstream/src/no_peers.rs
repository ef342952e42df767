//! Models that no peer provided lately, so that not each of their files waits for peers first.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use hubless_content::ContentHash;
use hubless_sync::lock;
use tokio::time::Instant;

/// How long a model counts as not provided.
const HOLDS: Duration = Duration::from_secs(30);

/// Limit of remembered models.
const MODELS_MAX: usize = 1000;

/// Models that no peer provided, with the time of the attempt.
#[derive(Default)]
pub struct NoPeersCache(Mutex<HashMap<ContentHash, Instant>>);

impl NoPeersCache {
    /// Notes that no peer gave it just now.
    pub fn note(&self, model: ContentHash) {
        let mut since = lock(&self.0);
        since.retain(|_, since| since.elapsed() < HOLDS);
        if since.len() < MODELS_MAX {
            since.insert(model, Instant::now());
        }
    }

    /// Whether no peer gave it lately.
    pub fn has(&self, model: ContentHash) -> bool {
        let since = lock(&self.0);
        since
            .get(&model)
            .is_some_and(|since| since.elapsed() < HOLDS)
    }
}
