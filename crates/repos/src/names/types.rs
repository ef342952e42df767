//! What is told of names and what they lead to.

use std::collections::BTreeMap;

use hubless_content::{CommitId, ContentHash, RefName, RepoId, RepoKind};
use serde::{Deserialize, Serialize};

/// A name to be given.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NameSet {
    /// The repo; made if there is none.
    pub repo: RepoId,
    /// The branch that gets a new revision.
    pub branch: RefName,
    /// Tags that lead to that revision from then on.
    pub tags: Vec<RefName>,
    /// Its content.
    pub hash: ContentHash,
    /// What is said about it, in a line.
    pub message: Option<String>,
}

/// A name was given.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Named {
    /// What it names.
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
    /// What a person should know about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// All names.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Names {
    /// By kind and name.
    pub names: Vec<NameRef>,
}

/// One name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NameRef {
    /// What it names.
    pub kind: RepoKind,
    /// `ORG/NAME`.
    pub name: String,
    /// The revision of its main branch.
    pub commit: Option<CommitId>,
    /// The content of that, if its address is known.
    pub hash: Option<ContentHash>,
}

/// All about one name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NameDetails {
    /// What it names.
    pub kind: RepoKind,
    /// `ORG/NAME`.
    pub name: String,
    /// Its branches, tags and other refs.
    pub refs: BTreeMap<RefName, CommitId>,
    /// Its revisions, newest first.
    pub revisions: Vec<NameRevision>,
}

/// One revision of a name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NameRevision {
    /// Its id.
    pub commit: CommitId,
    /// Its content, if its address is known.
    pub hash: Option<ContentHash>,
    /// When it was made: milliseconds since 1970, UTC.
    pub time: u64,
    /// What was said about it.
    pub title: String,
    /// Its content was removed here.
    #[serde(default)]
    pub removed: bool,
}

/// The content of a revision was removed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RevisionRemoved {
    /// The revision.
    pub commit: CommitId,
    /// What it was, if its address was known.
    pub hash: Option<ContentHash>,
}

/// What a name leads to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResolvedName {
    /// What it names.
    pub kind: RepoKind,
    /// `ORG/NAME`.
    pub name: String,
    /// The revision.
    pub commit: CommitId,
    /// Its content.
    pub hash: ContentHash,
}
