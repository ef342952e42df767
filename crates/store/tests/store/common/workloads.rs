//! What is done on a disk before it crashes, and what must be there afterwards.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use hubless_content::{
    ChunkIndex, CommitId, ContentHash, DocumentHash, FileHash, RefName, RepoId, Revision, State,
    Status, Subject, Tree, VerifiedHead,
};
use hubless_store::{
    Digests, Expected, ExportOptions, ImportOptions, NewPublisher, OwnPublisher, Publication,
    RefChange, Repo, RepoOrigin, Store, StoreOptions, TakenOver,
};

use super::{
    author::{Author, revision_of},
    sim_disk::SimDisk,
    *,
};

pub(crate) const HOME: &str = "/home";
pub(crate) const TARGET: &str = "/target/out";

pub(crate) fn open_on(disk: &SimDisk) -> Store {
    let disk = Arc::new(disk.clone());
    Store::open_on(disk, Path::new(HOME), StoreOptions::default()).unwrap()
}

/// What the store said is durable, or what it must never touch.
#[derive(Debug, Clone)]
pub(crate) enum Holds {
    Chunk(Arc<[u8]>, u32),
    Whole(Arc<[u8]>),
    Digests(Arc<[u8]>),
    Manifest(ContentHash),
    Pin(ContentHash),
    Record(Vec<u8>, Vec<u8>),
    Ref(RepoId, RefName, CommitId),
    /// The head of a subject names this state.
    Head(Subject, DocumentHash),
    /// All that the head of a subject says, whichever it is; nothing of it without a head.
    WholeHead(Subject),
    /// A file outside of the home directory.
    File(PathBuf, Arc<[u8]>),
    /// Bytes that lie somewhere on the disk.
    Somewhere(Arc<[u8]>),
}

impl Holds {
    pub(crate) fn check(&self, store: &Store, disk: &SimDisk, case: &str) {
        match self {
            Self::Chunk(data, n) => {
                let read = store.read_chunk(list_of(data).file(), ChunkIndex(*n));
                let read = read.unwrap_or_else(|error| panic!("{case}: {error}"));
                let chunk = chunk_of(data, *n);
                assert_eq!(read.as_ref(), Some(chunk.bytes()), "{case}: chunk {n}");
            }
            Self::Whole(data) => {
                let read = store.read_range(list_of(data).file(), 0, data.len() as u64);
                let read = read.unwrap_or_else(|error| panic!("{case}: {error}"));
                assert_eq!(read, data[..], "{case}");
            }
            Self::Digests(data) => {
                let digests = store.digests(list_of(data).file()).unwrap();
                assert_eq!(digests, Some(Digests::of(data)), "{case}");
            }
            Self::Manifest(model) => {
                assert!(store.manifest(*model).unwrap().is_some(), "{case}: {model}");
            }
            Self::Pin(model) => assert!(store.pins().unwrap().contains(model), "{case}: {model}"),
            Self::Record(key, value) => {
                let record = (key.clone(), value.clone());
                assert!(
                    store.records_read_all().unwrap().contains(&record),
                    "{case}"
                );
            }
            Self::Ref(repo, name, commit) => {
                assert_eq!(store.get_ref(repo, name).unwrap(), Some(*commit), "{case}");
                let revision = store.revision(repo, *commit).unwrap();
                assert!(revision.is_some(), "{case}: a ref without its revision");
            }
            Self::Head(subject, state) => {
                let head = store.head(subject.key()).unwrap().unwrap();
                assert_eq!(head.head().state, *state, "{case}: {subject}");
            }
            Self::WholeHead(subject) => check_head(store, subject, case),
            Self::File(path, data) => {
                let found = disk.read(path);
                assert!(
                    found.as_deref() == Some(&data[..]),
                    "{case}: {}",
                    path.display()
                );
            }
            Self::Somewhere(data) => {
                let mut paths = disk.paths().into_iter();
                let is_there = paths.any(|path| disk.read(&path).as_deref() == Some(&data[..]));
                assert!(is_there, "{case}: a stored file is lost");
            }
        }
    }
}

