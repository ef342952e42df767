use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::{
    hash::FileHash, identity::PublisherId, manifest::ManifestEntry, repo::RepoKind, revision::Tree,
    state::Discussions, subject::Subject,
};

/// Revisions and manifests in memory, and the state of one signer.
#[derive(Clone, Default)]
struct Memory {
    revisions: HashMap<CommitId, Revision>,
    manifests: HashMap<ContentHash, Manifest>,
}

impl History for Memory {
    fn revision(&self, id: &CommitId) -> Option<Revision> {
        self.revisions.get(id).cloned()
    }

    fn manifest(&self, hash: &ContentHash) -> Option<Manifest> {
        self.manifests.get(hash).cloned()
    }
}

impl Memory {
    fn insert(&mut self, revision: Revision) -> RevisionHash {
        let hash = revision.hash().unwrap();
        self.revisions.insert(hash.commit_id(), revision);
        hash
    }

    /// A revision of these files (path, content) on top of `parents`.
    fn commit(
        &mut self,
        parents: &[RevisionHash],
        time: u64,
        files: &[(&str, u8)],
    ) -> RevisionHash {
        let entries = files.iter().map(|(path, content)| ManifestEntry {
            path: path.parse().unwrap(),
            size: 1,
            hash: FileHash::new([*content; 32]),
        });
        let tree = match Manifest::new(entries.collect()) {
            Ok(manifest) => {
                let hash = manifest.content_hash();
                self.manifests.insert(hash, manifest);
                Tree::Content(hash)
            }
            Err(_) => Tree::Listed(Vec::new()),
        };
        self.insert(Revision {
            tree,
            parents: parents.iter().map(RevisionHash::commit_id).collect(),
            time,
            title: String::new(),
            message: String::new(),
            author: String::new(),
        })
    }

    fn take(&mut self, merged: &Merged) {
        for revision in &merged.revisions {
            self.insert(revision.clone());
        }
        for manifest in &merged.manifests {
            self.manifests
                .insert(manifest.content_hash(), manifest.clone());
        }
    }

    fn files(&self, tip: &RevisionHash) -> Vec<(String, u8)> {
        let entries = Graph::new(self, MERGE_REVISIONS_MAX)
            .files(&tip.commit_id())
            .unwrap();
        let file = |entry: &ManifestEntry| (entry.path.to_string(), entry.hash.as_bytes()[0]);
        entries.iter().map(file).collect()
    }
}

fn state(refs: &[(&str, RevisionHash)]) -> State {
    let subject = Subject::repo(PublisherId::new([1; 32]), RepoKind::Model, "m").unwrap();
    let mut state = State {
        subject,
        created: 7,
        refs: Vec::new(),
        discussions: Discussions::Everyone,
        status: Status::Open,
    };
    for (name, revision) in refs {
        state.set(RefName::new(name).unwrap(), *revision);
    }
    state
}

const MAIN: &str = "refs/heads/main";

fn tip(state: &State, name: &str) -> Option<RevisionHash> {
    state
        .live(&RefName::new(name).unwrap())
        .map(|held| held.revision)
}

#[test]
fn changes_of_different_files_come_together() {
    let mut memory = Memory::default();
    let base = memory.commit(&[], 1, &[("a", 1), ("b", 1), ("c", 1)]);
    let ours = memory.commit(&[base], 10, &[("a", 2), ("b", 1), ("c", 1)]);
    let theirs = memory.commit(&[base], 20, &[("a", 1), ("c", 1), ("d", 4)]);
    let merged = merge(&state(&[(MAIN, ours)]), &state(&[(MAIN, theirs)]), &memory).unwrap();
    memory.take(&merged);
    let main = tip(&merged.state, MAIN).unwrap();
    let expected = [("a", 2), ("c", 1), ("d", 4)].map(|(path, content)| (path.to_owned(), content));
    assert_eq!(memory.files(&main), expected);
    let revision = &memory.revisions[&main.commit_id()];
    assert_eq!(revision.parents, [ours.commit_id(), theirs.commit_id()]);
    assert_eq!(revision.time, 21);
    assert_eq!(merged.state.refs.len(), 1, "no conflict");
}

#[test]
fn of_a_file_that_both_changed_the_winner_has_its_own_and_the_loser_a_branch() {
    let mut memory = Memory::default();
    let base = memory.commit(&[], 1, &[("a", 1), ("b", 1)]);
    let ours = memory.commit(&[base], 10, &[("a", 2), ("b", 1)]);
    let theirs = memory.commit(&[base], 10, &[("a", 3), ("b", 9)]);
    let merged = merge(&state(&[(MAIN, ours)]), &state(&[(MAIN, theirs)]), &memory).unwrap();
    memory.take(&merged);
    let expected = [("a".to_owned(), 2), ("b".to_owned(), 9)];
    assert_eq!(memory.files(&tip(&merged.state, MAIN).unwrap()), expected);
    let branch = format!("refs/heads/conflict-{}", &theirs.to_string()[..8]);
    assert_eq!(tip(&merged.state, &branch), Some(theirs));
}

