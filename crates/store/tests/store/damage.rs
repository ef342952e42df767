//! Bytes that change behind the store's back.

use std::{
    fs,
    os::unix::fs::{FileExt, PermissionsExt, symlink},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use crate::common::*;
use hubless_content::{ChunkIndex, FileHash};
use hubless_store::{Damaged, ExternalChange, FilePlace, Store, StoreError};

fn flip(path: &Path, offset: u64) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
}

fn owned_path(home: &Path, data: &[u8]) -> std::path::PathBuf {
    let file = list_of(data).file().to_string();
    home.join("files").join(&file[..2]).join(file)
}

#[test]
fn only_the_damaged_chunks_are_fetched_again() {
    let home = tempfile::tempdir().unwrap();
    let (data, other) = (bytes(1, 5 * CHUNK + 3), bytes(2, 2 * CHUNK));
    let file = list_of(&data).file();
    let store = open(home.path());
    put_all(&store, &data);
    put_all(&store, &other);
    store.flush().unwrap();
    assert_eq!(store.verify(None, &()).unwrap().damaged, []);

    flip(&owned_path(home.path(), &data), 2 * CHUNK as u64 + 9);
    flip(&owned_path(home.path(), &data), 5 * CHUNK as u64 + 1);
    let report = store.verify(None, &()).unwrap();
    assert_eq!((report.files, report.bytes), (2, 7 * CHUNK as u64 + 3));
    assert_eq!(report.damaged.len(), 1);
    assert_eq!(report.damaged[0].file, file);
    assert_eq!(report.damaged[0].chunks, [ChunkIndex(2), ChunkIndex(5)]);
    assert_eq!(store.file(file).unwrap().unwrap().place, FilePlace::Partial);
    assert_eq!(
        store
            .held(file)
            .unwrap()
            .unwrap()
            .iter()
            .collect::<Vec<_>>(),
        [0, 1, 3, 4]
    );

    store.put(&chunk_of(&data, 2)).unwrap();
    assert!(store.put(&chunk_of(&data, 5)).unwrap().file_complete);
    store.close().unwrap();
    let store = open(home.path());
    assert_eq!(store.read_range(file, 0, data.len() as u64).unwrap(), data);
    assert_eq!(store.verify(None, &()).unwrap().damaged, []);
    assert_eq!(store.usage().unwrap().bytes, 7 * CHUNK as u64 + 3);
}

/// As a disk that gives only errors does for a while.
#[test]
fn a_file_of_which_no_chunk_is_right_stays_for_what_a_later_read_finds() {
    let home = tempfile::tempdir().unwrap();
    let data = bytes(1, 3 * CHUNK);
    let file = list_of(&data).file();
    let store = open(home.path());
    put_all(&store, &data);
    store.flush().unwrap();
    let path = owned_path(home.path(), &data);
    let zeros = vec![0; data.len()];
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, &zeros).unwrap();
    assert_eq!(store.verify(None, &()).unwrap().damaged[0].chunks.len(), 3);
    assert_eq!(store.held(file).unwrap().unwrap().count(), 0);
    store.close().unwrap();
    let kept = home.path().join("partial").join(file.to_string());
    assert!(fs::read(&kept).unwrap() == zeros, "its bytes were removed");
    fs::write(&kept, &data).unwrap();
    let store = open(home.path());
    assert_eq!(store.recover(file).unwrap(), 3);
    assert_eq!(store.read_range(file, 0, data.len() as u64).unwrap(), data);
}

#[test]
fn repairing_does_not_write_into_an_exported_file() {
    let dir = tempfile::tempdir().unwrap();
    let (home, tree, target) = (
        dir.path().join("h"),
        dir.path().join("t"),
        dir.path().join("o"),
    );
    let files = a_model();
    write_files(&tree, &files);
    let data = &files["model.safetensors"];
    let store = open(&home);
    let model = import(&store, &tree).hash;
    export(&store, model, &target).unwrap();
    let exported = target.join("model.safetensors");
    // Where the file system can clone, nothing was linked: the link is made here.
    fs::remove_file(&exported).unwrap();
    fs::hard_link(owned_path(&home, data), &exported).unwrap();
    // The user edits the exported file, which is the store's own under another name.
    flip(&exported, 0);
    let edited = fs::read(&exported).unwrap();
    assert_ne!(edited, *data);
    assert_eq!(store.verify(Some(model), &()).unwrap().damaged.len(), 1);
    store.put(&chunk_of(data, 0)).unwrap();
    store.flush().unwrap();
    assert_eq!(fs::read(&exported).unwrap(), edited);
    assert_eq!(store.verify(Some(model), &()).unwrap().damaged, []);
}

