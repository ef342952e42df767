//! Repos, their refs, revisions and histories.

use hubless_content::{CommitId, ContentHash, FileHash, RefName, RepoId, RepoKind, Revision, Tree};

use crate::{Hold, PastCommit, RefChange, Repo, Store, StoreError};

impl Store {
    /// Makes a repo known, or changes what is known about it. Durable when it returns. What a hub
    /// lists does not replace a repo that was made here.
    ///
    /// # Errors
    /// `IndexError::RepoExists` if it would; `IndexError::TooMany` beyond [`REPOS_MAX`](crate::REPOS_MAX); others if the disk is full or fails.
    pub fn put_repo(&self, repo: &Repo) -> Result<(), StoreError> {
        Ok(self.index().repos().put(repo)?)
    }

    /// What is known about a repo.
    ///
    /// # Errors
    /// If the index fails.
    pub fn repo(&self, id: &RepoId) -> Result<Option<Repo>, StoreError> {
        Ok(self.index().repos().get(id)?)
    }

    /// Up to `max` repos of a kind whose names begin with `prefix` (in any case), ordered by name,
    /// those after `after`. Fewer than `max` are the last ones.
    ///
    /// # Errors
    /// If the index fails.
    pub fn repos(
        &self,
        kind: RepoKind,
        prefix: &str,
        after: Option<&RepoId>,
        max: usize,
    ) -> Result<Vec<Repo>, StoreError> {
        Ok(self.index().repos().list(kind, prefix, after, max)?)
    }

    /// Forgets a repo with its refs and revisions; true if there was one. The room of what it named
    /// is free after [`Store::gc`].
    ///
    /// # Errors
    /// If the disk or the index fails.
    pub fn remove_repo(&self, id: &RepoId) -> Result<bool, StoreError> {
        Ok(self.index().repos().remove(id)?)
    }

    /// Where a ref leads.
    ///
    /// # Errors
    /// If the index fails.
    pub fn get_ref(&self, repo: &RepoId, name: &RefName) -> Result<Option<CommitId>, StoreError> {
        Ok(self.index().repos().get_ref(repo, name)?)
    }

    /// All refs of a repo, ordered by name.
    ///
    /// # Errors
    /// If the index fails.
    pub fn refs(&self, repo: &RepoId) -> Result<Vec<(RefName, CommitId)>, StoreError> {
        Ok(self.index().repos().refs(repo)?)
    }

    /// Changes refs; all or none, durable when it returns.
    ///
    /// # Errors
    /// `IndexError::RefMoved`, `IndexError::UnknownRepo`, `IndexError::TooMany` beyond
    /// [`REFS_MAX`](crate::REFS_MAX); others if the disk is full or fails.
    pub fn set_refs(&self, repo: &RepoId, changes: &[RefChange]) -> Result<(), StoreError> {
        Ok(self.index().repos().set_refs(repo, changes)?)
    }

    /// Keeps the history of a commit: the commit itself and those before it, newest first; at most
    /// [`HISTORY_MAX`](crate::HISTORY_MAX) of them. Durable when it returns.
    ///
    /// # Errors
    /// If the disk or the index fails.
    pub fn put_history(
        &self,
        repo: &RepoId,
        of: CommitId,
        commits: &[PastCommit],
    ) -> Result<(), StoreError> {
        Ok(self.index().histories().put(repo, of, commits)?)
    }

    /// The history of a commit as far as one that is kept has it; empty if none does.
    ///
    /// # Errors
    /// If the index fails.
    pub fn history(&self, repo: &RepoId, of: CommitId) -> Result<Vec<PastCommit>, StoreError> {
        Ok(self.index().histories().get(repo, of)?)
    }