#[test]
fn a_file_that_is_a_directory_on_the_other_side_is_a_conflict() {
    let mut memory = Memory::default();
    let base = memory.commit(&[], 1, &[("a", 1)]);
    let ours = memory.commit(&[base], 10, &[("a", 1), ("x", 2)]);
    let theirs = memory.commit(&[base], 10, &[("a", 1), ("x/y", 3), ("z", 3)]);
    for (winner, loser, x) in [(ours, theirs, "x"), (theirs, ours, "x/y")] {
        let merged = merge(&state(&[(MAIN, winner)]), &state(&[(MAIN, loser)]), &memory).unwrap();
        let mut memory = memory.clone();
        memory.take(&merged);
        let files = memory.files(&tip(&merged.state, MAIN).unwrap());
        assert!(files.iter().any(|(path, _)| path == x), "{files:?}");
        assert_eq!(merged.state.refs.len(), 2, "the loser has a branch");
    }
}

#[test]
fn the_side_that_went_on_counts() {
    let mut memory = Memory::default();
    let base = memory.commit(&[], 1, &[("a", 1)]);
    let later = memory.commit(&[base], 2, &[("a", 2)]);
    let (old, new) = (state(&[(MAIN, base)]), state(&[(MAIN, later)]));
    for (winner, loser) in [(&old, &new), (&new, &old)] {
        let merged = merge(winner, loser, &memory).unwrap();
        assert_eq!(tip(&merged.state, MAIN), Some(later));
        assert_eq!(merged.revisions, []);
    }
}

#[test]
fn deleted_stays_deleted_unless_the_other_side_went_on() {
    let mut memory = Memory::default();
    let base = memory.commit(&[], 1, &[("a", 1)]);
    let later = memory.commit(&[base], 2, &[("a", 2)]);
    let other = memory.commit(&[], 2, &[("a", 3)]);
    let mut deleted = state(&[(MAIN, base)]);
    deleted.delete(&RefName::main(), 5);
    for (live, expected) in [(base, None), (later, Some(later)), (other, None)] {
        let live = state(&[(MAIN, live)]);
        for (winner, loser) in [(&live, &deleted), (&deleted, &live)] {
            let merged = merge(winner, loser, &memory).unwrap();
            assert_eq!(tip(&merged.state, MAIN), expected);
        }
    }
    let kept = merge(&state(&[]), &deleted, &memory).unwrap();
    assert!(
        kept.state.get(&RefName::main()).is_some(),
        "the deletion is known further on"
    );
}

#[test]
fn tags_are_the_winners() {
    let mut memory = Memory::default();
    let (one, two) = (
        memory.commit(&[], 1, &[("a", 1)]),
        memory.commit(&[], 2, &[("a", 2)]),
    );
    let tag = "refs/tags/v1";
    let only = "refs/tags/v2";
    let merged = merge(
        &state(&[(tag, one)]),
        &state(&[(tag, two), (only, two)]),
        &memory,
    )
    .unwrap();
    assert_eq!(tip(&merged.state, tag), Some(one));
    assert_eq!(tip(&merged.state, only), Some(two));
}

#[test]
fn a_repo_that_is_gone_loses_against_a_commit() {
    let mut memory = Memory::default();
    let base = memory.commit(&[], 1, &[("a", 1)]);
    let open = state(&[(MAIN, base)]);
    for status in [Status::Gone, Status::Moved(RepoKind::Model, "n".into())] {
        let closed = State {
            status,
            refs: Vec::new(),
            ..open.clone()
        };
        assert_eq!(merge(&closed, &open, &memory).unwrap().state, open);
        assert_eq!(merge(&open, &closed, &memory).unwrap().state, open);
        assert_eq!(merge(&closed, &closed, &memory).unwrap().state, closed);
    }
}

