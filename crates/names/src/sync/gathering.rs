//! The revisions of a history as they come, until the graph is closed.

use std::collections::{BTreeSet, HashMap, HashSet};

use hubless_content::{CommitId, Revision, RevisionHash, Tree};

/// Revisions of one history that are fetched: what a store keeps of a repo.
pub const HISTORY_REVISIONS_MAX: usize = hubless_store::REVISIONS_MAX;

/// Bytes of the revisions that are fetched for one head, all in memory until they are stored. A revision
/// has some 200.
pub const HISTORY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why a history cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHistory {
    /// More than [`HISTORY_REVISIONS_MAX`] revisions, or more than [`HISTORY_BYTES_MAX`] bytes.
    #[error(
        "a history of more than {HISTORY_REVISIONS_MAX} revisions or {HISTORY_BYTES_MAX} bytes"
    )]
    TooLong,
    /// The revision has the commit id that the state names, and another hash.
    #[error("revision {0} is another one than the state names")]
    Tip(CommitId),
    /// The revision lists files of another hub instead of naming content.
    #[error("revision {0} names no content")]
    Listed(CommitId),
}

/// The revisions of a history that came, and those that are wanted.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// What the state says of its tips.
    tips: HashMap<CommitId, RevisionHash>,
    wanted: BTreeSet<CommitId>,
    /// Those that are or were wanted.
    known: HashSet<CommitId>,
    revisions: Vec<Revision>,
    bytes: usize,
}

impl Gathering {
    /// A history that begins at these tips.
    pub(super) fn new(tips: impl IntoIterator<Item = RevisionHash>) -> Self {
        let tips = tips.into_iter().map(|hash| (hash.commit_id(), hash));
        let tips: HashMap<CommitId, RevisionHash> = tips.collect();
        Self {
            wanted: tips.keys().copied().collect(),
            known: tips.keys().copied().collect(),
            tips,
            ..Self::default()
        }
    }

    /// A revision that is wanted.
    pub(super) fn next(&self) -> Option<CommitId> {
        self.wanted.first().copied()
    }

    /// All revisions that are wanted.
    pub(super) fn wanted(&self) -> Vec<CommitId> {
        self.wanted.iter().copied().collect()
    }

    /// These are in the store, with all before them.
    pub(super) fn forget(&mut self, held: &[CommitId]) {
        for commit in held {
            self.wanted.remove(commit);
        }
    }

    /// Takes revisions, each a wanted one or a parent of one before it. Returns the parents that became
    /// wanted.
    ///
    /// # Errors
    /// If the history cannot be kept.
    pub(super) fn take(
        &mut self,
        revisions: Vec<(RevisionHash, Revision)>,
    ) -> Result<Vec<CommitId>, BadHistory> {
        let mut new = Vec::new();
        for (hash, revision) in revisions {
            let commit = hash.commit_id();
            if self.tips.get(&commit).is_some_and(|tip| *tip != hash) {
                return Err(BadHistory::Tip(commit));
            }
            if matches!(&revision.tree, Tree::Listed(files) if !files.is_empty()) {
                return Err(BadHistory::Listed(commit));
            }
            // A peer may send what is here already, or what came by another branch.
            if !self.wanted.remove(&commit) {
                continue;
            }
            for parent in &revision.parents {
                if self.known.insert(*parent) {
                    self.wanted.insert(*parent);
                    new.push(*parent);
                }
            }
            self.bytes = self.bytes.saturating_add(bytes_of(&revision));
            self.revisions.push(revision);
            let is_too_long = self.known.len() > HISTORY_REVISIONS_MAX;
            if is_too_long || self.bytes > HISTORY_BYTES_MAX {
                return Err(BadHistory::TooLong);
            }
        }
        Ok(new)
    }

    /// All that came; a closed graph together with the store, if nothing is wanted any more.
    pub(super) fn into_revisions(self) -> Vec<Revision> {
        self.revisions
    }
}

