//! What a store does when nothing goes wrong.

use crate::common::*;
use hubless_content::{ChunkIndex, ChunkSet, FileHash};
use hubless_store::{FilePlace, IndexError, Put, Store, StoreError, StoreOptions};

#[test]
fn a_chunk_is_there_when_it_was_put() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let data = bytes(1, 3 * CHUNK + 5);
    let list = list_of(&data);
    let file = list.file();
    assert_eq!(store.read_chunk(file, ChunkIndex(0)).unwrap(), None);
    assert_eq!(store.held(file).unwrap(), None);
    assert_eq!(store.file(file).unwrap(), None);

    store.put_chunk_list(&list).unwrap();
    assert_eq!(store.chunk_list(file).unwrap(), Some(list));
    for (index, new, file_complete) in [
        (2, true, false),
        (2, false, false),
        (0, true, false),
        (3, true, false),
        (1, true, true),
    ] {
        let put = store.put(&chunk_of(&data, index)).unwrap();
        assert_eq!(put, Put { new, file_complete }, "chunk {index}");
        let read = store.read_chunk(file, ChunkIndex(index)).unwrap().unwrap();
        assert_eq!(read, chunk_of(&data, index).bytes());
    }
    assert_eq!(store.held(file).unwrap(), Some(ChunkSet::full(4)));
    assert_eq!(store.read_chunk(file, ChunkIndex(4)).unwrap(), None);
    store.flush().unwrap();
    assert_eq!(store.file(file).unwrap().unwrap().place, FilePlace::Owned);
    let put = store.put(&chunk_of(&data, 1)).unwrap();
    assert_eq!(
        put,
        Put {
            new: false,
            file_complete: true
        }
    );
    assert_eq!(store.usage().unwrap().bytes, data.len() as u64);
}

#[test]
fn small_and_empty_files_are_inline() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    for data in [Vec::new(), bytes(1, 1), bytes(2, CHUNK)] {
        let file = list_of(&data).file();
        assert!(store.put(&chunk_of(&data, 0)).unwrap().new);
        for _ in 0..2 {
            assert_eq!(
                store.read_chunk(file, ChunkIndex(0)).unwrap().unwrap(),
                data
            );
            assert_eq!(store.file(file).unwrap().unwrap().place, FilePlace::Inline);
            assert!(!store.put(&chunk_of(&data, 0)).unwrap().new);
            store.flush().unwrap();
        }
        assert_eq!(store.chunk_list(file).unwrap(), Some(list_of(&data)));
    }
    assert_eq!(store.usage().unwrap().bytes, 1 + CHUNK as u64);
}

#[test]
fn ranges_are_exact() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let data = bytes(1, 3 * CHUNK + 5);
    let file = list_of(&data).file();
    put_all(&store, &data);
    for (start, end) in [
        (0, 0),
        (0, 1),
        (0, data.len()),
        (CHUNK - 1, CHUNK + 1),
        (3 * CHUNK, 3 * CHUNK + 5),
    ] {
        let range = store
            .read_range(file, start as u64, (end - start) as u64)
            .unwrap();
        assert_eq!(range, data[start..end], "{start}..{end}");
    }
    assert!(matches!(
        store.read_range(file, 3 * CHUNK as u64, 6),
        Err(StoreError::Range { size, .. }) if size == data.len() as u64
    ));
    let unknown = FileHash::new([7; 32]);
    assert!(matches!(
        store.read_range(unknown, 0, 1),
        Err(StoreError::Incomplete { .. })
    ));
}

#[test]
fn a_store_remembers() {
    let home = tempfile::tempdir().unwrap();
    let files = a_model();
    let data = bytes(9, 4 * CHUNK);
    let model = {
        let store = open(home.path());
        let tree = tempfile::tempdir().unwrap();
        write_files(tree.path(), &files);
        store.put_chunk_list(&list_of(&data)).unwrap();
        store.put(&chunk_of(&data, 2)).unwrap();
        store.records_write(&[(vec![1], Some(vec![2])), (vec![3], Some(vec![4]))]);
        store.records_write(&[(vec![3], None)]);
        import(&store, tree.path()).hash
    };
    let store = open(home.path());
    assert_eq!(
        *store.manifest(model).unwrap().unwrap(),
        manifest_of(&files)
    );
    let info = store.model_info(model).unwrap().unwrap();
    assert!(info.complete && info.pinned && !info.in_place);
    assert_eq!((info.files, info.held_bytes), (6, info.bytes));
    let held = store.held(list_of(&data).file()).unwrap().unwrap();
    assert_eq!(held.iter().collect::<Vec<_>>(), [2]);
    assert_eq!(store.records_read_all().unwrap(), [(vec![1], vec![2])]);
}

#[test]
fn held_chunks_of_a_model_are_those_of_its_files_in_order() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let files: Files = [("a", 0), ("b", 3 * CHUNK), ("c", 10), ("d", CHUNK + 1)]
        .map(|(path, len)| (path.to_owned(), bytes(len as u64, len)))
        .into();
    let model = store.put_manifest(&manifest_of(&files)).unwrap();
    assert_eq!(store.model_held(model).unwrap(), Some(ChunkSet::empty(7)));
    put_all(&store, &files["a"]);
    store.put(&chunk_of(&files["b"], 1)).unwrap();
    store.put(&chunk_of(&files["d"], 1)).unwrap();
    for _ in 0..2 {
        let held = store.model_held(model).unwrap().unwrap();
        assert_eq!(held.iter().collect::<Vec<_>>(), [0, 2, 6]);
        let info = store.model_info(model).unwrap().unwrap();
        assert_eq!((info.held_bytes, info.complete), (CHUNK as u64 + 1, false));
        store.flush().unwrap();
    }
    let keys = store.announce_keys().unwrap();
    assert_eq!(keys.models, [model]);
    assert_eq!(keys.files.len(), 3);
}

#[test]
fn one_process_has_the_store() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let second = Store::open(home.path(), StoreOptions::default());
    let Err(StoreError::Index(IndexError::Locked { process, .. })) = second else {
        panic!("{second:?}");
    };
    // Only Linux says which process it is.
    let is_told = cfg!(target_os = "linux");
    assert_eq!(process, is_told.then(std::process::id));
    let clone = store.clone();
    store.close().unwrap();
    let again = open(home.path());
    assert!(matches!(
        clone.models(),
        Err(StoreError::Index(IndexError::Closed))
    ));
    drop((store, clone));
    assert_eq!(again.models().unwrap(), []);
}

#[test]
fn a_size_that_only_a_lying_manifest_claims_does_not_stay() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let data = bytes(1, 2 * CHUNK + 100);
    let list = list_of(&data);
    // The chaining values are right, the size is not: only the last chunk can show it.
    let lie = hubless_content::ChunkList::prove(list.file(), list.size() - 50, list.cvs().to_vec())
        .unwrap();
    store.put_chunk_list(&lie).unwrap();
    store
        .put(
            &lie.verify(ChunkIndex(0), chunk_of(&data, 0).bytes().clone())
                .unwrap(),
        )
        .unwrap();
    put_all(&store, &data);
    store.flush().unwrap();
    assert_eq!(store.file(list.file()).unwrap().unwrap().size, list.size());
    assert_eq!(store.read_range(list.file(), 0, list.size()).unwrap(), data);
    assert_eq!(store.usage().unwrap().bytes, list.size());
}
