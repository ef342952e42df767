//! Files that come from other hubs, whose BLAKE3 is known only in the end.

use std::{fs, path::Path, sync::Arc};

use crate::common::sim_disk::{SimDisk, Survivors};
use crate::common::*;
use hubless_content::FileHash;
use hubless_store::{
    Ahead, Digests, DigestsAhead, Expected, FilePlace, ImportOptions, Store, StoreError,
    StoreOptions,
};

fn expected(data: &[u8]) -> Expected {
    let digests = Digests::of(data);
    Expected {
        file: None,
        sha256: Some(digests.sha256),
        git_blob: Some(digests.git_blob),
    }
}

fn bring(store: &Store, data: &[u8]) -> Result<FileHash, StoreError> {
    let mut incoming = store.incoming(data.len() as u64)?;
    for piece in data.chunks(100_000) {
        incoming.write(piece)?;
    }
    incoming
        .finish(expected(data), |_| {})
        .map(|(file, _)| file)
}

fn leftovers(home: &Path) -> usize {
    fs::read_dir(home.join("partial")).unwrap().count()
}

#[test]
fn what_came_is_a_file_with_its_list_and_digests() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    for data in [
        Vec::new(),
        bytes(1, 77),
        bytes(2, CHUNK),
        bytes(3, 3 * CHUNK + 5),
    ] {
        for _ in 0..2 {
            let file = bring(&store, &data).unwrap();
            assert_eq!(file, list_of(&data).file());
            assert_eq!(store.chunk_list(file).unwrap(), Some(list_of(&data)));
            assert_eq!(store.digests(file).unwrap(), Some(Digests::of(&data)));
            let range = store.read_range(file, 0, data.len() as u64).unwrap();
            assert_eq!(range, data);
        }
        let place = store.file(list_of(&data).file()).unwrap().unwrap().place;
        let is_large = data.len() > CHUNK;
        assert_eq!(place == FilePlace::Owned, is_large);
    }
    let held = (77 + CHUNK + 3 * CHUNK + 5) as u64;
    assert_eq!(store.usage().unwrap().bytes, held);
    assert_eq!(leftovers(home.path()), 0);
}

#[test]
fn it_takes_the_place_of_a_part_that_was_fetched() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let data = bytes(1, 3 * CHUNK);
    store.put_chunk_list(&list_of(&data)).unwrap();
    store.put(&chunk_of(&data, 1)).unwrap();
    let file = bring(&store, &data).unwrap();
    assert_eq!(store.file(file).unwrap().unwrap().place, FilePlace::Owned);
    assert_eq!(store.usage().unwrap().bytes, data.len() as u64);
    assert_eq!(leftovers(home.path()), 0);
    assert_eq!(store.verify(None, &()).unwrap().damaged, []);
}

#[test]
fn what_was_written_can_be_read_but_is_not_held() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    for len in [1_000, 3 * CHUNK] {
        let data = bytes(len as u64, len);
        let mut incoming = store.incoming(len as u64).unwrap();
        let reader = incoming.reader();
        incoming.write(&data[..600]).unwrap();
        assert_eq!(reader.read(0, 10_000).unwrap(), data[..600]);
        assert_eq!(reader.read(500, 50).unwrap(), data[500..550]);
        assert_eq!(reader.read(600, 50).unwrap(), &b""[..]);
        assert_eq!(reader.read(u64::MAX, 50).unwrap(), &b""[..]);
        assert_eq!(store.file(list_of(&data).file()).unwrap(), None);
        assert_eq!(store.announce_keys().unwrap(), Default::default());
        incoming.write(&data[600..]).unwrap();
        let mut proven = None;
        let is_unseen = |file| {
            assert_eq!(
                store.file(file).unwrap(),
                None,
                "reported before it can be found"
            );
            proven = Some(file);
        };
        let (file, _) = incoming.finish(expected(&data), is_unseen).unwrap();
        assert_eq!(proven, Some(file));
        assert_eq!(reader.read(0, len).unwrap(), data, "also afterwards");
        store.gc().unwrap();
    }
}

