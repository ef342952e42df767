//! Which revision changed a file or a directory last.

use std::sync::Arc;

use hubless_content::{CommitId, Revision};
use hubless_node::repos::{RepoTree, Resolved};

use crate::http::{context::RequestContext, error::ApiError};

/// Revisions that one answer goes back. What did not change in them is given to the oldest.
const STEPS_MAX: usize = 100;

/// Files that one answer compares, for the same reason: some tenths of a second.
const COMPARED_MAX: usize = 1_000_000;

/// What identifies the entry whose last change is searched.
#[derive(Debug, Clone)]
pub(super) enum Changed {
    /// A file.
    File(String),
    /// A directory: everything below it.
    Directory(String),
}

/// A revision and its id.
pub(super) type Commit = (CommitId, Arc<Revision>);

/// For each entry of a state the revision that changed it last, as far as that is known here.
pub(super) async fn last_commits(
    cx: &RequestContext,
    resolved: &Resolved,
    tree: &RepoTree,
    entries: Vec<Changed>,
) -> Result<Vec<Commit>, ApiError> {
    let mut history = cx.repos.history(resolved).await?;
    history.truncate(STEPS_MAX);
    let mut search = Search::new(entries);
    let mut newer = tree.clone();
    for (step, (commit, revision)) in history.iter().enumerate().skip(1) {
        if search.is_over() {
            break;
        }
        let before = resolved.at(*commit, revision.clone());
        // History is not worth waiting for peers.
        let Some(older) = cx.repos.held_tree(&before).await? else {
            break;
        };
        search.step(step, &newer, &older);
        newer = older;
    }
    let commits = search
        .found
        .into_iter()
        .filter_map(|step| history.get(step));
    Ok(commits.cloned().collect())
}

/// The search for last changes, from one state to the one before it.
struct Search {
    entries: Vec<Changed>,
    /// The step that an entry came from, as far as is known.
    found: Vec<usize>,
    /// Entries that were the same in all steps.
    open: Vec<usize>,
    compared: usize,
}

impl Search {
    fn new(entries: Vec<Changed>) -> Self {
        Self {
            found: vec![0; entries.len()],
            open: (0..entries.len()).collect(),
            entries,
            compared: 0,
        }
    }

    fn is_over(&self) -> bool {
        self.open.is_empty() || self.compared >= COMPARED_MAX
    }

    /// Compares the state of `step` with the newer one.
    fn step(&mut self, step: usize, newer: &RepoTree, older: &RepoTree) {
        let Self {
            entries,
            found,
            open,
            compared,
        } = self;
        open.retain(|&entry| {
            let same = *compared < COMPARED_MAX && is_same(newer, older, &entries[entry], compared);
            if same {
                found[entry] = step;
            }
            same
        });
    }
}

fn is_same(newer: &RepoTree, older: &RepoTree, entry: &Changed, compared: &mut usize) -> bool {
    match entry {
        Changed::File(path) => {
            *compared += 1;
            newer.get(path) == older.get(path)
        }
        Changed::Directory(path) => {
            let [left, right] = [newer, older].map(|tree| below(tree, path));
            if left.len() != right.len() {
                return false;
            }
            *compared += left.len();
            left.zip(right).all(|(a, b)| newer.file(a) == older.file(b))
        }
    }
}

/// The positions of the files below a directory.
fn below(tree: &RepoTree, directory: &str) -> std::ops::Range<usize> {
    // `0` is the character behind `/`.
    tree.position(&format!("{directory}/"))..tree.position(&format!("{directory}0"))
}

#[cfg(test)]
mod tests {
    use hubless_content::{FileHash, Manifest, ManifestEntry};

    use super::*;

    fn tree(files: &[(&str, u8)]) -> RepoTree {
        let entry = |(path, content): &(&str, u8)| ManifestEntry {
            path: path.parse().unwrap(),
            size: 1,
            hash: FileHash::new([*content; 32]),
        };
        let manifest = Manifest::new(files.iter().map(entry).collect()).unwrap();
        RepoTree::Manifest(Arc::new(manifest))
    }

    #[test]
    fn a_change_is_found_where_it_was_made() {
        let states = [
            tree(&[("a", 1), ("d/x", 9), ("d/y", 2), ("new", 1)]),
            tree(&[("a", 1), ("d/x", 1), ("d/y", 2)]),
            tree(&[("a", 0), ("d/x", 1), ("d/y", 2)]),
        ];
        let file = |path: &str| Changed::File(path.into());
        let entries = ["a", "d/x", "d/y", "new"].map(file).into_iter();
        let entries = entries.chain([Changed::Directory("d".into())]).collect();
        let mut search = Search::new(entries);
        for (step, pair) in states.windows(2).enumerate() {
            search.step(step + 1, &pair[0], &pair[1]);
        }
        assert_eq!(search.found, [1, 0, 2, 0, 0]);
        assert_eq!(search.open, [2], "what never changed");
    }
}
