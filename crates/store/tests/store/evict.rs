//! Eviction: a full store makes room of what nothing needs, least recently used first.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use crate::common::{
    author::{Author, revision_of},
    *,
};
use hubless_content::{
    ChunkIndex, CommitId, ContentHash, FileHash, Lfs, RefName, RepoId, Revision, Tree, TreeEntry,
};
use hubless_store::{
    Digests, Evictions, Expected, Follow, Hold, Mirror, OwnPublisher, Publication, Repo,
    RepoOrigin, Store, StoreError, StoreOptions,
};

const QUOTA: usize = 30 * CHUNK;

fn open_small(home: &Path) -> Store {
    let quota = Some(QUOTA as u64);
    Store::open(
        home,
        StoreOptions {
            quota,
            ..Default::default()
        },
    )
    .unwrap()
}

/// The bytes of a file of so many chunks.
fn file_of(chunks: usize) -> Vec<u8> {
    bytes(chunks as u64, chunks * CHUNK)
}

fn put_name(store: &Store, name: &str, origin: RepoOrigin, tree: Tree) -> (RepoId, CommitId) {
    let repo = Repo {
        id: name.parse().unwrap(),
        created: 1,
        origin,
        private: false,
        gated: false,
    };
    store.put_repo(&repo).unwrap();
    let revision = Revision {
        tree,
        parents: Vec::new(),
        time: 1,
        title: String::new(),
        message: String::new(),
        author: String::new(),
    };
    let commit = CommitId::new([7; 20]);
    store
        .put_revision(&repo.id, commit, &revision, &[])
        .unwrap();
    (repo.id, commit)
}

/// Pulls a file of so many chunks, the one file of a repo of an upstream.
fn pull(store: &Store, name: &str, chunks: usize) -> Result<FileHash, StoreError> {
    let data = file_of(chunks);
    let lfs = Lfs {
        sha256: Digests::of(&data).sha256,
        pointer_size: 130,
    };
    let entry = TreeEntry {
        path: "weights".parse().unwrap(),
        size: data.len() as u64,
        git_blob: None,
        lfs: Some(lfs),
        file: None,
    };
    let upstream = RepoOrigin::Upstream("https://hub.example".into());
    put_name(store, name, upstream, Tree::Listed(vec![entry]));
    let mut incoming = store.incoming(data.len() as u64)?;
    incoming.write(&data).unwrap();
    let (file, _) = incoming.finish(Expected::default(), |_| {}).unwrap();
    Ok(file)
}

fn is_here(store: &Store, file: FileHash) -> bool {
    store.file(file).unwrap().is_some_and(|file| file.complete)
}

fn read(store: &Store, file: FileHash) {
    let chunk = store.read_chunk(file, ChunkIndex(0)).unwrap();
    assert!(chunk.is_some());
}

#[test]
fn what_was_not_used_for_longest_goes_and_the_quota_holds_meanwhile() {
    let home = tempfile::tempdir().unwrap();
    let store = open_small(home.path());
    let read_last = pull(&store, "org/read-last", 10).unwrap();
    let older = pull(&store, "org/older", 11).unwrap();
    read(&store, read_last);
    let done = AtomicBool::new(false);
    let new = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert!(store.usage().unwrap().bytes <= QUOTA as u64);
            }
        });
        let new = pull(&store, "org/new", 15).unwrap();
        done.store(true, Ordering::Relaxed);
        watch.join().unwrap();
        new
    });
    assert!(is_here(&store, new) && is_here(&store, read_last));
    assert!(!is_here(&store, older));
    let evicted = Evictions {
        models: 1,
        bytes: 11 * CHUNK as u64,
        refused: 0,
    };
    assert_eq!(store.evictions(), evicted);
    let repo = "org/older".parse().unwrap();
    assert!(store.repo(&repo).unwrap().is_some(), "its name stays known");
    let commit = CommitId::new([7; 20]);
    assert!(store.revision(&repo, commit).unwrap().is_some());
    // And it comes again.
    assert_eq!(pull(&store, "org/older", 11).unwrap(), older);
}

#[test]
fn what_is_pinned_named_here_or_in_use_is_never_evicted() {
    let home = tempfile::tempdir().unwrap();
    let store = open_small(home.path());
    let model = |chunks: usize| {
        let directory = tempfile::tempdir().unwrap();
        write_files(
            directory.path(),
            &[("weights".to_owned(), file_of(chunks))].into(),
        );
        let model = import(&store, directory.path()).hash;
        (model, list_of(&file_of(chunks)).file())
    };
    let (_, pinned) = model(5);
    let (other, named) = model(6);
    put_name(&store, "own/name", RepoOrigin::Local, Tree::Content(other));
    assert!(store.unpin(other).unwrap());
    let in_use = pull(&store, "org/in-use", 7).unwrap();
    let guard = store.protect_files();
    guard.add(in_use);

    let refused = pull(&store, "org/new", 15).unwrap_err();
    assert!(matches!(refused, StoreError::Quota { .. }), "{refused}");
    for file in [pinned, named, in_use] {
        assert!(is_here(&store, file));
    }
    let evictions = store.evictions();
    assert_eq!((evictions.models, evictions.refused), (0, 1));

    drop(guard);
    let fits = || pull(&store, "org/new", 15).ok();
    // A futile pass rests for a moment.
    let new = std::iter::repeat_with(fits).flatten().next().unwrap();
    assert!(is_here(&store, new) && is_here(&store, pinned) && is_here(&store, named));
    assert!(!is_here(&store, in_use));
}