#[test]
fn wrong_or_missing_bytes_leave_nothing() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    for len in [1_000, 3 * CHUNK] {
        let data = bytes(1, len);
        let mut wrong = data.clone();
        wrong[len - 1] ^= 1;
        let finish = |bytes: &[u8], expected: Expected| {
            let mut incoming = store.incoming(len as u64)?;
            incoming.write(bytes)?;
            incoming.finish(expected, |_| panic!("nothing is proven"))
        };
        let error = finish(&wrong, expected(&data)).unwrap_err();
        assert!(matches!(error, StoreError::WrongSha256 { .. }), "{error}");
        let mut git_only = expected(&data);
        git_only.sha256 = None;
        let error = finish(&wrong, git_only).unwrap_err();
        assert!(matches!(error, StoreError::WrongGitBlob { .. }), "{error}");
        let by_file = Expected {
            file: Some(list_of(&data).file()),
            ..Expected::default()
        };
        let error = finish(&wrong, by_file).unwrap_err();
        assert!(matches!(error, StoreError::WrongFile { .. }), "{error}");
        let error = finish(&data[1..], expected(&data)).unwrap_err();
        assert!(matches!(error, StoreError::WrongSize { .. }), "{error}");
        let longer = [&data[..], b"x"].concat();
        let error = finish(&longer, expected(&data)).unwrap_err();
        assert!(matches!(error, StoreError::WrongSize { .. }), "{error}");
        drop(store.incoming(len as u64).unwrap());
    }
    assert_eq!(store.usage().unwrap().bytes, 0);
    assert_eq!(leftovers(home.path()), 0);
    assert_eq!(store.announce_keys().unwrap(), Default::default());
    store.set_quota(Some(10));
    let full = store.incoming(11);
    assert!(matches!(full, Err(StoreError::Quota { .. })));
}

#[test]
fn after_a_crash_at_any_change_it_is_there_or_not_at_all() {
    let open_on = |disk: &SimDisk| {
        let disk = Arc::new(disk.clone());
        Store::open_on(disk, Path::new("/home"), StoreOptions::default()).unwrap()
    };
    let data = bytes(1, 2 * CHUNK + 9);
    let file = list_of(&data).file();
    let disk = SimDisk::recording();
    let mut durable = disk.durable();
    bring(&open_on(&disk), &data).unwrap();
    let acknowledged_at = disk.position();
    let log = disk.log();
    assert!(log.len() > 20, "{} changes", log.len());
    for position in 0..=log.len() {
        if let Some(change) = position.checked_sub(1) {
            durable.apply(&log[change]);
        }
        for mut survivors in [Survivors::None, Survivors::All] {
            let case = format!("crash after change {position}, {survivors:?} survive");
            let store = open_on(&durable.crash(&mut survivors));
            assert_eq!(store.verify(None, &()).unwrap().damaged, [], "{case}");
            let known = store.digests(file).unwrap();
            let complete = store.file(file).unwrap().is_some_and(|info| info.complete);
            assert_eq!(known.is_some(), complete, "{case}: in one commit");
            assert!(complete || position < acknowledged_at, "{case}: lost");
            assert_eq!(bring(&store, &data).unwrap(), file, "{case}");
        }
    }
}

#[test]
fn what_came_for_nothing_is_removed_unless_it_is_known_or_in_use() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let data = bytes(5, 3 * CHUNK);
    let file = list_of(&data).file();
    store.put_chunk_list(&list_of(&data)).unwrap();
    store.put(&chunk_of(&data, 1)).unwrap();
    let guard = store.protect_files();
    guard.add(file);
    assert!(!store.discard(file).unwrap(), "a task works with it");
    drop(guard);
    assert!(store.discard(file).unwrap());
    assert_eq!(store.file(file).unwrap(), None);
    assert_eq!(store.chunk_list(file).unwrap(), None);
    assert_eq!(store.usage().unwrap().bytes, 0);
    assert_eq!(leftovers(home.path()), 0);
    assert!(!store.discard(file).unwrap(), "it is not here");

    let path = home.path().join("model");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("weights.bin"), &data).unwrap();
    let added = store.import(&path, &ImportOptions::default(), &()).unwrap();
    store.unpin(added.hash).unwrap();
    assert!(!store.discard(file).unwrap(), "a model has it");
    assert_eq!(store.read_range(file, 0, data.len() as u64).unwrap(), data);
}

#[test]
fn digests_follow_what_is_held_in_order() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let data = bytes(6, 3 * CHUNK + 5);
    let list = list_of(&data);
    let mut ahead = DigestsAhead::new(list.file(), list.size());
    assert_eq!(store.digest_ahead(&mut ahead, 9).unwrap(), Ahead::Waits);
    store.put_chunk_list(&list).unwrap();
    store.put(&chunk_of(&data, 1)).unwrap();
    assert_eq!(store.digest_ahead(&mut ahead, 9).unwrap(), Ahead::Waits);
    store.put(&chunk_of(&data, 0)).unwrap();
    assert_eq!(store.digest_ahead(&mut ahead, 1).unwrap(), Ahead::More);
    assert_eq!(store.digest_ahead(&mut ahead, 9).unwrap(), Ahead::Waits);
    for chunk in [3, 2] {
        assert_eq!(store.digests(list.file()).unwrap(), None);
        store.put(&chunk_of(&data, chunk)).unwrap();
    }
    let digests = Digests::of(&data);
    let done = store.digest_ahead(&mut ahead, 9).unwrap();
    assert_eq!(done, Ahead::Done(digests));
    assert_eq!(store.digests(list.file()).unwrap(), Some(digests));
}
