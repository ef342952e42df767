//! What a head, a state or a summary is of: one repo of a publisher, or its profile.

use std::fmt;

use crate::{
    encoding::{NotCanonical, Reader, bytes_tag, number_tag, put_bytes, put_number, put_text},
    hash::SubjectKey,
    identity::PublisherId,
    repo::{RepoId, RepoIdError, RepoKind},
};

/// Context of the keys under which heads lie in the DHT.
const DHT_KEY_CONTEXT: &str = "hubless 2026-12 DHT key of a repo";

/// Fields of the documents that begin with a subject.
const TAG_PUBLISHER: u8 = bytes_tag(2);
const TAG_KIND: u8 = number_tag(3);
const TAG_NAME: u8 = bytes_tag(4);

/// The kind of a profile, beside those of repos.
const PROFILE: u64 = 4;

/// The publisher and what of it: a repo with a name in it, or its profile.
///
/// Names that differ only in case are the same one; the spelling is kept.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    publisher: PublisherId,
    repo: Option<RepoId>,
}

impl Subject {
    /// The repo `name` of a publisher.
    ///
    /// # Errors
    /// If a rule of names of repos is broken.
    pub fn repo(publisher: PublisherId, kind: RepoKind, name: &str) -> Result<Self, RepoIdError> {
        let repo = RepoId::new(kind, name)?;
        if repo.namespace().is_some() {
            return Err(RepoIdError::Segments);
        }
        Ok(Self {
            publisher,
            repo: Some(repo),
        })
    }

    /// The profile of a publisher.
    pub const fn profile(publisher: PublisherId) -> Self {
        Self {
            publisher,
            repo: None,
        }
    }

    /// The publisher.
    pub const fn publisher(&self) -> PublisherId {
        self.publisher
    }

    /// The kind and the name of the repo; `None` for the profile.
    pub fn kind_and_name(&self) -> Option<(RepoKind, &str)> {
        self.repo.as_ref().map(|repo| (repo.kind(), repo.name()))
    }

    /// The repo as every node calls it: the id of the publisher as its namespace. `None` for the profile.
    pub fn repo_id(&self) -> Option<RepoId> {
        let (kind, name) = self.kind_and_name()?;
        RepoId::new(kind, &format!("{}/{name}", self.publisher)).ok()
    }

    /// The subject that every node calls `repo`; `None` if its namespace is not the id of a publisher.
    pub fn of_repo(repo: &RepoId) -> Option<Self> {
        let publisher = repo.namespace()?.parse().ok()?;
        Self::repo(publisher, repo.kind(), repo.name()).ok()
    }

    /// The key under which the head and the holders are found in the DHT.
    pub fn key(&self) -> SubjectKey {
        let mut hasher = blake3::Hasher::new_derive_key(DHT_KEY_CONTEXT);
        hasher.update(self.publisher.as_bytes());
        hasher.update(&[self.kind_number() as u8]);
        hasher.update(self.folded().as_bytes());
        hasher.finalize().into()
    }

    fn kind_number(&self) -> u64 {
        (self.repo.as_ref()).map_or(PROFILE, |repo| repo.kind().number())
    }

    fn folded(&self) -> String {
        self.repo.as_ref().map(RepoId::folded).unwrap_or_default()
    }

    /// Appends the fields 2 to 4 of a head or a state.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, TAG_PUBLISHER, self.publisher.as_bytes());
        put_number(out, TAG_KIND, self.kind_number());
        put_text(out, TAG_NAME, self.repo.as_ref().map_or("", RepoId::name));
    }

    /// Reads the fields that [`Subject::put`] writes.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, NotCanonical> {
        let start = reader.at();
        let publisher = reader.fixed(TAG_PUBLISHER, PublisherId::from_slice)?;
        let publisher = publisher.ok_or(NotCanonical(start))?;
        let kind = reader.number(TAG_KIND)?;
        let name = reader.text(TAG_NAME)?;
        if kind == PROFILE && name.is_empty() {
            return Ok(Self::profile(publisher));
        }
        let kind = RepoKind::from_number(kind).ok_or(NotCanonical(start))?;
        Self::repo(publisher, kind, name).map_err(|_| NotCanonical(start))
    }
}

/// `ID/name`, with the word of the kind before it as in URLs; a profile is `ID` alone.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind_and_name() {
            None => write!(f, "{}", self.publisher),
            Some((RepoKind::Model, name)) => write!(f, "{}/{name}", self.publisher),
            Some((kind, name)) => write!(f, "{}/{}/{name}", kind.plural(), self.publisher),
        }
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
