//! Opens a file of a repo: finds the source of its bytes.

use std::{ops::Range, time::Duration};

use hubless_content::{ContentHash, FileHash};
use hubless_transfer::fetch::StoredStream;
use hubless_upstream::{Cause, RepoError, expected, find_held};

use crate::{
    file::RepoFile,
    repos::Repos,
    resolve::{Resolved, is_restricted},
    stream::FileStream,
};

/// How long peers may take to send a first chunk before the upstream is asked instead, whose first
/// byte must arrive within the 10 s that clients wait.
const PEERS_WITHIN: Duration = Duration::from_secs(6);

impl Repos {
    /// The bytes `range` of a file: from the store if it is held, else from peers or the upstream.
    ///
    /// # Errors
    /// As [`Repos::permit`], or if it is not held and neither peers nor the upstream can be asked
    /// for it.
    pub async fn open(
        &self,
        resolved: &Resolved,
        file: &RepoFile,
        range: Range<u64>,
    ) -> Result<FileStream, RepoError> {
        self.permit(resolved).await?;
        let stored =
            |model, entry| StoredStream::new(self.fetches.clone(), model, entry, range.clone());
        if let Some((model, entry)) = resolved.addressed(file) {
            let stored = stored(Some(model), entry).refusing_early();
            return Ok(FileStream::stored(&self.fetches, stored, range, None));
        }
        let origin = resolved.origin(file);
        let upstream = self.upstream.clone().zip(Some(origin.clone()));
        let (expected, size) = (origin.expected, origin.size);
        let held = self.store(move |store| find_held(store, expected, size));
        if let Some(held) = held.await? {
            let stored = stored(None, origin.entry(held));
            return Ok(FileStream::stored(&self.fetches, stored, range, upstream));
        }
        match (self.model_of_peers(resolved, file).await?, upstream) {
            (Some((model, hash)), None) => {
                let stored = stored(Some(model), origin.entry(hash)).refusing_early();
                Ok(FileStream::stored(&self.fetches, stored, range, None))
            }
            (Some((model, hash)), Some(upstream)) if !upstream.0.no_peers().has(model) => {
                let stored = stored(Some(model), origin.entry(hash)).with_patience(PEERS_WITHIN);
                let stored = FileStream::stored(&self.fetches, stored, range, Some(upstream));
                Ok(stored)
            }
            (_, Some((upstream, origin))) => {
                Ok(FileStream::pulled(&self.fetches, upstream, origin, range))
            }
            (None, None) => Err(not_here(file)),
        }
    }

    /// The model with which peers may have a file of a listing, and the file's hash: if all its files
    /// are known by their hashes, every peer may have them, and there are peers.
    async fn model_of_peers(
        &self,
        resolved: &Resolved,
        file: &RepoFile,
    ) -> Result<Option<(ContentHash, FileHash)>, RepoError> {
        let Some(hash) = file.hash else {
            return Ok(None);
        };
        if is_restricted(&resolved.repo) || !self.fetches.has_peers().await {
            return Ok(None);
        }
        let revision = resolved.revision.clone();
        let blocking = &self.fetches.cx.blocking;
        let model = blocking.run(move || revision.tree.content_hash()).await?;
        Ok(model.map(|model| (model, hash)))
    }

    /// Whether all bytes of a file are held.
    pub async fn is_held(&self, file: &RepoFile) -> bool {
        let (wanted, size) = (expected(file.hash, file.lfs, file.git_blob), file.size);
        let held = self.store(move |store| find_held(store, wanted, size));
        matches!(held.await, Ok(Some(_)))
    }
}

/// The error for a file of another hub, if no upstream is configured.
fn not_here(file: &RepoFile) -> RepoError {
    let path = file.path.clone();
    RepoError::Unavailable {
        cause: Cause::NoUpstream { path },
    }
}
