//! Steps and merges of two signers, each with a store of its own.

use hubless_content::{
    Chain, ContentHash, Identity, Manifest, ManifestEntry, RefName, RepoKind, SecretKey,
    SignedIdentity, State, Status, Subject, Tree, VerifiedHead,
};
use hubless_store::{Publication, Store, StoreOptions};

use super::{
    change::{Change, Commit},
    step::{Stepped, step},
};
use hubless_names::{
    book,
    keys::Signing,
    sync::merging::{Joined, Theirs},
};

const NOW: u64 = 1_800_000_000_000;

/// A device of the publisher, with its own signing key and store.
struct Device {
    signing: Signing,
    subject: Subject,
    store: Store,
    _home: tempfile::TempDir,
}

fn key(seed: u8) -> SecretKey {
    SecretKey::new(&[seed; 32])
}

fn chain() -> Chain {
    let mut signers: Vec<_> = [2, 3, 4].map(|seed| key(seed).public()).to_vec();
    signers.sort_unstable();
    let identity = Identity::first(vec![key(1).public()], 1, signers, [7; 16]);
    Chain::new(vec![SignedIdentity::unsigned(identity).unwrap()]).unwrap()
}

/// Three devices that share nothing yet.
fn devices() -> [Device; 3] {
    [2, 3, 4].map(|seed| {
        let chain = chain();
        let home = tempfile::tempdir().unwrap();
        Device {
            subject: Subject::repo(chain.publisher(), RepoKind::Model, "m").unwrap(),
            signing: Signing {
                chain,
                key: key(seed),
            },
            store: Store::open(home.path(), StoreOptions::default()).unwrap(),
            _home: home,
        }
    })
}

/// A manifest of small files, one for each byte: its name and its content.
fn manifest(files: &[(&str, u8)]) -> Manifest {
    let entry = |(path, byte): &(&str, u8)| ManifestEntry {
        path: path.parse().unwrap(),
        size: 1,
        hash: blake3::hash(&[*byte]).into(),
    };
    Manifest::new(files.iter().map(entry).collect()).unwrap()
}

impl Device {
    fn content(&self, files: &[(&str, u8)]) -> ContentHash {
        self.store.put_manifest(&manifest(files)).unwrap()
    }

    fn change(&self, change: &Change, now: u64) -> Stepped {
        step(&self.signing, &self.store, &self.subject, change, now).unwrap()
    }

    fn commit(&self, files: &[(&str, u8)], now: u64) -> Stepped {
        let commit = Commit {
            branch: RefName::main(),
            tags: Vec::new(),
            tree: Tree::Content(self.content(files)),
            title: None,
            message: String::new(),
            author: String::new(),
            parent: None,
        };
        self.change(&Change::Commit(commit), now)
    }

    fn head(&self) -> VerifiedHead {
        let record = self.store.head(self.subject.key()).unwrap().unwrap();
        book::seen(record, None).unwrap()
    }

    fn state(&self) -> State {
        self.store.state(self.subject.key()).unwrap().unwrap()
    }

    /// The names of the files of a branch, and their contents.
    fn files(&self, branch: &RefName) -> Vec<(String, u8)> {
        let repo = self.subject.repo_id().unwrap();
        let commit = self.store.get_ref(&repo, branch).unwrap().unwrap();
        let revision = self.store.revision(&repo, commit).unwrap().unwrap();
        let manifest = self.store.manifest(revision.tree.content_hash().unwrap());
        let manifest = manifest.unwrap().unwrap();
        let byte = |entry: &ManifestEntry| {
            let mut bytes = 0..=u8::MAX;
            bytes
                .find(|byte| entry.hash == blake3::hash(&[*byte]).into())
                .unwrap()
        };
        let files = manifest.entries().iter();
        files
            .map(|entry| (entry.path.to_string(), byte(entry)))
            .collect()
    }

    /// Brings a device that has none of the repo to where this one is.
    fn copy_to(&self, other: &Self) {
        let (repo, head, state) = (self.subject.repo_id().unwrap(), self.head(), self.state());
        let revisions = self.revisions();
        for hash in revisions
            .iter()
            .filter_map(|revision| revision.tree.content_hash())
        {
            let manifest = self.store.manifest(hash).unwrap().unwrap();
            other.store.put_manifest(&manifest).unwrap();
        }
        let after = other.store.head(self.subject.key()).unwrap();
        let publication = Publication {
            head: &head,
            state: &state,
            revisions: &revisions,
            after: after.map(|record| record.head().state),
        };
        other.store.publish(&publication).unwrap();
        assert_eq!(
            other.store.refs(&repo).unwrap(),
            self.store.refs(&repo).unwrap()
        );
    }

