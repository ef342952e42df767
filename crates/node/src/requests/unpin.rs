//! `unpin`: lets garbage collection free a model.

use std::sync::Arc;

use hubless_content::ContentHash;
use hubless_store::StoreError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AnswerForm, Call, HttpCall, Method, Route};
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Undoes [`Pin`](super::Pin).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Unpin {
    /// The model.
    pub hash: ContentHash,
}

impl Call for Unpin {
    type Answer = ();

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<(), Failure> {
        let (store, hash) = (core.cx.store.clone(), self.hash);
        let unpin = move || match store.manifest(hash)? {
            Some(_) => store.unpin(hash).map(drop),
            None => Err(StoreError::UnknownModel { model: hash }),
        };
        Ok(core.cx.blocking.run(unpin).await??)
    }
}

impl HttpCall for Unpin {
    type Fields = Self;

    const ROUTE: Route = Route {
        method: Method::Delete,
        path: "/models/{hash}/pin",
        has_body: false,
        id: "unpin",
        group: "content",
        summary: "Let garbage collection remove a model",
        description: "",
        answer: AnswerForm::Empty("Not kept any more"),
        failures: &[404],
    };

    fn from_fields(fields: Self) -> Result<Self, Failure> {
        Ok(fields)
    }
}
