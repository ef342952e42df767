//! Resolves a name and a revision, as a client writes them, to one state of a repo.

use std::{sync::Arc, time::Duration};

use hubless_content::{
    CommitId, ContentHash, ManifestEntry, RefName, RepoId, Revision, Status, Subject, Tree,
};
use hubless_names::resolve::Wanted;
use hubless_store::{PastCommit, Repo, RepoOrigin, Store, StoreError};
use hubless_upstream::{Caller, Origin, RepoError, Upstream};

use crate::{file::RepoFile, repos::Repos};

/// How long the upstream may take if there is a last known state: clients wait 10 s in all.
const ANSWER_WITH_HELD: Duration = Duration::from_secs(3);

/// How long it may take if no state is known. A long listing continues after that, and a repeated
/// request finds it.
const ANSWER_WITHOUT: Duration = Duration::from_secs(9);

/// Limit of revisions of a history.
const HISTORY_MAX: usize = 10_000;

/// One state of a repo.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The repo's properties; its name in the displayed spelling.
    pub repo: Arc<Repo>,
    /// The revision's id.
    pub commit: CommitId,
    /// The revision.
    pub revision: Arc<Revision>,
    /// Its access.
    pub(super) caller: Caller,
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

    /// The model of a file, and the file's place in it; `None` if the content has no address yet.
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

    /// The location of a file at the upstream, and its listed properties.
    pub(super) fn origin(&self, file: &RepoFile) -> Origin {
        Origin {
            repo: self.repo.id.clone(),
            commit: self.commit,
            path: file.path.clone(),
            size: file.size,
            expected: hubless_upstream::expected(file.hash, file.lfs, file.git_blob),
            token: self.caller.token.clone(),
            restricted: is_restricted(&self.repo),
        }
    }
}

impl Repos {
    /// The state of a repo that `revision` names: a branch, a tag, a full ref, a commit id or the
    /// beginning of one; `HEAD` is the branch main. Unknown revisions, and refs that may have
    /// moved, are requested from the upstream; if that cannot be reached, the last known state
    /// counts.
    ///
    /// # Errors
    /// [`RepoError::NoRepo`] and [`RepoError::NoRevision`]; others that the upstream returns.
    pub async fn resolve(
        &self,
        repo: &RepoId,
        revision: &str,
        caller: &Caller,
    ) -> Result<Resolved, RepoError> {
        self.refresh(repo, revision).await?;
        let found = self.find(repo, revision).await?;
        let resolved = match self.upstream_for(&found) {
            Some(upstream) => {
                self.pull_through(upstream, repo, revision, found, caller)
                    .await?
            }
            None => found.into_result(revision)?,
        };
        let resolved = Resolved {
            caller: caller.clone(),
            ..resolved
        };
        if resolved.repo.private {
            self.permit(&resolved).await?;
        }
        Ok(resolved)
    }

    /// As [`Repos::resolve`] for a caller with all rights, from this node's data alone.
    pub(super) async fn resolve_held(
        &self,
        repo: &RepoId,
        revision: &str,
    ) -> Result<Resolved, RepoError> {
        self.find(repo, revision).await?.into_result(revision)
    }

    /// Brings a repo of a publisher to its newest head, unless a commit is wanted that is here.
    async fn refresh(&self, repo: &RepoId, revision: &str) -> Result<(), RepoError> {
        let Some(subject) = Subject::of_repo(repo) else {
            return Ok(());
        };
        // A commit never changes.
        if let Ok(commit) = revision.parse::<CommitId>()
            && self.holds(repo, commit).await?
        {
            return Ok(());
        }
        let current = self.resolver.current(&subject, &Wanted::default()).await?;
        match current.status {
            Status::Open => Ok(()),
            Status::Gone => Err(RepoError::NoRepo),
            Status::Moved(kind, name) => {
                let to = Subject::repo(subject.publisher(), kind, &name);
                let to = to.ok().and_then(|to| to.repo_id());
                Err(to.map_or(RepoError::NoRepo, |to| RepoError::Moved { to }))
            }
        }
    }

    async fn holds(&self, repo: &RepoId, commit: CommitId) -> Result<bool, RepoError> {
        let repo = repo.clone();
        let held = self
            .store(move |store| store.revision(&repo, commit))
            .await?;
        Ok(held.is_some())
    }

    async fn find(&self, repo: &RepoId, revision: &str) -> Result<Found, RepoError> {
        let (id, text) = (repo.clone(), revision.to_owned());
        self.store(move |store| find(store, &id, &text)).await
    }

