//! `publisher_new`: makes a publisher.

use std::sync::Arc;

use hubless_publishers::publishers::{Begin, Begun};

use super::Call;
use crate::{core::Core, failure::Failure, replies::ReplySink};

impl Call for Begin {
    type Answer = Begun;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<Begun, Failure> {
        Ok(core.publishers().begin(self).await?)
    }
}
