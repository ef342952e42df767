//! `name_show`: one name.

use std::sync::Arc;

use hubless_content::{RepoId, RepoKind};
use hubless_names::{
    namespaces::{NameSource, Sources, Translated},
    resolve::Wanted,
};
use hubless_repos::names::NameDetails;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AnswerForm, Call, HttpCall, Method, Route, name_resolve::read_newest, name_set::RepoName,
};
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Describes one name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NameShow {
    /// The repo.
    pub repo: RepoId,
    /// What may say which publisher the namespace is.
    #[serde(default)]
    pub sources: Sources,
}

impl Call for NameShow {
    type Answer = NameDetails;

    async fn handle(self, core: &Arc<Core>, sink: &ReplySink) -> Result<NameDetails, Failure> {
        let namespaces = &core.names.namespaces;
        let translated = namespaces.translate(&self.repo, self.sources).await?;
        read_newest(core, sink, &translated, &Wanted::now()).await?;
        let Translated {
            written,
            repo,
            bound,
        } = translated;
        let mut details = core.repos().show_name(repo).await?;
        if let Some(bound) = &bound {
            written.id().clone_into(&mut details.name);
            details.source = NameSource::from(bound);
        }
        Ok(details)
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
            sources: Sources::All,
        })
    }
}
