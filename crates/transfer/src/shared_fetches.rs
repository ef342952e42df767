//! The fetches under way that several readers share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, Weak},
};

use hubless_content::ContentHash;
use hubless_fetch::{Layout, Outlook, ReadRequest};
use hubless_sync::lock;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::DropGuard;

use crate::{digest_asks::DigestAsks, error::TransferError};

/// The shared fetches under way; as many as there are models that are read, which the gateway's
/// connections bound.
#[derive(Default)]
pub(crate) struct SharedFetches(Mutex<HashMap<ContentHash, Weak<RunningFetch>>>);

/// A shared fetch, as its readers see it.
pub(crate) struct RunningFetch {
    pub(crate) reads: mpsc::Sender<ReadRequest>,
    pub(crate) layout: watch::Receiver<Option<Arc<Layout>>>,
    pub(crate) stored: watch::Receiver<u64>,
    pub(crate) outlook: watch::Receiver<Outlook>,
    pub(crate) digests: DigestAsks,
    pub(crate) model: ContentHash,
    pub(crate) failure: Arc<OnceLock<TransferError>>,
    /// Ends the fetch when the last reader drops it.
    pub(crate) _cancel_on_drop: DropGuard,
}

impl SharedFetches {
    /// The fetch of a model that is under way, else the one that `begin` returns.
    ///
    /// # Errors
    /// That of `begin`.
    pub(crate) fn join(
        &self,
        model: ContentHash,
        begin: impl FnOnce() -> Result<Arc<RunningFetch>, TransferError>,
    ) -> Result<Arc<RunningFetch>, TransferError> {
        let mut fetches = lock(&self.0);
        fetches.retain(|_, fetch| fetch.strong_count() > 0);
        let known = fetches.get(&model).and_then(Weak::upgrade);
        if let Some(running) = known.filter(|fetch| !fetch.has_ended()) {
            return Ok(running);
        }
        let begun = begin()?;
        fetches.insert(model, Arc::downgrade(&begun));
        Ok(begun)
    }
}

impl RunningFetch {
    /// Why the fetch ended.
    pub(crate) fn failure(&self) -> TransferError {
        let failure = self.failure.get().cloned();
        failure.unwrap_or(TransferError::Interrupted)
    }

    fn has_ended(&self) -> bool {
        // Its reports end with it.
        self.stored.has_changed().is_err()
    }
}
