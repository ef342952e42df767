//! Frames onto a stream: small ones gathered into one write, payloads written from where they lie.

use std::{
    io,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use futures::{AsyncWrite, AsyncWriteExt as _};
use hubless_wire::Frame;
use libp2p::PeerId;
use tokio::sync::mpsc;

use crate::shaping::shaper::Shaper;

/// What is gathered before it is written. The muxer cuts writes into frames of this size, so whole
/// ones leave no short frame behind.
const GATHER_BYTES: usize = 16 * 1024;

/// The longest time a frame may take on its way, waits for our own limit apart: what does not
/// accept 256 KiB within it (4 kB/s) holds memory for nothing.
const FRAME_TIME_MAX: Duration = Duration::from_secs(60);

/// Writes frames.
pub(super) struct FrameWriter<W> {
    io: W,
    peer: PeerId,
    shaper: Shaper,
    gathered: BytesMut,
    deadline: Instant,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    pub(super) fn new(io: W, peer: PeerId, shaper: Shaper) -> Self {
        let gathered = BytesMut::with_capacity(GATHER_BYTES);
        Self {
            io,
            peer,
            shaper,
            gathered,
            deadline: Instant::now(),
        }
    }

    /// Writes a frame, the end of it perhaps only with the next one or [`FrameWriter::flush`].
    pub(super) async fn write(&mut self, frame: &Frame) -> io::Result<()> {
        self.deadline = Instant::now() + FRAME_TIME_MAX;
        frame.encode_head(&mut self.gathered);
        let mut rest = &frame.payload[..];
        while !rest.is_empty() {
            let allowed = self.allowed(rest.len()).await;
            let (piece, later) = rest.split_at(allowed.min(rest.len()));
            self.write_piece(piece).await?;
            self.shaper.count(piece.len());
            rest = later;
        }
        if self.gathered.len() >= GATHER_BYTES {
            self.write_gathered().await?;
        }
        Ok(())
    }

    /// Writes all that is gathered and sends it off.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        self.deadline = Instant::now() + FRAME_TIME_MAX;
        self.write_gathered().await?;
        in_time(self.deadline, self.io.flush()).await
    }

    /// Closes this side of the stream.
    pub(super) async fn close(&mut self) -> io::Result<()> {
        self.flush().await?;
        in_time(self.deadline, self.io.close()).await
    }

    /// Waits for our turn under the limit; the wait is not the other side's fault.
    async fn allowed(&mut self, want: usize) -> usize {
        match self.shaper.request(self.peer, want) {
            Ok(allowed) => allowed,
            Err(turn) => {
                let since = Instant::now();
                let allowed = turn.await.unwrap_or(want);
                self.deadline += since.elapsed();
                allowed
            }
        }
    }

    async fn write_piece(&mut self, mut piece: &[u8]) -> io::Result<()> {
        if !self.gathered.is_empty() {
            let room = GATHER_BYTES
                .saturating_sub(self.gathered.len())
                .min(piece.len());
            self.gathered.extend_from_slice(&piece[..room]);
            piece = &piece[room..];
            if self.gathered.len() < GATHER_BYTES {
                return Ok(());
            }
            self.write_gathered().await?;
        }
        let (whole, rest) = piece.split_at(piece.len() - piece.len() % GATHER_BYTES);
        in_time(self.deadline, self.io.write_all(whole)).await?;
        self.gathered.extend_from_slice(rest);
        Ok(())
    }

    async fn write_gathered(&mut self) -> io::Result<()> {
        in_time(self.deadline, self.io.write_all(&self.gathered)).await?;
        self.gathered.clear();
        Ok(())
    }
}

/// Writes frames as they come and flushes when there are none, until their senders are gone.
pub(super) async fn forward<W: AsyncWrite + Unpin>(
    writer: &mut FrameWriter<W>,
    frames: &mut mpsc::Receiver<Frame>,
) -> io::Result<()> {
    while let Some(frame) = frames.recv().await {
        writer.write(&frame).await?;
        while let Ok(frame) = frames.try_recv() {
            writer.write(&frame).await?;
        }
        writer.flush().await?;
    }
    Ok(())
}

async fn in_time(deadline: Instant, write: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    match tokio::time::timeout_at(deadline.into(), write).await {
        Ok(written) => written,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the other side reads too slowly",
        )),
    }
}
