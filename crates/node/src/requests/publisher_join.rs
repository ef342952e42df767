//! `publisher_join`: gives the signing key of this node.

use std::sync::Arc;

use hubless_names::publishers::{Join, Joined};

use super::Call;
use crate::{core::Core, failure::Failure, replies::ReplySink};

impl Call for Join {
    type Answer = Joined;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<Joined, Failure> {
        Ok(core.publishers().join(self).await?)
    }
}