/// A head is there with its state, its refs and their revisions, or not at all.
fn check_head(store: &Store, subject: &Subject, case: &str) {
    let repo = subject.repo_id().unwrap();
    let refs = store.refs(&repo).unwrap();
    let Some(head) = store.head(subject.key()).unwrap() else {
        assert_eq!(refs, [], "{case}: {subject}");
        assert_eq!(store.repo(&repo).unwrap(), None, "{case}: {subject}");
        return;
    };
    let state = store.document(subject.key(), head.head().state).unwrap();
    let state = State::decode(&state.expect(case)).unwrap();
    let live = state.refs.iter().filter(|held| held.deleted.is_none());
    let live = live.map(|held| (held.name.clone(), held.revision.commit_id()));
    assert_eq!(refs, live.collect::<Vec<_>>(), "{case}: {subject}");
    for (_, commit) in refs {
        let revision = store.revision(&repo, commit).unwrap();
        assert!(revision.is_some(), "{case}: {subject}");
    }
    let is_there = store.repo(&repo).unwrap().is_some();
    assert_eq!(is_there, state.status == Status::Open, "{case}: {subject}");
    assert!(
        store.chain(subject.publisher()).unwrap().is_some(),
        "{case}"
    );
    assert!(
        store.heads_of(subject.publisher()).unwrap().contains(&head),
        "{case}: {subject}"
    );
}

/// What must hold after a crash between two positions in the log.
#[derive(Debug)]
struct Promise {
    from: usize,
    until: usize,
    holds: Holds,
}

/// A disk, and what was promised about it.
pub(crate) struct Journal {
    pub(crate) disk: SimDisk,
    promises: Vec<Promise>,
    /// What may be found damaged: the medium did that.
    pub(crate) rotten: Vec<(FileHash, ChunkIndex)>,
    /// All contents that a name in the target may have.
    pub(crate) exported: Vec<(PathBuf, Arc<[u8]>)>,
    /// What can be fetched again.
    pub(crate) known: Vec<Arc<[u8]>>,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self {
            disk: SimDisk::recording(),
            promises: Vec::new(),
            rotten: Vec::new(),
            exported: Vec::new(),
            known: Vec::new(),
        }
    }

    /// What must hold after a crash at this position.
    pub(crate) fn promised(&self, position: usize) -> impl Iterator<Item = &Holds> {
        let is_due = move |promise: &&Promise| (promise.from..promise.until).contains(&position);
        self.promises
            .iter()
            .filter(is_due)
            .map(|promise| &promise.holds)
    }

    /// From now on this holds.
    fn promise(&mut self, holds: Holds) {
        self.promises.push(Promise {
            from: self.disk.position(),
            until: usize::MAX,
            holds,
        });
    }

    /// From now on nothing of what was promised about `is_about` need hold.
    fn release(&mut self, is_about: impl Fn(&Holds) -> bool) {
        let now = self.disk.position();
        let open = self
            .promises
            .iter_mut()
            .filter(|promise| promise.until > now);
        // A crash at this position comes before the change that is about to be made.
        open.filter(|promise| is_about(&promise.holds))
            .for_each(|promise| promise.until = now + 1);
    }

    fn data(&mut self, seed: u64, len: usize) -> Arc<[u8]> {
        let data: Arc<[u8]> = bytes(seed, len).into();
        self.known.push(data.clone());
        data
    }

    /// A model of two chunks, one chunk and a few bytes.
    fn model(&mut self, seed: u64) -> Vec<(&'static str, Arc<[u8]>)> {
        vec![
            ("large.bin", self.data(seed, CHUNK + 700)),
            ("config/one.bin", self.data(seed + 1, CHUNK)),
            ("README.md", self.data(seed + 2, 900)),
        ]
    }

    fn owned(&self, data: &[u8]) -> PathBuf {
        let hash = list_of(data).file().to_string();
        Path::new(HOME).join("files").join(&hash[..2]).join(hash)
    }
}

fn files_of(model: &[(&str, Arc<[u8]>)]) -> Files {
    let files = model.iter();
    files
        .map(|(path, data)| ((*path).to_owned(), data.to_vec()))
        .collect()
}

/// Has a model as a fetch brings it.
fn fetch(store: &Store, journal: &mut Journal, model: &[(&str, Arc<[u8]>)]) -> ContentHash {
    let manifest = manifest_of(&files_of(model));
    let guard = store.protect(manifest.content_hash());
    let hash = store.put_manifest(&manifest).unwrap();
    journal.promise(Holds::Manifest(hash));
    store.pin(hash).unwrap();
    journal.promise(Holds::Pin(hash));
    for (_, data) in model {
        put_all(store, data);
    }
    store.flush().unwrap();
    for (_, data) in model {
        journal.promise(Holds::Whole(data.clone()));
    }
    drop(guard);
    hash
}

