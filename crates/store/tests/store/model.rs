//! The store against a model of it: threads do everything at once, beside a map of what was
//! acknowledged. What the map has is there at any time, after any crash and after a restart, and no
//! check raises a false alarm.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crate::common::sim_disk::{SimDisk, Survivors};
use crate::common::*;
use hubless_content::{ChunkIndex, CommitId, ContentHash, RefName, Revision, Tree};
use hubless_store::{
    Expected, ExportOptions, ImportOptions, RefChange, Repo, RepoOrigin, Store, StoreError,
    StoreOptions,
};

const THREADS: u64 = 4;

/// Contents that all threads make their models of: what is garbage for one comes in for another.
const CONTENTS: u64 = 12;

/// Steps of each thread.
const STEPS: u64 = 120;

fn open_on(disk: &SimDisk) -> Store {
    let disk = Arc::new(disk.clone());
    Store::open_on(disk, Path::new("/home"), StoreOptions::default()).unwrap()
}

fn content(number: u64) -> Vec<u8> {
    let lens = [0, 300, CHUNK, CHUNK + 1, 2 * CHUNK + 9];
    bytes(number + 1, lens[number as usize % lens.len()])
}

/// What keeps a model.
#[derive(Debug, Clone, PartialEq)]
enum Kept {
    Pinned,
    Named(String, CommitId),
}

/// The models that were acknowledged as kept, each of one thread, with the number of the step that
/// did so.
#[derive(Debug, Clone, Default)]
struct Acknowledged(BTreeMap<ContentHash, (Files, Kept, u64)>);

impl Acknowledged {
    /// What is there both before and after.
    fn meet(&self, later: &Self) -> Self {
        let both = self
            .0
            .iter()
            .filter(|(hash, value)| later.0.get(hash) == Some(value));
        Self(both.map(|(hash, value)| (*hash, value.clone())).collect())
    }

    fn check(&self, store: &Store, case: &str) {
        for (hash, (files, kept, _)) in &self.0 {
            assert!(store.manifest(*hash).unwrap().is_some(), "{case}: {hash}");
            match kept {
                Kept::Pinned => assert!(store.pins().unwrap().contains(hash), "{case}: {hash}"),
                Kept::Named(repo, commit) => {
                    let repo = repo.parse().unwrap();
                    let main = store.get_ref(&repo, &main_branch()).unwrap();
                    assert_eq!(main, Some(*commit), "{case}: {hash}");
                }
            }
            for (path, data) in files {
                let read = store.read_range(list_of(data).file(), 0, data.len() as u64);
                let read = read.unwrap_or_else(|error| panic!("{case}: {path}: {error}"));
                assert_eq!(read, data[..], "{case}: {path}");
            }
        }
        assert_eq!(store.verify(None, &()).unwrap().damaged, [], "{case}");
    }
}

fn main_branch() -> RefName {
    "refs/heads/main".parse().unwrap()
}

/// One of the threads.
struct Worker<'a> {
    number: u64,
    rng: Rng,
    disk: &'a SimDisk,
    store: &'a Store,
    acknowledged: &'a Mutex<Acknowledged>,
    /// Its own models.
    mine: Vec<(ContentHash, Files, Kept)>,
    made: u64,
}

