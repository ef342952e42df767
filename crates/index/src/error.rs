//! Why the index could not do what it was asked to.

use std::path::PathBuf;

use hubless_content::{
    CommitId, DocumentHash, PublisherId, RefName, RepoId, RevisionError, Subject,
};
use hubless_disk::DiskError;

/// Why the index could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The disk refused something.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Another process has the store open.
    #[error("the store in {} is in use by another process{}", home.display(), id_of(*process))]
    Locked {
        /// The home directory.
        home: PathBuf,
        /// The id of the process, if the system says it.
        process: Option<u32>,
    },
    /// The index does not hold what this program wrote to it.
    #[error("the index {} is damaged: {detail}", path.display())]
    Corrupt {
        /// The index file.
        path: PathBuf,
        /// What shows it.
        detail: String,
    },
    /// The index failed for another reason than the disk or its contents.
    #[error("the index {} failed: {source}", path.display())]
    Failed {
        /// The index file.
        path: PathBuf,
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store was written by a newer version of this program.
    #[error("{} was written by a newer version (schema {found}, this version knows {known})",
        path.display())]
    Newer {
        /// The index file.
        path: PathBuf,
        /// The schema found.
        found: u64,
        /// The newest schema that this version knows.
        known: u64,
    },
    /// The repo is not known here.
    #[error("there is no repo {repo} in this store")]
    UnknownRepo {
        /// The repo.
        repo: RepoId,
    },
    /// The repo was to be new, but is known.
    #[error("there is a repo {repo} already")]
    RepoExists {
        /// The repo.
        repo: RepoId,
    },
    /// A ref leads elsewhere than the writer of a change saw; nothing was changed.
    #[error("{name} of {repo} moved meanwhile{}", found.map(|at| format!(" to {at}")).unwrap_or_default())]
    RefMoved {
        /// The repo.
        repo: RepoId,
        /// The ref.
        name: RefName,
        /// Where it leads now; `None` if there is no such ref.
        found: Option<CommitId>,
    },
    /// The repo has no such revision.
    #[error("{repo} has no revision {commit}")]
    UnknownRevision {
        /// The repo.
        repo: RepoId,
        /// The revision.
        commit: CommitId,
    },
    /// A revision whose content is to be removed is what a ref leads to.
    #[error("revision {commit} of {repo} is what {name} leads to")]
    RefLeadsThere {
        /// The repo.
        repo: RepoId,
        /// The revision.
        commit: CommitId,
        /// The ref; there may be more.
        name: RefName,
    },
    /// More of something than the index takes.
    #[error("there can be at most {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: u64,
    },
    /// A revision breaks a rule.
    #[error("revision {commit} cannot be kept: {source}")]
    Revision {
        /// Its id.
        commit: CommitId,
        /// The rule.
        source: RevisionError,
    },
    /// A repo of a publisher was to change without a head that says so.
    #[error("{repo} is a publisher's: it changes by its signed head only")]
    OfPublisher {
        /// The repo.
        repo: RepoId,
    },
    /// Another head was taken meanwhile, or one that counts for more; nothing was changed.
    #[error("the head of {subject} moved meanwhile")]
    HeadMoved {
        /// The repo or profile.
        subject: Subject,
        /// The state that the head here names; `None` if there is none.
        found: Option<DocumentHash>,
    },
    /// The chain of an identity is not the one that was seen before, and neither goes on from the other.
    #[error("two histories of keys of publisher {publisher} contradict each other")]
    ChainContradicts {
        /// The publisher.
        publisher: PublisherId,
    },
    /// What was to be published does not fit together.
    #[error("{subject} cannot be published: {reason}")]
    Unpublishable {
        /// The repo or profile.
        subject: Subject,
        /// Why.
        reason: &'static str,
    },
    /// A namespace stands for another publisher.
    #[error("the namespace {namespace} stands for publisher {publisher} here")]
    NamespaceTaken {
        /// The namespace.
        namespace: String,
        /// Its publisher.
        publisher: PublisherId,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// ` (pid 4711)`, or nothing.
fn id_of(process: Option<u32>) -> String {
    process.map_or_else(String::new, |id| format!(" (pid {id})"))
}
