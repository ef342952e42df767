//! Encoding and decoding the head of a frame: the cost of a request or response without its payload.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::Criterion;
use hubless_content::{CHUNK_SIZE, ChunkIndex, FileHash};
use hubless_wire::{Frame, FrameHead, Request, Response, header_len};

pub fn frames(criterion: &mut Criterion) {
    let request = Request::Chunks {
        file: FileHash::new([7; 32]),
        size: 5 << 30,
        first: ChunkIndex(12_345),
        count: 1,
    };
    let answer = Frame::new(77, Response::Chunk(ChunkIndex(12_345)));
    let answer = answer.with_payload(Bytes::from(vec![7; CHUNK_SIZE]));
    let mut group = criterion.benchmark_group("wire");
    for (name, frame) in [
        ("request for a chunk", Frame::new(77, request)),
        ("a chunk", answer),
    ] {
        group.bench_function(format!("{name}, to bytes"), |bencher| {
            let mut out = BytesMut::with_capacity(128);
            bencher.iter(|| {
                out.clear();
                black_box(&frame).encode_head(&mut out);
                out.len()
            });
        });
        let mut head = BytesMut::new();
        frame.encode_head(&mut head);
        group.bench_function(format!("{name}, from bytes"), |bencher| {
            bencher.iter(|| read(black_box(&head)));
        });
    }
}

fn read(head: &[u8]) -> FrameHead {
    let (header, prefix) = header_len(head).expect("a length").expect("all of it");
    FrameHead::decode(&head[prefix..prefix + header]).expect("a head")
}