impl Worker<'_> {
    fn step(&mut self) {
        match self.rng.below(20) {
            0..3 => self.fetch(),
            3..5 => self.import(),
            5..7 => self.bring(),
            7..9 => self.put_some_chunks(),
            9..11 => self.read(),
            11..13 => self.export(),
            13 => self.name(),
            14..16 => self.remove(),
            16..18 => drop(self.store.gc().unwrap()),
            18 => self.verify(),
            _ => self.pin_and_unpin(),
        }
    }

    /// A model of its own, of contents that others have too.
    fn new_model(&mut self) -> Files {
        self.made += 1;
        let own = format!("model {} of thread {}", self.made, self.number);
        let mut files: Files = [("own".to_owned(), own.into_bytes())].into();
        for n in 0..self.rng.below(3) {
            let data = content(self.rng.next() % CONTENTS);
            files.insert(format!("file-{n}"), data);
        }
        files
    }

    fn acknowledge(&mut self, hash: ContentHash, files: Files, kept: Kept) {
        self.made += 1;
        let value = (files.clone(), kept.clone(), self.made);
        self.acknowledged.lock().unwrap().0.insert(hash, value);
        self.mine.push((hash, files, kept));
    }

    /// One of its models, which is no longer kept from now on.
    fn release(&mut self) -> Option<(ContentHash, Files, Kept)> {
        if self.mine.is_empty() {
            return None;
        }
        let (hash, files, kept) = self.mine.swap_remove(self.rng.below(self.mine.len()));
        self.acknowledged.lock().unwrap().0.remove(&hash);
        Some((hash, files, kept))
    }

    fn fetch(&mut self) {
        let files = self.new_model();
        let manifest = manifest_of(&files);
        let hash = manifest.content_hash();
        let _guard = self.store.protect(hash);
        self.store.put_manifest(&manifest).unwrap();
        self.store.pin(hash).unwrap();
        files.values().for_each(|data| put_all(self.store, data));
        self.store.flush().unwrap();
        self.acknowledge(hash, files, Kept::Pinned);
    }

    fn import(&mut self) {
        let files = self.new_model();
        let tree = tempfile::tempdir().unwrap();
        let tree = tree.path().canonicalize().unwrap();
        write_files(&tree, &files);
        for (path, data) in &files {
            self.disk.add_file(&tree.join(path), data);
        }
        let options = ImportOptions {
            in_place: self.rng.below(4) == 0,
            ..ImportOptions::default()
        };
        let imported = self.store.import(&tree, &options, &()).unwrap();
        self.acknowledge(imported.hash, files, Kept::Pinned);
    }

    /// A file of another hub that no model has.
    fn bring(&mut self) {
        let data = content(self.rng.next() % CONTENTS);
        let mut incoming = self.store.incoming(data.len() as u64).unwrap();
        incoming.write(&data).unwrap();
        let (file, _) = incoming.finish(Expected::default(), |_| {}).unwrap();
        if self.rng.below(2) == 0 {
            self.store.discard(file).unwrap();
        }
    }

    fn put_some_chunks(&mut self) {
        let data = content(self.rng.next() % CONTENTS);
        let list = list_of(&data);
        self.store.put_chunk_list(&list).unwrap();
        let index = self.rng.below(list.count() as usize) as u32;
        self.store.put(&chunk_of(&data, index)).unwrap();
    }

    fn read(&mut self) {
        let Some((_, files, _)) = self.rng.pick(&self.mine) else {
            return;
        };
        for data in files.values() {
            let list = list_of(data);
            for n in 0..list.count() {
                let read = self.store.read_chunk(list.file(), ChunkIndex(n)).unwrap();
                assert_eq!(read.as_ref(), Some(chunk_of(data, n).bytes()));
            }
        }
    }

    fn export(&mut self) {
        let Some((hash, files, _)) = self.rng.pick(&self.mine) else {
            return;
        };
        let target = PathBuf::from(format!("/target/{}", self.number));
        let options = ExportOptions {
            force: true,
            ..ExportOptions::default()
        };
        self.store.export(*hash, &target, &options, &()).unwrap();
        for (path, data) in files {
            let exported = self.disk.read(&target.join(path));
            assert_eq!(exported.as_ref(), Some(data), "{path}");
        }
    }

    fn name(&mut self) {
        let Some((hash, files, kept)) = self.release() else {
            return;
        };
        let _guard = self.store.protect(hash);
        let name = format!("thread-{}/repo-{}", self.number, self.made);
        self.made += 1;
        let repo = Repo {
            id: name.parse().unwrap(),
            created: 1,
            origin: RepoOrigin::Local,
            private: false,
            gated: false,
        };
        let revision = Revision {
            tree: Tree::Content(hash),
            parents: Vec::new(),
            time: 1,
            title: "first".into(),
            message: String::new(),
            author: "me".into(),
        };
        let commit = CommitId::new([self.made as u8; 20]);
        let refs = [RefChange::set(main_branch(), commit)];
        let put = self
            .store
            .put_repo_and_revision(&repo, commit, &revision, &refs);
        put.unwrap();
        match kept {
            Kept::Pinned => assert!(self.store.unpin(hash).unwrap()),
            Kept::Named(old, _) => {
                assert!(self.store.remove_repo(&old.parse().unwrap()).unwrap());
            }
        }
        self.acknowledge(hash, files, Kept::Named(name, commit));
    }

    fn remove(&mut self) {
        match self.release() {
            None => {}
            Some((hash, _, Kept::Pinned)) => self.store.remove(hash).unwrap(),
            Some((_, _, Kept::Named(repo, _))) => {
                assert!(self.store.remove_repo(&repo.parse().unwrap()).unwrap());
            }
        }
    }

    fn verify(&mut self) {
        let model = self.rng.pick(&self.mine).map(|(hash, ..)| *hash);
        let model = model.filter(|_| self.rng.below(2) == 0);
        assert_eq!(self.store.verify(model, &()).unwrap().damaged, []);
    }

    fn pin_and_unpin(&mut self) {
        let Some((hash, files, kept)) = self.release() else {
            return;
        };
        if kept == Kept::Pinned {
            assert!(self.store.unpin(hash).unwrap());
            // A collection may come first; then there is nothing to pin.
            let pinned = self.store.pin(hash);
            if matches!(pinned, Err(StoreError::UnknownModel { .. })) {
                return;
            }
            pinned.unwrap();
            if !self.store.model_info(hash).unwrap().unwrap().complete {
                // Its manifest was there still, its files were not.
                return;
            }
        }
        self.acknowledge(hash, files, kept);
    }
}

