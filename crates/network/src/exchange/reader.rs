//! Frames from a stream: headers through a small buffer, payloads straight into their own.

use std::{io, time::Duration};

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt as _};
use hubless_memory::{Buffer, Buffers, KeptBuffers};
use hubless_wire::{FrameError, FrameHead, header_len};
use libp2p::PeerId;

use crate::shaping::shaper::{Shaper, Turn};

/// The buffer that headers are read through: hundreds of requests, or what one muxer frame holds.
const BUFFER_BYTES: usize = 16 * 1024;

/// Within a frame, the longest time without a byte.
const STALL_MAX: Duration = Duration::from_secs(60);

/// Why there are no more frames.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the stream ended inside a frame")]
    Truncated,
    #[error("no byte for {STALL_MAX:?} inside a frame")]
    Stalled,
}

/// What comes of a frame.
pub(super) enum Part {
    /// The header of the frame with this id is here, its payload follows.
    Begins(u64),
    /// All of it.
    Whole(FrameHead, Bytes),
}

/// A payload on its way.
struct Payload {
    head: FrameHead,
    buffer: Buffer,
    filled: usize,
    /// Bytes that the limit lets pass already.
    allowed: usize,
    turn: Option<Turn>,
}

/// Reads frames. [`FrameReader::next`] and [`FrameReader::next_part`] may be dropped at any time and
/// called again: all that was read is kept here.
pub(super) struct FrameReader<R> {
    io: R,
    peer: PeerId,
    shaper: Shaper,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    payload: Option<Payload>,
    buffers: Buffers,
    _kept: KeptBuffers,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(io: R, peer: PeerId, shaper: Shaper, buffers: Buffers) -> Self {
        let buffer = vec![0; BUFFER_BYTES];
        Self {
            io,
            peer,
            shaper,
            buffer,
            start: 0,
            end: 0,
            payload: None,
            _kept: buffers.keep(),
            buffers,
        }
    }

    /// The next frame; `None` if the stream ended between two.
    pub(super) async fn next(&mut self) -> Result<Option<(FrameHead, Bytes)>, ReadError> {
        loop {
            match self.next_part().await? {
                Some(Part::Begins(_)) => {}
                Some(Part::Whole(head, payload)) => return Ok(Some((head, payload))),
                None => return Ok(None),
            }
        }
    }

    /// The beginning of the next frame if it has a payload, then the frame; `None` if the stream
    /// ended between two.
    pub(super) async fn next_part(&mut self) -> Result<Option<Part>, ReadError> {
        if self.payload.is_none() {
            let Some(head) = self.head().await? else {
                return Ok(None);
            };
            if head.payload == 0 {
                return Ok(Some(Part::Whole(head, Bytes::new())));
            }
            let id = head.id;
            // The length was checked against the limit when the header was decoded.
            let buffer = self.buffers.take(head.payload);
            self.payload = Some(Payload {
                head,
                buffer,
                filled: 0,
                allowed: 0,
                turn: None,
            });
            return Ok(Some(Part::Begins(id)));
        }
        self.fill_payload().await?;
        Ok(self
            .payload
            .take()
            .map(|payload| Part::Whole(payload.head, payload.buffer.freeze())))
    }

    /// Throws away all that comes until the stream ends.
    pub(super) async fn drain(&mut self) {
        while self
            .io
            .read(&mut self.buffer)
            .await
            .is_ok_and(|read| read > 0)
        {}
    }

    async fn head(&mut self) -> Result<Option<FrameHead>, ReadError> {
        loop {
            let unread = &self.buffer[self.start..self.end];
            let mut missing = 1;
            if let Some((length, prefix)) = header_len(unread)? {
                let whole = prefix + length;
                if let Some(header) = unread.get(prefix..whole) {
                    let head = FrameHead::decode(header)?;
                    self.start += whole;
                    return Ok(Some(head));
                }
                missing = whole - unread.len();
            }
            if !self.fill_buffer(missing).await? {
                return if self.start == self.end {
                    Ok(None)
                } else {
                    Err(ReadError::Truncated)
                };
            }
        }
    }

    /// Reads more into the buffer, which has room for `missing` bytes then; `false` at the end.
    async fn fill_buffer(&mut self, missing: usize) -> Result<bool, ReadError> {
        if self.start == self.end || self.buffer.len() - self.end < missing {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.buffer.len() < self.end + missing {
                self.buffer.resize(self.end + missing, 0);
            }
        }
        let read = self.io.read(&mut self.buffer[self.end..]);
        // Between frames a stream may rest for as long as it likes.
        let read = if self.start == self.end {
            read.await?
        } else {
            in_time(read).await?
        };
        self.end += read;
        Ok(read > 0)
    }

    async fn fill_payload(&mut self) -> Result<(), ReadError> {
        let Some(payload) = &mut self.payload else {
            return Ok(());
        };
        while payload.filled < payload.buffer.len() {
            if payload.allowed == 0 {
                payload.allow(&self.shaper, self.peer).await;
            }
            let room = payload.filled..payload.filled + payload.allowed;
            let read = if self.start < self.end {
                let read = payload.allowed.min(self.end - self.start);
                let from = &self.buffer[self.start..self.start + read];
                payload.buffer.bytes_mut()[room][..read].copy_from_slice(from);
                self.start += read;
                read
            } else {
                in_time(self.io.read(&mut payload.buffer.bytes_mut()[room])).await?
            };
            if read == 0 {
                return Err(ReadError::Truncated);
            }
            payload.filled += read;
            payload.allowed -= read;
            self.shaper.count(read);
        }
        Ok(())
    }
}

impl Payload {
    /// Waits for this payload's turn. The place in the queue is kept if the wait is dropped.
    async fn allow(&mut self, shaper: &Shaper, peer: PeerId) {
        let missing = self.buffer.len() - self.filled;
        if self.turn.is_none() {
            match shaper.request(peer, missing) {
                Ok(allowed) => self.allowed = allowed,
                Err(turn) => self.turn = Some(turn),
            }
        }
        if let Some(turn) = &mut self.turn {
            // Without a turn the node is stopping, and so is this stream.
            self.allowed = turn.await.unwrap_or(missing);
            self.turn = None;
        }
    }
}

async fn in_time(read: impl Future<Output = io::Result<usize>>) -> Result<usize, ReadError> {
    Ok(tokio::time::timeout(STALL_MAX, read)
        .await
        .map_err(|_| ReadError::Stalled)??)
}
