//! `untrust`: forgets what a namespace is bound to.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Call;
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Forgets what a namespace is bound to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Untrust {
    /// The namespace.
    pub name: String,
}

impl Call for Untrust {
    type Answer = ();

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<(), Failure> {
        Ok(core.names.namespaces.untrust(&self.name).await?)
    }
}
