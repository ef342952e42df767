//! From a directory to a model, and back.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
};

use crate::common::*;
use hubless_store::{
    DiskError, ExportOptions, FilePlace, ImportOptions, StoreError, StoreErrorKind,
};

#[test]
fn the_same_content_has_the_same_hash() {
    let (home, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = a_model();
    write_files(tree.path(), &files);
    let store = open(home.path());
    let in_place = import_in_place(&store, tree.path());
    let copied = import(&store, tree.path());
    let again = import(&store, tree.path());
    assert_eq!(in_place, copied);
    assert_eq!(copied, again);
    assert_eq!(copied.hash, manifest_of(&files).content_hash());
    // Two names of one file, and three imports, take its room once.
    let distinct = 500 + 2_000 + CHUNK as u64 + 5 * CHUNK as u64 + 77;
    assert_eq!(store.usage().unwrap().bytes, distinct);
    assert_eq!(
        fs::read_dir(home.path().join("partial")).unwrap().count(),
        0
    );
}

#[test]
fn what_was_imported_can_be_exported() {
    let (home, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = a_model();
    write_files(tree.path(), &files);
    let store = open(home.path());
    let model = import(&store, tree.path()).hash;
    let target = tempfile::tempdir().unwrap();
    let exported = export(&store, model, target.path()).unwrap();
    assert_eq!(read_files(target.path()), files);
    assert_eq!((exported.files, exported.kept), (6, 0));
    let again = export(&store, model, target.path()).unwrap();
    assert_eq!((again.kept, again.copied_bytes), (6, 0));

    let some = tempfile::tempdir().unwrap();
    let options = ExportOptions {
        wants: &|path| path.as_str().starts_with("config/"),
        ..ExportOptions::default()
    };
    store.export(model, some.path(), &options, &()).unwrap();
    assert_eq!(read_files(some.path()).len(), 2);
}

#[test]
fn large_files_stay_where_they_are_when_imported_in_place() {
    let (home, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_files(tree.path(), &a_model());
    let store = open(home.path());
    let model = import_in_place(&store, tree.path()).hash;
    let info = store.model_info(model).unwrap().unwrap();
    assert!(info.complete && info.in_place);
    let manifest = store.manifest(model).unwrap().unwrap();
    let large = manifest.get("model.safetensors").unwrap();
    let place = store.file(large.hash).unwrap().unwrap().place;
    assert!(matches!(place, FilePlace::External(path) if path.is_absolute()));
    let small = manifest.get("config/one.bin").unwrap();
    assert_eq!(
        store.file(small.hash).unwrap().unwrap().place,
        FilePlace::Inline
    );

    let target = tempfile::tempdir().unwrap();
    export(&store, model, target.path()).unwrap();
    assert_eq!(read_files(target.path()), a_model());
    let original = fs::metadata(tree.path().join("model.safetensors")).unwrap();
    assert_eq!(original.nlink(), 1, "the user's own file is never linked");
    assert_eq!(original.mode() & 0o200, 0o200, "and never made read-only");
}

#[test]
fn an_exported_file_takes_no_second_room_if_it_can_be_linked() {
    // One directory, so that both are on one file system.
    let dir = tempfile::tempdir().unwrap();
    let (home, tree) = (dir.path().join("home"), dir.path().join("tree"));
    write_files(&tree, &a_model());
    let store = open(&home);
    let model = import(&store, &tree).hash;
    let exported = export(&store, model, &dir.path().join("out")).unwrap();
    assert!(
        exported.copied_bytes < 2 * CHUNK as u64,
        "only small files are copied"
    );
}

fn refused(prepare: impl FnOnce(&std::path::Path)) -> StoreError {
    let (home, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_files(tree.path(), &a_model());
    prepare(tree.path());
    let store = open(home.path());
    let error = store
        .import(tree.path(), &ImportOptions::default(), &())
        .unwrap_err();
    assert_eq!(store.models().unwrap(), [], "nothing of it is kept");
    assert_eq!(
        fs::read_dir(home.path().join("partial")).unwrap().count(),
        0
    );
    error
}

#[test]
fn what_cannot_be_shared_is_named() {
    let error = refused(|tree| fs::write(tree.join("a\\b"), "x").unwrap());
    assert!(matches!(&error, StoreError::Name { path, .. } if path.ends_with("a\\b")));
    let error = refused(|tree| symlink("/etc/passwd", tree.join("link")).unwrap());
    assert!(matches!(&error, StoreError::LinkLeaves { link, .. } if link.ends_with("link")));
    let error = refused(|tree| symlink("config", tree.join("link")).unwrap());
    assert!(matches!(&error, StoreError::LinkToDirectory { link } if link.ends_with("link")));
    let error = refused(|tree| symlink("nowhere", tree.join("link")).unwrap());
    assert!(
        matches!(&error, StoreError::Disk(DiskError::Io { path, .. }) if path.ends_with("link"))
    );
    let error = refused(|tree| {
        let socket = tree.join("socket");
        drop(std::os::unix::net::UnixListener::bind(socket).unwrap());
    });
    assert!(
        matches!(&error, StoreError::NotAFile { path, kind: "socket" } if path.ends_with("socket"))
    );
    assert_eq!(error.kind(), StoreErrorKind::Input);

    let (home, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(home.path());
    let import = |name: &str| {
        let path = tree.path().join(name);
        store
            .import(&path, &ImportOptions::default(), &())
            .unwrap_err()
    };
    assert!(matches!(import(""), StoreError::NoFiles { .. }));
    fs::write(tree.path().join("file"), "x").unwrap();
    assert!(matches!(import("file"), StoreError::NotADirectory { .. }));
    assert!(matches!(import("none"), StoreError::NotADirectory { .. }));
}

#[test]
fn links_are_followed_where_they_may_lead() {
    let (home, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("weights"), bytes(5, 2 * CHUNK)).unwrap();
    fs::write(tree.path().join("file"), "x").unwrap();
    symlink("file", tree.path().join("link")).unwrap();
    let store = open(home.path());
    assert_eq!(import(&store, tree.path()).files, 2);

    symlink(outside.path(), tree.path().join("out")).unwrap();
    symlink(tree.path(), outside.path().join("back")).unwrap();
    let options = ImportOptions {
        follow_links: true,
        ..ImportOptions::default()
    };
    let cycle = store.import(tree.path(), &options, &()).unwrap_err();
    assert!(matches!(cycle, StoreError::LinkCycle { .. }));
    fs::remove_file(outside.path().join("back")).unwrap();
    assert_eq!(store.import(tree.path(), &options, &()).unwrap().files, 3);
}

#[test]
fn a_snapshot_of_the_hubs_cache_is_a_model() {
    let (home, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let repo = cache.path().join("models--a--b");
    let snapshot = repo.join("snapshots/0123");
    fs::create_dir_all(snapshot.join("onnx")).unwrap();
    fs::create_dir_all(repo.join("blobs")).unwrap();
    fs::write(repo.join("blobs/aa"), bytes(1, 2 * CHUNK)).unwrap();
    symlink("../../blobs/aa", snapshot.join("model.bin")).unwrap();
    symlink("../../../blobs/aa", snapshot.join("onnx/model.bin")).unwrap();
    let store = open(home.path());
    assert_eq!(import(&store, &snapshot).files, 2);
}

#[test]
fn what_git_and_the_hubs_client_keep_is_no_part_of_a_model() {
    let (home, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for path in [
        ".git/config",
        ".cache/huggingface/x",
        ".cache/other",
        ".gitattributes",
        "a/.git/x",
    ] {
        let path = tree.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    let store = open(home.path());
    let model = import(&store, tree.path()).hash;
    let manifest = store.manifest(model).unwrap().unwrap();
    let paths: Vec<_> = manifest
        .entries()
        .iter()
        .map(|entry| entry.path.as_str())
        .collect();
    assert_eq!(paths, [".cache/other", ".gitattributes"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_hides_its_size_is_refused_and_not_added_empty() {
    let (home, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = "/proc/self/environ";
    assert_eq!(fs::metadata(path).unwrap().len(), 0);
    assert!(!fs::read(path).unwrap().is_empty());
    symlink(path, tree.path().join("environ")).unwrap();
    let store = open(home.path());
    let options = ImportOptions {
        follow_links: true,
        ..ImportOptions::default()
    };
    let error = store.import(tree.path(), &options, &()).unwrap_err();
    assert!(
        matches!(&error, StoreError::PseudoFile { path, size: 0 } if path.ends_with("environ")),
        "{error}"
    );
    assert_eq!(error.kind(), StoreErrorKind::Input);
    assert_eq!(store.models().unwrap(), []);
}

#[test]
fn pipes_and_devices_are_named_and_not_waited_for() {
    for (kind, path) in [("pipe", None), ("device", Some("/dev/zero"))] {
        let (home, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let special = tree.path().join("special");
        match path {
            Some(path) => symlink(path, &special).unwrap(),
            None => rustix::fs::mknodat(
                rustix::fs::CWD,
                &special,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::RUSR,
                0,
            )
            .unwrap(),
        }
        let options = ImportOptions {
            follow_links: true,
            ..ImportOptions::default()
        };
        let error = open(home.path()).import(tree.path(), &options, &());
        let error = error.unwrap_err();
        assert!(
            matches!(&error, StoreError::NotAFile { kind: found, .. } if *found == kind),
            "{error}"
        );
    }
}

#[test]
fn what_a_killed_export_left_is_no_part_of_a_model() {
    let (home, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for name in [
        "weights",
        ".hubless-17-2",
        ".hubless-0123456789abcdef0123456789abcdef",
        ".hubless-notes",
    ] {
        fs::write(tree.path().join(name), name).unwrap();
    }
    let store = open(home.path());
    let model = import(&store, tree.path()).hash;
    let manifest = store.manifest(model).unwrap().unwrap();
    let paths = manifest.entries().iter().map(|entry| entry.path.as_str());
    assert_eq!(paths.collect::<Vec<_>>(), [".hubless-notes", "weights"]);
}
