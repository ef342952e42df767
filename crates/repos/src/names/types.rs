//! Results about names and their content.

use std::collections::BTreeMap;

use hubless_content::{CommitId, ContentHash, PublisherId, RefName, RepoId, RepoKind};
use hubless_names::namespaces::NameSource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A request to give content a name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NameSet {
    /// The repo; created if it does not exist.
    pub repo: RepoId,
    /// The branch that gets a new revision.
    pub branch: RefName,
    /// Tags that lead to that revision from then on.
    pub tags: Vec<RefName>,
    /// Its content.
    pub hash: ContentHash,
    /// The title of the revision.
    pub message: Option<String>,
}

/// The result of giving a name.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Named {
    /// The kind of the repo.
    pub kind: RepoKind,
    /// `ORG/NAME`.
    pub name: String,
    /// The branch.
    pub branch: String,
    /// Tags that were set.
    pub tags: Vec<String>,
    /// The id of the branch's revision.
    pub commit: CommitId,
    /// Its content.
    pub hash: ContentHash,
    /// Whether the revision is new; if not, the branch held this content already.
    pub new: bool,
    /// A warning for the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// All names.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Names {
    /// By kind and name.
    pub names: Vec<NameRef>,
}

/// One name.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NameRef {
    /// The kind of the repo.
    pub kind: RepoKind,
    /// `ORG/NAME`.
    pub name: String,
    /// The revision of its main branch.
    pub commit: Option<CommitId>,
    /// The content of that revision, if its address is known.
    pub hash: Option<ContentHash>,
}

/// The details of one name.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Name")]
pub struct NameDetails {
    /// The kind of the repo.
    pub kind: RepoKind,
    /// `ORG/NAME`.
    pub name: String,
    /// What says which repo the name is.
    pub source: NameSource,
    /// What the publisher signed, if it is the repo of one.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
    /// Its branches, tags and other refs.
    pub refs: BTreeMap<RefName, CommitId>,
    /// Its revisions, newest first.
    pub revisions: Vec<NameRevision>,
}

/// What the newest head of a name says.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub struct Signed {
    /// The publisher.
    pub publisher: PublisherId,
    /// The sequence number of the newest state.
    pub seq: u64,
    /// Seconds since a signer last confirmed that it is the newest.
    pub confirmed_s: u64,
}

/// One revision of a name.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NameRevision {
    /// Its id.
    pub commit: CommitId,
    /// Its content, if its address is known.
    pub hash: Option<ContentHash>,
    /// When it was made: milliseconds since 1970, UTC.
    pub time: u64,
    /// Its title.
    pub title: String,
    /// Whether its content was removed from this node.
    #[serde(default)]
    pub removed: bool,
}

/// The content of a revision was removed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RevisionRemoved {
    /// The revision.
    pub commit: CommitId,
    /// Its content, if its address was known.
    pub hash: Option<ContentHash>,
}

/// The content of a name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResolvedName {
    /// The kind of the repo.
    pub kind: RepoKind,
    /// `ORG/NAME`.
    pub name: String,
    /// The revision.
    pub commit: CommitId,
    /// Its content.
    pub hash: ContentHash,
}
