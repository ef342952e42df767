//! `info`: one model.

use std::sync::Arc;

use hubless_content::{ContentHash, FileHash, ManifestEntry, ModelPath};
use hubless_store::{Store, StoreError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AnswerForm, Call, HttpCall, Method, Route};
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Describes one model.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Info {
    /// The model.
    pub hash: ContentHash,
}

/// The details of one model.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Model")]
pub struct ModelDetails {
    /// Its address.
    pub hash: ContentHash,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes that are held.
    pub held_bytes: u64,
    /// Whether all are held.
    pub complete: bool,
    /// Whether garbage collection keeps it.
    pub pinned: bool,
    /// The files, sorted by path.
    pub files: Vec<FileDetails>,
}

/// One file of a model.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "File")]
pub struct FileDetails {
    /// Its path in the model.
    pub path: ModelPath,
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of its bytes, as `b3sum` prints it.
    pub hash: FileHash,
}

impl From<&ManifestEntry> for FileDetails {
    fn from(entry: &ManifestEntry) -> Self {
        Self {
            path: entry.path.clone(),
            size: entry.size,
            hash: entry.hash,
        }
    }
}

impl Call for Info {
    type Answer = ModelDetails;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<ModelDetails, Failure> {
        let store = core.cx.store.clone();
        let details = move || details(&store, self.hash);
        Ok(core.cx.blocking.run(details).await??)
    }
}

impl HttpCall for Info {
    type Fields = Self;

    const ROUTE: Route = Route {
        method: Method::Get,
        path: "/models/{hash}",
        has_body: false,
        id: "model",
        group: "content",
        summary: "A model: its files, sizes and hashes",
        description: "",
        answer: AnswerForm::Json("The model"),
        failures: &[404],
    };

    fn from_fields(fields: Self) -> Result<Self, Failure> {
        Ok(fields)
    }
}

fn details(store: &Store, hash: ContentHash) -> Result<ModelDetails, StoreError> {
    let unknown = || StoreError::UnknownModel { model: hash };
    let model = store.model_info(hash)?.ok_or_else(unknown)?;
    let manifest = store.manifest(hash)?.ok_or_else(unknown)?;
    Ok(ModelDetails {
        hash,
        bytes: model.bytes,
        held_bytes: model.held_bytes,
        complete: model.complete,
        pinned: model.pinned,
        files: manifest.entries().iter().map(Into::into).collect(),
    })
}