    fn revisions(&self) -> Vec<hubless_content::Revision> {
        let repo = self.subject.repo_id().unwrap();
        let ids = self.store.revisions(&repo).unwrap().into_iter();
        ids.map(|id| self.store.revision(&repo, id).unwrap().unwrap())
            .collect()
    }

    /// Shows this device what the other one has.
    fn sees(&self, other: &Self, now: u64) -> Joined {
        for hash in other
            .revisions()
            .iter()
            .filter_map(|revision| revision.tree.content_hash())
        {
            let manifest = other.store.manifest(hash).unwrap().unwrap();
            self.store.put_manifest(&manifest).unwrap();
        }
        self.sees_without_manifests(other, now)
    }

    fn sees_without_manifests(&self, other: &Self, now: u64) -> Joined {
        let theirs = Theirs {
            head: &other.head(),
            state: &other.state(),
            revisions: &other.revisions(),
        };
        self.signing
            .join(&self.store, &self.head(), &theirs, true, now)
            .unwrap()
    }
}

#[test]
fn a_step_is_signed_and_the_same_content_makes_none() {
    let [device, ..] = devices();
    assert!(matches!(
        device.commit(&[("a", 1)], NOW),
        Stepped::Signed(..)
    ));
    assert_eq!(device.head().head().seq, 1);
    assert!(matches!(
        device.commit(&[("a", 1)], NOW + 1),
        Stepped::Unchanged(..)
    ));
    device.commit(&[("a", 2)], NOW + 2);
    let head = device.head();
    assert_eq!((head.head().seq, head.head().time), (2, NOW + 2));
    assert_eq!(head.head().state, device.state().hash().unwrap());
    assert_eq!(device.files(&RefName::main()), [("a".to_owned(), 2)]);
}

#[test]
fn a_deleted_repo_has_no_refs_and_its_next_head_goes_on_counting() {
    let [device, ..] = devices();
    device.commit(&[("a", 1)], NOW);
    device.change(&Change::DeleteRepo, NOW + 1);
    assert_eq!(device.state().status, Status::Gone);
    let repo = device.subject.repo_id().unwrap();
    assert!(device.store.repo(&repo).unwrap().is_none());
    device.commit(&[("b", 2)], NOW + 2);
    assert_eq!(device.head().head().seq, 3);
    assert_eq!(device.files(&RefName::main()), [("b".to_owned(), 2)]);
}

#[test]
fn what_two_signers_made_apart_is_merged_to_one_state_wherever_it_happens() {
    let [first, second, _] = devices();
    first.commit(&[("a", 1)], NOW);
    first.copy_to(&second);
    first.commit(&[("a", 1), ("b", 2)], NOW + 10);
    second.commit(&[("a", 1), ("c", 3)], NOW + 20);
    let (ours, theirs) = (first.head(), second.head());
    assert_eq!(ours.head().seq, theirs.head().seq, "a fork");
    // Both see the other side before either has seen a merge.
    let [other_first, other_second, _] = devices();
    first.copy_to(&other_first);
    second.copy_to(&other_second);
    assert!(matches!(
        first.sees(&other_second, NOW + 30),
        Joined::Merged(_)
    ));
    assert!(matches!(
        second.sees(&other_first, NOW + 40),
        Joined::Merged(_)
    ));
    assert_eq!(first.state(), second.state());
    assert_eq!(first.head().head().seq, 3);
    let all = [("a", 1), ("b", 2), ("c", 3)].map(|(name, byte)| (name.to_owned(), byte));
    assert_eq!(first.files(&RefName::main()), all);
    // The second one finds nothing to do.
    assert!(matches!(
        first.sees(&second, NOW + 50),
        Joined::Contained | Joined::Taken
    ));
    assert_eq!(first.head().head().state, second.head().head().state);
}

#[test]
fn the_head_that_has_all_of_the_other_is_taken_or_left() {
    let [first, second, _] = devices();
    first.commit(&[("a", 1)], NOW);
    first.copy_to(&second);
    second.commit(&[("a", 2)], NOW + 10);
    let before = second.head();
    assert!(matches!(second.sees(&first, NOW + 20), Joined::Contained));
    assert_eq!(second.head(), before);
    assert!(matches!(first.sees(&second, NOW + 20), Joined::Taken));
    assert_eq!(first.head(), second.head());
}