/// About how many bytes of memory a revision takes.
fn bytes_of(revision: &Revision) -> usize {
    let texts = [&revision.title, &revision.message, &revision.author];
    let texts: usize = texts.iter().map(|text| text.len()).sum();
    size_of::<Revision>() + texts + size_of::<CommitId>() * revision.parents.len()
}

#[cfg(test)]
mod tests {
    use hubless_content::ContentHash;

    use super::*;

    fn revision(content: u8, parents: &[CommitId]) -> (RevisionHash, Revision) {
        let revision = Revision {
            tree: Tree::Content(ContentHash::new([content; 32])),
            parents: parents.to_vec(),
            time: 0,
            title: String::new(),
            message: String::new(),
            author: String::new(),
        };
        (revision.hash().unwrap(), revision)
    }

    #[test]
    fn a_history_is_wanted_back_to_what_is_here() {
        let held = revision(1, &[]);
        let left = revision(2, &[held.0.commit_id()]);
        let right = revision(3, &[held.0.commit_id()]);
        let tip = revision(4, &[left.0.commit_id(), right.0.commit_id()]);
        let mut gathering = Gathering::new([tip.0]);
        assert_eq!(gathering.next(), Some(tip.0.commit_id()));
        let new = gathering.take(vec![tip, left, right]).unwrap();
        assert_eq!(new.len(), 3);
        assert_eq!(gathering.wanted(), [held.0.commit_id()]);
        gathering.forget(&[held.0.commit_id()]);
        assert_eq!(gathering.next(), None);
        assert_eq!(gathering.into_revisions().len(), 3);
    }

    #[test]
    fn what_is_here_or_came_before_is_not_taken_twice() {
        let (first, tip) = (
            revision(1, &[]),
            revision(2, &[revision(1, &[]).0.commit_id()]),
        );
        let mut gathering = Gathering::new([tip.0]);
        gathering.take(vec![tip.clone()]).unwrap();
        gathering.forget(&[first.0.commit_id()]);
        assert!(gathering.take(vec![tip, first]).unwrap().is_empty());
        assert_eq!(gathering.into_revisions().len(), 1);
    }

    #[test]
    fn the_state_names_the_whole_hash_of_a_tip() {
        let tip = revision(1, &[]);
        let mut other = *tip.0.as_bytes();
        other[31] ^= 1;
        let mut gathering = Gathering::new([RevisionHash::new(other)]);
        let refused = gathering.take(vec![tip.clone()]);
        assert_eq!(refused, Err(BadHistory::Tip(tip.0.commit_id())));
    }

    #[test]
    fn a_listing_of_another_hub_is_no_history() {
        let entry = hubless_content::TreeEntry {
            path: "a".parse().unwrap(),
            size: 1,
            git_blob: None,
            lfs: None,
            file: None,
        };
        let (_, mut revision) = revision(1, &[]);
        revision.tree = Tree::Listed(Vec::new());
        let empty = (revision.hash().unwrap(), revision.clone());
        assert!(Gathering::new([empty.0]).take(vec![empty]).is_ok());
        revision.tree = Tree::Listed(vec![entry]);
        let hash = revision.hash().unwrap();
        let refused = Gathering::new([hash]).take(vec![(hash, revision)]);
        assert_eq!(refused, Err(BadHistory::Listed(hash.commit_id())));
    }

    #[test]
    fn a_history_that_is_too_long_is_refused_while_it_comes() {
        let mut numbers = 0u64..;
        let mut next = |message: usize, parent: Option<RevisionHash>| {
            let parents: Vec<CommitId> = parent.iter().map(RevisionHash::commit_id).collect();
            let (_, mut revision) = revision(1, &parents);
            revision.time = numbers.next().unwrap();
            revision.message = "x".repeat(message);
            (revision.hash().unwrap(), revision)
        };
        let mut grow = |message: usize| {
            let mut history = vec![next(message, None)];
            while history.len() < 400 {
                let parent = history[history.len() - 1].0;
                history.push(next(message, Some(parent)));
            }
            history.reverse();
            Gathering::new([history[0].0]).take(history)
        };
        assert!(grow(1_000).is_ok());
        assert_eq!(grow(200_000), Err(BadHistory::TooLong));
    }
}
