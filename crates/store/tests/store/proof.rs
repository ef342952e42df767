//! Bytes leave only when they are right, or when nothing says that they changed since they were.

use std::{
    fs::{self, FileTimes, OpenOptions},
    os::unix::fs::{FileExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use crate::common::sim_disk::SimDisk;
use crate::common::*;
use hubless_content::{ChunkIndex, FileHash};
use hubless_store::{Damaged, FilePlace, Scrubbed, Store, StoreError, StoreOptions};

/// Changes bytes and puts the time of the last write back, as silent damage does.
fn rot(path: &Path, offset: u64) {
    let metadata = fs::metadata(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
    let times = FileTimes::new().set_modified(metadata.modified().unwrap());
    file.set_times(times).unwrap();
    fs::set_permissions(path, metadata.permissions()).unwrap();
}

fn owned_path(home: &Path, data: &[u8]) -> PathBuf {
    let file = list_of(data).file().to_string();
    home.join("files").join(&file[..2]).join(file)
}

fn held(store: &Store, file: FileHash) -> Vec<u32> {
    let held = store.held(file).unwrap();
    held.map_or(Vec::new(), |held| held.iter().collect())
}

fn note_damage(store: &Store) -> Arc<Mutex<Vec<Damaged>>> {
    let damaged = Arc::new(Mutex::new(Vec::new()));
    let notes = damaged.clone();
    store.on_damage(Arc::new(move |one: &Damaged| {
        notes.lock().unwrap().push(one.clone());
    }));
    damaged
}

#[test]
fn a_wrong_chunk_never_leaves_and_is_no_longer_held() {
    let home = tempfile::tempdir().unwrap();
    let data = bytes(1, 3 * CHUNK + 5);
    let file = list_of(&data).file();
    let store = open(home.path());
    put_all(&store, &data);
    store.flush().unwrap();
    let damaged = note_damage(&store);
    rot(&owned_path(home.path(), &data), CHUNK as u64 + 3);
    let right = store.read_proven(file, ChunkIndex(0)).unwrap().unwrap();
    assert_eq!(right, data[..CHUNK]);
    assert_eq!(store.read_proven(file, ChunkIndex(1)).unwrap(), None);
    assert_eq!(held(&store, file), [0, 2, 3]);
    assert_eq!(store.chunks_rejected(), 1);
    let one = Damaged {
        file,
        chunks: vec![ChunkIndex(1)],
        external: false,
    };
    assert_eq!(*damaged.lock().unwrap(), [one]);
    assert!(store.put(&chunk_of(&data, 1)).unwrap().file_complete);
    store.flush().unwrap();
    assert_eq!(store.file(file).unwrap().unwrap().place, FilePlace::Owned);
    assert_eq!(store.read_range(file, 0, data.len() as u64).unwrap(), data);
}

/// Its bytes lie in the index and have no signature: they are hashed whichever way they leave.
#[test]
fn a_wrong_file_of_one_chunk_leaves_in_no_way_and_is_no_longer_held() {
    type Read = fn(&Store, FileHash) -> bool;
    let ways: [(&str, Read); 4] = [
        ("to a peer", |store, file| {
            store.read_chunk(file, ChunkIndex(0)).unwrap().is_some()
        }),
        ("to a reader", |store, file| {
            store.read_proven(file, ChunkIndex(0)).unwrap().is_some()
        }),
        ("as a range", |store, file| {
            store.read_range(file, 7, 100).is_ok()
        }),
        ("as an export", |store, _| {
            let model = store.models().unwrap()[0].hash;
            export(store, model, Path::new("/target/out")).is_ok()
        }),
    ];
    let disk = SimDisk::new();
    let open = || {
        let on_disk = Arc::new(disk.clone());
        Store::open_on(on_disk, Path::new("/home"), StoreOptions::default()).unwrap()
    };
    let store = open();
    let small = (0..4).map(|seed| bytes(seed, 9_000)).collect::<Vec<_>>();
    // An index of this size is checked at its next start, and for some days at none after that.
    let others = (4..84).map(|seed| bytes(seed, CHUNK - 4096));
    let others = others.collect::<Vec<_>>();
    let exported = Files::from([("small".to_owned(), small[3].clone())]);
    store.put_manifest(&manifest_of(&exported)).unwrap();
    for data in small.iter().chain(&others) {
        put_all(&store, data);
    }
    store.close().unwrap();
    open().close().unwrap();
    let index = Path::new("/home/store.redb");
    for data in &small {
        // Also where an older page of it lies.
        for page in pages_with(&disk.read(index).unwrap(), &data[..64]) {
            disk.rot(index, page + 5_000);
        }
    }
    let store = open();
    let damaged = note_damage(&store);
    for (data, (way, leaves)) in small.iter().zip(ways) {
        let file = list_of(data).file();
        assert!(!leaves(&store, file), "{way}");
        let one = Damaged {
            file,
            chunks: vec![ChunkIndex(0)],
            external: false,
        };
        let rejected = std::mem::take(&mut *damaged.lock().unwrap());
        assert_eq!(rejected, [one], "{way}");
        assert!(held(&store, file).is_empty(), "{way}");
        put_all(&store, data);
        assert!(leaves(&store, file), "{way}, when it came again");
    }
}

/// Where pages of the index are that hold the value which begins with `beginning`.
fn pages_with(index: &[u8], beginning: &[u8]) -> Vec<usize> {
    let heads = index.chunks(4096).map(|page| &page[..256]).enumerate();
    let found = heads.filter(|(_, head)| head.windows(64).any(|bytes| bytes == beginning));
    found.map(|(page, _)| page * 4096).collect()
}

/// Nothing but its hash shows that it is wrong.
#[test]
fn a_chunk_that_is_in_memory_is_hashed_as_well_where_its_reader_cannot_verify_it() {
    let disk = SimDisk::new();
    let on_disk = Arc::new(disk.clone());
    let store = Store::open_on(on_disk, Path::new("/home"), StoreOptions::default()).unwrap();
    let data = bytes(1, 3 * CHUNK);
    let file = list_of(&data).file();
    put_all(&store, &data);
    store.flush().unwrap();
    let at_once = |index| store.read_proven_at_once(file, ChunkIndex(index));
    assert!(at_once(1).is_none(), "the file is not open");
    store.read_proven(file, ChunkIndex(0)).unwrap().unwrap();
    assert_eq!(at_once(1).unwrap(), data[CHUNK..2 * CHUNK]);
    disk.rot(&owned_path(Path::new("/home"), &data), CHUNK + 9);
    assert!(at_once(1).is_none(), "it is wrong");
    assert_eq!(at_once(2).unwrap(), data[2 * CHUNK..]);
    let to_peer = store.read_chunk_at_once(file, ChunkIndex(1));
    assert!(to_peer.is_some(), "a peer verifies what it gets");
    assert_eq!(store.read_proven(file, ChunkIndex(1)).unwrap(), None);
    assert_eq!(held(&store, file), [0, 2]);
}

/// The time of the last change shows it, which no program can set.
#[test]
fn a_peer_gets_no_wrong_chunk_of_a_file_that_changed_behind_the_store() {
    let (home, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (own, users) = (bytes(1, 3 * CHUNK), bytes(2, 2 * CHUNK + 7));
    let path = tree.path().join("users");
    fs::write(&path, &users).unwrap();
    let store = open(home.path());
    import_in_place(&store, tree.path());
    put_all(&store, &own);
    store.flush().unwrap();
    for (data, path) in [(&own, owned_path(home.path(), &own)), (&users, path)] {
        let file = list_of(data).file();
        assert!(store.read_chunk(file, ChunkIndex(1)).unwrap().is_some());
        rot(&path, CHUNK as u64);
        assert_eq!(store.read_chunk_at_once(file, ChunkIndex(1)), None);
        assert_eq!(
            store.read_chunk(file, ChunkIndex(0)).unwrap().unwrap(),
            data[..CHUNK],
            "right bytes still leave"
        );
        assert_eq!(store.read_chunk(file, ChunkIndex(1)).unwrap(), None);
        assert!(!store.recheck(file, ChunkIndex(1)).unwrap());
        assert!(!store.file(file).unwrap().unwrap().complete);
    }
    assert_eq!(store.chunks_rejected(), 2);
}

#[test]
fn a_file_that_is_gone_cut_off_or_replaced_by_a_link_is_not_held_at_the_first_read() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let other = dir.path().join("other");
    let data: Vec<Vec<u8>> = (1..4).map(|seed| bytes(seed, 3 * CHUNK)).collect();
    fs::write(&other, &data[2]).unwrap();
    let store = open(&home);
    data.iter().for_each(|data| put_all(&store, data));
    store.flush().unwrap();
    let paths: Vec<PathBuf> = data.iter().map(|data| owned_path(&home, data)).collect();
    // With and without an open handle.
    store
        .read_chunk(list_of(&data[1]).file(), ChunkIndex(0))
        .unwrap();
    fs::remove_file(&paths[0]).unwrap();
    fs::set_permissions(&paths[1], fs::Permissions::from_mode(0o644)).unwrap();
    let cut = OpenOptions::new().write(true).open(&paths[1]).unwrap();
    cut.set_len(CHUNK as u64).unwrap();
    fs::remove_file(&paths[2]).unwrap();
    symlink(&other, &paths[2]).unwrap();
    for data in &data {
        let file = list_of(data).file();
        assert_eq!(store.read_chunk(file, ChunkIndex(1)).unwrap(), None);
        assert_eq!(store.read_proven(file, ChunkIndex(2)).unwrap(), None);
        for index in [1, 2] {
            store.put_chunk_list(&list_of(data)).unwrap();
            store.put(&chunk_of(data, index)).unwrap();
        }
    }
    put_all(&store, &data[0]);
    put_all(&store, &data[2]);
    store.flush().unwrap();
    for (data, path) in data.iter().zip(&paths) {
        assert_eq!(fs::read(path).unwrap(), *data);
        assert!(!fs::symlink_metadata(path).unwrap().is_symlink());
    }
    assert_eq!(fs::read(&other).unwrap(), data[2], "what the link led to");
}

#[test]
fn nothing_is_rejected_because_the_home_was_unmounted() {
    let dir = tempfile::tempdir().unwrap();
    let (home, away) = (dir.path().join("home"), dir.path().join("away"));
    let data = bytes(1, 3 * CHUNK);
    let file = list_of(&data).file();
    let store = open(&home);
    put_all(&store, &data);
    store.flush().unwrap();
    fs::rename(&home, &away).unwrap();
    assert!(store.read_proven(file, ChunkIndex(0)).is_err());
    assert!(store.read_chunk(file, ChunkIndex(0)).is_err());
    fs::rename(&away, &home).unwrap();
    assert_eq!(store.chunks_rejected(), 0);
    assert_eq!(store.read_range(file, 0, data.len() as u64).unwrap(), data);
}

#[test]
fn a_damaged_file_is_not_exported_and_a_touched_one_is_checked_once() {
    let dir = tempfile::tempdir().unwrap();
    let (home, tree) = (dir.path().join("home"), dir.path().join("tree"));
    let files = a_model();
    write_files(&tree, &files);
    let store = open(&home);
    let model = import(&store, &tree).hash;
    let export = |to: &str| export(&store, model, &dir.path().join(to));
    export("one").unwrap();
    store.flush().unwrap();
    let data = &files["model.safetensors"];
    let file = list_of(data).file();
    let path = owned_path(&home, data);
    // The link of the export changed the file, and that is known.
    assert!(store.read_chunk(file, ChunkIndex(0)).unwrap().is_some());
    assert_eq!(store.next_to_scrub(SystemTime::UNIX_EPOCH).unwrap(), None);
    fs::remove_dir_all(dir.path().join("one")).unwrap();
    export("two").unwrap();
    assert_eq!(read_files(&dir.path().join("two")), files);
    rot(&path, 5);
    let error = export("three").unwrap_err();
    assert!(matches!(error, StoreError::Incomplete { .. }), "{error}");
    assert!(!dir.path().join("three/model.safetensors").exists());
    // The same where a link to the damaged file lies in the target already.
    assert!(export("two").is_err());
    store.put(&chunk_of(data, 0)).unwrap();
    export("three").unwrap();
    assert_eq!(read_files(&dir.path().join("three")), files);
}

#[test]
fn a_scrub_finds_silent_damage_and_remembers_what_is_right() {
    let home = tempfile::tempdir().unwrap();
    let (good, bad, small) = (bytes(1, 3 * CHUNK), bytes(2, 3 * CHUNK), bytes(3, 99));
    let store = open(home.path());
    for data in [&good, &bad, &small] {
        put_all(&store, data);
    }
    store.flush().unwrap();
    let past = SystemTime::now() - Duration::from_secs(60);
    assert_eq!(store.next_to_scrub(past).unwrap(), None, "all are new");
    rot(&owned_path(home.path(), &bad), 2 * CHUNK as u64);
    // Also one whose only other name was removed has another signature.
    let path = owned_path(home.path(), &good);
    fs::hard_link(&path, home.path().join("link")).unwrap();
    let later = SystemTime::now() + Duration::from_secs(60);
    let mut left: Vec<FileHash> = [&good, &bad, &small]
        .map(|data| list_of(data).file())
        .into();
    while !left.is_empty() {
        let file = store.next_to_scrub(later).unwrap().unwrap();
        let mut bytes = 0;
        let scrubbed = store.scrub(file, &mut |more| {
            bytes += more;
            true
        });
        let scrubbed = scrubbed.unwrap();
        assert!(scrubbed.finished && scrubbed.bytes == bytes);
        assert_eq!(scrubbed.rejected, u32::from(file == list_of(&bad).file()));
        left.retain(|other| *other != file);
    }
    assert_eq!(store.next_to_scrub(past).unwrap(), None);
    assert_eq!(held(&store, list_of(&bad).file()), [0, 1]);
    store.flush().unwrap();
    let known = (0..1000).find_map(|_| {
        store
            .read_chunk(list_of(&good).file(), ChunkIndex(0))
            .unwrap();
        store.read_chunk_at_once(list_of(&good).file(), ChunkIndex(0))
    });
    assert_eq!(known.unwrap(), good[..CHUNK], "its new signature is known");
    let stopped = store.scrub(list_of(&good).file(), &mut |_| false).unwrap();
    let one_chunk = Scrubbed {
        bytes: CHUNK as u64,
        ..Scrubbed::default()
    };
    assert_eq!(stopped, one_chunk);
}
