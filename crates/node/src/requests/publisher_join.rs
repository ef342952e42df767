//! `publisher_join`: gives the signing key of this node.

use std::sync::Arc;

use hubless_content::Subject;
use hubless_names::resolve::Wanted;
use hubless_publishers::publishers::{Join, Joined};

use super::Call;
use crate::{core::Core, failure::Failure, replies::ReplySink};

impl Call for Join {
    type Answer = Joined;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<Joined, Failure> {
        if let Some(publisher) = self.publisher {
            // The document that names this node's key may be newer than what is here.
            let subject = Subject::profile(publisher);
            match core.names.resolver.current(&subject, &Wanted::now()).await {
                Ok(_) => {}
                Err(error) if error.is_unknown() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(core.publishers().join(self).await?)
    }
}
