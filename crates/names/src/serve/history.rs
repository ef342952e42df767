//! A piece of a history, as pages.

use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};

use bytes::Bytes;
use hubless_content::{CommitId, RepoId, Revision, Tree};
use hubless_store::{Store, StoreError};
use hubless_wire::{HistoryPage, REVISIONS_PER_RESPONSE_MAX};

/// Bytes of revisions that are read for one response. Most have some 200 bytes.
const READ_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Pages of revisions from `tip` back to those that are `known`, newest first; the last one may be empty.
/// `None` if `tip` is not here.
pub(super) fn pages(
    store: &Store,
    repo: &RepoId,
    tip: CommitId,
    known: &[CommitId],
) -> Result<Option<Vec<Bytes>>, StoreError> {
    let Some(piece) = Piece::read(tip, known, |commit| published(store, repo, commit))? else {
        return Ok(None);
    };
    let (mut pages, mut page) = (Vec::new(), HistoryPage::default());
    for (_, bytes) in piece.newest_first() {
        if !HistoryPage::fits_alone(bytes.len()) {
            break;
        }
        if !page.push(&bytes) {
            pages.push(page.take());
            // It fits an empty page.
            let _ = page.push(&bytes);
        }
    }
    pages.push(page.take());
    Ok(Some(pages))
}

/// A revision that can be published; the list of another hub cannot.
fn published(
    store: &Store,
    repo: &RepoId,
    commit: CommitId,
) -> Result<Option<Revision>, StoreError> {
    let revision = store.revision(repo, commit)?;
    let is_published = |tree: &Tree| match tree {
        Tree::Content(_) => true,
        Tree::Listed(files) => files.is_empty(),
    };
    Ok(revision.filter(|revision| is_published(&revision.tree)))
}

/// The newest revisions of a history: each but the tip is a parent of another one.
struct Piece {
    tip: CommitId,
    revisions: HashMap<CommitId, (Revision, Vec<u8>)>,
}

impl Piece {
    /// Reads as much as one response has, the latest revisions first.
    fn read(
        tip: CommitId,
        known: &[CommitId],
        mut read: impl FnMut(CommitId) -> Result<Option<Revision>, StoreError>,
    ) -> Result<Option<Self>, StoreError> {
        let Some(newest) = read(tip)? else {
            return Ok(None);
        };
        let mut seen: HashSet<CommitId> = known.iter().copied().collect();
        let mut open = BinaryHeap::new();
        let mut waiting = HashMap::new();
        if seen.insert(tip) {
            open.push((newest.time, tip));
            waiting.insert(tip, newest);
        }
        let mut piece = Self {
            tip,
            revisions: HashMap::new(),
        };
        let mut bytes = 0;
        while let Some((_, commit)) = open.pop() {
            let Some(revision) = waiting.remove(&commit) else {
                continue;
            };
            let encoded = revision.encode().unwrap_or_default();
            bytes += encoded.len();
            if piece.revisions.len() == REVISIONS_PER_RESPONSE_MAX || bytes > READ_BYTES_MAX {
                break;
            }
            for parent in revision.parents.iter().copied() {
                if seen.insert(parent)
                    && let Some(revision) = read(parent)?
                {
                    open.push((revision.time, parent));
                    waiting.insert(parent, revision);
                }
            }
            piece.revisions.insert(commit, (revision, encoded));
        }
        Ok(Some(piece))
    }

    /// The revisions in such an order that none comes before one that names it as a parent.
    fn newest_first(self) -> Vec<(CommitId, Vec<u8>)> {
        let mut children: BTreeMap<CommitId, usize> = BTreeMap::new();
        for (revision, _) in self.revisions.values() {
            for parent in parents(revision) {
                *children.entry(parent).or_default() += 1;
            }
        }
        let mut revisions = self.revisions;
        let mut ready = BinaryHeap::from([(u64::MAX, self.tip)]);
        let mut sorted = Vec::new();
        while let Some((_, commit)) = ready.pop() {
            let Some((revision, bytes)) = revisions.remove(&commit) else {
                continue;
            };
            for parent in parents(&revision) {
                let Some(left) = children.get_mut(&parent) else {
                    continue;
                };
                *left -= 1;
                if *left == 0
                    && let Some((of, _)) = revisions.get(&parent)
                {
                    ready.push((of.time, parent));
                }
            }
            sorted.push((commit, bytes));
        }
        sorted
    }
}

/// Each parent once.
fn parents(revision: &Revision) -> HashSet<CommitId> {
    revision.parents.iter().copied().collect()
}

#[cfg(test)]
mod tests {
    use hubless_content::ContentHash;

    use super::*;

    struct Graph(HashMap<CommitId, Revision>);

    impl Graph {
        fn add(&mut self, time: u64, parents: &[CommitId]) -> CommitId {
            let revision = Revision {
                tree: Tree::Content(ContentHash::new([1; 32])),
                parents: parents.to_vec(),
                time,
                title: self.0.len().to_string(),
                message: String::new(),
                author: String::new(),
            };
            let commit = revision.commit_id().unwrap();
            self.0.insert(commit, revision);
            commit
        }

        fn from(&self, tip: CommitId, known: &[CommitId]) -> Vec<CommitId> {
            let piece = Piece::read(tip, known, |commit| Ok(self.0.get(&commit).cloned()));
            let sorted = piece.unwrap().unwrap().newest_first();
            sorted.into_iter().map(|(commit, _)| commit).collect()
        }
    }

    #[test]
    fn no_revision_comes_before_one_that_names_it_as_a_parent() {
        let mut graph = Graph(HashMap::new());
        // The clock of one author is wrong: the older revision has the later time.
        let root = graph.add(900, &[]);
        let left = graph.add(2, &[root]);
        let right = graph.add(3, &[left, root, root]);
        let tip = graph.add(1, &[left, right]);
        assert_eq!(graph.from(tip, &[]), [tip, right, left, root]);
        assert_eq!(graph.from(tip, &[left]), [tip, right, root]);
        assert_eq!(graph.from(tip, &[tip]), []);
    }

    #[test]
    fn a_response_has_the_newest_part_of_a_long_history() {
        let mut graph = Graph(HashMap::new());
        let mut chain = vec![graph.add(0, &[])];
        for time in 1..3_000 {
            let parent = chain[chain.len() - 1];
            chain.push(graph.add(time, &[parent]));
        }
        chain.reverse();
        let piece = graph.from(chain[0], &[]);
        assert_eq!(piece, chain[..REVISIONS_PER_RESPONSE_MAX]);
        let rest = graph.from(chain[REVISIONS_PER_RESPONSE_MAX], &[chain[1_100]]);
        assert_eq!(rest, chain[REVISIONS_PER_RESPONSE_MAX..1_100]);
    }
}