fn export(store: &Store, journal: &mut Journal, hash: ContentHash, model: &[(&str, Arc<[u8]>)]) {
    let paths: Vec<_> = (model.iter())
        .map(|(path, data)| (Path::new(TARGET).join(path), data.clone()))
        .collect();
    journal.exported.extend(paths.clone());
    journal.release(|holds| matches!(holds, Holds::File(path, _) if path.starts_with(TARGET)));
    let options = ExportOptions::default();
    store
        .export(hash, Path::new(TARGET), &options, &())
        .unwrap();
    for (path, data) in paths {
        journal.promise(Holds::File(path, data));
    }
}

pub(crate) type Workload = (&'static str, fn(&mut Journal));

pub(crate) const WORKLOADS: &[Workload] = &[
    ("fetch", fetch_in_steps),
    ("incoming", incoming),
    ("import", |journal| import(journal, false)),
    ("import in place", |journal| import(journal, true)),
    ("collect", collect),
    ("demote", |journal| demote(journal, false)),
    ("demote an exported file", |journal| demote(journal, true)),
    ("export", export_two),
    ("export of many", export_many),
    ("names", names),
    ("publications", publications),
    ("a new publisher", new_publisher),
    ("pins and records", pins_and_records),
    ("a file that the index does not know", unknown_file),
];

fn fetch_in_steps(journal: &mut Journal) {
    let disk = journal.disk.clone();
    let store = open_on(&disk);
    let model = journal.model(1);
    for (_, data) in &model {
        store.put_chunk_list(&list_of(data)).unwrap();
    }
    let hash = store.put_manifest(&manifest_of(&files_of(&model))).unwrap();
    journal.promise(Holds::Manifest(hash));
    for step in [&[(0, 1), (2, 0)][..], &[(1, 0)], &[(0, 0)]] {
        for (file, chunk) in step {
            store.put(&chunk_of(&model[*file].1, *chunk)).unwrap();
        }
        store.flush().unwrap();
        for (file, chunk) in step {
            journal.promise(Holds::Chunk(model[*file].1.clone(), *chunk));
        }
    }
    journal.release(|holds| matches!(holds, Holds::Manifest(_)));
    store.remove(hash).unwrap();
}

fn incoming(journal: &mut Journal) {
    let disk = journal.disk.clone();
    let store = open_on(&disk);
    // One of them takes the place of a part that was fetched.
    let partial = journal.data(1, 2 * CHUNK);
    store.put_chunk_list(&list_of(&partial)).unwrap();
    store.put(&chunk_of(&partial, 1)).unwrap();
    store.flush().unwrap();
    journal.promise(Holds::Chunk(partial.clone(), 1));
    for data in [partial, journal.data(2, CHUNK + 9), journal.data(3, 500)] {
        let mut incoming = store.incoming(data.len() as u64).unwrap();
        for piece in data.chunks(100_000) {
            incoming.write(piece).unwrap();
        }
        incoming.finish(Expected::default(), |_| {}).unwrap();
        if data.len() <= CHUNK {
            store.flush().unwrap();
        }
        journal.promise(Holds::Whole(data.clone()));
        journal.promise(Holds::Digests(data));
    }
}

fn import(journal: &mut Journal, in_place: bool) {
    let disk = journal.disk.clone();
    let tree = tempfile::tempdir().unwrap();
    let tree = tree.path().canonicalize().unwrap();
    let model = journal.model(1);
    // The tree is listed on the real disk; its files are read from this one.
    write_files(&tree, &files_of(&model));
    for (path, data) in &model {
        disk.add_file(&tree.join(path), data);
        journal.promise(Holds::File(tree.join(path), data.clone()));
    }
    let store = open_on(&disk);
    let options = ImportOptions {
        in_place,
        ..ImportOptions::default()
    };
    let imported = store.import(&tree, &options, &()).unwrap();
    journal.promise(Holds::Pin(imported.hash));
    for (_, data) in model {
        journal.promise(Holds::Whole(data));
    }
}

fn collect(journal: &mut Journal) {
    let disk = journal.disk.clone();
    let store = open_on(&disk);
    let mut kept = journal.model(1);
    let mut dropped = journal.model(11);
    // They share a file.
    dropped[1] = kept[1].clone();
    kept.truncate(2);
    fetch(&store, journal, &kept);
    let gone = fetch(&store, journal, &dropped);
    let of_dropped = dropped.clone();
    journal.release(move |holds| match holds {
        Holds::Pin(model) | Holds::Manifest(model) => *model == gone,
        Holds::Whole(data) => *data == of_dropped[0].1 || *data == of_dropped[2].1,
        _ => false,
    });
    store.unpin(gone).unwrap();
    assert_eq!(store.gc().unwrap().files, 2);
    // What was collected comes again.
    fetch(&store, journal, &dropped);
}

fn demote(journal: &mut Journal, exported: bool) {
    let disk = journal.disk.clone();
    let store = open_on(&disk);
    let data = journal.data(1, 2 * CHUNK + 5);
    let model = vec![("large.bin", data.clone())];
    let hash = fetch(&store, journal, &model);
    if exported {
        export(&store, journal, hash, &model);
    }
    let (file, wrong) = (list_of(&data).file(), ChunkIndex(1));
    journal.release(|holds| matches!(holds, Holds::Whole(_) | Holds::File(..)));
    journal.rotten.push((file, wrong));
    disk.rot(&journal.owned(&data), CHUNK + 3);
    if exported {
        let mut edited = data.to_vec();
        edited[CHUNK + 3] ^= 1;
        let path = Path::new(TARGET).join("large.bin");
        journal.exported.push((path.clone(), edited.clone().into()));
        journal.promise(Holds::File(path, edited.into()));
    }
    for chunk in [0, 2] {
        journal.promise(Holds::Chunk(data.clone(), chunk));
    }
    let damaged = store.verify(None, &()).unwrap().damaged;
    assert_eq!(damaged[0].chunks, [wrong]);
    store.put(&chunk_of(&data, 1)).unwrap();
    store.flush().unwrap();
    journal.promise(Holds::Whole(data));
}

fn export_two(journal: &mut Journal) {
    let disk = journal.disk.clone();
    let store = open_on(&disk);
    for seed in [1, 11] {
        let model = journal.model(seed);
        let hash = fetch(&store, journal, &model);
        export(&store, journal, hash, &model);
    }
}

fn export_many(journal: &mut Journal) {
    let disk = journal.disk.clone();
    let store = open_on(&disk);
    let names: Vec<String> = (0..40).map(|n| format!("part-{}/{n}", n % 3)).collect();
    let model: Vec<_> = (names.iter().zip(100..))
        .map(|(name, seed)| (&name[..], journal.data(seed, 600)))
        .collect();
    let hash = fetch(&store, journal, &model);
    export(&store, journal, hash, &model);
}

fn names(journal: &mut Journal) {
    let disk = journal.disk.clone();
    let store = open_on(&disk);
    let model = journal.model(1);
    let hash = fetch(&store, journal, &model);
    let repo = Repo {
        id: "acme/model".parse().unwrap(),
        created: 1,
        origin: RepoOrigin::Local,
        private: false,
        gated: false,
    };
    let main: RefName = "refs/heads/main".parse().unwrap();
    let tag: RefName = "refs/tags/v1".parse().unwrap();
    for n in 1..=2 {
        let revision = Revision {
            tree: Tree::Content(hash),
            parents: Vec::new(),
            time: n,
            title: format!("revision {n}"),
            message: String::new(),
            author: "me".into(),
        };
        let commit = CommitId::new([n as u8; 20]);
        let change = [RefChange::set(main.clone(), commit)];
        journal.release(|holds| matches!(holds, Holds::Ref(..)));
        if n == 1 {
            store.put_repo_and_revision(&repo, commit, &revision, &change)
        } else {
            store.put_revision(&repo.id, commit, &revision, &change)
        }
        .unwrap();
        journal.promise(Holds::Ref(repo.id.clone(), main.clone(), commit));
    }
    let first = CommitId::new([1; 20]);
    store
        .set_refs(&repo.id, &[RefChange::set(tag.clone(), first)])
        .unwrap();
    journal.promise(Holds::Ref(repo.id, tag, first));
    // The names keep it from now on.
    journal.release(|holds| matches!(holds, Holds::Pin(_)));
    store.unpin(hash).unwrap();
    assert_eq!(store.gc().unwrap().files, 0);
}

/// Publishes, deletes, makes again.
fn publications(journal: &mut Journal) {
    let disk = journal.disk.clone();
    let store = open_on(&disk);
    let alice = Author::new(1);
    let subject = alice.subject("Mini");
    journal.promise(Holds::WholeHead(subject.clone()));
    let model = journal.model(1);
    let hash = fetch(&store, journal, &model);
    let mut last: Option<VerifiedHead> = None;
    for n in 1..=6u64 {
        let revision = Revision {
            time: n,
            ..revision_of(hash)
        };
        let mut state = alice.state("Mini");
        match n {
            3 => state.status = Status::Gone,
            _ => {
                state.set(RefName::main(), revision.hash().unwrap());
                state.set(
                    RefName::tag(&format!("v{n}")).unwrap(),
                    revision.hash().unwrap(),
                );
            }
        }
        let head = alice.head(&state, last.as_ref());
        journal.release(|holds| matches!(holds, Holds::Head(..)));
        let publication = Publication {
            head: &head,
            state: &state,
            revisions: &[revision],
            after: last.map(|last| last.head().state),
        };
        store.publish(&publication).unwrap();
        journal.promise(Holds::Head(subject.clone(), head.head().state));
        last = Some(head);
    }
    // The publisher is not this node's, so its heads keep no content.
    journal.release(|holds| matches!(holds, Holds::Pin(_)));
}

/// A name that was given here becomes a repo of a new publisher.
fn new_publisher(journal: &mut Journal) {
    let disk = journal.disk.clone();
    let store = open_on(&disk);
    let model = journal.model(1);
    let hash = fetch(&store, journal, &model);
    let alice = Author::new(1);
    let subject = alice.subject("model");
    journal.promise(Holds::WholeHead(subject.clone()));
    let revision = revision_of(hash);
    let commit = revision.commit_id().unwrap();
    let local = Repo {
        id: "alice/model".parse().unwrap(),
        created: 1,
        origin: RepoOrigin::Local,
        private: false,
        gated: false,
    };
    let main = RefName::main();
    let change = [RefChange::set(main.clone(), commit)];
    store
        .put_repo_and_revision(&local, commit, &revision, &change)
        .unwrap();
    journal.promise(Holds::Ref(local.id.clone(), main.clone(), commit));
    let mut state = alice.state("model");
    state.set(main.clone(), revision.hash().unwrap());
    let profile = alice.profile("alice");
    journal.release(|holds| matches!(holds, Holds::Ref(..) | Holds::Pin(_)));
    let new = NewPublisher {
        publisher: &OwnPublisher {
            id: alice.id(),
            handle: "alice".into(),
            is_org: false,
            owner: None,
            private_by_default: false,
            created: 1,
        },
        head: &alice.profile_head(&profile, None),
        profile: &profile,
        taken_over: &[TakenOver {
            from: local.id.clone(),
            head: alice.head(&state, None),
            state: state.clone(),
        }],
    };
    store.begin_publisher(&new).unwrap();
    journal.promise(Holds::Ref(subject.repo_id().unwrap(), main, commit));
    journal.promise(Holds::Head(subject, state.hash().unwrap()));
    // The publisher's name keeps the content from now on.
    store.unpin(hash).unwrap();
    assert_eq!(store.gc().unwrap().files, 0);
}

fn pins_and_records(journal: &mut Journal) {
    let disk = journal.disk.clone();
    let store = open_on(&disk);
    let model = journal.model(1);
    let hash = fetch(&store, journal, &model);
    for round in 0..3u8 {
        journal.release(|holds| matches!(holds, Holds::Pin(_) | Holds::Record(..)));
        store.unpin(hash).unwrap();
        let record = (b"key".to_vec(), vec![round; 300]);
        store.records_write(&[(record.0.clone(), Some(record.1.clone()))]);
        store.flush().unwrap();
        journal.promise(Holds::Record(record.0, record.1));
        store.pin(hash).unwrap();
        journal.promise(Holds::Pin(hash));
    }
}

fn unknown_file(journal: &mut Journal) {
    let disk = journal.disk.clone();
    let known = journal.model(1);
    let store = open_on(&disk);
    fetch(&store, journal, &known);
    store.close().unwrap();
    drop(store);
    let data = journal.data(7, CHUNK + 1);
    disk.add_file(&journal.owned(&data), &data);
    journal.promise(Holds::Somewhere(data));
    for _ in 0..2 {
        open_on(&disk).close().unwrap();
    }
}
