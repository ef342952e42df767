//! What an export does to a directory of the user's, and what never leaves.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
    time::UNIX_EPOCH,
};

use crate::common::sim_disk::SimDisk;
use crate::common::*;
use hubless_content::{ChunkIndex, ContentHash};
use hubless_store::{ExportOptions, Store, StoreError, StoreErrorKind, StoreOptions};

fn owned_path(home: &Path, data: &[u8]) -> PathBuf {
    let file = list_of(data).file().to_string();
    home.join("files").join(&file[..2]).join(file)
}

/// A store with a model, beside a target on the same file system.
struct Scene {
    dir: tempfile::TempDir,
    store: Store,
    model: ContentHash,
}

impl Scene {
    fn new(files: &Files) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir.path().join("home"));
        let model = import_from(&store, dir.path(), "tree", files);
        Self { dir, store, model }
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn target(&self) -> PathBuf {
        self.dir.path().join("out")
    }
}

fn import_from(store: &Store, dir: &Path, name: &str, files: &Files) -> ContentHash {
    let tree = dir.join(name);
    write_files(&tree, files);
    import(store, &tree).hash
}

fn model_of(files: &[(&str, Vec<u8>)]) -> Files {
    let files = files.iter();
    files
        .map(|(path, data)| ((*path).to_owned(), data.clone()))
        .collect()
}

#[test]
fn no_kind_of_damage_leaves_by_link_clone_or_copy() {
    type Harm = fn(&Path, &Path);
    let harms: [(&str, Harm); 5] = [
        ("one bit", |path, _| {
            let mut data = fs::read(path).unwrap();
            data[CHUNK + 3] ^= 1;
            fs::write(path, data).unwrap();
        }),
        ("truncated", |path, _| {
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(CHUNK as u64 + 9).unwrap();
        }),
        ("gone", |path, _| fs::remove_file(path).unwrap()),
        ("zeros", |path, _| {
            let len = fs::metadata(path).unwrap().len() as usize;
            fs::write(path, vec![0; len]).unwrap();
        }),
        ("replaced by a link", |path, other| {
            fs::remove_file(path).unwrap();
            symlink(other, path).unwrap();
        }),
    ];
    let data = bytes(1, 3 * CHUNK + 5);
    for (name, harm) in harms {
        // Whether it was exported before, so that links and handles are there already.
        for exported_before in [false, true] {
            let scene = Scene::new(&model_of(&[("w.bin", data.clone())]));
            let (store, model) = (&scene.store, scene.model);
            if exported_before {
                export(store, model, &scene.dir.path().join("before")).unwrap();
            }
            let path = owned_path(&scene.home(), &data);
            let other = scene.dir.path().join("other");
            fs::write(&other, bytes(9, data.len())).unwrap();
            if path.exists() {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            }
            harm(&path, &other);
            let error = export(store, model, &scene.target()).unwrap_err();
            assert!(
                matches!(error, StoreError::Incomplete { .. }),
                "{name}: {error}"
            );
            assert!(!scene.target().join("w.bin").exists(), "{name}");
            // What is no longer held comes again, and then the export works.
            let file = list_of(&data).file();
            let held = store.held(file).unwrap();
            store.put_chunk_list(&list_of(&data)).unwrap();
            for chunk in 0..list_of(&data).count() {
                if held.as_ref().is_none_or(|held| !held.contains(chunk)) {
                    store.put(&chunk_of(&data, chunk)).unwrap();
                }
            }
            export(store, model, &scene.target()).unwrap();
            assert_eq!(
                fs::read(scene.target().join("w.bin")).unwrap(),
                data,
                "{name}"
            );
        }
    }
}

/// What is copied is checked on the way, whatever the signature of its file says.
#[test]
fn a_copy_of_a_rotten_file_is_not_made() {
    let disk = SimDisk::new();
    let on_disk = Arc::new(disk.clone());
    let store = Store::open_on(on_disk, Path::new("/home"), StoreOptions::default()).unwrap();
    let data = bytes(1, 3 * CHUNK);
    let files = model_of(&[("w.bin", data.clone())]);
    let model = store.put_manifest(&manifest_of(&files)).unwrap();
    put_all(&store, &data);
    store.flush().unwrap();
    disk.refuse_links();
    // Silent: size, times and inode stay.
    disk.rot(&owned_path(Path::new("/home"), &data), 2 * CHUNK + 1);
    let target = Path::new("/target/out");
    let error = export(&store, model, target).unwrap_err();
    assert!(matches!(error, StoreError::Incomplete { .. }), "{error}");
    assert_eq!(disk.read(&target.join("w.bin")), None);
    let is_left = |path: &PathBuf| path.starts_with(target);
    assert!(!disk.paths().iter().any(is_left), "no part of it is left");
    store.put(&chunk_of(&data, 2)).unwrap();
    export(&store, model, target).unwrap();
    assert_eq!(disk.read(&target.join("w.bin")), Some(data));
}

