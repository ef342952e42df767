//! Disks fail: whatever was acknowledged is there afterwards, and nothing half-written is claimed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/sim_disk.rs"]
mod sim_disk;

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use common::*;
use hubless_content::{ChunkIndex, ContentHash};
use hubless_store::{Store, StoreError, StoreErrorKind, StoreOptions};
use sim_disk::SimDisk;

const HOME: &str = "/home";

fn open_on(disk: &SimDisk) -> Result<Store, StoreError> {
    Store::open_on(
        Arc::new(disk.clone()),
        Path::new(HOME),
        StoreOptions::default(),
    )
}

fn files() -> &'static [Vec<u8>; 3] {
    static FILES: OnceLock<[Vec<u8>; 3]> = OnceLock::new();
    FILES.get_or_init(|| {
        [
            bytes(1, 3 * CHUNK + 5),
            bytes(2, 1_000),
            bytes(3, 2 * CHUNK),
        ]
    })
}

/// What the store said is durable.
#[derive(Default)]
struct Acknowledged {
    chunks: BTreeSet<(usize, u32)>,
    model: Option<ContentHash>,
}

fn workload(disk: &SimDisk, acknowledged: &mut Acknowledged) -> Result<(), StoreError> {
    let store = open_on(disk)?;
    let files = files();
    let model: Files = files
        .iter()
        .enumerate()
        .map(|(n, data)| (n.to_string(), data.clone()))
        .collect();
    for data in files {
        store.put_chunk_list(&list_of(data))?;
    }
    acknowledged.model = Some(store.put_manifest(&manifest_of(&model))?);
    let mut put = BTreeSet::new();
    for step in [
        &[(0, 2), (1, 0)][..],
        &[(0, 0), (2, 1)],
        &[(0, 1), (0, 3), (2, 0)],
    ] {
        for (file, chunk) in step {
            store.put(&chunk_of(&files[*file], *chunk))?;
            put.insert((*file, *chunk));
        }
        store.flush()?;
        acknowledged.chunks.clone_from(&put);
    }
    // From here on it may be there or not.
    let model = acknowledged.model.take();
    model.map_or(Ok(()), |model| store.remove(model))
}

fn check(disk: &SimDisk, acknowledged: &Acknowledged, case: &str) {
    let store = open_on(disk).unwrap_or_else(|error| panic!("{case}: {error}"));
    if let Some(model) = acknowledged.model {
        assert!(
            store.manifest(model).unwrap().is_some(),
            "{case}: the manifest"
        );
    }
    for (file, chunk) in &acknowledged.chunks {
        let data = &files()[*file];
        let read = store.read_chunk(list_of(data).file(), ChunkIndex(*chunk));
        let read = read.unwrap_or_else(|error| panic!("{case}: {error}"));
        let read = read.unwrap_or_else(|| panic!("{case}: chunk {chunk} of file {file} is lost"));
        assert_eq!(read, chunk_of(data, *chunk).bytes(), "{case}");
    }
    for data in files() {
        store.recover(list_of(data).file()).unwrap();
    }
    assert_eq!(
        store.verify(None, &()).unwrap().damaged,
        [],
        "{case}: claimed, but not there"
    );
    for data in files() {
        put_all(&store, data);
    }
    store.flush().unwrap();
    for data in files() {
        let range = store
            .read_range(list_of(data).file(), 0, data.len() as u64)
            .unwrap();
        assert_eq!(range, *data, "{case}: the fetch goes on");
    }
}

#[test]
fn after_a_crash_at_any_call_all_that_was_acknowledged_is_there() {
    let disk = SimDisk::new();
    workload(&disk, &mut Acknowledged::default()).unwrap();
    let calls = disk.calls();
    assert!(calls > 50, "{calls} calls");
    for crash_at in 0..calls {
        let disk = SimDisk::crash_after(crash_at);
        let mut acknowledged = Acknowledged::default();
        let _ = workload(&disk, &mut acknowledged);
        for keep_unsynced in [false, true] {
            let case = format!("crash at call {crash_at}, unsynced kept: {keep_unsynced}");
            check(&disk.after_crash(keep_unsynced), &acknowledged, &case);
        }
    }
}

#[test]
fn a_full_disk_leaves_the_store_readable_and_the_fetch_goes_on_when_there_is_room() {
    let disk = SimDisk::new();
    let store = open_on(&disk).unwrap();
    let [large, small, other] = files();
    put_all(&store, large);
    put_all(&store, small);
    store.flush().unwrap();
    let readable = |data: &[u8]| {
        let range = store
            .read_range(list_of(data).file(), 0, data.len() as u64)
            .unwrap();
        assert_eq!(range, data);
    };

    disk.set_room(disk.used());
    let error = store.put(&chunk_of(other, 0)).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::NoSpace, "{error}");
    readable(large);
    // Small files fill what room the index has left, until it must grow.
    let mut put = Vec::new();
    let error = (0..)
        .find_map(|seed| {
            let data = bytes(1_000 + seed, CHUNK);
            let outcome = store.put(&chunk_of(&data, 0)).and_then(|_| store.flush());
            put.push(data);
            outcome.err()
        })
        .unwrap();
    assert_eq!(error.kind(), StoreErrorKind::NoSpace, "{error}");
    readable(large);
    put.iter().for_each(|data| readable(data));
    assert_eq!(store.flush().unwrap_err().kind(), StoreErrorKind::NoSpace);

    disk.set_room(u64::MAX);
    put_all(&store, other);
    store.close().unwrap();
    let store = open_on(&disk).unwrap();
    for data in put.iter().chain([large, small, other]) {
        let range = store
            .read_range(list_of(data).file(), 0, data.len() as u64)
            .unwrap();
        assert_eq!(range, *data);
    }
}

#[test]
fn chunks_that_a_killed_process_had_written_are_found_again() {
    // The index hears of chunks 200 ms after the first of them: the kill must come before.
    const COMMIT_AFTER: Duration = Duration::from_millis(200);
    let data = bytes(1, 6 * CHUNK);
    let file = list_of(&data).file();
    let killed = loop {
        let disk = SimDisk::new();
        let store = open_on(&disk).unwrap();
        store.put_chunk_list(&list_of(&data)).unwrap();
        store.put(&chunk_of(&data, 1)).unwrap();
        store.flush().unwrap();
        let began = Instant::now();
        store.put(&chunk_of(&data, 4)).unwrap();
        store.put(&chunk_of(&data, 5)).unwrap();
        let killed = disk.after_crash(true);
        if began.elapsed() < COMMIT_AFTER {
            break killed;
        }
    };
    let store = open_on(&killed).unwrap();
    assert_eq!(
        store
            .held(file)
            .unwrap()
            .unwrap()
            .iter()
            .collect::<Vec<_>>(),
        [1]
    );
    assert_eq!(store.recover(file).unwrap(), 2);
    assert_eq!(store.recover(file).unwrap(), 0);
    assert_eq!(
        store
            .held(file)
            .unwrap()
            .unwrap()
            .iter()
            .collect::<Vec<_>>(),
        [1, 4, 5]
    );
}