#[test]
fn files_that_are_gone_or_short_are_fetched_again() {
    let home = tempfile::tempdir().unwrap();
    let (gone, short) = (bytes(1, 3 * CHUNK), bytes(2, 3 * CHUNK));
    let store = open(home.path());
    put_all(&store, &gone);
    put_all(&store, &short);
    store.close().unwrap();
    fs::remove_file(owned_path(home.path(), &gone)).unwrap();
    let path = owned_path(home.path(), &short);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(CHUNK as u64 + 1)
        .unwrap();

    let store = open(home.path());
    assert_eq!(store.verify(None, &()).unwrap().damaged.len(), 2);
    assert_eq!(store.file(list_of(&gone).file()).unwrap(), None);
    assert_eq!(
        store.held(list_of(&short).file()).unwrap().unwrap().count(),
        1
    );
    for data in [gone, short] {
        put_all(&store, &data);
        store.flush().unwrap();
        let range = store
            .read_range(list_of(&data).file(), 0, data.len() as u64)
            .unwrap();
        assert_eq!(range, data);
    }
}

/// Writes a file that was last changed so many seconds from now: some file systems give two changes
/// within some milliseconds the same time.
fn write_at(path: &Path, data: &[u8], seconds: u64) {
    fs::write(path, data).unwrap();
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(seconds))
        .unwrap();
}

