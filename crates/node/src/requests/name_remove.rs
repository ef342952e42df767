//! `name_remove`: forgets a name, or one of its refs.

use std::sync::Arc;

use hubless_content::{RefName, RepoId, RepoKind};
use hubless_publishers::publish::Change;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AnswerForm, Call, HttpCall, Method, Route,
    name_set::{RepoName, usage},
};
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Forgets a name, or one of its refs. Of a publisher of this node, it is deleted for all readers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NameRemove {
    /// The repo.
    pub repo: RepoId,
    /// Only this ref.
    pub name: Option<RefName>,
}

impl Call for NameRemove {
    type Answer = ();

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<(), Failure> {
        let Some(subject) = core.names.signed_subject(&self.repo).await? else {
            return Ok(core.repos().remove_name(self.repo, self.name).await?);
        };
        let change = match self.name {
            Some(name) => Change::DeleteRef(name),
            None => Change::DeleteRepo,
        };
        core.names.signer.change(&subject, &change).await?;
        Ok(())
    }
}

/// The fields of [`NameRemove`] over HTTP.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct RemoveFields {
    kind: RepoKind,
    /// `ORG/NAME`; its slash is written %2F
    name: RepoName,
    /// Only this ref, such as refs/heads/main
    #[serde(rename = "ref", default)]
    #[schemars(with = "WholeRef")]
    of: Option<WholeRef>,
}

/// The whole name of a ref.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
struct WholeRef(
    #[schemars(regex(pattern = r"^refs/[^/]+/[^\u0000-\u0020\u007f~^:?*\[\\]+$"))] String,
);

impl HttpCall for NameRemove {
    type Fields = RemoveFields;

    const ROUTE: Route = Route {
        method: Method::Delete,
        path: "/names/{kind}/{name}",
        has_body: false,
        id: "forgetName",
        group: "names",
        summary: "Forget a name, or one of its refs",
        description: "",
        answer: AnswerForm::Empty("Forgotten"),
        failures: &[404],
    };

    fn from_fields(fields: RemoveFields) -> Result<Self, Failure> {
        let name = fields.of.as_ref().map(|name| RefName::new(&name.0));
        Ok(Self {
            repo: fields.name.of_kind(fields.kind)?,
            name: name.transpose().map_err(usage)?,
        })
    }
}
