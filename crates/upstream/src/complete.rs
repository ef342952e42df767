//! Gives a revision an address once all its files are held: its manifest is made and announced, and
//! `get` finds it by its name.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use hubless_content::{CommitId, RepoId, Revision, Tree, TreeEntry};
use hubless_store::{Store, StoreError};
use hubless_sync::lock;
use hubless_transfer::{Blocking, Fetches};

use crate::held::{expected, find_held};

/// Limit of revisions whose missing files are counted: those that clients are downloading.
const COUNTED_MAX: usize = 1000;

/// The number of missing files of each revision, as far as it was counted.
#[derive(Default)]
pub(super) struct Missing(Mutex<HashMap<(RepoId, CommitId), usize>>);

impl Missing {
    /// Whether all files must be checked: they were not counted yet, or the last missing one
    /// arrived.
    fn is_due(&self, key: &(RepoId, CommitId)) -> bool {
        let mut counts = lock(&self.0);
        match counts.get_mut(key) {
            None => true,
            Some(missing) => {
                *missing = missing.saturating_sub(1);
                *missing == 0
            }
        }
    }

    fn set(&self, key: (RepoId, CommitId), missing: usize) {
        let mut counts = lock(&self.0);
        if missing == 0 {
            counts.remove(&key);
            return;
        }
        if counts.len() >= COUNTED_MAX {
            counts.clear(); // they are counted again
        }
        counts.insert(key, missing);
    }
}

/// Called when a file of a revision has been stored.
pub(super) async fn file_came(
    fetches: &Arc<Fetches>,
    missing: &Missing,
    repo: &RepoId,
    commit: CommitId,
) {
    let key = (repo.clone(), commit);
    if !missing.is_due(&key) {
        return;
    }
    let (store, id) = (fetches.cx.store.clone(), repo.clone());
    let completed = Blocking::run_long(move || complete(&store, &id, commit)).await;
    match completed {
        Ok(Ok(left)) => missing.set(key, left),
        Ok(Err(error)) => tracing::warn!(%repo, %error, "cannot complete a revision"),
        Err(error) => tracing::warn!(%repo, %error, "cannot complete a revision"),
    }
}

/// Gives a revision an address if all its files are held; returns the number of missing ones.
fn complete(store: &Store, repo: &RepoId, commit: CommitId) -> Result<usize, StoreError> {
    let Some(revision) = store.revision(repo, commit)? else {
        return Ok(0);
    };
    let Tree::Listed(entries) = &revision.tree else {
        return Ok(0);
    };
    let (mut found, mut missing) = (Vec::with_capacity(entries.len()), 0);
    for entry in entries {
        let wanted = expected(entry.file, entry.lfs, entry.git_blob);
        match find_held(store, wanted, entry.size)? {
            Some(file) => found.push(TreeEntry {
                file: Some(file),
                ..entry.clone()
            }),
            None => missing += 1,
        }
    }
    if missing > 0 {
        return Ok(missing);
    }
    let tree = Tree::Listed(found);
    let Some(manifest) = tree.listed_manifest() else {
        return Ok(0); // a repo without files has none
    };
    let _guard = store.protect(manifest.content_hash());
    store.put_manifest(&manifest)?;
    store.put_revision(repo, commit, &Revision { tree, ..revision }, &[])?;
    Ok(0)
}
