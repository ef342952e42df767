//! `pin`: keeps a model from garbage collection.

use std::sync::Arc;

use hubless_content::ContentHash;
use hubless_store::StoreError;
use serde::{Deserialize, Serialize};

use super::Call;
use crate::{api::Failure, core::Core, replies::ReplySink};

/// Keeps a model from garbage collection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pin {
    /// The model.
    pub hash: ContentHash,
}

impl Call for Pin {
    type Answer = ();

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<(), Failure> {
        let (store, hash) = (core.cx.store.clone(), self.hash);
        let pin = move || match store.manifest(hash)? {
            Some(_) => store.pin(hash),
            None => Err(StoreError::UnknownModel { model: hash }),
        };
        Ok(core.cx.blocking.run(pin).await??)
    }
}
