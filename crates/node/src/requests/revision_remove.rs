//! `revision_remove`: forgets the content of one revision of a name.

use std::sync::Arc;

use hubless_content::RepoId;
use hubless_repos::names::RevisionRemoved;
use hubless_store::StoreError;
use hubless_transfer::Blocking;
use serde::{Deserialize, Serialize};

use super::{Call, remove::remove_model};
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Forgets the content of one revision of a name, so that garbage collection frees the files that
/// nothing else needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RevisionRemove {
    /// The repo.
    pub repo: RepoId,
    /// A commit id or the beginning of one.
    pub revision: String,
}

impl Call for RevisionRemove {
    type Answer = RevisionRemoved;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<RevisionRemoved, Failure> {
        let repos = core.repos();
        let removed = repos.remove_revision(self.repo, self.revision).await?;
        if let Some(hash) = removed.hash {
            let (store, home) = (core.cx.store.clone(), core.home.clone());
            match Blocking::run_long(move || remove_model(&store, &home, hash)).await? {
                // Another revision needs it, or it was never fetched.
                Ok(()) | Err(StoreError::Named { .. } | StoreError::UnknownModel { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            core.cx.note_change();
        }
        Ok(removed)
    }
}
