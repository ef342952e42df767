//! A home directory that cannot be written to, and one that others could read.

use std::{ffi::OsString, fs, io, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use crate::common::*;
use hubless_content::ChunkIndex;
use hubless_store::{
    Access, Dir, Disk, DiskError, DiskFile, RealDisk, Signature, Store, StoreError, StoreErrorKind,
    StoreOptions,
};

/// A disk that is mounted to be read.
#[derive(Debug)]
struct Mounted;

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Disk for Mounted {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        match access {
            Access::Read | Access::ReadUsers => RealDisk.open(path, access),
            Access::Update | Access::Create => refused(),
        }
    }

    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn Dir>> {
        RealDisk.open_dir(path)
    }

    fn signature(&self, path: &Path) -> io::Result<Signature> {
        RealDisk.signature(path)
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() { Ok(()) } else { refused() }
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        RealDisk.list(path)
    }
}

fn open_mounted(home: &Path) -> Result<Store, StoreError> {
    Store::open_on(Arc::new(Mounted), home, StoreOptions::default())
}

#[test]
fn a_home_that_cannot_be_written_to_gives_all_that_only_reads() {
    let dir = tempfile::tempdir().unwrap();
    let (home, tree) = (dir.path().join("home"), dir.path().join("tree"));
    let files = a_model();
    write_files(&tree, &files);
    let unfinished = bytes(9, 3 * CHUNK);
    let store = open(&home);
    let model = import(&store, &tree).hash;
    store.put_chunk_list(&list_of(&unfinished)).unwrap();
    store.put(&chunk_of(&unfinished, 1)).unwrap();
    store.close().unwrap();
    let index = fs::read(home.join("store.redb")).unwrap();

    let store = open_mounted(&home).unwrap();
    assert!(store.models().unwrap()[0].complete);
    for data in files.values() {
        let file = list_of(data).file();
        assert_eq!(store.read_range(file, 0, data.len() as u64).unwrap(), *data);
    }
    let part = store.read_chunk(list_of(&unfinished).file(), ChunkIndex(1));
    assert_eq!(part.unwrap().unwrap(), unfinished[CHUNK..2 * CHUNK]);
    assert!(store.verify(Some(model), &()).unwrap().is_good());
    let target = dir.path().join("out");
    export(&store, model, &target).unwrap();
    assert_eq!(read_files(&target), files);

    let is_refused = |outcome: Result<(), StoreError>| {
        let error = outcome.unwrap_err();
        assert!(
            matches!(error, StoreError::Disk(DiskError::ReadOnly { .. })),
            "{error}"
        );
        assert_eq!(error.kind(), StoreErrorKind::Io);
    };
    is_refused(store.put(&chunk_of(&unfinished, 0)).map(drop));
    is_refused(store.put(&chunk_of(b"small", 0)).map(drop));
    is_refused(store.put_manifest(&manifest_of(&files)).map(drop));
    is_refused(store.import(&tree, &Default::default(), &()).map(drop));
    is_refused(store.incoming(5 * CHUNK as u64).map(drop));
    is_refused(store.unpin(model).map(drop));
    is_refused(store.remove(model));
    // Two may read at once, and none changes it.
    let other = open_mounted(&home).unwrap();
    assert_eq!(other.models().unwrap().len(), 1);
    store.close().unwrap();
    other.close().unwrap();
    assert_eq!(fs::read(home.join("store.redb")).unwrap(), index);
    assert!(open(&home).verify(Some(model), &()).unwrap().is_good());
}

#[test]
fn a_home_that_is_not_there_is_not_made_where_that_cannot_be() {
    let dir = tempfile::tempdir().unwrap();
    let error = open_mounted(&dir.path().join("home")).unwrap_err();
    assert!(
        matches!(error, StoreError::Disk(DiskError::ReadOnly { .. })),
        "{error}"
    );
}

#[test]
fn other_users_cannot_list_a_home_also_one_that_they_could_before() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let data = bytes(1, 3 * CHUNK);
    put_all(&open(&home), &data);
    let mode = |path: &str| {
        let metadata = fs::metadata(home.join(path)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    let set = |path: &str, mode| {
        fs::set_permissions(home.join(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    for _ in 0..2 {
        let store = open(&home);
        for directory in ["", "files", "partial"] {
            assert_eq!(mode(directory), 0o700, "{directory}");
        }
        assert_eq!(mode("store.redb"), 0o600);
        let part = bytes(2, 2 * CHUNK);
        store.put(&chunk_of(&part, 0)).unwrap();
        assert_eq!(mode(&format!("partial/{}", list_of(&part).file())), 0o600);
        store.close().unwrap();
        for directory in ["", "files", "partial"] {
            set(directory, 0o755);
        }
        set("store.redb", 0o644);
    }
}
