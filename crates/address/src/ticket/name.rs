//! What a ticket of a name holds: a repo of a publisher, and perhaps a revision of it.

use std::{fmt, str::FromStr};

use hubless_content::{
    ParsePublisherIdError, PublisherId, RefName, RefNameError, RepoId, RepoIdError, Subject,
};

/// A repo of a publisher, under the name that is the same on every node, and perhaps a revision.
///
/// As text `ID/name`, `ID/name@revision`, with `datasets/` or `spaces/` before it where it is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameAt {
    repo: RepoId,
    revision: Option<Box<str>>,
}

/// Why a text or a repo is not a name that every node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameAtError {
    /// A rule of names of repos is broken.
    #[error(transparent)]
    Repo(#[from] RepoIdError),
    /// The namespace is not the id of a publisher, so that other nodes may call another repo so.
    #[error("the namespace is no id: {0}")]
    Publisher(#[from] ParsePublisherIdError),
    /// The revision is no branch, tag or commit id.
    #[error("the revision: {0}")]
    Revision(#[from] RefNameError),
}

impl NameAt {
    /// The repo `repo`, whose namespace is the id of a publisher, at `revision`: a branch, a tag, a full
    /// ref or a commit id.
    ///
    /// # Errors
    /// If the namespace is none, or the revision breaks a rule of refs.
    pub fn new(repo: &RepoId, revision: Option<&str>) -> Result<Self, NameAtError> {
        let publisher: PublisherId = repo.namespace().unwrap_or_default().parse()?;
        let subject = Subject::repo(publisher, repo.kind(), repo.name())?;
        // What git takes as a branch has all that a tag, a full ref and a commit id can have.
        let branch = revision.map(RefName::branch);
        branch.transpose()?;
        Ok(Self {
            repo: subject.repo_id().ok_or(RepoIdError::Segments)?,
            revision: revision.map(Into::into),
        })
    }

    /// The repo; its namespace is the id of a publisher in lower case.
    pub fn repo(&self) -> &RepoId {
        &self.repo
    }

    /// The branch, tag, ref or commit id.
    pub fn revision(&self) -> Option<&str> {
        self.revision.as_deref()
    }
}

impl fmt::Display for NameAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repo)?;
        match &self.revision {
            Some(revision) => write!(f, "@{revision}"),
            None => Ok(()),
        }
    }
}

impl FromStr for NameAt {
    type Err = NameAtError;

    fn from_str(text: &str) -> Result<Self, NameAtError> {
        let (repo, revision) = match text.split_once('@') {
            Some((repo, revision)) => (repo, Some(revision)),
            None => (text, None),
        };
        Self::new(&repo.parse()?, revision)
    }
}
