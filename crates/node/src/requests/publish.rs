//! `publish`: a directory becomes the newest revision of a name of the network.

use std::sync::Arc;

use hubless_content::{
    CommitId, ContentHash, PublisherId, RefName, RepoId, RepoKind, Subject, Tree,
};
use hubless_network::{NameAt, Ticket};
use hubless_publishers::publish::{Change, Commit};
use serde::{Deserialize, Serialize};

use super::{Add, Call};
use crate::{
    core::Core,
    failure::{Failure, FailureKind},
    replies::ReplySink,
};

/// Imports a directory, and publishes it. Events: [`Event::Progress`](crate::event::Event::Progress).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Publish {
    /// The directory, and how it is imported.
    pub add: Add,
    /// The repo: its namespace is the handle or the id of a publisher of this node.
    pub repo: RepoId,
    /// The branch that gets the revision.
    pub branch: RefName,
    /// Tags that lead to it from then on.
    pub tags: Vec<RefName>,
    /// The message of the revision.
    pub message: Option<String>,
}

/// A revision was published.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Published {
    /// The publisher.
    pub id: PublisherId,
    /// The kind of the repo.
    pub kind: RepoKind,
    /// The name as the caller wrote it.
    pub name: String,
    /// The branch.
    pub branch: String,
    /// Where it leads.
    pub commit: CommitId,
    /// The content of that revision.
    pub hash: ContentHash,
    /// The sequence number of the head.
    pub seq: u64,
    /// Whether the revision is new; if not, the branch held this content already.
    pub new: bool,
    /// The name as other machines resolve it, with addresses of this node.
    pub url: String,
}

impl Call for Publish {
    type Answer = Published;

    async fn handle(self, core: &Arc<Core>, sink: &ReplySink) -> Result<Published, Failure> {
        let subject = core.names.own_subject(&self.repo).await?;
        let added = self.add.handle(core, sink).await?;
        let commit = Commit {
            branch: self.branch.clone(),
            tags: self.tags,
            ..Commit::of(Tree::Content(added.hash), self.message)
        };
        let signed = core
            .names
            .signer
            .change(&subject, &Change::Commit(commit))
            .await?;
        Ok(Published {
            id: subject.publisher(),
            kind: self.repo.kind(),
            name: self.repo.id().to_owned(),
            branch: self.branch.short().to_owned(),
            commit: signed.tip()?,
            hash: added.hash,
            seq: signed.head.head().seq,
            new: signed.is_new,
            url: url(core, &subject).await?,
        })
    }
}

/// The name as every machine resolves it, with the addresses of this node that reach farthest.
async fn url(core: &Arc<Core>, subject: &Subject) -> Result<String, Failure> {
    let repo = subject
        .repo_id()
        .ok_or_else(|| Failure::new(FailureKind::Other, "a profile is no repo"))?;
    let status = core.online().await?.status().await;
    let addresses = status
        .external_addresses
        .into_iter()
        .chain(status.addresses);
    let name = NameAt::new(&repo, None)
        .map_err(|error| Failure::new(FailureKind::Other, error.to_string()))?;
    Ok(Ticket::of_node(name, addresses, false).to_string())
}
