//! From a name and a revision, as a client writes them, to one state of a repo.

use std::sync::Arc;

use hubless_content::{CommitId, ContentHash, ManifestEntry, RefName, RepoId, Revision, Tree};
use hubless_store::{Repo, Store, StoreError};

use super::{Caller, RepoError, RepoFile, Repos};

/// Revisions that a history is followed back for.
const HISTORY_MAX: usize = 10_000;

/// One state of a repo.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// What is known about the repo; its name in the spelling that is shown.
    pub repo: Arc<Repo>,
    /// The revision's id.
    pub commit: CommitId,
    /// The revision.
    pub revision: Arc<Revision>,
}

impl Resolved {
    /// Another state of the same repo.
    pub fn at(&self, commit: CommitId, revision: Arc<Revision>) -> Self {
        Self {
            commit,
            revision,
            ..self.clone()
        }
    }

    /// The model that a file is in, and the file's place there; `None` if its content has no
    /// address yet.
    pub(super) fn addressed(&self, file: &RepoFile) -> Option<(ContentHash, ManifestEntry)> {
        let Tree::Content(model) = self.revision.tree else {
            return None;
        };
        let entry = ManifestEntry {
            path: file.path.clone(),
            size: file.size,
            hash: file.hash?,
        };
        Some((model, entry))
    }
}

impl Repos {
    /// The state of a repo that `revision` names: a branch, a tag, a full ref, a commit id or the
    /// beginning of one; `HEAD` is the branch main.
    ///
    /// # Errors
    /// [`RepoError::NoRepo`] and [`RepoError::NoRevision`].
    pub async fn resolve(
        &self,
        repo: &RepoId,
        revision: &str,
        _caller: &Caller,
    ) -> Result<Resolved, RepoError> {
        let (id, text) = (repo.clone(), revision.to_owned());
        let found = self.store(move |store| find(store, &id, &text)).await?;
        match found {
            Found::Revision(resolved) => Ok(*resolved),
            Found::OnlyRepo => Err(RepoError::NoRevision {
                revision: revision.to_owned(),
            }),
            Found::Nothing => Err(RepoError::NoRepo),
        }
    }

    /// What is known about a repo.
    ///
    /// # Errors
    /// [`RepoError::NoRepo`].
    pub async fn repo(&self, id: &RepoId, _caller: &Caller) -> Result<Repo, RepoError> {
        let id = id.clone();
        let found = self.store(move |store| store.repo(&id)).await?;
        found.ok_or(RepoError::NoRepo)
    }

    /// All refs of a repo, ordered by name.
    ///
    /// # Errors
    /// [`RepoError::NoRepo`].
    pub async fn refs(
        &self,
        id: &RepoId,
        caller: &Caller,
    ) -> Result<Vec<(RefName, CommitId)>, RepoError> {
        let id = self.repo(id, caller).await?.id;
        self.store(move |store| store.refs(&id)).await
    }

    /// A state and those before it, newest first, along first parents, as far as they are known.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn history(
        &self,
        of: &Resolved,
    ) -> Result<Vec<(CommitId, Arc<Revision>)>, RepoError> {
        let of = of.clone();
        self.store(move |store| history(store, &of)).await
    }
}

enum Found {
    Revision(Box<Resolved>),
    OnlyRepo,
    Nothing,
}

fn find(store: &Store, id: &RepoId, revision: &str) -> Result<Found, StoreError> {
    let Some(repo) = store.repo(id)? else {
        return Ok(Found::Nothing);
    };
    let Some(commit) = commit_of(store, id, revision)? else {
        return Ok(Found::OnlyRepo);
    };
    Ok(match store.revision(id, commit)? {
        Some(revision) => Found::Revision(Box::new(Resolved {
            repo: Arc::new(repo),
            commit,
            revision: Arc::new(revision),
        })),
        None => Found::OnlyRepo,
    })
}

/// When names clash: a full ref, then a branch, a tag, a commit id.
fn commit_of(store: &Store, repo: &RepoId, text: &str) -> Result<Option<CommitId>, StoreError> {
    if text == "HEAD" {
        return store.get_ref(repo, &RefName::main());
    }
    let names = [
        RefName::new(text),
        RefName::branch(text),
        RefName::tag(text),
    ];
    for name in names.into_iter().flatten() {
        if let Some(commit) = store.get_ref(repo, &name)? {
            return Ok(Some(commit));
        }
    }
    store.revision_by_prefix(repo, text)
}

fn history(store: &Store, of: &Resolved) -> Result<Vec<(CommitId, Arc<Revision>)>, StoreError> {
    let mut history = vec![(of.commit, of.revision.clone())];
    while let Some((_, last)) = history.last()
        && let Some(parent) = last.parents.first().copied()
        && history.len() < HISTORY_MAX
    {
        match store.revision(&of.repo.id, parent)? {
            Some(revision) => history.push((parent, Arc::new(revision))),
            None => break,
        }
    }
    Ok(history)
}
