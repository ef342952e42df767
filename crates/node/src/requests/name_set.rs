//! `name_set`: gives content a name.

use std::sync::Arc;

use hubless_content::{ContentHash, RefName, RepoId, RepoKind, Subject, TITLE_BYTES_MAX, Tree};
use hubless_publishers::publish::{Change, Commit};
use hubless_repos::names::{NameSet, Named};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{AnswerForm, Call, HttpCall, Method, Route};
use crate::{
    core::Core,
    failure::{Failure, FailureKind},
    replies::ReplySink,
};

impl Call for NameSet {
    type Answer = Named;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<Named, Failure> {
        core.names.namespaces.check_own(&self.repo).await?;
        // A name of a publisher is signed; any other belongs to this node.
        match core.names.signed_subject(&self.repo).await? {
            Some(subject) => publish(core, &subject, self).await,
            None => Ok(core.repos().set_name(self).await?),
        }
    }
}

async fn publish(core: &Arc<Core>, subject: &Subject, request: NameSet) -> Result<Named, Failure> {
    let NameSet {
        repo,
        branch,
        tags,
        hash,
        message,
    } = request;
    let commit = Commit {
        branch: branch.clone(),
        tags: tags.clone(),
        ..Commit::of(Tree::Content(hash), message)
    };
    let signed = core
        .names
        .signer
        .change(subject, &Change::Commit(commit))
        .await?;
    Ok(Named {
        kind: repo.kind(),
        name: repo.id().to_owned(),
        branch: branch.short().to_owned(),
        tags: tags.iter().map(|tag| tag.short().to_owned()).collect(),
        commit: signed.tip()?,
        hash,
        new: signed.is_new,
        warning: core.repos().nothing_here(hash).await?,
    })
}

/// Tags that one call over HTTP may set.
const TAGS_MAX: usize = 100;

/// A name and its content, as HTTP clients send them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NameSet")]
pub struct NameFields {
    kind: RepoKind,
    name: RepoName,
    hash: ContentHash,
    /// main without
    branch: Option<BranchOrTag>,
    #[serde(default)]
    #[schemars(length(max = TAGS_MAX))]
    tags: Vec<BranchOrTag>,
    /// The title of the revision
    #[schemars(length(max = TITLE_BYTES_MAX))]
    message: Option<String>,
}

/// `ORG/NAME` or `NAME`; no part begins or ends with `.` or `-`, has two of them in a row, or ends in
/// `.git`
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct RepoName(
    #[schemars(regex(pattern = r"^([A-Za-z0-9._-]{1,96}/)?[A-Za-z0-9._-]{1,96}$"))] String,
);

impl RepoName {
    /// The repo of this kind and name.
    pub(super) fn of_kind(&self, kind: RepoKind) -> Result<RepoId, Failure> {
        RepoId::new(kind, &self.0).map_err(usage)
    }
}

/// A branch or a tag, as git allows it
#[derive(Debug, Deserialize, JsonSchema)]
struct BranchOrTag(#[schemars(regex(pattern = r"^[^\u0000-\u0020\u007f~^:?*\[\\]+$"))] String);

/// The failure of a field with a wrong value.
pub(super) fn usage(error: impl ToString) -> Failure {
    Failure::new(FailureKind::Usage, error.to_string())
}

impl HttpCall for NameSet {
    type Fields = NameFields;

    const ROUTE: Route = Route {
        method: Method::Post,
        path: "/names",
        has_body: true,
        id: "setName",
        group: "names",
        summary: "Give content a name",
        description: "The branch gets a new revision, unless it holds the content already.",
        answer: AnswerForm::Json("The name"),
        failures: &[404, 409],
    };

    fn from_fields(fields: NameFields) -> Result<Self, Failure> {
        if fields.tags.len() > TAGS_MAX {
            return Err(usage("there are too many tags"));
        }
        let tags = fields.tags.iter().map(|tag| RefName::tag(&tag.0));
        let branch = fields.branch.map(|branch| RefName::branch(&branch.0));
        Ok(Self {
            repo: fields.name.of_kind(fields.kind)?,
            branch: branch
                .unwrap_or_else(|| Ok(RefName::main()))
                .map_err(usage)?,
            tags: tags.collect::<Result<_, _>>().map_err(usage)?,
            hash: fields.hash,
            message: fields.message,
        })
    }
}
