//! The held bytes of a file, in order: those in the page cache at once, others ahead of the reader.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use hubless_content::{CHUNK_SIZE, ChunkIndex, ManifestEntry, chunk_offset};
use hubless_memory::KeptBuffers;
use hubless_store::{FilesGuard, Store, StoreError};
use tokio::{sync::OwnedSemaphorePermit, task::JoinHandle};

use crate::{error::TransferError, fetches::Fetches};

/// Chunks that are read at once. With the one that is sent and the one that is read ahead, a reader
/// that takes nothing has two in memory.
const READ_CHUNKS: usize = 1;

/// Chunks that one check of what is held takes: 2 MiB.
const HELD_CHUNKS: usize = 8;

type Reading = JoinHandle<Result<Vec<Bytes>, StoreError>>;

/// Reads what the store holds of a range of a file; every chunk is hashed.
pub(super) struct HeldReader {
    fetches: Arc<Fetches>,
    file: ManifestEntry,
    /// What was not read yet.
    range: Range<u64>,
    ahead: Option<(Reading, OwnedSemaphorePermit)>,
    /// Whether the disk was waited for last.
    waited_for_disk: bool,
    /// Neither collected nor evicted while it is read.
    _in_use: FilesGuard,
    _buffers: KeptBuffers,
}

impl HeldReader {
    pub(super) fn new(fetches: Arc<Fetches>, file: ManifestEntry, range: Range<u64>) -> Self {
        let in_use = fetches.cx.store.protect_files();
        in_use.add(file.hash);
        let buffers = fetches.cx.store.keep_buffers();
        Self {
            fetches,
            file,
            range,
            ahead: None,
            waited_for_disk: false,
            _in_use: in_use,
            _buffers: buffers,
        }
    }

    pub(super) fn file(&self) -> &ManifestEntry {
        &self.file
    }

    /// What was not read yet.
    pub(super) fn left(&self) -> Range<u64> {
        self.range.clone()
    }

    /// The next pieces; none if the next chunk is not held.
    pub(super) async fn next(&mut self) -> Result<Vec<Bytes>, TransferError> {
        let pieces = self.read().await?;
        self.range.start += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        if !pieces.is_empty() && !self.range.is_empty() && self.waited_for_disk {
            self.ahead = self.read_ahead();
        }
        Ok(pieces)
    }

    /// What is held at the beginning of the range, a few chunks at most, without passing over it.
    pub(super) async fn peek(&self) -> Result<Vec<Bytes>, TransferError> {
        let pieces = self.start_reading(HELD_CHUNKS).await;
        Ok(pieces.map_err(|_| TransferError::Interrupted)??)
    }

    /// Reads what comes next while the reader takes what was read, if there is room for it.
    fn read_ahead(&self) -> Option<(Reading, OwnedSemaphorePermit)> {
        let room = self.fetches.read_ahead.clone().try_acquire_owned().ok()?;
        Some((self.start_reading(READ_CHUNKS), room))
    }

    fn start_reading(&self, chunks: usize) -> Reading {
        let (store, file, range) = (
            self.fetches.cx.store.clone(),
            self.file.clone(),
            self.range.clone(),
        );
        let blocking = self.fetches.cx.blocking.clone();
        tokio::spawn(async move {
            let read = blocking
                .run(move || held_pieces(&store, &file, range, chunks))
                .await;
            read.unwrap_or(Ok(Vec::new()))
        })
    }

    async fn read(&mut self) -> Result<Vec<Bytes>, TransferError> {
        let (ahead, _room) = self.ahead.take().unzip();
        let at_once = ahead.is_none().then(|| self.read_at_once()).flatten();
        if let Some(piece) = at_once {
            self.waited_for_disk = false;
            return Ok(vec![piece]);
        }
        let reading = ahead.unwrap_or_else(|| self.start_reading(READ_CHUNKS));
        self.waited_for_disk = !reading.is_finished();
        let pieces = reading.await.map_err(|_| TransferError::Interrupted)?;
        Ok(pieces?)
    }

    /// The rest of the chunk that comes next, if it is in memory.
    fn read_at_once(&self) -> Option<Bytes> {
        let index = ChunkIndex::of_offset(self.range.start)?;
        let chunk = (self.fetches.cx.store).read_proven_at_once(self.file.hash, index)?;
        part_of(&chunk, index, self.range.clone())
    }
}

/// The held bytes at the beginning of a range, so many chunks of them at most.
fn held_pieces(
    store: &Store,
    file: &ManifestEntry,
    range: Range<u64>,
    chunks: usize,
) -> Result<Vec<Bytes>, StoreError> {
    let mut pieces = Vec::with_capacity(chunks);
    let mut at = range.start;
    while at < range.end && pieces.len() < chunks {
        let Some(index) = ChunkIndex::of_offset(at) else {
            break;
        };
        let Some(chunk) = store.read_proven(file.hash, index)? else {
            break;
        };
        let Some(piece) = part_of(&chunk, index, at..range.end) else {
            break;
        };
        at += piece.len() as u64;
        pieces.push(piece);
    }
    Ok(pieces)
}

/// What a chunk has of a range that begins in it; `None` if the chunk ends before that.
fn part_of(chunk: &Bytes, index: ChunkIndex, range: Range<u64>) -> Option<Bytes> {
    let start = chunk_offset(index);
    let end = range.end.min(start + CHUNK_SIZE as u64);
    let inside = (range.start - start) as usize..(end - start) as usize;
    (inside.end <= chunk.len()).then(|| chunk.slice(inside))
}
