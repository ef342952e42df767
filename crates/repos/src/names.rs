//! Names: give content a name, list, show and remove names.

mod error;
mod types;

use std::time::{SystemTime, UNIX_EPOCH};

use hubless_content::{CommitId, ContentHash, RefName, RepoId, RepoKind, Revision, Subject, Tree};
use hubless_names::{clock, namespaces::NameSource};
use hubless_store::{IndexError, RefChange, Repo, RepoOrigin, Store, StoreError, StoreErrorKind};
use hubless_transfer::Blocking;
use hubless_upstream::{Caller, RepoError};

pub use self::{error::NameError, types::*};
use crate::{repos::Repos, resolve::commit_of};

/// Limit of names in one list; a search finds more.
const NAMES_MAX: usize = 100_000;

/// Attempts to append a revision to a branch. Each failure means that another writer appended one,
/// and at most 16 store calls run at once: so many failures in a row mean continuous writing.
const TRIES_MAX: usize = 1000;

impl Repos {
    /// Gives content a name: appends a revision to a branch.
    ///
    /// # Errors
    /// If the name is that of a hub, the message is too long, or the store fails.
    pub async fn set_name(&self, request: NameSet) -> Result<Named, NameError> {
        let cx = &self.fetches.cx;
        let store = cx.store.clone();
        let named = cx.blocking.run(move || put(&store, &request)).await??;
        cx.note_change();
        Ok(named)
    }

    /// All names that this node knows.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list_names(&self) -> Result<Names, NameError> {
        let names = self.store(names).await?;
        Ok(Names { names })
    }

    /// The branches, tags and revisions of a name.
    ///
    /// # Errors
    /// If the name is not known here, or the store fails.
    pub async fn show_name(&self, repo: RepoId) -> Result<NameDetails, NameError> {
        let known = self.held_repo(&repo).await?.ok_or_else(|| unknown(&repo))?;
        let id = known.id.clone();
        let (refs, revisions) = self.store(move |store| all_of(store, &id)).await?;
        let source = match known.origin {
            RepoOrigin::Local => NameSource::Local,
            RepoOrigin::Publisher => NameSource::Id,
            RepoOrigin::Upstream(_) => NameSource::Upstream,
        };
        Ok(NameDetails {
            source,
            signed: self.signed(&known.id).await?,
            kind: known.id.kind(),
            name: known.id.id().to_owned(),
            refs,
            revisions,
        })
    }

    /// What the newest head of a repo that is here says; `None` if it is not the repo of a publisher.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn signed(&self, repo: &RepoId) -> Result<Option<Signed>, RepoError> {
        let publisher = repo
            .namespace()
            .and_then(|namespace| namespace.parse().ok());
        let Some(publisher) = publisher else {
            return Ok(None);
        };
        let subject = Subject::repo(publisher, repo.kind(), repo.name());
        let Ok(key) = subject.map(|subject| subject.key()) else {
            return Ok(None);
        };
        let head = self.store(move |store| store.head(key)).await?;
        Ok(head.map(|record| Signed {
            publisher,
            seq: record.head().seq,
            confirmed_s: clock::now().saturating_sub(record.head().time) / 1_000,
        }))
    }

    /// The warning if no byte of the content is held: another node may have it, or the hash is wrong.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn nothing_here(&self, hash: ContentHash) -> Result<Option<String>, NameError> {
        Ok(self.store(move |store| nothing_here(store, hash)).await?)
    }

    /// Removes a ref of a name, or the whole name if no ref is given.
    ///
    /// # Errors
    /// If it is not known here, or the store fails.
    pub async fn remove_name(&self, repo: RepoId, name: Option<RefName>) -> Result<(), NameError> {
        let (id, refs) = (repo.clone(), name.clone());
        let remove = move |store: &Store| match refs {
            None => store.remove_repo(&id),
            Some(name) => match store.get_ref(&id, &name)? {
                None => Ok(false),
                Some(_) => {
                    let gone = RefChange::remove(name);
                    store.set_refs(&id, &[gone]).map(|()| true)
                }
            },
        };
        let was_there = self.store(remove).await?;
        self.fetches.cx.note_change();
        if was_there {
            return Ok(());
        }
        Err(match name {
            Some(name) => NameError::NoRef { repo, name },
            None => unknown(&repo),
        })
    }

    /// Removes the content of a revision, which stays in the history. The caller removes the model.
    ///
    /// # Errors
    /// If a ref leads to the revision, it is not known here, or the store fails.
    pub async fn remove_revision(
        &self,
        repo: RepoId,
        revision: String,
    ) -> Result<RevisionRemoved, NameError> {
        let cx = &self.fetches.cx;
        let store = cx.store.clone();
        let forget = move || forget_content(&store, &repo, &revision);
        let removed = Blocking::run_long(forget).await??;
        cx.note_change();
        Ok(removed)
    }

    /// The content that a name and a revision lead to.
    ///
    /// # Errors
    /// If neither this node nor the upstream knows them, or the content hash is not known yet.
    pub async fn resolve_name(
        &self,
        repo: RepoId,
        revision: &str,
    ) -> Result<ResolvedName, NameError> {
        let resolved = self.resolve(&repo, revision, &Caller::default()).await;
        let resolved = resolved.map_err(|error| match error {
            RepoError::NoRepo => match &self.upstream {
                None => unknown(&repo),
                Some(upstream) => NameError::Nowhere {
                    repo: repo.clone(),
                    upstream: upstream.name(),
                },
            },
            error => error.into(),
        })?;
        let hash = resolved.revision.tree.content_hash();
        let hash = hash.ok_or_else(|| NameError::NoHash {
            repo,
            revision: revision.to_owned(),
        })?;
        Ok(ResolvedName {
            kind: resolved.repo.id.kind(),
            name: resolved.repo.id.id().to_owned(),
            commit: resolved.commit,
            hash,
        })
    }
}

