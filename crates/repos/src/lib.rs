//! Repos: names for content, as clients of a hub see them.
//!
//! # The path of a request
//! ```text
//! resolve: name + revision -> Resolved (commit, revision)       redb, and the upstream if need be
//! tree:    Resolved -> RepoTree (paths, sizes, file hashes)     the manifest, from peers if need be
//! ids:     a file -> FileIds (git SHA-1, SHA-256)               kept, listed, computed, or claimed
//! permit:  Resolved -> whether its caller may have the files    the upstream, of restricted repos
//! open:    Resolved + a file + a range -> FileStream            held bytes, peers, the upstream
//! ```
//!
//! # Where repos come from
//! Repos that were named on this node have revisions with a manifest ([`Tree::Content`]). Repos of
//! the upstream have its listing ([`Tree::Listed`]): files known by SHA-256 or git's SHA-1, and by
//! their BLAKE3 once a node has computed it.
//!
//! [`Tree::Content`]: hubless_content::Tree::Content
//! [`Tree::Listed`]: hubless_content::Tree::Listed

mod attributes;
mod holdings;
mod ids;
pub mod names;
mod resolve;
mod search;
mod small;
mod stream;
mod tensors;
mod tree;

use std::{ops::Range, sync::Arc, time::Duration};

use hubless_content::{ContentHash, FileHash};
pub use hubless_store::{PastCommit, Repo, RepoOrigin};
use hubless_transfer::{Digester, Fetches, fetch::StoredStream};
pub use hubless_upstream::{Caller, Cause, RepoError};

use self::resolve::is_restricted;
pub use self::{
    holdings::{Holding, Unnamed},
    ids::{FileIds, pointer},
    resolve::Resolved,
    search::Search,
    stream::FileStream,
    tree::{RepoFile, RepoTree},
};
use hubless_upstream::{Upstream, expected, find_held};

/// How long peers may take to send a first chunk before the upstream is asked instead, whose first
/// byte must arrive within the 10 s that clients wait.
const PEERS_WITHIN: Duration = Duration::from_secs(6);

/// The repos of a node. Cloning is cheap.
#[derive(Clone)]
pub struct Repos {
    fetches: Arc<Fetches>,
    digester: Digester,
    /// The upstream, if there is one.
    upstream: Option<Arc<Upstream>>,
}

impl std::fmt::Debug for Repos {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Repos")
    }
}

impl Repos {
    /// The repos of the node of `fetches`; unknown ones are requested from `upstream`.
    pub fn new(fetches: Arc<Fetches>, digester: Digester, upstream: Option<Arc<Upstream>>) -> Self {
        Self {
            fetches,
            digester,
            upstream,
        }
    }

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

    /// Runs a call of the store.
    async fn store<T: Send + 'static>(
        &self,
        call: impl FnOnce(&hubless_store::Store) -> Result<T, hubless_store::StoreError>
        + Send
        + 'static,
    ) -> Result<T, RepoError> {
        let store = self.fetches.cx.store.clone();
        Ok(self.fetches.cx.blocking.run(move || call(&store)).await??)
    }
}

/// The error for a file of another hub, if no upstream is configured.
fn not_here(file: &RepoFile) -> RepoError {
    let path = file.path.clone();
    RepoError::Unavailable {
        cause: Cause::NoUpstream { path },
    }
}
