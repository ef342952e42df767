//! Changes of what keeps content from being collected: manifests, pins, revisions.
//!
//! What is about to be named is protected before the index is read or written: a collection that began
//! before must see it nevertheless.

use hubless_content::{CommitId, ContentHash, Manifest, RepoId, Revision, Tree};
use hubless_index::{Publication, RefChange, Repo};

use crate::{
    error::StoreError,
    work::{
        Work,
        in_use::{FilesGuard, Guard},
    },
};

impl Work {
    pub(crate) fn put_manifest(&self, manifest: &Manifest) -> Result<ContentHash, StoreError> {
        let model = manifest.content_hash();
        self.in_use.lock().touch_model(model);
        self.files.index.manifests().put(model, manifest)?;
        Ok(model)
    }

    pub(crate) fn pin(&self, model: ContentHash) -> Result<(), StoreError> {
        let _guard = self.in_use.protect_model(model);
        if self.files.index.manifests().get(model)?.is_none() {
            return Err(StoreError::UnknownModel { model });
        }
        Ok(self.files.index.pins().insert(model)?)
    }

    pub(crate) fn remove_model(&self, model: ContentHash) -> Result<(), StoreError> {
        if self.files.index.revisions().hold(model)?.is_some() {
            return Err(StoreError::Named { model });
        }
        if self.files.index.manifests().remove_with_pin(model)? {
            Ok(())
        } else {
            Err(StoreError::UnknownModel { model })
        }
    }

    pub(crate) fn put_revision(
        &self,
        repo: &RepoId,
        new_repo: Option<&Repo>,
        commit: CommitId,
        revision: &Revision,
        refs: &[RefChange],
    ) -> Result<(), StoreError> {
        let _guard = self.protect_tree(&revision.tree)?;
        let revisions = self.files.index.revisions();
        Ok(revisions.put(repo, new_repo, commit, revision, refs)?)
    }

    pub(crate) fn publish(&self, publication: &Publication<'_>) -> Result<(), StoreError> {
        let trees = publication.revisions.iter().map(|revision| &revision.tree);
        let guards = trees.map(|tree| self.protect_tree(tree));
        let _guards = guards.collect::<Result<Vec<_>, _>>()?;
        Ok(self.files.index.heads().publish(publication)?)
    }

    /// Protects what a tree names, as long as the result lives.
    fn protect_tree(&self, tree: &Tree) -> Result<(Option<Guard>, FilesGuard), StoreError> {
        let files = self.in_use.protect_files();
        let model = match tree {
            Tree::Content(model) => Some(self.in_use.protect_model(*model)),
            Tree::Listed(_) => {
                let listed = self.files.index.revisions().listed_files(tree)?;
                listed.into_iter().for_each(|file| files.add(file));
                None
            }
        };
        Ok((model, files))
    }
}