    /// The upstream, for repos that were not named on this node.
    fn upstream_for(&self, found: &Found) -> Option<&Arc<Upstream>> {
        let is_local = found.repo().is_some_and(is_no_upstreams);
        self.upstream.as_ref().filter(|_| !is_local)
    }

    async fn pull_through(
        &self,
        upstream: &Arc<Upstream>,
        repo: &RepoId,
        revision: &str,
        found: Found,
        caller: &Caller,
    ) -> Result<Resolved, RepoError> {
        let held = match found {
            // A commit never changes.
            Found::Revision(held) if held.commit.to_string() == revision => {
                return Ok(*held);
            }
            Found::Revision(held) => Some(*held),
            Found::Removed(_, revision) => return Err(RepoError::Removed { revision }),
            Found::OnlyRepo(_) | Found::Nothing => None,
        };
        let wait = match held {
            Some(_) => ANSWER_WITH_HELD,
            None => ANSWER_WITHOUT,
        };
        let asked = hubless_upstream::commit(&self.fetches, upstream, repo, revision, caller);
        let answered = tokio::time::timeout(wait, asked).await;
        match (answered, held) {
            (Ok(Ok(commit)), _) => self.resolve_held(repo, &commit.to_string()).await,
            (
                Ok(Err(
                    RepoError::Unavailable { .. }
                    | RepoError::Busy { .. }
                    | RepoError::TooManyRequests { .. },
                ))
                | Err(_),
                Some(held),
            ) => {
                tracing::debug!(%repo, revision, "the last known state, because the upstream is silent");
                Ok(held)
            }
            (Ok(Err(error)), _) => Err(error),
            (Err(_), None) => Err(RepoError::Busy {
                retry_after: Duration::from_secs(1),
            }),
        }
    }

    /// Checks that the caller may get the files of a resolved state. For a private or gated repo
    /// the upstream decides.
    ///
    /// # Errors
    /// [`RepoError::Gated`], [`RepoError::NoRepo`], or that the upstream cannot be asked.
    pub async fn permit(&self, resolved: &Resolved) -> Result<(), RepoError> {
        let repo = &resolved.repo;
        if !is_restricted(repo) || is_no_upstreams(repo) {
            return Ok(());
        }
        match &self.upstream {
            Some(upstream) => {
                hubless_upstream::permit(&self.fetches, upstream, &repo.id, &resolved.caller).await
            }
            None if repo.private => Err(RepoError::NoRepo),
            None => Err(RepoError::Gated {
                message: format!(
                    "Access to {} {} is restricted and you are not in the authorized list",
                    repo.id.kind(),
                    repo.id.id()
                ),
            }),
        }
    }

    /// The properties of a repo.
    ///
    /// # Errors
    /// [`RepoError::NoRepo`], and as [`Repos::resolve`].
    pub async fn repo(&self, id: &RepoId, caller: &Caller) -> Result<Repo, RepoError> {
        self.refresh(id, "HEAD").await?;
        let known = self.held_repo(id).await?;
        let is_local = known.as_ref().is_some_and(is_no_upstreams);
        if !is_local && (known.is_none() || known.as_ref().is_some_and(|repo| repo.private)) {
            return Ok(Repo::clone(&self.resolve(id, "HEAD", caller).await?.repo));
        }
        known.ok_or(RepoError::NoRepo)
    }

    /// The properties of a repo from this node's data.
    pub(super) async fn held_repo(&self, id: &RepoId) -> Result<Option<Repo>, RepoError> {
        let id = id.clone();
        self.store(move |store| store.repo(&id)).await
    }

    /// All refs of a repo, ordered by name.
    ///
    /// # Errors
    /// [`RepoError::NoRepo`], and as [`Repos::resolve`].
    pub async fn refs(
        &self,
        id: &RepoId,
        caller: &Caller,
    ) -> Result<Vec<(RefName, CommitId)>, RepoError> {
        let repo = self.repo(id, caller).await?;
        if let Some(upstream) = &self.upstream
            && !is_no_upstreams(&repo)
        {
            match hubless_upstream::refresh_refs(&self.fetches, upstream, id, caller).await {
                Ok(())
                | Err(
                    RepoError::Unavailable { .. }
                    | RepoError::Busy { .. }
                    | RepoError::TooManyRequests { .. },
                ) => {}
                Err(error) => return Err(error),
            }
        }
        self.store(move |store| store.refs(&repo.id)).await
    }

