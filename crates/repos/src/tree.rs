//! The files of a revision.

use std::sync::Arc;

use hubless_content::{Manifest, Revision, Tree, TreeEntry};
use hubless_transfer::fetch::SharedFetch;
use hubless_upstream::RepoError;

use crate::{file::RepoFile, repos::Repos, resolve::Resolved};

/// The files of a revision, sorted by the bytes of their paths. Cloning is cheap.
#[derive(Debug, Clone)]
pub enum RepoTree {
    /// The files of a manifest.
    Manifest(Arc<Manifest>),
    /// The files that another hub lists.
    Listed(Arc<Revision>),
}

impl RepoTree {
    /// The number of files.
    pub fn len(&self) -> usize {
        match self {
            Self::Manifest(manifest) => manifest.entries().len(),
            Self::Listed(revision) => listed(revision).len(),
        }
    }

    /// Whether there are no files.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The file at a position below [`RepoTree::len`].
    pub fn file(&self, position: usize) -> Option<RepoFile> {
        match self {
            Self::Manifest(manifest) => manifest.entries().get(position).map(|entry| RepoFile {
                path: entry.path.clone(),
                size: entry.size,
                hash: Some(entry.hash),
                git_blob: None,
                lfs: None,
            }),
            Self::Listed(revision) => listed(revision).get(position).map(|entry| RepoFile {
                path: entry.path.clone(),
                size: entry.size,
                hash: entry.file,
                git_blob: entry.git_blob,
                lfs: entry.lfs,
            }),
        }
    }

    /// The path of the file at a position.
    pub fn path(&self, position: usize) -> Option<&str> {
        match self {
            Self::Manifest(manifest) => manifest.entries().get(position).map(|e| e.path.as_str()),
            Self::Listed(revision) => listed(revision).get(position).map(|e| e.path.as_str()),
        }
    }

    /// The first position whose path does not come before `path`.
    pub fn position(&self, path: &str) -> usize {
        match self {
            Self::Manifest(manifest) => {
                let entries = manifest.entries();
                entries.partition_point(|entry| entry.path.as_str() < path)
            }
            Self::Listed(revision) => {
                listed(revision).partition_point(|entry| entry.path.as_str() < path)
            }
        }
    }

    /// The file at `path`.
    pub fn get(&self, path: &str) -> Option<RepoFile> {
        let position = self.position(path);
        (self.path(position) == Some(path))
            .then(|| self.file(position))
            .flatten()
    }

    /// All files.
    pub fn files(&self) -> impl Iterator<Item = RepoFile> + '_ {
        (0..self.len()).filter_map(|position| self.file(position))
    }
}

fn listed(revision: &Revision) -> &[TreeEntry] {
    match &revision.tree {
        Tree::Listed(entries) => entries,
        Tree::Content(_) => &[],
    }
}

impl Repos {
    /// The files of a revision from this node's data; no peer is asked.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn held_tree(&self, resolved: &Resolved) -> Result<Option<RepoTree>, RepoError> {
        let Tree::Content(model) = resolved.revision.tree else {
            return Ok(Some(RepoTree::Listed(resolved.revision.clone())));
        };
        let held = self.store(move |store| store.manifest(model)).await?;
        Ok(held.map(RepoTree::Manifest))
    }

    /// The files of a revision. A manifest that is not held is fetched from peers.
    ///
    /// # Errors
    /// [`RepoError::Unavailable`] if no peer has it.
    pub async fn tree(&self, resolved: &Resolved) -> Result<RepoTree, RepoError> {
        match (self.held_tree(resolved).await?, &resolved.revision.tree) {
            (None, Tree::Content(model)) => {
                let manifest = SharedFetch::join(&self.fetches, *model)?.manifest().await?;
                Ok(RepoTree::Manifest(manifest))
            }
            (held, _) => Ok(held.unwrap_or(RepoTree::Listed(resolved.revision.clone()))),
        }
    }
}
