//! Reading chunks: as they are for peers, which verify them, and proven for all other readers.
//!
//! A file of one chunk needs one look-up and one hash: its address is the hash of its bytes. A chunk of
//! a larger file is compared with its chaining value; the lists of these are proven once and kept while
//! their files are read.

use bytes::{Bytes, BytesMut};
use hubless_content::{ChunkIndex, ChunkList, FileHash, chunk_offset};
use hubless_memory::Lru;
use hubless_sync::lock;

use crate::{error::StoreError, files::chunk_source::ChunkRead, work::Work};

/// Times a chunk is read again when what was wrong with it turns out to be gone: its file moved while
/// it was read.
const READ_TRIES: usize = 3;

/// Chaining values of all chunk lists that are kept for their readers: 16 MiB, those of 128 GiB of
/// files. To get a list from the index and prove it takes as long as to hash a chunk or, of a large
/// file, many.
pub(crate) const LISTS_IN_USE_CVS: usize = 512 * 1024;

/// What a short list counts for, so that there are 512 lists at most.
const LIST_WEIGHT_MIN: usize = 1024;

/// Chunk lists by file and size. These decide what is in a list, so that none is ever out of date.
pub(crate) type ListsInUse = Lru<(FileHash, u64), ChunkList>;

impl Work {
    /// The bytes of a chunk for a reader that verifies them, as a peer does; `None` if they are not
    /// held.
    pub(crate) fn read_chunk(
        &self,
        file: FileHash,
        index: ChunkIndex,
    ) -> Result<Option<Bytes>, StoreError> {
        if let Some(chunk) = self.files.proven_inline(file, index)? {
            self.files.uses.note(file);
            return Ok(Some(chunk.bytes().clone()));
        }
        let located = self.files.locate(file)?;
        match self.files.read(file, &located, index)? {
            ChunkRead::Absent => Ok(None),
            ChunkRead::Bytes {
                bytes,
                is_known: true,
            } => {
                self.files.uses.note(file);
                Ok(Some(bytes))
            }
            _ => self.read_proven(file, index),
        }
    }

    /// The bytes of a chunk, hashed against the chunk list on every call; `None` if they are not
    /// held. A chunk that is wrong, cut off or unreadable is rejected: it is no longer held, it is
    /// counted and logged, the hook of `on_damage` is called, and the answer is `None`.
    pub(crate) fn read_proven(
        &self,
        file: FileHash,
        index: ChunkIndex,
    ) -> Result<Option<Bytes>, StoreError> {
        let outcome = self.find_proven(file, index);
        if matches!(outcome, Ok(Some(_))) {
            self.files.uses.note(file);
        }
        self.files.damage.deliver();
        outcome
    }

    /// Bytes `offset..offset + len` of a file, each chunk verified while it is read.
    pub(crate) fn read_range(
        &self,
        file: FileHash,
        offset: u64,
        len: u64,
    ) -> Result<Bytes, StoreError> {
        let incomplete = StoreError::Incomplete { file };
        let Some(size) = self.files.file(file)?.map(|info| info.size) else {
            return Err(incomplete);
        };
        let end = offset.saturating_add(len);
        if end > size {
            return Err(StoreError::Range { file, end, size });
        }
        let mut range = BytesMut::new();
        let mut at = offset;
        while at < end {
            let Some(index) = ChunkIndex::of_offset(at) else {
                return Err(incomplete);
            };
            let Some(chunk) = self.read_proven(file, index)? else {
                return Err(StoreError::Incomplete { file });
            };
            let start = chunk_offset(index);
            let stop = (end - start).min(chunk.len() as u64);
            range.extend_from_slice(&chunk[(at - start) as usize..stop as usize]);
            at = start + stop;
        }
        Ok(range.freeze())
    }

    pub(crate) fn find_proven(
        &self,
        file: FileHash,
        index: ChunkIndex,
    ) -> Result<Option<Bytes>, StoreError> {
        if let Some(chunk) = self.files.proven_inline(file, index)? {
            return Ok(Some(chunk.bytes().clone()));
        }
        for _ in 0..READ_TRIES {
            let located = self.files.locate(file)?;
            let bytes = match self.files.read(file, &located, index)? {
                ChunkRead::Absent => return Ok(None),
                ChunkRead::Bytes { bytes, .. } => bytes,
                ChunkRead::Lost => Bytes::new(),
            };
            let Some(list) = self.list_in_use(file, located.size())? else {
                return Ok(None);
            };
            if list.check(index, &bytes).is_ok() {
                return Ok(Some(bytes));
            }
            if !self.commits.reject(file, &[index])?.is_empty() {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// As [`Shared::list_or_make`], for a file of this size that is read chunk by chunk.
    pub(crate) fn list_in_use(
        &self,
        file: FileHash,
        size: u64,
    ) -> Result<Option<ChunkList>, StoreError> {
        let key = (file, size);
        if let Some(list) = lock(&self.lists).get(key) {
            return Ok(Some(list));
        }
        let list = self.list_or_make(file)?;
        if let Some(list) = list.as_ref().filter(|list| list.size() == size) {
            let weight = list.cvs().len().max(LIST_WEIGHT_MIN);
            lock(&self.lists).insert(key, list.clone(), weight);
        }
        Ok(list)
    }

    /// Reads one chunk again and checks it; rejects it if it is wrong. For a chunk that a peer
    /// reported as wrong. True if it is held and right.
    pub(crate) fn recheck(&self, file: FileHash, index: ChunkIndex) -> Result<bool, StoreError> {
        Ok(self.read_proven(file, index)?.is_some())
    }

    /// As `read_chunk`, for a thread that must not wait; `None` if it would have to.
    pub(crate) fn read_chunk_at_once(&self, file: FileHash, index: ChunkIndex) -> Option<Bytes> {
        let (bytes, _) = self.files.read_at_once(file, index)?;
        self.files.uses.note(file);
        Some(bytes)
    }

    /// As `read_proven`, for a thread that must not wait; `None` also if the chunk is wrong.
    pub(crate) fn read_proven_at_once(&self, file: FileHash, index: ChunkIndex) -> Option<Bytes> {
        let (bytes, size) = self.files.read_at_once(file, index)?;
        let list = lock(&self.lists).get((file, size))?;
        list.check(index, &bytes).ok()?;
        self.files.uses.note(file);
        Some(bytes)
    }
}
