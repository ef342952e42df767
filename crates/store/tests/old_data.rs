//! Stores that earlier versions wrote can be read. `data/v1` was written by version 0.1.0 with
//! [`write_v1`]; never write it anew.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::Path;

use common::*;
use hubless_content::{RepoId, RepoKind};
use hubless_store::{FilePlace, Store};

/// What `data/v1` holds: an imported model, a partial file, and records.
fn model_v1() -> Files {
    [
        ("config.json", bytes(1, 300)),
        ("empty", Vec::new()),
        ("model.bin", bytes(2, CHUNK + 9)),
    ]
    .map(|(path, bytes)| (path.to_owned(), bytes))
    .into()
}

fn partial_v1() -> Vec<u8> {
    bytes(3, 2 * CHUNK)
}

#[test]
fn a_store_of_version_1_opens_and_reads() {
    let home = tempfile::tempdir().unwrap();
    copy_tree(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/v1"),
        home.path(),
    );
    read_v1(&open(home.path()));
    // It has the newer tables now.
    let store = open(home.path());
    let file = list_of(&model_v1()["model.bin"]).file();
    store.compute_digests(file, &()).unwrap();
    let repo = RepoId::new(RepoKind::Model, "org/name").unwrap();
    assert_eq!(store.refs(&repo).unwrap(), []);
}

#[test]
fn this_version_still_writes_what_it_reads() {
    let home = tempfile::tempdir().unwrap();
    write_v1(home.path());
    read_v1(&open(home.path()));
}

fn write_v1(home: &Path) {
    let tree = tempfile::tempdir().unwrap();
    write_files(tree.path(), &model_v1());
    let store = open(home);
    import(&store, tree.path());
    store.put_chunk_list(&list_of(&partial_v1())).unwrap();
    store.put(&chunk_of(&partial_v1(), 1)).unwrap();
    store.records_write(&[(b"key".to_vec(), Some(b"value".to_vec()))]);
    store.close().unwrap();
}

fn read_v1(store: &Store) {
    let model = manifest_of(&model_v1()).content_hash();
    let infos = store.models().unwrap();
    assert_eq!(infos.len(), 1);
    assert!(infos[0].hash == model && infos[0].complete && infos[0].pinned);
    assert_eq!(store.verify(None, &()).unwrap().damaged, []);
    for data in model_v1().values() {
        let range = store
            .read_range(list_of(data).file(), 0, data.len() as u64)
            .unwrap();
        assert_eq!(range, *data);
    }
    let partial = partial_v1();
    let file = list_of(&partial).file();
    assert_eq!(store.chunk_list(file).unwrap(), Some(list_of(&partial)));
    assert_eq!(store.file(file).unwrap().unwrap().place, FilePlace::Partial);
    assert_eq!(
        store
            .held(file)
            .unwrap()
            .unwrap()
            .iter()
            .collect::<Vec<_>>(),
        [1]
    );
    store.put(&chunk_of(&partial, 0)).unwrap();
    assert_eq!(
        store.read_range(file, 0, partial.len() as u64).unwrap(),
        partial
    );
    assert_eq!(
        store.records_read_all().unwrap(),
        [(b"key".to_vec(), b"value".to_vec())]
    );
}
