//! `pin`: keeps a model from garbage collection.

use std::sync::Arc;

use hubless_content::ContentHash;
use hubless_store::StoreError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AnswerForm, Call, HttpCall, Method, Route};
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Keeps a model from garbage collection.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
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

impl HttpCall for Pin {
    type Fields = Self;

    const ROUTE: Route = Route {
        method: Method::Put,
        path: "/models/{hash}/pin",
        has_body: false,
        id: "pin",
        group: "content",
        summary: "Keep a model from garbage collection",
        description: "",
        answer: AnswerForm::Empty("Kept"),
        failures: &[404],
    };

    fn from_fields(fields: Self) -> Result<Self, Failure> {
        Ok(fields)
    }
}
