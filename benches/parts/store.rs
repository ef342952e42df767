//! A group commit of one chunk: bytes synced, then the file's bitmap in the index, synced too.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use criterion::Criterion;
use hubless_content::{CHUNK_SIZE, ChunkIndex, ChunkList, chunk_cv};
use hubless_store::{Store, StoreOptions};
use tempfile::TempDir;

/// A file of 4 GiB, to which each turn adds one chunk: a bitmap of 2 KiB.
const CHUNKS: u32 = 1 << 14;

/// On disk, in the build directory, and in memory, where syncing costs nothing.
pub fn commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store");
    let places = [("disk", env!("CARGO_TARGET_TMPDIR")), ("tmpfs", "/dev/shm")];
    for (medium, place) in places.map(|(medium, place)| (medium, Path::new(place))) {
        if !place.is_dir() {
            continue;
        }
        let mut filling = None;
        group.bench_function(format!("commit of a bitmap, {medium}"), |bencher| {
            bencher.iter_custom(|turns| {
                let turns = (0..turns).map(|_| Filling::commit_one(&mut filling, place));
                turns.sum()
            });
        });
    }
}

/// A partial file.
struct Filling {
    _home: TempDir,
    store: Store,
    list: ChunkList,
    chunk: Bytes,
    next: u32,
}

impl Filling {
    fn begin(place: &Path) -> Self {
        let home = TempDir::new_in(place).expect("a directory");
        let store = Store::open(home.path(), StoreOptions::default()).expect("a new store");
        let chunk = Bytes::from(vec![7; CHUNK_SIZE]);
        let cvs = (0..CHUNKS).map(|index| chunk_cv(ChunkIndex(index), &chunk));
        let size = u64::from(CHUNKS) * CHUNK_SIZE as u64;
        let list = ChunkList::from_hashed(size, cvs.collect()).expect("as many as chunks");
        store.put_chunk_list(&list).expect("room for a list");
        store.flush().expect("a commit");
        Self {
            _home: home,
            store,
            list,
            chunk,
            next: 0,
        }
    }

    /// The time to commit the next chunk after it was put. A new store is used before the file would be
    /// complete.
    fn commit_one(current: &mut Option<Self>, place: &Path) -> Duration {
        let filling = match current {
            Some(filling) if filling.next < CHUNKS - 1 => filling,
            _ => current.insert(Self::begin(place)),
        };
        let index = ChunkIndex(filling.next);
        let chunk = filling.list.verify(index, filling.chunk.clone());
        let put = filling.store.put(&chunk.expect("this chunk"));
        assert!(put.expect("room for a chunk").new);
        filling.next += 1;
        let started = Instant::now();
        filling.store.flush().expect("a commit");
        started.elapsed()
    }
}
