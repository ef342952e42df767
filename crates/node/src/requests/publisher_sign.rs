//! `publisher_sign`: changes who signs for a publisher.

use std::sync::Arc;

use hubless_publishers::publishers::{Sign, Signed};

use super::Call;
use crate::{core::Core, failure::Failure, replies::ReplySink};

impl Call for Sign {
    type Answer = Signed;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<Signed, Failure> {
        Ok(core.publishers().sign(self).await?)
    }
}
