//! `unfollow`: follows a publisher no longer.

use std::sync::Arc;

use hubless_content::PublisherId;
use hubless_store::StoreError;
use serde::{Deserialize, Serialize};

use super::{
    Call,
    follow::{find, unknown},
};
use crate::{
    core::Core,
    failure::{Failure, FailureKind},
    remedy::Remedy,
    replies::ReplySink,
};

/// Follows a publisher no longer. What came of it stays until garbage collection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Unfollow {
    /// Its id, or a namespace that stands for it on this node.
    pub publisher: String,
}

/// A publisher that was followed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Unfollowed {
    /// The publisher.
    pub id: PublisherId,
}

impl Call for Unfollow {
    type Answer = Unfollowed;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<Unfollowed, Failure> {
        let (store, publisher) = (core.cx.store.clone(), self.publisher);
        let remove = move || {
            let Some(id) = find(&store, &publisher)? else {
                return Ok(Err(unknown(&publisher)));
            };
            if !store.remove_follow(id)? {
                let message = format!("{id} is not followed");
                let failure = Failure::new(FailureKind::NotFound, message);
                return Ok(Err(failure.remedy(Remedy::ListFollows)));
            }
            Ok::<_, StoreError>(Ok(Unfollowed { id }))
        };
        let unfollowed = core.cx.blocking.run(remove).await???;
        core.names.follower.follows_changed();
        core.cx.note_change();
        Ok(unfollowed)
    }
}
