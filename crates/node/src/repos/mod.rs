//! Repos: names for content, as clients of a hub see them.
//!
//! # The way of a request
//! ```text
//! resolve: name + revision -> Resolved (commit, revision)       redb only
//! tree:    Resolved -> RepoTree (paths, sizes, file hashes)     the manifest, from peers if need be
//! ids:     a file -> FileIds (git SHA-1, SHA-256)               kept, or computed from held bytes
//! open:    Resolved + a file + a range -> FileStream            held bytes, or peers as they come
//! ```
//!
//! # Adding where repos come from
//! What the store does not know, [`Repos::resolve`] may ask elsewhere and put into the store before
//! it answers; [`Repos::tree`], [`Repos::ids`] and [`Repos::open`] each divide by
//! [`Tree`](hubless_content::Tree): a manifest's files are known by their hashes, listed ones only
//! by what another hub says.

mod attributes;
mod error;
mod holdings;
mod ids;
mod names;
mod resolve;
mod search;
mod tensors;
mod tree;

use std::{ops::Range, sync::Arc};

pub use hubless_store::{Repo, RepoOrigin};

pub(crate) use self::names::{list, names_of, remove, resolve as resolve_name, set, show};
pub use self::{
    error::RepoError,
    holdings::{Holding, Unnamed},
    ids::{FileIds, pointer},
    resolve::Resolved,
    search::Search,
    tree::{RepoFile, RepoTree},
};
use crate::{api::Failure, core::Core, fetch::FileStream, node::NodeHandle};

/// Who asks. A token is the caller's own, for the hub where a repo comes from: it is never printed
/// and never sent to a peer.
#[derive(Clone, Default)]
pub struct Caller {
    /// What the caller sent as `Authorization: Bearer`.
    pub token: Option<Arc<str>>,
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.token {
            Some(_) => "Caller(with a token)",
            None => "Caller",
        })
    }
}

/// The repos of a node. Cloning is cheap.
#[derive(Clone)]
pub struct Repos {
    core: Arc<Core>,
}

impl std::fmt::Debug for Repos {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Repos({})", self.core.home.path().display())
    }
}

impl NodeHandle {
    /// The node's repos.
    pub fn repos(&self) -> Repos {
        Repos {
            core: self.core.clone(),
        }
    }
}

impl Repos {
    /// The bytes `range` of a file, verified. Nothing is fetched before the first are asked for.
    ///
    /// # Errors
    /// If its content has no address here.
    pub fn open(
        &self,
        resolved: &Resolved,
        file: &RepoFile,
        range: Range<u64>,
    ) -> Result<FileStream, RepoError> {
        let (model, entry) = resolved.addressed(file).ok_or_else(|| RepoError::NoEntry {
            path: file.path.to_string(),
        })?;
        Ok(FileStream::new(self.core.clone(), model, entry, range))
    }

    /// Runs a call of the store.
    async fn store<T: Send + 'static>(
        &self,
        call: impl FnOnce(&hubless_store::Store) -> Result<T, hubless_store::StoreError>
        + Send
        + 'static,
    ) -> Result<T, RepoError> {
        let store = self.core.store.clone();
        let result = self.core.blocking.run(move || call(&store)).await;
        Ok(result.map_err(Failure::from)?.map_err(Failure::from)?)
    }
}
