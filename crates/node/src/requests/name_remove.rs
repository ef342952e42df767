//! `name_remove`: forgets a name, or one of its refs.

use std::sync::Arc;

use hubless_content::{RefName, RepoId};
use serde::{Deserialize, Serialize};

use super::Call;
use crate::{api::Failure, core::Core, replies::ReplySink};

/// Forgets a name, or one of its refs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NameRemove {
    /// The repo.
    pub repo: RepoId,
    /// Only this ref.
    pub name: Option<RefName>,
}

impl Call for NameRemove {
    type Answer = ();

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<(), Failure> {
        core.repos().remove_name(self.repo, self.name).await
    }
}
