//! The beginnings of files whose pull ended early: a client that comes back finds them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hubless_store::Incoming;
use tokio_util::sync::CancellationToken;

use super::PullKey;
use crate::upstream::Upstream;

/// Files of which a part is kept. Room is taken for all of each.
const KEPT_MAX: usize = 8;

/// How long: clients try again within minutes.
const KEPT_FOR: Duration = Duration::from_secs(5 * 60);

/// Parts of files, the oldest first.
#[derive(Default)]
pub(super) struct Kept(Mutex<VecDeque<Part>>);

struct Part {
    key: PullKey,
    incoming: Incoming,
    since: Instant,
}

impl Kept {
    pub(super) fn put(&self, key: PullKey, incoming: Incoming) {
        let mut parts = self.parts();
        parts.retain(|part| part.key != key);
        while parts.len() >= KEPT_MAX {
            parts.pop_front();
        }
        let since = Instant::now();
        parts.push_back(Part {
            key,
            incoming,
            since,
        });
    }

    pub(super) fn take(&self, key: &PullKey) -> Option<Incoming> {
        let mut parts = self.parts();
        let at = parts.iter().position(|part| part.key == *key)?;
        parts.remove(at).map(|part| part.incoming)
    }

    /// Makes room; whether there was anything.
    pub(super) fn clear(&self) -> bool {
        let parts = std::mem::take(&mut *self.parts());
        !parts.is_empty()
    }

    fn drop_old(&self) {
        self.parts().retain(|part| part.since.elapsed() < KEPT_FOR);
    }

    fn parts(&self) -> MutexGuard<'_, VecDeque<Part>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops what was kept until now when its time is over, and all when the node stops.
pub(super) async fn expire(cancel: CancellationToken, upstream: Arc<Upstream>) {
    let kept = &upstream.pulls.kept;
    tokio::select! {
        () = tokio::time::sleep(KEPT_FOR) => kept.drop_old(),
        () = cancel.cancelled() => drop(kept.clear()),
    }
}
