//! `follows`: the publishers that are followed.

use std::sync::Arc;

use hubless_store::StoreError;
use serde::{Deserialize, Serialize};

use super::{
    Call,
    follow::{FollowDetails, details},
};
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Lists the publishers that are followed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListFollows {}

/// The publishers that are followed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Follows {
    /// Ordered by id.
    pub follows: Vec<FollowDetails>,
}

impl Call for ListFollows {
    type Answer = Follows;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<Follows, Failure> {
        let store = core.cx.store.clone();
        let list = move || {
            let follows = store.follows()?.into_iter();
            let follows = follows.map(|followed| details(&store, &followed));
            Ok::<_, StoreError>(Follows {
                follows: follows.collect::<Result<_, _>>()?,
            })
        };
        Ok(core.cx.blocking.run(list).await??)
    }
}
