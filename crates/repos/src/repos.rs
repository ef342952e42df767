//! The repos of a node, and what their parts use of it.

use std::sync::Arc;

use hubless_names::resolve::Resolver;
use hubless_store::{Store, StoreError};
use hubless_transfer::{Digester, Fetches};
use hubless_upstream::{RepoError, Upstream};

/// The repos of a node. Cloning is cheap.
#[derive(Clone)]
pub struct Repos {
    pub(crate) fetches: Arc<Fetches>,
    pub(crate) digester: Digester,
    /// Finds the newest heads of publishers' repos.
    pub(crate) resolver: Arc<Resolver>,
    /// The upstream, if there is one.
    pub(crate) upstream: Option<Arc<Upstream>>,
}

impl std::fmt::Debug for Repos {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Repos")
    }
}

impl Repos {
    /// The repos of the node of `fetches`; names of publishers are read by `resolver`, and other unknown
    /// ones are requested from `upstream`.
    pub fn new(
        fetches: Arc<Fetches>,
        digester: Digester,
        resolver: Arc<Resolver>,
        upstream: Option<Arc<Upstream>>,
    ) -> Self {
        Self {
            fetches,
            digester,
            resolver,
            upstream,
        }
    }

    /// Runs a call of the store.
    pub(crate) async fn store<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, RepoError> {
        let store = self.fetches.cx.store.clone();
        Ok(self.fetches.cx.blocking.run(move || call(&store)).await??)
    }
}
