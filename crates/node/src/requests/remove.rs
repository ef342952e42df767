//! `remove`: forgets a model.

use std::sync::Arc;

use hubless_content::ContentHash;
use hubless_repos::names::names_of;
use hubless_store::{Store, StoreError};
use hubless_transfer::Blocking;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AnswerForm, Call, HttpCall, Method, Route};
use crate::{
    core::Core,
    failure::{Failure, FailureKind},
    home::Home,
    remedy::Remedy,
    replies::ReplySink,
};

/// Names of a model that the failure of its removal lists.
const NAMES_SHOWN_MAX: usize = 5;

/// Forgets a model; its files are freed by the next garbage collection.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Remove {
    /// The model.
    pub hash: ContentHash,
}

impl Call for Remove {
    type Answer = ();

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<(), Failure> {
        let (store, home, hash) = (core.cx.store.clone(), core.home.clone(), self.hash);
        Blocking::run_long(move || match remove_model(&store, &home, hash) {
            Err(StoreError::Named { .. }) => Err(named(&store, hash)?),
            removed => Ok::<_, Failure>(removed?),
        })
        .await??;
        core.cx.note_change();
        Ok(())
    }
}

impl HttpCall for Remove {
    type Fields = Self;

    const ROUTE: Route = Route {
        method: Method::Delete,
        path: "/models/{hash}",
        has_body: false,
        id: "forgetModel",
        group: "content",
        summary: "Forget a model",
        description: "",
        answer: AnswerForm::Empty("Forgotten; its files are freed by the next garbage collection"),
        failures: &[404],
    };

    fn from_fields(fields: Self) -> Result<Self, Failure> {
        Ok(fields)
    }
}

/// Removes a model, and its export by `get` in the home directory.
///
/// # Errors
/// As [`Store::remove`].
pub(super) fn remove_model(
    store: &Store,
    home: &Home,
    hash: ContentHash,
) -> Result<(), StoreError> {
    store.remove(hash)?;
    let export = home.export(hash);
    match std::fs::remove_dir_all(&export) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %export.display(), "cannot remove the exported files");
        }
        _ => {}
    }
    Ok(())
}

/// Why a model that has names is not removed.
fn named(store: &Store, hash: ContentHash) -> Result<Failure, StoreError> {
    let names = names_of(store, hash, NAMES_SHOWN_MAX)?;
    let Some(first) = names.first() else {
        return Ok(StoreError::Named { model: hash }.into()); // its last name is being removed
    };
    let all: Vec<String> = names.iter().map(ToString::to_string).collect();
    let message = format!("model {hash} is a revision of {}", all.join(", "));
    Ok(
        Failure::new(FailureKind::Usage, message).remedy(Remedy::RemoveName {
            name: first.clone(),
        }),
    )
}
