//! `name_show`: one name.

use std::sync::Arc;

use hubless_content::RepoId;
use hubless_repos::names::NameDetails;
use serde::{Deserialize, Serialize};

use super::Call;
use crate::{api::Failure, core::Core, replies::ReplySink};

/// Describes one name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NameShow {
    /// The repo.
    pub repo: RepoId,
}

impl Call for NameShow {
    type Answer = NameDetails;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<NameDetails, Failure> {
        core.repos().show_name(self.repo).await
    }
}
