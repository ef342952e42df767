//! Lists of repos.

use hubless_content::{RepoId, RepoKind};
use hubless_store::Repo;
use hubless_upstream::RepoError;

use crate::{repos::Repos, resolve::Resolved};

/// Repos that are read from the store in one call.
const BATCH: usize = 1000;

/// Repos that one search reads: a mirror knows far fewer, and the limit ends the search.
const READ_MAX: usize = 100_000;

/// The conditions of a search.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The name contains all of these, in any case.
    pub words: Vec<String>,
    /// The part before the slash, in any case.
    pub author: Option<String>,
}

impl Search {
    fn fits(&self, repo: &Repo) -> bool {
        let name = repo.id.folded();
        let author = repo.id.namespace();
        self.words
            .iter()
            .all(|word| name.contains(&word.to_ascii_lowercase()))
            && self
                .author
                .as_ref()
                .is_none_or(|wanted| author.is_some_and(|a| a.eq_ignore_ascii_case(wanted)))
    }
}

impl Repos {
    /// Up to `max` matching repos of a kind after `after`, ordered by name; private ones are left
    /// out.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn search(
        &self,
        kind: RepoKind,
        search: &Search,
        after: Option<RepoId>,
        max: usize,
    ) -> Result<Vec<Repo>, RepoError> {
        let (mut found, mut after, mut read) = (Vec::new(), after, 0);
        let prefix = match &search.author {
            Some(author) => format!("{author}/"),
            None => String::new(),
        };
        while found.len() < max && read < READ_MAX {
            let (from, prefix) = (after.clone(), prefix.clone());
            let batch = self
                .store(move |store| store.repos(kind, &prefix, from.as_ref(), BATCH))
                .await?;
            let is_last = batch.len() < BATCH;
            read += batch.len();
            after = batch.last().map(|repo| repo.id.clone());
            let fitting = batch
                .into_iter()
                .filter(|repo| !repo.private && search.fits(repo));
            found.extend(fitting.take(max - found.len()));
            if is_last {
                break;
            }
        }
        Ok(found)
    }

    /// The newest state of a repo's main branch in this node's data, if there is one.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn head(&self, repo: &RepoId) -> Result<Option<Resolved>, RepoError> {
        match self.resolve_held(repo, "HEAD").await {
            Ok(resolved) => Ok(Some(resolved)),
            Err(RepoError::NoRevision { .. } | RepoError::NoRepo) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
