//! `publisher_show`: the publishers that this node signs for.

use std::sync::Arc;

use hubless_publishers::publishers::Shown;
use serde::{Deserialize, Serialize};

use super::Call;
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Lists the publishers that this node signs for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PublisherShow {}

impl Call for PublisherShow {
    type Answer = Shown;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<Shown, Failure> {
        Ok(core.publishers().show().await?)
    }
}
