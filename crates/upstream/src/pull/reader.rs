//! One reader of a pull: it follows behind what is released, and reads the end from the store.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use hubless_content::{CHUNK_SIZE, FileHash, ManifestEntry};
use hubless_transfer::{Fetches, fetch::StoredStream};

use super::join_or_begin;
use crate::{
    pulls::{Grant, Origin, PullError, Reader},
    upstream::Upstream,
};

/// Bytes that a reader takes at once.
const READ_BYTES: usize = 4 * CHUNK_SIZE;

/// Files up to this size are pulled as a whole, whatever part of them is asked for.
const WHOLE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A range of a file that comes in.
pub struct PulledStream {
    fetches: Arc<Fetches>,
    reader: Reader,
    origin: Origin,
    range: Range<u64>,
    /// The trusted file whose chunks this reader got before the proof.
    believed: Option<FileHash>,
}

/// What a reader gets.
pub enum Pulled {
    /// The next bytes.
    Bytes(Bytes),
    /// The rest is to be read from the store.
    InStore(ManifestEntry),
}

impl PulledStream {
    /// Reads a file that comes in; begins its pull if there is none. `None` for a part that would
    /// have to wait for what comes before it: a client that reads the header of a large file does
    /// not want all of it.
    pub fn join(
        fetches: &Arc<Fetches>,
        upstream: &Arc<Upstream>,
        origin: &Origin,
        range: Range<u64>,
    ) -> Option<Self> {
        let is_whole = range == (0..origin.size) || origin.size <= WHOLE_BYTES_MAX;
        let near = Some(range.start);
        let reader = join_or_begin(fetches, upstream, origin, near, is_whole)?;
        Some(Self::new(fetches, origin, reader, range))
    }

    /// Reads a part of a file that can only be had as a whole.
    pub fn wait(
        fetches: &Arc<Fetches>,
        upstream: &Arc<Upstream>,
        origin: &Origin,
        range: Range<u64>,
    ) -> Option<Self> {
        let reader = join_or_begin(fetches, upstream, origin, None, true)?;
        Some(Self::new(fetches, origin, reader, range))
    }

    fn new(fetches: &Arc<Fetches>, origin: &Origin, reader: Reader, range: Range<u64>) -> Self {
        Self {
            fetches: fetches.clone(),
            reader,
            origin: origin.clone(),
            range,
            believed: None,
        }
    }

    /// The next bytes; `None` at the end of the range.
    ///
    /// # Errors
    /// Why the pull failed, or that this reader got bytes that proved to be wrong.
    pub async fn next(&mut self) -> Result<Option<Pulled>, Arc<PullError>> {
        while !self.range.is_empty() {
            let bytes = match self.reader.grant(&self.range) {
                Grant::Upstream(end) => Some(self.read(end).await?),
                Grant::Chunks(file, end) => self.held(file, end).await?,
                Grant::Wait => None,
                Grant::Stored(file) => return self.stored(file).map(Some),
                Grant::Failed(error) => return Err(error),
            };
            if let Some(bytes) = bytes {
                self.range.start += bytes.len() as u64;
                return Ok(Some(Pulled::Bytes(bytes)));
            }
            self.reader.changed().await;
        }
        Ok(None)
    }

    async fn read(&self, end: u64) -> Result<Bytes, PullError> {
        let body = self.reader.body().ok_or(PullError::Interrupted)?;
        let (at, left) = (self.range.start, end - self.range.start);
        let len = usize::try_from(left).unwrap_or(READ_BYTES).min(READ_BYTES);
        let read = self
            .fetches
            .cx
            .blocking
            .run(move || body.read(at, len))
            .await;
        Ok(read??)
    }

    /// Chunks of a trusted file, if the next one is stored.
    async fn held(&mut self, file: FileHash, end: u64) -> Result<Option<Bytes>, PullError> {
        let rest = self.range.start..end;
        let entry = self.origin.entry(file);
        let stored = StoredStream::new(self.fetches.clone(), None, entry, rest);
        let held = stored.held().await.map_err(PullError::Chunks)?;
        if held.is_some() {
            self.believed = Some(file);
        }
        Ok(held)
    }

    fn stored(&self, file: FileHash) -> Result<Pulled, Arc<PullError>> {
        match self.believed {
            Some(believed) if believed != file => Err(Arc::new(PullError::Misled {
                path: self.origin.path.clone(),
            })),
            _ => Ok(Pulled::InStore(self.origin.entry(file))),
        }
    }
}
