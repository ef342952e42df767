//! Stores that earlier versions wrote can be read. `data/v1` was written with [`write_v1`] when the
//! index had schema 1, `data/v2` with the same and what [`read_v2`] reads when it had schema 2,
//! `data/v3` by `hubless add`, `name set` and `rm NAME@REVISION` when it had schema 3, `data/v4` by
//! `hubless add` and `name set` when it had schema 4; never write them anew.

use std::{fs, path::Path};

use crate::common::*;
use hubless_content::{ChunkIndex, PublisherId, RefName, RepoId, RepoKind};
use hubless_store::{Digests, FilePlace, Follow, Mirror, Store};

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
fn a_store_of_version_2_opens_and_reads() {
    let home = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/v2");
    copy_tree(&data, home.path());
    let store = open(home.path());
    read_v2(&store);
    read_v1(&store);
    store.close().unwrap();
    read_v2(&open(home.path()));
}

#[test]
fn a_store_of_version_3_opens_and_reads() {
    let home = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/v3");
    copy_tree(&data, home.path());
    for _ in 0..2 {
        let store = open(home.path());
        for data in model_v1().values() {
            let range = store.read_range(list_of(data).file(), 0, data.len() as u64);
            assert_eq!(range.unwrap(), *data);
        }
        let id = RepoId::new(RepoKind::Model, "org/name").unwrap();
        let revisions = store.revisions(&id).unwrap();
        let removed = revisions
            .iter()
            .map(|id_of| store.is_content_removed(&id, *id_of));
        let removed: Vec<bool> = removed.map(Result::unwrap).collect();
        assert_eq!(removed, [true, false]);
        store.close().unwrap();
    }
}

#[test]
fn a_store_of_version_4_opens_and_takes_publishers() {
    let home = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/v4");
    copy_tree(&data, home.path());
    let publisher = PublisherId::new([7; 32]);
    for is_followed in [false, true] {
        let store = open(home.path());
        let id = RepoId::new(RepoKind::Model, "org/name").unwrap();
        let commit = store.get_ref(&id, &RefName::main()).unwrap().unwrap();
        let revision = store.revision(&id, commit).unwrap().unwrap();
        let model = manifest_of(&model_v1()).content_hash();
        assert_eq!(revision.tree.content_hash(), Some(model));
        assert_eq!(store.own_publishers().unwrap(), []);
        assert_eq!(store.head_keys(None, 9).unwrap(), []);
        assert_eq!(store.follow(publisher).unwrap().is_some(), is_followed);
        let follow = Follow {
            publisher,
            mirror: Mirror::Latest,
            since: 1,
        };
        store.put_follow(&follow).unwrap();
        store.close().unwrap();
    }
}

/// Nothing is known of when files of such a store were last right.
#[test]
fn the_bytes_of_an_older_store_are_checked_before_they_leave() {
    let home = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/v2");
    copy_tree(&data, home.path());
    let file = list_of(&model_v1()["model.bin"]).file();
    let name = file.to_string();
    let path = home.path().join("files").join(&name[..2]).join(&name);
    let mut bytes = fs::read(&path).unwrap();
    bytes[CHUNK] ^= 1;
    fs::remove_file(&path).unwrap();
    fs::write(&path, &bytes).unwrap();
    let store = open(home.path());
    assert!(store.read_chunk(file, ChunkIndex(0)).unwrap().is_some());
    assert_eq!(store.read_chunk(file, ChunkIndex(1)).unwrap(), None);
}

fn read_v2(store: &Store) {
    for data in model_v1().values() {
        let digests = Digests::of(data);
        let file = list_of(data).file();
        assert_eq!(store.digests(file).unwrap(), Some(digests));
        assert_eq!(store.file_by_sha256(digests.sha256).unwrap(), Some(file));
        assert_eq!(
            store.file_by_git_blob(digests.git_blob).unwrap(),
            Some(file)
        );
    }
    let id = RepoId::new(RepoKind::Model, "org/name").unwrap();
    assert!(store.repo(&id).unwrap().is_some());
    let refs = store.refs(&id).unwrap();
    let [(_, commit)] = refs[..] else {
        panic!("{refs:?}");
    };
    let revision = store.revision(&id, commit).unwrap().unwrap();
    let model = manifest_of(&model_v1()).content_hash();
    assert_eq!(revision.tree.content_hash(), Some(model));
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