/// Appends a revision to a branch, after whichever revision is the last at the time of writing.
fn put(store: &Store, request: &NameSet) -> Result<Named, NameError> {
    for _ in 0..TRIES_MAX {
        if let Some(named) = put_if_unmoved(store, request)? {
            return Ok(named);
        }
    }
    Err(NameError::KeepsMoving {
        repo: request.repo.clone(),
        branch: request.branch.clone(),
    })
}

/// Appends a revision to a branch; `None` if another writer moved the branch meanwhile. A branch
/// that has the content already keeps its revision, so that naming the same content again changes
/// nothing.
fn put_if_unmoved(store: &Store, request: &NameSet) -> Result<Option<Named>, NameError> {
    let NameSet {
        repo,
        branch,
        tags,
        hash,
        message: _,
    } = request;
    let known = store.repo(repo)?;
    refuse_others(known.as_ref())?;
    if known.is_none() && repo.namespace().is_none() {
        return Err(NameError::NoOrg { repo: repo.clone() });
    }
    let head = store.get_ref(repo, branch)?;
    let last = match head {
        Some(head) => store.revision(repo, head)?,
        None => None,
    };
    let same = last.is_some_and(|last| last.tree == Tree::Content(*hash));
    let (commit, written) = match head {
        Some(head) if same => {
            let refs = ref_changes(request, head, Some(head));
            (head, store.set_refs(repo, &refs))
        }
        _ => {
            let (commit, revision) = next_revision(request, head)?;
            let refs = ref_changes(request, commit, head);
            let written = match known {
                Some(_) => store.put_revision(repo, commit, &revision, &refs),
                None => {
                    let repo = new_repo(repo, revision.time);
                    store.put_repo_and_revision(&repo, commit, &revision, &refs)
                }
            };
            (commit, written)
        }
    };
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == StoreErrorKind::Conflict => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    Ok(Some(Named {
        kind: repo.kind(),
        name: repo.id().to_owned(),
        branch: branch.short().to_owned(),
        tags: tags.iter().map(|tag| tag.short().to_owned()).collect(),
        commit,
        hash: *hash,
        new: !same,
        warning: nothing_here(store, *hash)?,
    }))
}

/// The warning if no byte of the content is held: another node may have it, or the hash is wrong.
fn nothing_here(store: &Store, hash: ContentHash) -> Result<Option<String>, StoreError> {
    let known = store.model_info(hash)?;
    let is_here = known.is_some_and(|model| model.held_bytes > 0 || model.complete);
    if is_here {
        return Ok(None);
    }
    let warning =
        format!("nothing of {hash} is on this node: clients get it only if a peer has it");
    Ok(Some(warning))
}

/// The ref changes: the branch moves only from its last read revision, a tag from any.
fn ref_changes(request: &NameSet, to: CommitId, seen: Option<CommitId>) -> Vec<RefChange> {
    let branch = RefChange::set(request.branch.clone(), to).if_at(seen);
    let tags = request.tags.iter();
    let tags = tags.map(|tag| RefChange::set(tag.clone(), to));
    [branch].into_iter().chain(tags).collect()
}