#[test]
fn an_edited_file_of_the_users_is_not_served_until_it_is_right_again() {
    let (home, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = a_model();
    write_files(tree.path(), &files);
    // One name only, so that it is known which of the two is recorded.
    fs::remove_file(tree.path().join("copy-of-model.safetensors")).unwrap();
    let data = &files["model.safetensors"];
    let file = list_of(data).file();
    let path = fs::canonicalize(tree.path())
        .unwrap()
        .join("model.safetensors");
    let store = open(home.path());
    let model = import_in_place(&store, tree.path()).hash;
    assert_eq!(store.check_externals().unwrap(), []);

    let mut edited = data.clone();
    edited[3] ^= 1;
    write_at(&path, &edited, 1);
    assert_eq!(
        store.read_chunk(file, ChunkIndex(4)).unwrap(),
        None,
        "noticed before serving"
    );
    assert!(!store.announce_keys().unwrap().files.contains(&file));
    assert_eq!(store.stale().unwrap(), [(file, path.clone())]);
    assert!(!store.model_info(model).unwrap().unwrap().complete);
    let change = |stale| ExternalChange {
        file,
        path: path.clone(),
        stale,
    };
    assert_eq!(store.check_externals().unwrap(), [change(true)]);
    assert_eq!(store.check_externals().unwrap(), [], "it is hashed once");

    write_at(&path, data, 2);
    assert_eq!(store.check_externals().unwrap(), [change(false)]);
    assert_eq!(
        store.read_chunk(file, ChunkIndex(0)).unwrap().unwrap(),
        data[..CHUNK]
    );
    assert!(store.announce_keys().unwrap().files.contains(&file));

    fs::remove_file(&path).unwrap();
    assert_eq!(store.read_chunk(file, ChunkIndex(0)).unwrap(), None);
    assert_eq!(store.check_externals().unwrap().len(), 1);
    assert_eq!(store.check_externals().unwrap(), []);
    put_all(&store, data);
    store.flush().unwrap();
    assert_eq!(store.file(file).unwrap().unwrap().place, FilePlace::Owned);
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_had_without_waiting_is_as_right_as_what_is_waited_for() {
    let (home, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (own, users) = (bytes(1, 3 * CHUNK), bytes(2, 2 * CHUNK + 7));
    let path = tree.path().join("users");
    fs::write(&path, &users).unwrap();
    let store = open(home.path());
    import_in_place(&store, tree.path());
    put_all(&store, &own[..]);
    store.flush().unwrap();
    let at_once = |data: &[u8], n| store.read_chunk_at_once(list_of(data).file(), ChunkIndex(n));
    assert_eq!(at_once(&bytes(3, CHUNK), 0), None, "not held");
    for data in [&own, &users] {
        // Read once, its file is open and its bytes are in memory, if there is enough of it.
        let last = (0..1000).find_map(|_| {
            let read = store.read_chunk(list_of(data).file(), ChunkIndex(2));
            assert_eq!(read.unwrap().unwrap(), data[2 * CHUNK..]);
            at_once(data, 2)
        });
        let last = last.expect("a temporary directory that knows RWF_NOWAIT");
        assert_eq!(last, data[2 * CHUNK..]);
        assert_eq!(at_once(data, 3), None, "beyond the end");
    }
    write_at(&path, &own, 1);
    assert_eq!(at_once(&users, 0), None, "the user changed it");
}

#[test]
fn an_export_stays_in_its_target() {
    let dir = tempfile::tempdir().unwrap();
    let (home, tree, target) = (
        dir.path().join("h"),
        dir.path().join("t"),
        dir.path().join("o"),
    );
    let victim = dir.path().join("victim");
    write_files(&tree, &a_model());
    fs::create_dir_all(&victim).unwrap();
    fs::create_dir_all(&target).unwrap();
    fs::write(victim.join("README.md"), "precious").unwrap();
    let store = open(&home);
    let model = import(&store, &tree).hash;

    symlink(&victim, target.join("config")).unwrap();
    let error = export_by_force(&store, model, &target).unwrap_err();
    assert!(
        matches!(&error, StoreError::UnsafeTarget { obstacle, .. } if obstacle.ends_with("config"))
    );
    fs::remove_file(target.join("config")).unwrap();
    fs::write(target.join("config"), "a file where a directory should be").unwrap();
    let error = export_by_force(&store, model, &target).unwrap_err();
    assert!(matches!(error, StoreError::UnsafeTarget { .. }));
    fs::remove_file(target.join("config")).unwrap();

    symlink(victim.join("README.md"), target.join("README.md")).unwrap();
    symlink("/nowhere/at/all", target.join("empty")).unwrap();
    fs::write(target.join("model.safetensors"), "old").unwrap();
    let refused = export(&store, model, &target).unwrap_err();
    assert!(matches!(refused, StoreError::WouldReplace { more: 2, .. }));
    export_by_force(&store, model, &target).unwrap();
    assert_eq!(read_files(&target), a_model());
    assert!(
        !fs::symlink_metadata(target.join("README.md"))
            .unwrap()
            .is_symlink()
    );
    assert_eq!(fs::read(victim.join("README.md")).unwrap(), b"precious");
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 1);
}

#[test]
fn a_check_names_all_that_is_not_there_and_takes_back_what_is_right_again() {
    let dir = tempfile::tempdir().unwrap();
    let (home, tree, away) = (
        dir.path().join("home"),
        dir.path().join("tree"),
        dir.path().join("away"),
    );
    let mut files = a_model();
    files.remove("copy-of-model.safetensors");
    write_files(&tree, &files);
    let store = open(&home);
    let model = import_in_place(&store, &tree).hash;
    let file = list_of(&files["model.safetensors"]).file();
    let path = fs::canonicalize(&tree).unwrap().join("model.safetensors");
    assert!(store.verify(Some(model), &()).unwrap().is_good());

    fs::rename(&tree, &away).unwrap();
    let report = store.verify(Some(model), &()).unwrap();
    assert_eq!(report.damaged[0].file, file);
    let report = store.verify(Some(model), &()).unwrap();
    assert_eq!((report.damaged, report.stale), (vec![], vec![(file, path)]));
    fs::rename(&away, &tree).unwrap();
    let report = store.verify(Some(model), &()).unwrap();
    assert!(report.is_good(), "{report:?}");
    assert!(store.model_info(model).unwrap().unwrap().complete);

    let other: Files = [("other".to_owned(), bytes(8, 2 * CHUNK))].into();
    let other = store.put_manifest(&manifest_of(&other)).unwrap();
    let report = store.verify(None, &()).unwrap();
    assert_eq!(report.missing, [list_of(&bytes(8, 2 * CHUNK)).file()]);
    assert!(!report.is_good());
    assert!(store.verify(Some(model), &()).unwrap().is_good());
    store.remove(other).unwrap();
    assert!(store.verify(None, &()).unwrap().is_good());
}

#[test]
fn a_partial_file_that_was_removed_is_fetched_again() {
    let home = tempfile::tempdir().unwrap();
    let data = bytes(1, 3 * CHUNK);
    let file = list_of(&data).file();
    let store = open(home.path());
    store.put_chunk_list(&list_of(&data)).unwrap();
    store.put(&chunk_of(&data, 1)).unwrap();
    store.close().unwrap();
    fs::remove_file(home.path().join("partial").join(file.to_string())).unwrap();
    let store = open(home.path());
    assert!(
        held(&store, file).is_empty(),
        "nothing is claimed that is gone"
    );
    assert_eq!(store.read_chunk(file, ChunkIndex(1)).unwrap(), None);
    fetch_the_rest(&store, &data);
    assert_eq!(store.read_range(file, 0, data.len() as u64).unwrap(), data);
    store.flush().unwrap();
    assert_eq!(
        fs::read(owned_path(home.path(), &data)).unwrap(),
        data,
        "it became a file with all its bytes"
    );
}

#[test]
fn a_partial_file_that_was_cut_off_is_fetched_from_there() {
    let home = tempfile::tempdir().unwrap();
    let data = bytes(1, 4 * CHUNK);
    let file = list_of(&data).file();
    let store = open(home.path());
    store.put_chunk_list(&list_of(&data)).unwrap();
    for chunk in [0, 1, 3] {
        store.put(&chunk_of(&data, chunk)).unwrap();
    }
    store.close().unwrap();
    let path = home.path().join("partial").join(file.to_string());
    let cut = fs::OpenOptions::new().write(true).open(path).unwrap();
    cut.set_len(2 * CHUNK as u64 - 1).unwrap();
    let store = open(home.path());
    assert_eq!(held(&store, file), [0]);
    fetch_the_rest(&store, &data);
    store.flush().unwrap();
    assert_eq!(fs::read(owned_path(home.path(), &data)).unwrap(), data);
}

#[test]
fn a_partial_file_that_rotted_does_not_become_a_file() {
    let home = tempfile::tempdir().unwrap();
    let data = bytes(1, 3 * CHUNK);
    let file = list_of(&data).file();
    let store = open(home.path());
    store.put_chunk_list(&list_of(&data)).unwrap();
    store.put(&chunk_of(&data, 0)).unwrap();
    store.put(&chunk_of(&data, 1)).unwrap();
    store.close().unwrap();
    flip(&home.path().join("partial").join(file.to_string()), 7);
    let store = open(home.path());
    let damaged = note_damage(&store);
    assert!(store.put(&chunk_of(&data, 2)).unwrap().file_complete);
    store.flush().unwrap();
    assert_eq!(held(&store, file), [1, 2]);
    assert_eq!(damaged.lock().unwrap()[0].chunks, [ChunkIndex(0)]);
    assert!(!owned_path(home.path(), &data).exists());
    fetch_the_rest(&store, &data);
    store.flush().unwrap();
    assert_eq!(store.file(file).unwrap().unwrap().place, FilePlace::Owned);
    assert_eq!(fs::read(owned_path(home.path(), &data)).unwrap(), data);
}

#[test]
fn a_partial_file_that_is_removed_while_it_is_open_is_fetched_again() {
    let home = tempfile::tempdir().unwrap();
    let data = bytes(1, 3 * CHUNK);
    let file = list_of(&data).file();
    let store = open(home.path());
    store.put_chunk_list(&list_of(&data)).unwrap();
    store.put(&chunk_of(&data, 1)).unwrap();
    store.flush().unwrap();
    fs::remove_file(home.path().join("partial").join(file.to_string())).unwrap();
    fetch_the_rest(&store, &data);
    // The commit that was to rename it found that it is gone.
    while store.flush().is_err() {}
    assert!(held(&store, file).is_empty());
    fetch_the_rest(&store, &data);
    store.close().unwrap();
    assert_eq!(fs::read(owned_path(home.path(), &data)).unwrap(), data);
}

fn held(store: &Store, file: FileHash) -> Vec<u32> {
    let held = store.held(file).unwrap();
    held.map_or(Vec::new(), |held| held.iter().collect())
}

/// Puts the chunks that are not held, as a fetch does.
fn fetch_the_rest(store: &Store, data: &[u8]) {
    let list = list_of(data);
    store.put_chunk_list(&list).unwrap();
    let held = held(store, list.file());
    for index in (0..list.count()).filter(|index| !held.contains(index)) {
        store.put(&chunk_of(data, index)).unwrap();
    }
}

fn note_damage(store: &Store) -> Arc<Mutex<Vec<Damaged>>> {
    let damaged = Arc::new(Mutex::new(Vec::new()));
    let notes = damaged.clone();
    store.on_damage(Arc::new(move |one: &Damaged| {
        notes.lock().unwrap().push(one.clone());
    }));
    damaged
}
