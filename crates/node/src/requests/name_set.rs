//! `name_set`: gives content a name.

use std::sync::Arc;

use hubless_repos::names::{NameSet, Named};

use super::Call;
use crate::{api::Failure, core::Core, replies::ReplySink};

impl Call for NameSet {
    type Answer = Named;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<Named, Failure> {
        core.repos().set_name(self).await
    }
}
