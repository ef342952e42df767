//! Merges the files of two revisions by path.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    manifest::{Manifest, ManifestEntry},
    path::ModelPath,
    revision::Tree,
};

/// The files of a merge.
pub(super) struct MergedTree {
    pub(super) tree: Tree,
    /// The manifest, unless there are no files.
    pub(super) manifest: Option<Manifest>,
    /// Whether a change of the loser is not in it.
    pub(super) conflicts: bool,
}

/// Takes each path from the side that changed it; if both did, differently, from the winner.
pub(super) fn merge(
    base: &[ManifestEntry],
    winner: &[ManifestEntry],
    loser: &[ManifestEntry],
) -> MergedTree {
    let [base, ours, theirs] = [base, winner, loser].map(by_path);
    let mut files: BTreeMap<&ModelPath, &ManifestEntry> = BTreeMap::new();
    let mut conflicts = false;
    let paths: BTreeSet<&ModelPath> = base
        .keys()
        .chain(ours.keys())
        .chain(theirs.keys())
        .copied()
        .collect();
    for path in paths {
        let (base, our, their) = (base.get(path), ours.get(path), theirs.get(path));
        let taken = if our == their || their == base {
            our
        } else if our == base {
            their
        } else {
            conflicts = true;
            our
        };
        files.extend(taken.map(|entry| (path, *entry)));
    }
    conflicts |= drop_clashes(&mut files, &ours);
    let entries: Vec<ManifestEntry> = files.into_values().cloned().collect();
    if entries.is_empty() {
        return MergedTree {
            tree: Tree::Listed(Vec::new()),
            manifest: None,
            conflicts,
        };
    }
    match Manifest::new(entries) {
        Ok(manifest) => whole(manifest, conflicts),
        // Both together break a limit of manifests: the winner's files as they are.
        Err(_) => match Manifest::new(winner.to_vec()) {
            Ok(manifest) => whole(manifest, true),
            Err(_) => MergedTree {
                tree: Tree::Listed(Vec::new()),
                manifest: None,
                conflicts: true,
            },
        },
    }
}

fn whole(manifest: Manifest, conflicts: bool) -> MergedTree {
    MergedTree {
        tree: Tree::Content(manifest.content_hash()),
        manifest: Some(manifest),
        conflicts,
    }
}

fn by_path(entries: &[ManifestEntry]) -> BTreeMap<&ModelPath, &ManifestEntry> {
    entries.iter().map(|entry| (&entry.path, entry)).collect()
}

/// Where a path of one side is a directory of the other, drops the loser's files; whether there were any.
fn drop_clashes(
    files: &mut BTreeMap<&ModelPath, &ManifestEntry>,
    ours: &BTreeMap<&ModelPath, &ManifestEntry>,
) -> bool {
    let is_ours = |path: &ModelPath| ours.contains_key(path);
    let names: BTreeMap<&str, &ModelPath> =
        files.keys().map(|path| (path.as_str(), *path)).collect();
    let mut dropped: BTreeSet<&ModelPath> = BTreeSet::new();
    for path in files.keys().copied() {
        for ancestor in path.ancestors() {
            if let Some(file) = names.get(ancestor) {
                // At most one of both is the winner's: in its own files there is no such pair.
                dropped.insert(if is_ours(path) { file } else { path });
            }
        }
    }
    files.retain(|path, _| !dropped.contains(path));
    !dropped.is_empty()
}
