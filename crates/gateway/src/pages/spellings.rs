//! What this node calls publishers, where a page lists repos of many.

use std::collections::HashMap;

use hubless_content::{PublisherId, RepoId};
use hubless_node::{NodeHandle, api::Failure};

/// The namespaces that are bound, by publisher.
#[derive(Default)]
pub(crate) struct Spellings(HashMap<PublisherId, String>);

impl Spellings {
    /// Reads those of a node. Of several for a publisher, the first in their order is shown.
    pub(crate) async fn read(node: &NodeHandle) -> Result<Self, Failure> {
        let mut spellings = HashMap::new();
        for namespace in node.namespaces().all().await? {
            spellings
                .entry(namespace.publisher)
                .or_insert(namespace.spelled);
        }
        Ok(Self(spellings))
    }

    /// A repo as this node calls it.
    pub(crate) fn of(&self, repo: &RepoId) -> RepoId {
        let publisher = repo.namespace().and_then(|id| id.parse().ok());
        let namespace = publisher.and_then(|publisher| self.0.get(&publisher));
        let spelled = namespace.and_then(|namespace| {
            RepoId::new(repo.kind(), &format!("{namespace}/{}", repo.name())).ok()
        });
        spelled.unwrap_or_else(|| repo.clone())
    }
}