#[test]
fn nothing_is_evicted_in_vain() {
    let home = tempfile::tempdir().unwrap();
    let store = open_small(home.path());
    let directory = tempfile::tempdir().unwrap();
    let files = [("weights".to_owned(), file_of(12))].into();
    write_files(directory.path(), &files);
    import(&store, directory.path());
    let cached = pull(&store, "org/cached", 10).unwrap();
    let refused = pull(&store, "org/large", 20);
    assert!(matches!(refused, Err(StoreError::Quota { .. })));
    assert!(is_here(&store, cached));
    assert_eq!(store.evictions().bytes, 0);
}

#[test]
fn the_order_of_uses_outlives_the_process() {
    let home = tempfile::tempdir().unwrap();
    let [older, newer] = {
        let store = open_small(home.path());
        let files = ["org/a", "org/b"].map(|name| {
            let chunks = if name == "org/a" { 10 } else { 11 };
            pull(&store, name, chunks).unwrap()
        });
        store.close().unwrap();
        files
    };
    let store = open_small(home.path());
    pull(&store, "org/new", 12).unwrap();
    assert!(!is_here(&store, older) && is_here(&store, newer));
    store.close().unwrap();

    // The one that is left is older than the new one, whatever was read in between.
    let store = open_small(home.path());
    pull(&store, "org/newest", 13).unwrap();
    assert!(!is_here(&store, newer));
}

#[test]
fn a_fetched_model_that_is_not_pinned_goes_with_its_manifest() {
    let home = tempfile::tempdir().unwrap();
    let store = open_small(home.path());
    let data = file_of(20);
    put_all(&store, &data);
    let manifest = manifest_of(&[("weights".to_owned(), data)].into());
    let model = store.put_manifest(&manifest).unwrap();
    store.flush().unwrap();
    pull(&store, "org/new", 15).unwrap();
    assert_eq!(store.model_info(model).unwrap(), None);
    assert_eq!(store.usage().unwrap().bytes, 15 * CHUNK as u64);
}

/// Chunks of the files of [`publish_three`].
const CHUNKS_OF_THREE: [usize; 3] = [4, 5, 6];

/// Publishes a repo of three revisions, of which a branch, a tag and no ref leads to the content. Returns the
/// models and the files.
fn publish_three(store: &Store, author: &Author) -> [(ContentHash, FileHash); 3] {
    let contents = CHUNKS_OF_THREE.map(|chunks| {
        put_all(store, &file_of(chunks));
        let manifest = manifest_of(&[("weights".to_owned(), file_of(chunks))].into());
        (
            store.put_manifest(&manifest).unwrap(),
            list_of(&file_of(chunks)).file(),
        )
    });
    store.flush().unwrap();
    let revisions = contents.map(|(model, _)| revision_of(model));
    let mut state = author.state("three");
    state.set(RefName::main(), revisions[0].hash().unwrap());
    state.set(RefName::tag("v1").unwrap(), revisions[1].hash().unwrap());
    let publication = Publication {
        head: &author.head(&state, None),
        state: &state,
        revisions: &revisions,
        after: None,
    };
    store.publish(&publication).unwrap();
    contents
}

/// Which of three files stay if there is room for no other.
fn assert_kept(prepare: impl FnOnce(&Store, &Author), kept: [bool; 3], case: &str) {
    let home = tempfile::tempdir().unwrap();
    let store = open_small(home.path());
    let author = Author::new(1);
    prepare(&store, &author);
    let published = publish_three(&store, &author);
    let (models, files) = (
        published.map(|(model, _)| model),
        published.map(|(_, file)| file),
    );
    let stay = CHUNKS_OF_THREE.iter().zip(kept).filter(|(_, kept)| *kept);
    let room = QUOTA / CHUNK - stay.map(|(chunks, _)| chunks).sum::<usize>();
    // The second takes the place of the first, though that was used later than the three.
    for (name, chunks) in [("org/new", room), ("org/newer", room - 1)] {
        pull(&store, name, chunks).unwrap();
        assert_eq!(files.map(|file| is_here(&store, file)), kept, "{case}");
    }
    for (model, kept) in models.into_iter().zip(kept) {
        let hold = if kept { Hold::Kept } else { Hold::Cached };
        assert_eq!(store.hold(model).unwrap(), Some(hold), "{case}");
        assert!(matches!(store.remove(model), Err(StoreError::Named { .. })));
    }
    assert_eq!(store.gc().unwrap().files, 0, "{case}");
}

#[test]
fn content_of_a_publisher_stays_as_far_as_its_mirror_covers_it() {
    assert_kept(|_, _| {}, [false; 3], "not followed");
    for (mirror, kept) in [
        (Mirror::Nothing, [false, false, false]),
        (Mirror::Latest, [true, false, false]),
        (Mirror::Tags, [true, true, false]),
        (Mirror::All, [true, true, true]),
    ] {
        let follow = |store: &Store, author: &Author| {
            let follow = Follow {
                publisher: author.id(),
                mirror,
                since: 1,
            };
            store.put_follow(&follow).unwrap();
        };
        assert_kept(follow, kept, &format!("{mirror:?}"));
    }
    let own = |store: &Store, author: &Author| {
        let own = OwnPublisher {
            id: author.id(),
            handle: "alice".into(),
            is_org: false,
            owner: None,
            private_by_default: false,
            created: 1,
        };
        store.put_own_publisher(&own).unwrap();
    };
    assert_kept(own, [true; 3], "own");
}
