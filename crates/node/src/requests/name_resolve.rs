//! `name_resolve`: the content of a name.

use std::sync::Arc;

use hubless_content::RepoId;
use hubless_names::namespaces::Sources;
use hubless_repos::names::ResolvedName;
use serde::{Deserialize, Serialize};

use super::Call;
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Finds the content of a name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NameResolve {
    /// The repo.
    pub repo: RepoId,
    /// A branch, tag, ref, commit id or the beginning of one.
    pub revision: String,
    /// What may say which publisher the namespace is.
    #[serde(default)]
    pub sources: Sources,
}

impl Call for NameResolve {
    type Answer = ResolvedName;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<ResolvedName, Failure> {
        let translated = core.namespaces.translate(&self.repo, self.sources).await?;
        Ok(core
            .repos()
            .resolve_name(translated.repo, &self.revision)
            .await?)
    }
}
