//! Questions about the graph of revisions.

use std::{
    cell::Cell,
    collections::{BTreeSet, HashSet},
};

use super::{History, MergeError};
use crate::{
    hash::CommitId,
    manifest::ManifestEntry,
    revision::{Revision, Tree},
};

/// A history, read one revision at a time.
pub(super) struct Graph<'a, H> {
    history: &'a H,
    /// Revisions that walks may still pass.
    left: Cell<usize>,
}

impl<'a, H: History> Graph<'a, H> {
    /// `passed_max`: revisions that all walks together may pass.
    pub(super) fn new(history: &'a H, passed_max: usize) -> Self {
        Self {
            history,
            left: Cell::new(passed_max),
        }
    }

    fn revision(&self, id: &CommitId) -> Result<Revision, MergeError> {
        self.history.revision(id).ok_or(MergeError::Revision(*id))
    }

    pub(super) fn time(&self, id: &CommitId) -> Result<u64, MergeError> {
        Ok(self.revision(id)?.time)
    }

    /// Counts one more revision.
    fn pass(&self) -> Result<(), MergeError> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or(MergeError::TooLong)?);
        Ok(())
    }

    /// `tip` and all its ancestors.
    fn ancestry(&self, tip: &CommitId) -> Result<HashSet<CommitId>, MergeError> {
        self.pass()?;
        let mut found = HashSet::from([*tip]);
        let mut open = vec![*tip];
        while let Some(id) = open.pop() {
            for parent in self.revision(&id)?.parents {
                if found.insert(parent) {
                    self.pass()?;
                    open.push(parent);
                }
            }
        }
        Ok(found)
    }

    /// Whether `tip` descends from `ancestor`, or is it.
    pub(super) fn is_ancestor(
        &self,
        ancestor: &CommitId,
        tip: &CommitId,
    ) -> Result<bool, MergeError> {
        Ok(self.ancestry(tip)?.contains(ancestor))
    }

    /// The best common ancestor: one from which no other common ancestor descends, of several the one
    /// with the smallest id.
    pub(super) fn merge_base(
        &self,
        a: &CommitId,
        b: &CommitId,
    ) -> Result<Option<CommitId>, MergeError> {
        let of_b = self.ancestry(b)?;
        let common: BTreeSet<CommitId> = self.ancestry(a)?.intersection(&of_b).copied().collect();
        let mut best = common.clone();
        for id in &common {
            // All ancestors of a common ancestor are common, so parents are enough.
            for parent in self.revision(id)?.parents {
                best.remove(&parent);
            }
        }
        Ok(best.first().copied())
    }

    /// The files of a revision; none of an empty tree.
    pub(super) fn files(&self, id: &CommitId) -> Result<Vec<ManifestEntry>, MergeError> {
        let tree = self.revision(id)?.tree;
        match &tree {
            Tree::Content(hash) => {
                let manifest = self
                    .history
                    .manifest(hash)
                    .ok_or(MergeError::Manifest(*hash))?;
                Ok(manifest.entries().to_vec())
            }
            Tree::Listed(_) => Ok(tree
                .listed_manifest()
                .map(|manifest| manifest.entries().to_vec())
                .unwrap_or_default()),
        }
    }
}
