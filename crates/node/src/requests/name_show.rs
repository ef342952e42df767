//! `name_show`: one name.

use std::sync::Arc;

use hubless_content::{RepoId, RepoKind};
use hubless_repos::names::NameDetails;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AnswerForm, Call, HttpCall, Method, Route, name_set::RepoName};
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Describes one name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NameShow {
    /// The repo.
    pub repo: RepoId,
}

impl Call for NameShow {
    type Answer = NameDetails;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<NameDetails, Failure> {
        Ok(core.repos().show_name(self.repo).await?)
    }
}

/// The fields of [`NameShow`] over HTTP.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ShowFields {
    kind: RepoKind,
    /// `ORG/NAME`; its slash is written %2F
    name: RepoName,
}

impl HttpCall for NameShow {
    type Fields = ShowFields;

    const ROUTE: Route = Route {
        method: Method::Get,
        path: "/names/{kind}/{name}",
        has_body: false,
        id: "name",
        group: "names",
        summary: "A name: its branches, tags and revisions",
        description: "",
        answer: AnswerForm::Json("The name"),
        failures: &[404],
    };

    fn from_fields(fields: ShowFields) -> Result<Self, Failure> {
        Ok(Self {
            repo: fields.name.of_kind(fields.kind)?,
        })
    }
}
