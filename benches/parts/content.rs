//! Verification: a chunk's hash, and a chunk list against its file's hash.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use hubless_content::{CHUNK_SIZE, ChunkCv, ChunkIndex, ChunkList, chunk_cv};

pub fn chunk_hash(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("content");
    let chunk = vec![7; CHUNK_SIZE];
    group.throughput(Throughput::Bytes(CHUNK_SIZE as u64));
    group.bench_function("hash of a chunk", |bencher| {
        bencher.iter(|| chunk_cv(ChunkIndex(3), black_box(&chunk)));
    });
}

/// The lists of a file of 4 GiB and of one of 256 GiB.
pub fn chunk_list(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("content");
    for chunks in [1 << 14, 1 << 20] {
        let list = list_of(chunks);
        group.throughput(Throughput::Elements(u64::from(chunks)));
        let id = BenchmarkId::new("check of a chunk list", chunks);
        group.bench_function(id, |bencher| {
            bencher.iter_batched(
                || list.cvs().to_vec(),
                |cvs| {
                    ChunkList::prove(list.file(), list.size(), cvs).expect("it belongs to the file")
                },
                BatchSize::LargeInput,
            );
        });
    }
}

/// The list of a file of so many chunks: its file hash is the result of merging the values.
fn list_of(chunks: u32) -> ChunkList {
    let cv = |chunk: u32| ChunkCv::new([chunk.to_le_bytes(); 8].concat().try_into().expect("32"));
    let cvs = (0..chunks).map(cv).collect();
    let size = u64::from(chunks) * CHUNK_SIZE as u64;
    ChunkList::from_hashed(size, cvs).expect("as many values as chunks")
}