    /// Keeps a revision, and changes refs in the same transaction; durable when it returns. One with
    /// the same id is replaced: what was listed may have become a manifest.
    ///
    /// # Errors
    /// `IndexError::RefMoved`, `IndexError::Revision` if it breaks a rule,
    /// `IndexError::UnknownRepo`, `IndexError::TooMany`; nothing is changed then; others if the disk is full or fails.
    pub fn put_revision(
        &self,
        repo: &RepoId,
        commit: CommitId,
        revision: &Revision,
        refs: &[RefChange],
    ) -> Result<(), StoreError> {
        self.work.put_revision(repo, None, commit, revision, refs)
    }

    /// Makes a new repo known together with a revision, as [`Store::put_revision`] does: no reader
    /// finds one without the other, also after a crash.
    ///
    /// # Errors
    /// `IndexError::RepoExists`, and as [`Store::put_repo`] and [`Store::put_revision`]; nothing is
    /// changed then.
    pub fn put_repo_and_revision(
        &self,
        repo: &Repo,
        commit: CommitId,
        revision: &Revision,
        refs: &[RefChange],
    ) -> Result<(), StoreError> {
        self.work
            .put_revision(&repo.id, Some(repo), commit, revision, refs)
    }

    /// A revision of a repo, if it is known.
    ///
    /// # Errors
    /// If the index fails.
    pub fn revision(
        &self,
        repo: &RepoId,
        commit: CommitId,
    ) -> Result<Option<Revision>, StoreError> {
        Ok(self.index().revisions().get(repo, commit)?)
    }

    /// The ids of all known revisions of a repo, in their order.
    ///
    /// # Errors
    /// If the index fails.
    pub fn revisions(&self, repo: &RepoId) -> Result<Vec<CommitId>, StoreError> {
        Ok(self.index().revisions().ids(repo)?)
    }

    /// The one known revision of a repo whose id begins with these hexadecimal digits; `None` if
    /// there is none or more than one, or if they are fewer than [`COMMIT_PREFIX_MIN`](crate::COMMIT_PREFIX_MIN).
    ///
    /// # Errors
    /// If the index fails.
    pub fn revision_by_prefix(
        &self,
        repo: &RepoId,
        digits: &str,
    ) -> Result<Option<CommitId>, StoreError> {
        Ok(self.index().revisions().by_prefix(repo, digits)?)
    }

    /// How names keep a model here, if one of their revisions is it. Reads all revisions.
    ///
    /// # Errors
    /// If the index fails.
    pub fn hold(&self, model: ContentHash) -> Result<Option<Hold>, StoreError> {
        Ok(self.index().revisions().hold(model)?)
    }

    /// The files of a listing that are known by an address or a digest; none of a manifest.
    ///
    /// # Errors
    /// If the index fails.
    pub fn listed_files(&self, tree: &Tree) -> Result<Vec<FileHash>, StoreError> {
        Ok(self.index().revisions().listed_files(tree)?)
    }

    /// Lets the content of a revision be collected. What was said about the revision stays in the
    /// history; [`Store::put_revision`] names the content again. The room of the content is free
    /// after [`Store::gc`].
    ///
    /// # Errors
    /// `IndexError::RefLeadsThere` if a ref leads to it, `IndexError::UnknownRevision`; others if
    /// the disk or the index fails.
    pub fn remove_content(&self, repo: &RepoId, commit: CommitId) -> Result<(), StoreError> {
        Ok(self.index().revisions().remove_content(repo, commit)?)
    }

    /// Whether the content of a revision was removed here.
    ///
    /// # Errors
    /// If the index fails.
    pub fn is_content_removed(&self, repo: &RepoId, commit: CommitId) -> Result<bool, StoreError> {
        Ok(self.index().revisions().is_content_removed(repo, commit)?)
    }

    /// Forgets a revision; true if it was known. Refs that lead to it stay.
    ///
    /// # Errors
    /// If the disk or the index fails.
    pub fn remove_revision(&self, repo: &RepoId, commit: CommitId) -> Result<bool, StoreError> {
        Ok(self.index().revisions().remove(repo, commit)?)
    }
}