#[test]
fn verifying_finds_what_no_signature_shows() {
    let disk = SimDisk::new();
    let on_disk = Arc::new(disk.clone());
    let store = Store::open_on(on_disk, Path::new("/home"), StoreOptions::default()).unwrap();
    let data = bytes(1, 3 * CHUNK);
    let files = model_of(&[("w.bin", data.clone())]);
    let model = store.put_manifest(&manifest_of(&files)).unwrap();
    put_all(&store, &data);
    store.flush().unwrap();
    disk.rot(&owned_path(Path::new("/home"), &data), 7);
    let options = ExportOptions {
        verify: true,
        ..ExportOptions::default()
    };
    let error = store.export(model, Path::new("/target/out"), &options, &());
    assert!(matches!(error, Err(StoreError::Incomplete { .. })));
    let held = store.held(list_of(&data).file()).unwrap().unwrap();
    assert_eq!(held.iter().collect::<Vec<_>>(), [1, 2]);
}

/// A file of one chunk is proven when it is read, and written from memory after that: reading it once
/// more for each step cost a quarter of the speed of many small files.
#[test]
fn an_export_reads_each_small_file_once() {
    let disk = SimDisk::new();
    let open = || {
        let on_disk = Arc::new(disk.clone());
        Store::open_on(on_disk, Path::new("/home"), StoreOptions::default()).unwrap()
    };
    let store = open();
    // Three times what the index keeps in memory of itself. The value of each file takes a page of
    // `CHUNK` bytes, which is read as a whole.
    let files = (0..200).map(|n| (format!("{n}"), bytes(n, CHUNK - 4096)));
    let files: Files = files.collect();
    let model = store.put_manifest(&manifest_of(&files)).unwrap();
    files.values().for_each(|data| put_all(&store, data));
    store.close().unwrap();
    drop(store);
    let store = open();
    let before = disk.bytes_read();
    let exported = export(&store, model, Path::new("/target/out")).unwrap();
    let read = disk.bytes_read() - before;
    assert_eq!(
        (exported.files, exported.copied_bytes),
        (200, exported.bytes)
    );
    // The rest, pages of other tables and those that lead to values, is less than one file. Debug builds
    // of redb walk all pages when they open a database, and keep some: then less than all is read here.
    let most = (files.len() * CHUNK + CHUNK / 2) as u64;
    assert!(read <= most, "{read} of at most {most}");
    for (name, data) in &files {
        let path = Path::new("/target/out").join(name);
        assert!(disk.read(&path).as_ref() == Some(data), "{name}");
    }
}

#[test]
fn all_damaged_files_are_found_at_once() {
    let files = model_of(&[
        ("a.bin", bytes(1, 2 * CHUNK)),
        ("b.bin", bytes(2, 2 * CHUNK)),
        ("c.bin", bytes(3, 2 * CHUNK)),
    ]);
    let scene = Scene::new(&files);
    for data in files.values() {
        fs::remove_file(owned_path(&scene.home(), data)).unwrap();
    }
    export(&scene.store, scene.model, &scene.target()).unwrap_err();
    for data in files.values() {
        assert_eq!(scene.store.file(list_of(data).file()).unwrap(), None);
    }
}

#[test]
fn what_the_user_edited_is_replaced_only_by_force() {
    let files = a_model();
    let scene = Scene::new(&files);
    let (store, model, target) = (&scene.store, scene.model, scene.target());
    let first = export(store, model, &target).unwrap();
    assert_eq!((first.files, first.replaced), (6, 0));
    let edited = ["README.md", "config/config.json"];
    for path in edited {
        fs::remove_file(target.join(path)).unwrap();
        fs::write(target.join(path), "my own words").unwrap();
    }
    // One of them as long as what it was.
    fs::write(target.join("README.md"), vec![b'x'; 500]).unwrap();
    fs::remove_file(target.join("empty")).unwrap();
    let error = export(store, model, &target).unwrap_err();
    assert!(
        matches!(&error, StoreError::WouldReplace { path, more: 1 } if path.ends_with("README.md")),
        "{error}"
    );
    assert_eq!(error.kind(), StoreErrorKind::Input);
    assert!(!target.join("empty").exists(), "nothing is written then");
    assert_eq!(
        fs::read(target.join("config/config.json")).unwrap(),
        b"my own words"
    );
    let forced = export_by_force(store, model, &target).unwrap();
    assert_eq!((forced.replaced, forced.kept), (2, 3));
    assert_eq!(read_files(&target), files);
}

