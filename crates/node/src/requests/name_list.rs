//! `name_list`: all names.

use std::sync::Arc;

use hubless_repos::names::Names;
use serde::{Deserialize, Serialize};

use super::Call;
use crate::{api::Failure, core::Core, replies::ReplySink};

/// Lists all names.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NameList {}

impl Call for NameList {
    type Answer = Names;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<Names, Failure> {
        core.repos().list_names().await
    }
}