#[test]
fn what_is_missing_is_named() {
    let mut memory = Memory::default();
    let base = memory.commit(&[], 1, &[("a", 1)]);
    let ours = memory.commit(&[base], 2, &[("a", 2)]);
    let theirs = memory.commit(&[base], 2, &[("a", 3)]);
    let states = (state(&[(MAIN, ours)]), state(&[(MAIN, theirs)]));
    let mut lacking = memory.clone();
    lacking.revisions.remove(&base.commit_id());
    assert_eq!(
        merge(&states.0, &states.1, &lacking),
        Err(MergeError::Revision(base.commit_id()))
    );
    memory.manifests.clear();
    assert!(matches!(
        merge(&states.0, &states.1, &memory),
        Err(MergeError::Manifest(_))
    ));
    let other = State {
        subject: Subject::repo(PublisherId::new([1; 32]), RepoKind::Model, "n").unwrap(),
        ..states.0.clone()
    };
    assert_eq!(
        merge(&states.0, &other, &memory),
        Err(MergeError::OtherRepo)
    );
}

#[test]
fn all_walks_together_are_bounded() {
    let mut memory = Memory::default();
    let mut tip = memory.commit(&[], 0, &[("a", 1)]);
    for time in 1..10 {
        tip = memory.commit(&[tip], time, &[("a", 1)]);
    }
    let other = memory.commit(&[], 99, &[("a", 2)]).commit_id();
    let walks = |passed_max| {
        let graph = Graph::new(&memory, passed_max);
        graph.is_ancestor(&other, &tip.commit_id())?;
        graph.is_ancestor(&other, &tip.commit_id())
    };
    assert_eq!(walks(20), Ok(false));
    assert_eq!(walks(19), Err(MergeError::TooLong));
}

#[test]
fn the_best_common_ancestor_is_the_base() {
    let mut memory = Memory::default();
    let root = memory.commit(&[], 1, &[("a", 1)]);
    let base = memory.commit(&[root], 2, &[("a", 2)]);
    let ours = memory.commit(&[base], 3, &[("a", 1)]);
    let theirs = memory.commit(&[base], 3, &[("a", 2), ("b", 1)]);
    let merged = merge(&state(&[(MAIN, ours)]), &state(&[(MAIN, theirs)]), &memory).unwrap();
    memory.take(&merged);
    let expected = [("a".to_owned(), 1), ("b".to_owned(), 1)];
    assert_eq!(
        memory.files(&tip(&merged.state, MAIN).unwrap()),
        expected,
        "the root as a base undoes it"
    );
}

/// One step of a signer: changes a file, or deletes it.
#[derive(Debug, Clone)]
struct Step {
    path: u8,
    content: Option<u8>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..6u8, prop::option::of(1..5u8));
    prop::collection::vec(
        step.prop_map(|(path, content)| Step { path, content }),
        1..8,
    )
}

const PATHS: [&str; 6] = ["a", "b", "c", "c/d", "e", "e/f/g"];

fn work(memory: &mut Memory, from: RevisionHash, time: u64, steps: &[Step]) -> RevisionHash {
    let mut tip = from;
    for (number, step) in steps.iter().enumerate() {
        let mut files = memory.files(&tip);
        let path = PATHS[usize::from(step.path)];
        files.retain(|(held, _)| {
            held != path
                && !held.starts_with(&format!("{path}/"))
                && !path.starts_with(&format!("{held}/"))
        });
        files.extend(step.content.map(|content| (path.to_owned(), content)));
        let files: Vec<_> = files
            .iter()
            .map(|(path, content)| (path.as_str(), *content))
            .collect();
        tip = memory.commit(&[tip], time + number as u64, &files);
    }
    tip
}

proptest! {
    /// Whatever two signers did: all that they acknowledged is in the history of some ref, and the one
    /// that merges second finds nothing to do.
    #[test]
    fn nothing_acknowledged_is_lost_and_a_merge_is_final(a in steps(), b in steps()) {
        let mut memory = Memory::default();
        let base = memory.commit(&[], 1, &[("a", 1), ("b", 1)]);
        let ours = work(&mut memory, base, 10, &a);
        let theirs = work(&mut memory, base, 11, &b);
        let (winner, loser) = (state(&[(MAIN, ours)]), state(&[(MAIN, theirs)]));
        let merged = merge(&winner, &loser, &memory).unwrap();
        prop_assert_eq!(merge(&winner, &loser, &memory).unwrap(), merged.clone());
        memory.take(&merged);
        merged.state.encode().unwrap();
        let main = tip(&merged.state, MAIN).unwrap().commit_id();
        for acknowledged in [ours, theirs] {
            prop_assert!(Graph::new(&memory, MERGE_REVISIONS_MAX).is_ancestor(&acknowledged.commit_id(), &main).unwrap());
        }
        for side in [&winner, &loser] {
            for (first, second) in [(&merged.state, side), (side, &merged.state)] {
                let again = merge(first, second, &memory).unwrap();
                prop_assert_eq!(&again.state, &merged.state);
                prop_assert_eq!(&again.revisions[..], &[]);
            }
        }
    }
}
