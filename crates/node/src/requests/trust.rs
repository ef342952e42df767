//! `trust`: binds a namespace to a publisher by hand.

use std::sync::Arc;

use hubless_content::PublisherId;
use serde::{Deserialize, Serialize};

use super::Call;
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Binds a namespace to a publisher, in place of what it was bound to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Trust {
    /// The namespace.
    pub name: String,
    /// The publisher.
    pub id: PublisherId,
}

/// A namespace that was bound.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BoundName {
    /// The namespace.
    pub name: String,
    /// The publisher.
    pub id: PublisherId,
}

impl Call for Trust {
    type Answer = BoundName;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<BoundName, Failure> {
        let bound = core.names.namespaces.trust(&self.name, self.id).await?;
        Ok(BoundName {
            name: bound.spelled,
            id: bound.publisher,
        })
    }
}
