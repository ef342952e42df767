//! Quotas, full disks, and making room.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use crate::common::*;
use hubless_store::{ImportOptions, Observer, Progress, Store, StoreError, StoreOptions};

#[test]
fn a_quota_holds_when_many_put_at_once() {
    let home = tempfile::tempdir().unwrap();
    let quota = 20 * CHUNK as u64;
    let store = Store::open(
        home.path(),
        StoreOptions {
            quota: Some(quota),
            ..Default::default()
        },
    )
    .unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|thread| {
                let store = &store;
                scope.spawn(move || {
                    for n in 0..10 {
                        let data = bytes(thread * 100 + n, 3 * CHUNK);
                        let small = bytes(thread * 100 + 50 + n, CHUNK / 2);
                        for data in [data, small] {
                            match store.put(&chunk_of(&data, 0)) {
                                Ok(_) => {}
                                Err(StoreError::Quota {
                                    quota: limit,
                                    used,
                                    needed,
                                }) => {
                                    assert!(limit == quota && used + needed > quota);
                                }
                                Err(error) => panic!("{error}"),
                            }
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert!(store.usage().unwrap().bytes <= quota);
                store.gc().unwrap();
            }
        });
        let _stop = SetOnDrop(&done);
        for writer in writers {
            writer.join().unwrap();
        }
    });
    store.flush().unwrap();
    store.gc().unwrap();
    assert_eq!(store.usage().unwrap().bytes, 0, "all of it is garbage");
    assert_eq!(
        fs::read_dir(home.path().join("partial")).unwrap().count(),
        0
    );
    store.set_quota(Some(10));
    assert!(matches!(
        store.put(&chunk_of(&bytes(1, 11), 0)),
        Err(StoreError::Quota { .. })
    ));
    store.put(&chunk_of(&bytes(1, 10), 0)).unwrap();
}

#[test]
fn an_import_beyond_the_quota_leaves_nothing() {
    let (home, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_files(tree.path(), &a_model());
    let store = Store::open(
        home.path(),
        StoreOptions {
            quota: Some(4 * CHUNK as u64),
            ..Default::default()
        },
    )
    .unwrap();
    let outcome = store.import(tree.path(), &Default::default(), &());
    assert!(matches!(outcome, Err(StoreError::Quota { .. })));
    store.gc().unwrap();
    assert_eq!(store.usage().unwrap().bytes, 0);
    assert!(store.models().unwrap().is_empty());
    // In place it needs hardly any room.
    import_in_place(&store, tree.path());
}

#[test]
fn garbage_is_what_no_pin_reaches() {
    let (home, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = a_model();
    write_files(tree.path(), &files);
    let store = open(home.path());
    let kept = import(&store, tree.path()).hash;
    fs::write(tree.path().join("extra"), bytes(7, 2 * CHUNK)).unwrap();
    let dropped = import(&store, tree.path()).hash;
    assert_eq!(store.pins().unwrap().len(), 2);
    let report = store.gc().unwrap();
    assert_eq!((report.models, report.files, report.pinned), (0, 0, 2));

    store.remove(dropped).unwrap();
    assert!(matches!(
        store.remove(dropped),
        Err(StoreError::UnknownModel { .. })
    ));
    assert!(matches!(
        store.pin(dropped),
        Err(StoreError::UnknownModel { .. })
    ));
    let report = store.gc().unwrap();
    assert_eq!(
        (report.models, report.files, report.bytes),
        (0, 1, 2 * CHUNK as u64)
    );
    assert!(store.model_info(kept).unwrap().unwrap().complete);
    assert_eq!(store.verify(Some(kept), &()).unwrap().damaged, []);

    assert!(store.unpin(kept).unwrap());
    let guard = store.protect(kept);
    assert_eq!(store.gc().unwrap(), Default::default(), "it is in use");
    drop(guard);
    let report = store.gc().unwrap();
    assert_eq!((report.models, report.files), (1, 5));
    assert_eq!(store.usage().unwrap().bytes, 0);
    assert_eq!(store.announce_keys().unwrap(), Default::default());
}

#[test]
fn the_users_own_files_are_never_garbage() {
    let (home, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_files(tree.path(), &a_model());
    let store = open(home.path());
    let model = import_in_place(&store, tree.path()).hash;
    store.remove(model).unwrap();
    store.gc().unwrap();
    assert_eq!(read_files(tree.path()), a_model());
    assert_eq!(store.usage().unwrap().external_bytes, 0);
}

#[test]
fn collecting_does_not_take_what_is_being_imported() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                store.gc().unwrap();
            }
        });
        let _stop = SetOnDrop(&done);
        for round in 0..30 {
            let tree = tempfile::tempdir().unwrap();
            // Files that the round before made garbage, and new ones.
            let files: Files = [
                (round, CHUNK),
                (round + 1, 2 * CHUNK),
                (round + 2, 3 * CHUNK),
            ]
            .map(|(seed, len)| (format!("file-{seed}"), bytes(seed, len)))
            .into();
            write_files(tree.path(), &files);
            let model = import(&store, tree.path()).hash;
            let report = store.verify(Some(model), &()).unwrap();
            assert_eq!((report.files, report.damaged), (3, vec![]), "round {round}");
            assert!(store.model_info(model).unwrap().unwrap().complete);
            store.remove(model).unwrap();
        }
    });
}