#[test]
fn commits_of_a_side_that_fell_behind_are_not_lost() {
    let [first, second, _] = devices();
    first.commit(&[("a", 1)], NOW);
    first.copy_to(&second);
    for byte in 2..6 {
        first.commit(&[("a", byte)], NOW + u64::from(byte));
    }
    second.commit(&[("a", 1), ("late", 9)], NOW + 100);
    assert!(
        second.head().rank() < first.head().rank(),
        "it looks like an old head"
    );
    let Joined::Merged(merged) = first.sees(&second, NOW + 200) else {
        panic!("a merge")
    };
    assert_eq!(merged.head().seq, 6);
    let both = [("a", 5), ("late", 9)].map(|(name, byte)| (name.to_owned(), byte));
    assert_eq!(first.files(&RefName::main()), both);
}

#[test]
fn a_lesser_head_that_has_all_of_a_greater_one_is_signed_anew() {
    let [first, second, _] = devices();
    first.commit(&[("a", 1)], NOW);
    first.copy_to(&second);
    // The tag ranks higher by sequence, the commit goes on from the same revision.
    let tag = |name: &str| {
        Change::Commit(Commit {
            branch: RefName::main(),
            tags: vec![RefName::tag(name).unwrap()],
            tree: Tree::Content(first.content(&[("a", 1)])),
            title: None,
            message: String::new(),
            author: String::new(),
            parent: None,
        })
    };
    first.change(&tag("v1"), NOW + 1);
    first.change(&tag("v2"), NOW + 2);
    second.commit(&[("a", 2)], NOW + 3);
    let Joined::Merged(merged) = second.sees(&first, NOW + 4) else {
        panic!("a merge")
    };
    assert_eq!(merged.head().seq, 4);
    assert_eq!(second.files(&RefName::main()), [("a".to_owned(), 2)]);
    assert!(second.state().live(&RefName::tag("v2").unwrap()).is_some());
}

#[test]
fn a_merge_by_path_waits_for_the_manifests_of_the_other_side() {
    let [first, second, _] = devices();
    first.commit(&[("a", 1)], NOW);
    first.copy_to(&second);
    first.commit(&[("a", 2)], NOW + 1);
    second.commit(&[("b", 3)], NOW + 2);
    let missing = second.content(&[("b", 3)]);
    let outcome = first.sees_without_manifests(&second, NOW + 3);
    assert!(
        matches!(outcome, Joined::Needs(hash) if hash == missing),
        "{outcome:?}"
    );
    assert_eq!(first.head().head().seq, 2, "nothing was written");
}

#[test]
fn the_signer_of_the_lesser_head_waits_for_its_turn() {
    let [first, second, _] = devices();
    first.commit(&[("a", 1)], NOW);
    first.copy_to(&second);
    first.commit(&[("a", 1), ("b", 2)], NOW + 1);
    first.commit(&[("a", 1), ("b", 3)], NOW + 2);
    second.commit(&[("a", 1), ("c", 3)], NOW + 3);
    let join = |ours: &Device, other: &Device| {
        for hash in other
            .revisions()
            .iter()
            .filter_map(|revision| revision.tree.content_hash())
        {
            let manifest = other.store.manifest(hash).unwrap().unwrap();
            ours.store.put_manifest(&manifest).unwrap();
        }
        let (head, state, revisions) = (&other.head(), &other.state(), &other.revisions());
        let theirs = Theirs {
            head,
            state,
            revisions,
        };
        ours.signing
            .join(&ours.store, &ours.head(), &theirs, false, NOW + 4)
            .unwrap()
    };
    assert!(matches!(join(&second, &first), Joined::NotOurTurn));
    assert!(matches!(join(&first, &second), Joined::Merged(_)));
    assert!(matches!(join(&second, &first), Joined::Taken));
}

#[test]
fn three_sides_become_one() {
    let [first, second, third] = devices();
    first.commit(&[("a", 1)], NOW);
    first.copy_to(&second);
    first.copy_to(&third);
    first.commit(&[("a", 1), ("x", 1)], NOW + 1);
    second.commit(&[("a", 1), ("y", 2)], NOW + 2);
    third.commit(&[("a", 1), ("z", 3)], NOW + 3);
    first.sees(&second, NOW + 10);
    first.sees(&third, NOW + 20);
    for other in [&second, &third] {
        assert!(matches!(other.sees(&first, NOW + 30), Joined::Taken));
        assert_eq!(other.head(), first.head());
    }
    let all = [("a", 1), ("x", 1), ("y", 2), ("z", 3)].map(|(name, byte)| (name.to_owned(), byte));
    assert_eq!(third.files(&RefName::main()), all);
}
