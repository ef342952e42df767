//! Resolves a name and a revision to a commit, and stores its list of files in the index.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hubless_content::{CommitId, RefName, RepoId, Revision, Tree};
use hubless_store::{
    COMMIT_PREFIX_MIN, IndexError, PastCommit, RefChange, Repo, RepoOrigin, Store, StoreError,
};
use hubless_transfer::{Blocking, Fetches};

use crate::{
    caller::Caller, error::UpstreamError, metadata, repo_error::RepoError, upstream::Upstream,
};

/// The delay after which a client retries whose request another change overtook.
const RETRY: Duration = Duration::from_secs(1);

/// The current commit of a revision; its files are in the index when this returns.
///
/// # Errors
/// The error of the upstream, or that it cannot be reached.
pub async fn commit(
    fetches: &Arc<Fetches>,
    upstream: &Arc<Upstream>,
    repo: &RepoId,
    revision: &str,
    caller: &Caller,
) -> Result<CommitId, RepoError> {
    let key = (
        repo.clone(),
        revision.to_owned(),
        upstream.asker(caller.token.as_deref()),
    );
    let ask = || {
        let question = Question::new(fetches, upstream, repo, caller);
        let revision = revision.to_owned();
        async move { question.commit(&revision).await }
    };
    upstream.commits.get(key, &fetches.cx.tasks, ask).await
}

/// Updates a repo's refs in the store.
///
/// # Errors
/// As [`commit`].
pub async fn refresh_refs(
    fetches: &Arc<Fetches>,
    upstream: &Arc<Upstream>,
    repo: &RepoId,
    caller: &Caller,
) -> Result<(), RepoError> {
    // The repo must be known before it can have refs.
    commit(fetches, upstream, repo, "HEAD", caller).await?;
    let key = (repo.clone(), upstream.asker(caller.token.as_deref()));
    let ask = || {
        let question = Question::new(fetches, upstream, repo, caller);
        async move { question.refs().await }
    };
    upstream.refs.get(key, &fetches.cx.tasks, ask).await
}

/// The history of a commit, newest first.
///
/// # Errors
/// As [`commit`].
pub async fn history(
    fetches: &Arc<Fetches>,
    upstream: &Arc<Upstream>,
    repo: &Repo,
    commit: CommitId,
    caller: &Caller,
) -> Result<Arc<Vec<PastCommit>>, RepoError> {
    let asker = upstream.asker(caller.token.as_deref());
    let key = (repo.id.clone(), commit, asker);
    let is_public = !repo.private && !repo.gated;
    let ask = || {
        let question = Question::new(fetches, upstream, &repo.id, caller);
        async move { question.history(commit, is_public).await }
    };
    upstream.histories.get(key, &fetches.cx.tasks, ask).await
}

/// Whether a caller may get the files of a repo, which the upstream decides.
///
/// # Errors
/// [`RepoError::Gated`], [`RepoError::NoRepo`] and other errors of the upstream.
pub async fn permit(
    fetches: &Arc<Fetches>,
    upstream: &Arc<Upstream>,
    repo: &RepoId,
    caller: &Caller,
) -> Result<(), RepoError> {
    let key = (repo.clone(), upstream.asker(caller.token.as_deref()));
    let ask = || {
        let question = Question::new(fetches, upstream, repo, caller);
        async move { question.permit().await }
    };
    upstream.access.get(key, &fetches.cx.tasks, ask).await
}

/// The state of a request on behalf of one caller.
struct Question {
    fetches: Arc<Fetches>,
    upstream: Arc<Upstream>,
    repo: RepoId,
    token: Option<Arc<str>>,
}

impl Question {
    fn new(
        fetches: &Arc<Fetches>,
        upstream: &Arc<Upstream>,
        repo: &RepoId,
        caller: &Caller,
    ) -> Self {
        Self {
            fetches: fetches.clone(),
            upstream: upstream.clone(),
            repo: repo.clone(),
            token: caller.token.clone(),
        }
    }