#[test]
fn what_was_acknowledged_is_there_beside_everything_and_after_any_crash() {
    let seed = number("HUBLESS_MODEL_SEED", 1);
    let steps = number("HUBLESS_MODEL_STEPS", STEPS);
    println!("{THREADS} threads of {steps} steps, HUBLESS_MODEL_SEED={seed}");
    let disk = SimDisk::new();
    let store = open_on(&disk);
    let acknowledged = Mutex::new(Acknowledged::default());
    let working = AtomicBool::new(true);
    let snapshot = || acknowledged.lock().unwrap().clone();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|number| {
                let mut worker = Worker {
                    number,
                    rng: Rng::new(seed * 1_000 + number),
                    disk: &disk,
                    store: &store,
                    acknowledged: &acknowledged,
                    mine: Vec::new(),
                    made: 0,
                };
                scope.spawn(move || (0..steps).for_each(|_| worker.step()))
            })
            .collect();
        let crashes = scope.spawn(|| {
            let mut rng = Rng::new(seed);
            let mut crashes = 0;
            while working.load(Ordering::Relaxed) {
                let before = snapshot();
                let crashed = disk.after_crash(Survivors::Some(Rng::new(rng.next())));
                let promised = before.meet(&snapshot());
                let case = format!("seed {seed}, crash {crashes} beside the work");
                promised.check(&open_on(&crashed), &case);
                crashes += 1;
            }
            crashes
        });
        let outcomes: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        working.store(false, Ordering::Relaxed);
        let crashes = crashes.join().unwrap();
        assert!(outcomes.iter().all(Result::is_ok), "seed {seed}");
        println!("{crashes} crashes");
    });
    let promised = snapshot();
    promised.check(&store, &format!("seed {seed}, in the end"));
    let crashed = disk.after_crash(Survivors::None);
    promised.check(
        &open_on(&crashed),
        &format!("seed {seed}, after a crash in the end"),
    );
    store.close().unwrap();
    drop(store);
    promised.check(&open_on(&disk), &format!("seed {seed}, after a restart"));
    assert!(!promised.0.is_empty());
}