    /// A state and its predecessors, newest first, along first parents, as far as they are known.
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

impl Repos {
    /// The history of a state, newest first. For a repo of the upstream it is the upstream's
    /// history, or its last known one.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn commits(&self, of: &Resolved) -> Result<Vec<PastCommit>, RepoError> {
        let is_local = is_no_upstreams(&of.repo);
        let listed = match &self.upstream {
            Some(upstream) if !is_local => self.listed_history(upstream, of).await,
            _ => None,
        };
        let of = of.clone();
        self.store(move |store| {
            let listed = match listed {
                Some(listed) => listed.to_vec(),
                None => store.history(&of.repo.id, of.commit)?,
            };
            if listed.iter().any(|commit| commit.id == of.commit) {
                return Ok(listed);
            }
            let known = history(store, &of)?.into_iter();
            Ok(known
                .map(|(id, known)| past(id, &known))
                .chain(listed)
                .collect())
        })
        .await
    }

    async fn listed_history(
        &self,
        upstream: &Arc<Upstream>,
        of: &Resolved,
    ) -> Option<Arc<Vec<PastCommit>>> {
        let asked =
            hubless_upstream::history(&self.fetches, upstream, &of.repo, of.commit, &of.caller);
        match tokio::time::timeout(ANSWER_WITH_HELD, asked).await {
            Ok(Ok(listed)) => Some(listed),
            Ok(Err(error)) => {
                tracing::debug!(repo = %of.repo.id, %error, "the history as far as it is known here");
                None
            }
            Err(_) => None,
        }
    }
}

/// A revision as a history entry; clients need a title.
fn past(id: CommitId, revision: &Revision) -> PastCommit {
    let title = match revision.title.as_str() {
        "" => format!("commit {}", &id.to_string()[..7]),
        title => title.to_owned(),
    };
    PastCommit {
        id,
        title,
        message: revision.message.clone(),
        author: revision.author.clone(),
        time: revision.time,
    }
}

/// Whether a repo was named on this node, or is a publisher's: the upstream is not asked for it.
fn is_no_upstreams(repo: &Repo) -> bool {
    match repo.origin {
        RepoOrigin::Local | RepoOrigin::Publisher => true,
        RepoOrigin::Upstream(_) => false,
    }
}

/// Whether a repo's files are given only to some callers.
pub(super) fn is_restricted(repo: &Repo) -> bool {
    repo.private || repo.gated
}

/// What was found in this node's data.
enum Found {
    Revision(Box<Resolved>),
    /// The content of this revision was removed.
    Removed(Box<Repo>, CommitId),
    OnlyRepo(Box<Repo>),
    Nothing,
}

impl Found {
    fn repo(&self) -> Option<&Repo> {
        match self {
            Self::Revision(resolved) => Some(&resolved.repo),
            Self::OnlyRepo(repo) | Self::Removed(repo, _) => Some(repo),
            Self::Nothing => None,
        }
    }

    fn into_result(self, revision: &str) -> Result<Resolved, RepoError> {
        match self {
            Self::Revision(resolved) => Ok(*resolved),
            Self::Removed(_, revision) => Err(RepoError::Removed { revision }),
            Self::OnlyRepo(_) => Err(RepoError::NoRevision {
                revision: revision.to_owned(),
            }),
            Self::Nothing => Err(RepoError::NoRepo),
        }
    }
}

fn find(store: &Store, id: &RepoId, revision: &str) -> Result<Found, StoreError> {
    let Some(repo) = store.repo(id)? else {
        return Ok(Found::Nothing);
    };
    let Some(commit) = commit_of(store, id, revision)? else {
        return Ok(Found::OnlyRepo(Box::new(repo)));
    };
    if store.is_content_removed(id, commit)? {
        return Ok(Found::Removed(Box::new(repo), commit));
    }
    Ok(match store.revision(id, commit)? {
        Some(revision) => Found::Revision(Box::new(Resolved {
            repo: Arc::new(repo),
            commit,
            revision: Arc::new(revision),
            caller: Caller::default(),
        })),
        None => Found::OnlyRepo(Box::new(repo)),
    })
}

/// The order for ambiguous names: a full ref, then a branch, a tag, a commit id.
pub(super) fn commit_of(
    store: &Store,
    repo: &RepoId,
    text: &str,
) -> Result<Option<CommitId>, StoreError> {
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
        let Some(mut revision) = store.revision(&of.repo.id, parent)? else {
            break;
        };
        if store.is_content_removed(&of.repo.id, parent)? {
            revision.message = "The content of this revision was removed.".into();
        }
        history.push((parent, Arc::new(revision)));
    }
    Ok(history)
}