    async fn commit(&self, revision: &str) -> Result<CommitId, RepoError> {
        let (client, token) = (&self.upstream.client, self.token.as_deref());
        let info = match metadata::info(client, &self.repo, revision, token).await {
            Ok(info) => info,
            Err(error) => return Err(self.explain(error, revision).await),
        };
        let commit = info.commit().ok_or_else(|| RepoError::NoRevision {
            revision: revision.to_owned(),
        })?;
        self.note_repo(&info).await?;
        let (id, known) = (self.repo.clone(), commit);
        let known = self.store(move |store| store.revision(&id, known)).await?;
        if known.is_none() {
            let listed = metadata::tree(client, &self.repo, commit, token).await;
            let tree = match listed {
                Ok(tree) => tree,
                Err(error) => return Err(self.explain(error, revision).await),
            };
            self.note_revision(commit, tree, &info).await?;
        }
        self.note_ref(revision, commit).await?;
        Ok(commit)
    }

    /// Handles an error about a repo. A repo that does not exist for this caller may have been
    /// deleted or made private: unless the operator configured otherwise, it is marked as private
    /// here too.
    async fn explain(&self, error: UpstreamError, revision: &str) -> RepoError {
        let error = RepoError::of_request(error, revision, "");
        let keeps = self.upstream.keep_deleted;
        if matches!(error, RepoError::NoRepo) && !keeps {
            let id = self.repo.clone();
            let noted = self.store(move |store| hide(store, &id)).await;
            match noted {
                Ok(true) => self.fetches.cx.note_change(),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "cannot note that a repo is private"),
            }
        }
        error
    }

    async fn note_repo(&self, info: &metadata::Info) -> Result<(), RepoError> {
        // The upstream's spelling of the same name; a renamed repo keeps the requested one.
        let spelled = RepoId::new(self.repo.kind(), &info.id).ok();
        let id = spelled.filter(|id| *id == self.repo);
        let repo = Repo {
            id: id.unwrap_or_else(|| self.repo.clone()),
            created: info.created(),
            origin: RepoOrigin::Upstream(self.upstream.client.name()),
            private: info.is_private(),
            gated: info.is_gated(),
        };
        let noted = self.store(move |store| note(store, &repo)).await?;
        match noted {
            Noted::Known => {}
            Noted::Changed => self.fetches.cx.note_change(),
            // The next request finds that one.
            Noted::MadeHere => return Err(RepoError::Busy { retry_after: RETRY }),
        }
        Ok(())
    }

    async fn note_revision(
        &self,
        commit: CommitId,
        tree: Tree,
        info: &metadata::Info,
    ) -> Result<(), RepoError> {
        // Peers that have the same files have the same manifest.
        let is_public = !info.is_private() && !info.is_gated();
        let manifest = tree.listed_manifest().filter(|_| is_public);
        let revision = Revision {
            tree,
            parents: Vec::new(),
            time: info.modified(),
            title: String::new(),
            message: String::new(),
            author: String::new(),
        };
        let (store, id) = (self.fetches.cx.store.clone(), self.repo.clone());
        let put = move || {
            if let Some(manifest) = manifest {
                store.put_manifest(&manifest)?;
            }
            store.put_revision(&id, commit, &revision, &[])
        };
        Blocking::run_long(put).await?.map_err(|error| match error {
            StoreError::Index(IndexError::Revision { source, .. }) => {
                UpstreamError::Malformed(format!("its list of files: {source}")).into()
            }
            error => error.into(),
        })
    }

    /// Points the requested ref to the commit, so that it can be resolved when the upstream is
    /// down.
    async fn note_ref(&self, revision: &str, commit: CommitId) -> Result<(), RepoError> {
        if revision.len() >= COMMIT_PREFIX_MIN && commit.to_string().starts_with(revision) {
            return Ok(());
        }
        let name = match revision {
            "HEAD" | "main" => Some(RefName::main()),
            full if full.starts_with("refs/") => RefName::new(full).ok(),
            // A branch or a tag: only the list of refs distinguishes them.
            _ => return self.refs().await,
        };
        let Some(name) = name else {
            return Ok(());
        };
        let id = self.repo.clone();
        self.store(move |store| match store.get_ref(&id, &name)? {
            Some(known) if known == commit => Ok(()),
            _ => store.set_refs(&id, &[RefChange::set(name, commit)]),
        })
        .await
    }

    async fn refs(&self) -> Result<(), RepoError> {
        let listed = metadata::refs(&self.upstream.client, &self.repo, self.token.as_deref());
        let listed = listed
            .await
            .map_err(|error| RepoError::of_request(error, "", ""))?;
        let id = self.repo.clone();
        self.store(move |store| {
            let changes = changed_refs(store.refs(&id)?, listed);
            match changes.is_empty() {
                true => Ok(()),
                false => store.set_refs(&id, &changes),
            }
        })
        .await
    }

    /// Requests a history, and caches it if the repo is public.
    async fn history(
        &self,
        commit: CommitId,
        is_public: bool,
    ) -> Result<Arc<Vec<PastCommit>>, RepoError> {
        let (client, token) = (&self.upstream.client, self.token.as_deref());
        let listed = metadata::commits(client, &self.repo, commit, token).await;
        let commits = Arc::new(listed.map_err(|error| RepoError::of_request(error, "", ""))?);
        if is_public && !commits.is_empty() {
            let (id, kept) = (self.repo.clone(), commits.clone());
            self.store(move |store| store.put_history(&id, commit, &kept))
                .await?;
        }
        Ok(commits)
    }

    async fn permit(&self) -> Result<(), RepoError> {
        let asked = metadata::auth_check(&self.upstream.client, &self.repo, self.token.as_deref());
        asked
            .await
            .map_err(|error| RepoError::of_request(error, "", ""))
    }

    async fn store<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, RepoError> {
        let store = self.fetches.cx.store.clone();
        Ok(self.fetches.cx.blocking.run(move || call(&store)).await??)
    }
}

