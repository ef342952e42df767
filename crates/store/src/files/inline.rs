//! Files of one chunk, whose bytes are in the index or wait to be committed, and files that are nowhere.

use bytes::Bytes;
use hubless_content::{ChunkIndex, ChunkList, ChunkSet, FileHash, VerifiedChunk, chunk_len};

use crate::{
    error::StoreError,
    files::{
        Files,
        chunk_source::{ChunkRead, ChunkSource},
        source::OpenBytes,
    },
};

/// A file of which no chunk can be read.
pub(super) struct Absent {
    pub(super) chunks: u32,
}

impl ChunkSource for Absent {
    fn presence(&self) -> ChunkSet {
        ChunkSet::empty(self.chunks)
    }

    fn read(&self, _: ChunkIndex) -> Result<ChunkRead, StoreError> {
        Ok(ChunkRead::Absent)
    }

    fn read_now(&self, _: ChunkIndex) -> Option<Bytes> {
        None
    }

    fn open(&self) -> Result<OpenBytes, StoreError> {
        Ok(OpenBytes::Nothing)
    }
}

/// A file that waits for its commit. This process verified it.
pub(super) struct WaitingFile<'a> {
    pub(super) bytes: &'a Bytes,
}

impl ChunkSource for WaitingFile<'_> {
    fn presence(&self) -> ChunkSet {
        ChunkSet::full(1)
    }

    fn read(&self, index: ChunkIndex) -> Result<ChunkRead, StoreError> {
        Ok(match self.read_now(index) {
            Some(bytes) => ChunkRead::Bytes {
                bytes,
                is_known: true,
            },
            None => ChunkRead::Absent,
        })
    }

    fn read_now(&self, index: ChunkIndex) -> Option<Bytes> {
        (index.0 == 0).then(|| self.bytes.clone())
    }

    fn open(&self) -> Result<OpenBytes, StoreError> {
        Ok(OpenBytes::Bytes(self.bytes.clone()))
    }
}

/// A file in the index.
pub(super) struct InlineFile<'a> {
    pub(super) files: &'a Files,
    pub(super) file: FileHash,
    pub(super) size: u64,
}

impl ChunkSource for InlineFile<'_> {
    fn presence(&self) -> ChunkSet {
        ChunkSet::full(1)
    }

    fn read(&self, index: ChunkIndex) -> Result<ChunkRead, StoreError> {
        if chunk_len(self.size, index).is_none() {
            return Ok(ChunkRead::Absent);
        }
        Ok(match self.files.index.files().inline_bytes(self.file)? {
            // No signature says that these bytes of the index are right.
            Some(bytes) => ChunkRead::Bytes {
                bytes,
                is_known: false,
            },
            None => ChunkRead::Lost,
        })
    }

    fn read_now(&self, _: ChunkIndex) -> Option<Bytes> {
        None
    }

    fn open(&self) -> Result<OpenBytes, StoreError> {
        Ok(match self.files.index.files().inline_bytes(self.file)? {
            Some(bytes) => OpenBytes::Bytes(bytes),
            None => OpenBytes::Nothing,
        })
    }
}

impl Files {
    /// The chunk of a file that has only one, hashed on every call. Its hash is the file's address: one
    /// look-up and one hash prove it, without the file's record and chunk list. `None` if the file has
    /// more chunks, is not held, or its bytes are wrong; the other ways to read distinguish these.
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
            None => self.index.files().inline_bytes(file)?,
        };
        let prove = |bytes: Bytes| {
            let list = ChunkList::single(file, bytes.len() as u64).ok()?;
            list.verify(index, bytes).ok()
        };
        Ok(bytes.and_then(prove))
    }
}
