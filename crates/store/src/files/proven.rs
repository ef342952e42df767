//! Chunks that are hashed whenever they are read, for readers that cannot verify them.
//!
//! A file of one chunk needs one look-up and one hash: its address is the hash of its bytes. A chunk of
//! a larger file is compared with its chaining value; the lists of these are proven once and kept while
//! their files are read.

use bytes::Bytes;
use hubless_content::{ChunkIndex, ChunkList, FileHash, VerifiedChunk};

use crate::{Shared, error::StoreError, files::chunks::Read, lru::Lru, sync::lock};

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

impl Shared {
    pub(super) fn read_proven(
        &self,
        file: FileHash,
        index: ChunkIndex,
    ) -> Result<Option<Bytes>, StoreError> {
        if let Some(chunk) = self.proven_inline(file, index)? {
            return Ok(Some(chunk.bytes().clone()));
        }
        for _ in 0..READ_TRIES {
            let located = self.locate(file)?;
            let bytes = match self.read(file, &located, index)? {
                Read::Absent => return Ok(None),
                Read::Bytes { bytes, .. } => bytes,
                Read::Lost => Bytes::new(),
            };
            let Some(list) = self.list_in_use(file, located.size())? else {
                return Ok(None);
            };
            if list.check(index, &bytes).is_ok() {
                return Ok(Some(bytes));
            }
            if !self.reject(file, &[index])?.is_empty() {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// As [`Shared::read_proven`], if that needs no wait and the chunk is right.
    pub(super) fn read_proven_at_once(&self, file: FileHash, index: ChunkIndex) -> Option<Bytes> {
        let (bytes, size) = self.read_at_once(file, index)?;
        let list = lock(&self.lists).get((file, size))?;
        list.check(index, &bytes).ok()?;
        Some(bytes)
    }

    /// The chunk of a file that has only one, hashed on every call. Its hash is the file's address: one
    /// look-up and one hash prove it, without the file's record and chunk list. `None` if the file has
    /// more chunks, is not held, or its bytes are wrong; the other ways to read tell these apart.
    pub(crate) fn proven_inline(
        &self,
        file: FileHash,
        index: ChunkIndex,
    ) -> Result<Option<VerifiedChunk>, StoreError> {
        if index.0 > 0 {
            return Ok(None);
        }
        // The queue before the index: bytes leave the one only after they are in the other.
        let bytes = match self.queue.inline(file) {
            Some(bytes) => Some(bytes),
            None => self.read_inline(file)?,
        };
        let prove = |bytes: Bytes| {
            let list = ChunkList::single(file, bytes.len() as u64).ok()?;
            list.verify(index, bytes).ok()
        };
        Ok(bytes.and_then(prove))
    }

    /// As [`Shared::list_or_make`], for a file of this size that is read chunk by chunk.
    fn list_in_use(&self, file: FileHash, size: u64) -> Result<Option<ChunkList>, StoreError> {
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
}