/// What became of what a hub says about a repo.
enum Noted {
    Known,
    Changed,
    /// A repo of this name was made here while the hub was asked.
    MadeHere,
}

fn note(store: &Store, repo: &Repo) -> Result<Noted, StoreError> {
    if store.repo(&repo.id)?.as_ref() == Some(repo) {
        return Ok(Noted::Known);
    }
    match store.put_repo(repo) {
        Ok(()) => Ok(Noted::Changed),
        Err(StoreError::Index(IndexError::RepoExists { .. })) => Ok(Noted::MadeHere),
        Err(error) => Err(error),
    }
}

/// Marks a repo as private from now on; true if it was not.
fn hide(store: &Store, id: &RepoId) -> Result<bool, StoreError> {
    match store.repo(id)? {
        Some(repo) if !repo.private && repo.origin != RepoOrigin::Local => {
            store.put_repo(&Repo {
                private: true,
                ..repo
            })?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// The changes that make the stored refs equal to the listed ones. Pull requests are not listed.
fn changed_refs(
    known: Vec<(RefName, CommitId)>,
    listed: Vec<(RefName, CommitId)>,
) -> Vec<RefChange> {
    let mut known: BTreeMap<RefName, CommitId> = known.into_iter().collect();
    let is_listed_kind = |name: &RefName| !name.as_str().starts_with("refs/pr/");
    let moved = listed.into_iter().filter_map(|(name, commit)| {
        let before = known.remove(&name);
        (before != Some(commit)).then(|| RefChange::set(name, commit))
    });
    let mut changes: Vec<_> = moved.collect();
    let gone = known.into_keys().filter(is_listed_kind);
    changes.extend(gone.map(RefChange::remove));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_that_moved_came_and_went() {
        let at = |name: &str, fill| (name.parse::<RefName>().unwrap(), CommitId::new([fill; 20]));
        let known = vec![
            at("refs/heads/main", 1),
            at("refs/heads/old", 1),
            at("refs/tags/v1", 1),
            at("refs/pr/1", 1),
        ];
        let listed = vec![
            at("refs/heads/main", 2),
            at("refs/tags/v1", 1),
            at("refs/tags/v2", 2),
        ];
        let changes = changed_refs(known, listed);
        let set = |(name, commit)| RefChange::set(name, commit);
        let expected = [
            set(at("refs/heads/main", 2)),
            set(at("refs/tags/v2", 2)),
            RefChange::remove("refs/heads/old".parse().unwrap()),
        ];
        assert_eq!(changes, expected);
    }
}