/// Refuses a name that belongs to a hub.
fn refuse_others(known: Option<&Repo>) -> Result<(), NameError> {
    let Some(Repo {
        id,
        origin: RepoOrigin::Upstream(hub),
        ..
    }) = known
    else {
        return Ok(());
    };
    Err(NameError::OfHub {
        repo: id.clone(),
        hub: hub.clone(),
    })
}

/// The revision after `head`, and its id.
fn next_revision(
    request: &NameSet,
    head: Option<CommitId>,
) -> Result<(CommitId, Revision), NameError> {
    let title = match head {
        None => "initial commit",
        Some(_) => "Update",
    };
    let revision = Revision {
        tree: Tree::Content(request.hash),
        parents: head.into_iter().collect(),
        time: milliseconds(),
        title: request.message.clone().unwrap_or_else(|| title.to_owned()),
        message: String::new(),
        author: String::new(),
    };
    let commit = revision.commit_id().map_err(NameError::Message)?;
    Ok((commit, revision))
}

fn new_repo(id: &RepoId, created: u64) -> Repo {
    Repo {
        id: id.clone(),
        created,
        origin: RepoOrigin::Local,
        private: false,
        gated: false,
    }
}

fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

fn names(store: &Store) -> Result<Vec<NameRef>, StoreError> {
    let mut names = Vec::new();
    for kind in RepoKind::ALL {
        for repo in store.repos(kind, "", None, NAMES_MAX)? {
            let head = store.get_ref(&repo.id, &RefName::main())?;
            let revision = match head {
                Some(head) => store.revision(&repo.id, head)?,
                None => None,
            };
            names.push(NameRef {
                kind,
                name: repo.id.id().to_owned(),
                commit: head,
                hash: revision.and_then(|revision| revision.tree.content_hash()),
            });
        }
    }
    Ok(names)
}

/// Up to `max` names of which a model is or was a revision.
///
/// # Errors
/// If the store fails.
pub fn names_of(store: &Store, model: ContentHash, max: usize) -> Result<Vec<RepoId>, StoreError> {
    let mut names = Vec::new();
    for kind in RepoKind::ALL {
        for repo in store.repos(kind, "", None, NAMES_MAX)? {
            for commit in store.revisions(&repo.id)? {
                let revision = store.revision(&repo.id, commit)?;
                if revision.and_then(|revision| revision.tree.content_hash()) == Some(model) {
                    names.push(repo.id);
                    break;
                }
            }
            if names.len() >= max {
                return Ok(names);
            }
        }
    }
    Ok(names)
}

type AllOf = (
    std::collections::BTreeMap<RefName, CommitId>,
    Vec<NameRevision>,
);

fn all_of(store: &Store, repo: &RepoId) -> Result<AllOf, StoreError> {
    let mut revisions = Vec::new();
    for commit in store.revisions(repo)? {
        if let Some(revision) = store.revision(repo, commit)? {
            revisions.push(NameRevision {
                commit,
                hash: revision.tree.content_hash(),
                time: revision.time,
                title: revision.title,
                removed: store.is_content_removed(repo, commit)?,
            });
        }
    }
    revisions.sort_by_key(|revision| std::cmp::Reverse(revision.time));
    Ok((store.refs(repo)?.into_iter().collect(), revisions))
}

fn forget_content(
    store: &Store,
    repo: &RepoId,
    revision: &str,
) -> Result<RevisionRemoved, NameError> {
    let known = store.repo(repo)?.ok_or_else(|| unknown(repo))?;
    let no_revision = || NameError::NoRevision {
        repo: repo.clone(),
        revision: revision.to_owned(),
    };
    let commit = commit_of(store, &known.id, revision)?.ok_or_else(no_revision)?;
    match store.remove_content(&known.id, commit) {
        Err(StoreError::Index(IndexError::RefLeadsThere { name, .. })) => {
            return Err(NameError::LeadsThere {
                repo: repo.clone(),
                of: name,
                commit,
            });
        }
        removed => removed?,
    }
    let revision = store.revision(&known.id, commit)?;
    let hash = revision.and_then(|revision| revision.tree.content_hash());
    Ok(RevisionRemoved { commit, hash })
}

fn unknown(repo: &RepoId) -> NameError {
    NameError::Unknown { repo: repo.clone() }
}