/// The import claims files that the collection has found to be garbage, when others of them are
/// removed already, and makes its model known only after the collection has ended.
#[test]
fn what_an_import_claims_while_garbage_is_removed_stays() {
    // Several transactions of a collection.
    const GARBAGE: u64 = 1_000;
    const CLAIMED: u64 = 8;
    const ROUNDS_MAX: u64 = 50;
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    for round in 0..ROUNDS_MAX {
        let dir = tempfile::tempdir().unwrap();
        let files = (0..GARBAGE + CLAIMED).map(|n| {
            let data = format!("file {n} of round {round}");
            (n.to_string(), data.into_bytes())
        });
        let (all, claimed) = (dir.path().join("all"), dir.path().join("claimed"));
        let files: Files = files.collect();
        let number = |name: &str| name.parse::<u64>().unwrap();
        let to_claim = files.iter().filter(|(name, _)| number(name) < CLAIMED);
        let to_claim: Files = to_claim
            .map(|(name, data)| (name.clone(), data.clone()))
            .collect();
        write_files(&all, &files);
        write_files(&claimed, &to_claim);
        let garbage = import(&store, &all).hash;
        store.remove(garbage).unwrap();

        let collected = AtomicBool::new(false);
        let (removed, model) = thread::scope(|scope| {
            let collection = scope.spawn(|| {
                let _done = SetOnDrop(&collected);
                store.gc().unwrap().files
            });
            let is_removed = |data: &Vec<u8>| store.file(list_of(data).file()).unwrap().is_none();
            while !files.values().any(is_removed) {
                thread::yield_now();
            }
            let observer = FinishAfter(&collected);
            let imported = store.import(&claimed, &ImportOptions::default(), &observer);
            (collection.join().unwrap(), imported.unwrap().hash)
        });
        for (name, data) in &to_claim {
            let read = store.read_range(list_of(data).file(), 0, data.len() as u64);
            assert_eq!(read.unwrap(), data[..], "{name} in round {round}");
        }
        store.remove(model).unwrap();
        store.gc().unwrap();
        if removed < GARBAGE + CLAIMED {
            return; // some were claimed before it was their turn
        }
    }
    panic!("no import was in time in {ROUNDS_MAX} rounds");
}

/// Has an import wait when all its files are read, before they become a model.
struct FinishAfter<'a>(&'a AtomicBool);

impl Observer for FinishAfter<'_> {
    fn progress(&self, progress: Progress) {
        while progress.files_done == progress.files_total && !self.0.load(Ordering::Relaxed) {
            thread::yield_now();
        }
    }
}

/// Ends the other threads also when this one fails.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn what_is_held_is_counted_beside_what_is_taken() {
    let home = tempfile::tempdir().unwrap();
    let (partial, whole) = (bytes(1, 4 * CHUNK + 9), bytes(2, 2 * CHUNK));
    let store = open(home.path());
    put_all(&store, &whole);
    store.put_chunk_list(&list_of(&partial)).unwrap();
    let (taken, mut held) = ((partial.len() + whole.len()) as u64, whole.len() as u64);
    for (chunk, len) in [(1, CHUNK), (4, 9)] {
        store.put(&chunk_of(&partial, chunk)).unwrap();
        held += len as u64;
        let usage = store.usage().unwrap();
        assert_eq!((usage.bytes, usage.held_bytes), (taken, held));
    }
    store.close().unwrap();
    // Now the index alone knows it.
    let usage = open(home.path()).usage().unwrap();
    assert_eq!((usage.bytes, usage.held_bytes), (taken, held));
}
