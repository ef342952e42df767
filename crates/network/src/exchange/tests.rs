//! Frames through bytes, without a network.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{AsyncRead, io::Cursor};
use hubless_content::ChunkIndex;
use hubless_memory::Buffers;
use hubless_wire::{Body, Frame, PAYLOAD_BYTES_MAX, Request, Response, Scope};

use super::{
    reader::{FrameReader, Part, ReadError},
    writer::FrameWriter,
    *,
};
use crate::shaping::shaper::Shaper;

fn shaper() -> Shaper {
    Shaper::new(None, None)
}

/// Gives at most so many bytes at a time, and is pending before each.
struct Trickle {
    bytes: Cursor<Vec<u8>>,
    at_once: usize,
    is_ready: bool,
}

impl AsyncRead for Trickle {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.is_ready = !self.is_ready;
        if self.is_ready {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let length = buffer.len().min(self.at_once);
        Pin::new(&mut self.bytes).poll_read(context, &mut buffer[..length])
    }
}

fn frames() -> Vec<Frame> {
    let chunk = |id, length: usize| {
        let payload = Bytes::from((0..length).map(|at| (at + id) as u8).collect::<Vec<_>>());
        Frame::new(id as u64, Response::Chunk(ChunkIndex(id as u32))).with_payload(payload)
    };
    let have = Response::Have((0..1024).map(|first| 9 * first..9 * first + 4).collect());
    vec![
        Frame::new(0, Body::Hello),
        chunk(1, PAYLOAD_BYTES_MAX),
        Frame::new(2, Response::NotHere),
        chunk(3, 1),
        Frame::new(4, have),
        chunk(5, 16 * 1024 - 14),
        chunk(6, 16 * 1024),
        chunk(7, PAYLOAD_BYTES_MAX - 1),
        Frame::new(
            8,
            Request::Availability(Scope::File(hubless_content::FileHash::new([8; 32]))),
        ),
    ]
}

async fn written(frames: &[Frame]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = FrameWriter::new(Cursor::new(&mut bytes), PeerId::random(), shaper());
    for frame in frames {
        writer.write(frame).await.unwrap();
    }
    writer.flush().await.unwrap();
    drop(writer);
    bytes
}

async fn read(bytes: Vec<u8>, at_once: usize) -> (Vec<Frame>, Result<(), ReadError>) {
    let io = Trickle {
        bytes: Cursor::new(bytes),
        at_once,
        is_ready: false,
    };
    let mut reader = FrameReader::new(io, PeerId::random(), shaper(), Buffers::default());
    let mut frames = Vec::new();
    loop {
        match reader.next().await {
            Ok(Some((head, payload))) => {
                frames.push(Frame {
                    id: head.id,
                    body: head.body,
                    payload,
                });
            }
            Ok(None) => return (frames, Ok(())),
            Err(error) => return (frames, Err(error)),
        }
    }
}

#[tokio::test]
async fn what_is_written_is_read_however_it_is_cut() {
    let frames = frames();
    let bytes = written(&frames).await;
    let mut expected = Vec::new();
    for frame in &frames {
        let mut head = bytes::BytesMut::new();
        frame.encode_head(&mut head);
        expected.extend([&head[..], &frame.payload[..]].concat());
    }
    assert!(bytes == expected, "frames lie one behind the other");
    for at_once in [1, 7, 1000, 16 * 1024, usize::MAX] {
        let (read, end) = read(bytes.clone(), at_once).await;
        assert!(
            read == frames && end.is_ok(),
            "{at_once} bytes at once: {end:?}"
        );
    }
}

#[tokio::test]
async fn a_read_that_is_dropped_loses_nothing() {
    let frames = frames();
    let bytes = Cursor::new(written(&frames).await);
    let io = Trickle {
        bytes,
        at_once: 5000,
        is_ready: false,
    };
    let mut reader = FrameReader::new(io, PeerId::random(), shaper(), Buffers::default());
    let mut read = Vec::new();
    while read.len() < frames.len() {
        // Polls once, then drops the future.
        if let Some(next) = futures::FutureExt::now_or_never(reader.next()) {
            let (head, payload) = next.unwrap().unwrap();
            read.push(Frame {
                id: head.id,
                body: head.body,
                payload,
            });
        }
    }
    assert!(read == frames);
}

#[tokio::test]
async fn a_frame_is_reported_before_its_payload_is_here() {
    let bytes = Cursor::new(written(&frames()[1..3]).await);
    let io = Trickle {
        bytes,
        at_once: 100,
        is_ready: true,
    };
    let mut reader = FrameReader::new(io, PeerId::random(), shaper(), Buffers::default());
    let begun = reader.next_part().await.unwrap();
    assert!(matches!(begun, Some(Part::Begins(1))));
    let payload = futures::FutureExt::now_or_never(reader.next_part());
    assert!(payload.is_none(), "what is missing is waited for");
    let whole = reader.next_part().await.unwrap();
    assert!(matches!(whole, Some(Part::Whole(head, _)) if head.id == 1));
    let without_payload = reader.next_part().await.unwrap();
    assert!(matches!(without_payload, Some(Part::Whole(head, _)) if head.id == 2));
}

#[tokio::test]
async fn every_cut_inside_a_frame_is_noticed() {
    let frames = [Frame::new(1, Response::Chunk(ChunkIndex(1))).with_payload(vec![1; 100].into())];
    let bytes = written(&frames).await;
    for length in 1..bytes.len() {
        let (read, end) = read(bytes[..length].to_vec(), usize::MAX).await;
        assert!(
            read.is_empty() && matches!(end, Err(ReadError::Truncated)),
            "{length}: {end:?}"
        );
    }
}

#[tokio::test]
async fn lengths_beyond_the_limits_are_refused_before_anything_is_allocated() {
    let header = read(vec![0xff, 0xff, 0xff, 0xff], 1).await.1;
    assert!(
        matches!(header, Err(ReadError::Frame(FrameError::HeaderTooLong))),
        "{header:?}"
    );
    // A chunk with 4 GiB of payload.
    let bytes = vec![11, 8, 1, 16, 0xff, 0xff, 0xff, 0xff, 0x0f, 0xa2, 1, 0];
    let payload = read(bytes, 1).await.1;
    let too_long = FrameError::PayloadTooLong(u32::MAX);
    assert!(matches!(payload, Err(ReadError::Frame(error)) if error == too_long));
}
