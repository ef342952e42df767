//! How a request about names fails.

use hubless_content::{CommitId, RefName, RepoId, RevisionError};
use hubless_store::StoreError;
use hubless_transfer::Aborted;
use hubless_upstream::RepoError;

/// Why a name could not be given, shown or removed.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// This node does not know the name.
    #[error("this node does not know the name {repo}")]
    Unknown {
        /// The name.
        repo: RepoId,
    },
    /// Neither this node nor the upstream knows it.
    #[error("neither this node nor {upstream} has {repo}")]
    Nowhere {
        /// The name.
        repo: RepoId,
        /// The URL of the upstream.
        upstream: String,
    },
    /// What it leads to has no content hash before all its files are known.
    #[error("the content hash of {repo}@{revision} is not known yet")]
    NoHash {
        /// The name.
        repo: RepoId,
        /// The requested revision.
        revision: String,
    },
    /// The name has no such branch or tag.
    #[error("{repo} has no {name}")]
    NoRef {
        /// The name.
        repo: RepoId,
        /// The branch or tag.
        name: RefName,
    },
    /// The name has no such revision.
    #[error("{repo} has no revision {revision:?}")]
    NoRevision {
        /// The name.
        repo: RepoId,
        /// The requested revision.
        revision: String,
    },
    /// A branch or tag leads to the revision whose content was to be removed.
    #[error("{of} of {repo} leads to revision {commit}")]
    LeadsThere {
        /// The name.
        repo: RepoId,
        /// The branch or tag.
        of: RefName,
        /// The revision.
        commit: CommitId,
    },
    /// Other writers moved the branch, again and again.
    #[error("{repo}@{} keeps moving", branch.short())]
    KeepsMoving {
        /// The name.
        repo: RepoId,
        /// The branch.
        branch: RefName,
    },
    /// A name given here needs an organisation.
    #[error("{:?} has no ORG/ before the name", repo.id())]
    NoOrg {
        /// The name.
        repo: RepoId,
    },
    /// The name belongs to a hub.
    #[error("{repo} is a repo of {hub}")]
    OfHub {
        /// The name.
        repo: RepoId,
        /// The URL of the hub.
        hub: String,
    },
    /// The message of the revision is too long.
    #[error("{0}")]
    Message(RevisionError),
    /// The name could not be resolved.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A call of the store was aborted.
    #[error(transparent)]
    Aborted(#[from] Aborted),
}
