//! `list`: all models.

use std::sync::Arc;

use hubless_content::ContentHash;
use hubless_store::ModelInfo;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AnswerForm, Call, HttpCall, Method, Route};
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Lists all models.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct List {}

/// All models of a node.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Models {
    /// In no special order.
    pub models: Vec<ModelSummary>,
}

/// One model in a list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ModelSummary {
    /// Its address.
    pub hash: ContentHash,
    /// Files in it.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes that are held.
    pub held_bytes: u64,
    /// Whether all are held.
    pub complete: bool,
    /// Whether garbage collection keeps it.
    pub pinned: bool,
}

impl From<ModelInfo> for ModelSummary {
    fn from(model: ModelInfo) -> Self {
        Self {
            hash: model.hash,
            files: model.files,
            bytes: model.bytes,
            held_bytes: model.held_bytes,
            complete: model.complete,
            pinned: model.pinned,
        }
    }
}

impl Call for List {
    type Answer = Models;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<Models, Failure> {
        let store = core.cx.store.clone();
        let models = core.cx.blocking.run(move || store.models()).await??;
        Ok(Models {
            models: models.into_iter().map(Into::into).collect(),
        })
    }
}

impl HttpCall for List {
    type Fields = Self;

    const ROUTE: Route = Route {
        method: Method::Get,
        path: "/models",
        has_body: false,
        id: "models",
        group: "content",
        summary: "The models that are here",
        description: "",
        answer: AnswerForm::Json("The models"),
        failures: &[],
    };

    fn from_fields(fields: Self) -> Result<Self, Failure> {
        Ok(fields)
    }
}