#[test]
fn files_of_another_revision_are_replaced_without_force() {
    let scene = Scene::new(&a_model());
    let (store, target) = (&scene.store, scene.target());
    export(store, scene.model, &target).unwrap();
    let mut second = a_model();
    second.insert("README.md".into(), bytes(70, 700));
    second.insert("model.safetensors".into(), bytes(71, 2 * CHUNK));
    second.insert("copy-of-model.safetensors".into(), bytes(71, 2 * CHUNK));
    let model = import_from(store, scene.dir.path(), "second", &second);
    let exported = export(store, model, &target).unwrap();
    assert_eq!((exported.replaced, exported.kept), (3, 3));
    assert_eq!(read_files(&target), second);
    // And back.
    assert_eq!(export(store, scene.model, &target).unwrap().replaced, 3);
    assert_eq!(read_files(&target), a_model());
}

#[test]
fn an_edit_through_a_link_is_not_exported_and_not_lost() {
    let data = bytes(1, 2 * CHUNK);
    let scene = Scene::new(&model_of(&[("w.bin", data.clone())]));
    let (store, model) = (&scene.store, scene.model);
    let linked = scene.dir.path().join("linked");
    fs::create_dir(&linked).unwrap();
    let path = linked.join("w.bin");
    fs::hard_link(owned_path(&scene.home(), &data), &path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let mut edited = data.clone();
    edited[..4].copy_from_slice(b"mine");
    fs::write(&path, &edited).unwrap();
    assert!(export(store, model, &scene.target()).is_err());
    store.put(&chunk_of(&data, 0)).unwrap();
    export(store, model, &scene.target()).unwrap();
    assert_eq!(fs::read(scene.target().join("w.bin")).unwrap(), data);
    let refused = export(store, model, &linked).unwrap_err();
    assert!(
        matches!(refused, StoreError::WouldReplace { .. }),
        "{refused}"
    );
    assert_eq!(fs::read(&path).unwrap(), edited);
}

#[test]
fn a_link_is_of_the_file_that_was_proven() {
    let data = bytes(1, 2 * CHUNK);
    let scene = Scene::new(&model_of(&[("w.bin", data.clone())]));
    for round in 0..2 {
        let target = scene.dir.path().join(format!("out-{round}"));
        export(&scene.store, scene.model, &target).unwrap();
        let (stored, exported) = (
            fs::metadata(owned_path(&scene.home(), &data)).unwrap(),
            fs::metadata(target.join("w.bin")).unwrap(),
        );
        let linked = stored.ino() == exported.ino();
        assert_eq!(
            exported.mode() & 0o222 == 0,
            linked,
            "what is linked is read-only"
        );
    }
    // The links changed the file's signature, and that is known: nothing is to be read again.
    let chunk = scene.store.read_chunk(list_of(&data).file(), ChunkIndex(1));
    assert_eq!(chunk.unwrap().unwrap(), data[CHUNK..]);
    assert_eq!(scene.store.chunks_rejected(), 0);
    assert_eq!(scene.store.next_to_scrub(UNIX_EPOCH).unwrap(), None);
}

#[test]
fn what_a_killed_export_left_is_swept_but_nothing_else() {
    let disk = SimDisk::new();
    let target = Path::new("/target/out");
    let temporary = ".hubless-0123456789abcdef0123456789abcdef";
    let mine = [".hubless-notes", ".hublessness", "other"];
    for name in [temporary, ".hubless-1-2"].iter().chain(&mine) {
        disk.add_file(&target.join(name), b"half of it");
        disk.add_file(&target.join("sub").join(name), b"half of it");
    }
    let on_disk = Arc::new(disk.clone());
    let store = Store::open_on(on_disk, Path::new("/home"), StoreOptions::default()).unwrap();
    let files = model_of(&[("w", bytes(1, 100)), ("sub/w", bytes(2, 100))]);
    let model = store.put_manifest(&manifest_of(&files)).unwrap();
    files.values().for_each(|data| put_all(&store, data));
    store.flush().unwrap();
    // An export beside this one may be writing it.
    export(&store, model, target).unwrap();
    assert!(disk.read(&target.join(temporary)).is_some());
    files
        .keys()
        .for_each(|name| disk.delete(&target.join(name)));
    disk.set_age(2 * 3600);
    export(&store, model, target).unwrap();
    for directory in [target.to_owned(), target.join("sub")] {
        assert_eq!(disk.read(&directory.join(temporary)), None);
        assert_eq!(disk.read(&directory.join(".hubless-1-2")), None);
        for name in mine {
            assert!(disk.read(&directory.join(name)).is_some(), "{name}");
        }
    }
}
