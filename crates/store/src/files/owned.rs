//! Complete files below the home directory.

use bytes::Bytes;
use hubless_content::{ChunkIndex, ChunkSet, FileHash, chunk_count, chunk_len};
use hubless_disk::{Access, DiskError, IoContext, Signature, is_loss};

use crate::{
    error::StoreError,
    files::{
        Files,
        chunk_source::{ChunkRead, ChunkSource},
        source::OpenBytes,
    },
};

/// A complete file of the store.
pub(super) struct OwnedFile<'a> {
    pub(super) files: &'a Files,
    pub(super) file: FileHash,
    pub(super) size: u64,
    /// Its signature when it was last known to be right.
    pub(super) right: &'a Signature,
}

impl ChunkSource for OwnedFile<'_> {
    fn presence(&self) -> ChunkSet {
        ChunkSet::full(chunk_count(self.size))
    }

    fn read(&self, index: ChunkIndex) -> Result<ChunkRead, StoreError> {
        let (files, file) = (self.files, self.file);
        let Some(len) = chunk_len(self.size, index) else {
            return Ok(ChunkRead::Absent);
        };
        let path = || files.home.owned(file);
        let handle = match files.owned_handle(file) {
            Err(StoreError::Disk(DiskError::Io { source, .. })) if is_loss(&source) => {
                files.home_is_there()?;
                return Ok(ChunkRead::Lost);
            }
            handle => handle?,
        };
        let Some(bytes) = files.read_at(&*handle, path, index, len)? else {
            files.drop_handle(file, 0);
            return Ok(ChunkRead::Lost);
        };
        // After reading, so that a change before or during the read shows.
        let now = handle.signature().context("read", &path())?;
        let is_known = now == files.known_signature(file, self.right);
        if !is_known {
            // Another file may lie there now: the next reader opens it.
            files.drop_handle(file, 0);
            files.note_touched(file);
        }
        Ok(ChunkRead::Bytes { bytes, is_known })
    }

    fn read_now(&self, index: ChunkIndex) -> Option<Bytes> {
        let len = chunk_len(self.size, index)?;
        self.files.read_open(self.file, index, len, |handle| {
            let right = self.files.known_signature(self.file, self.right);
            handle.signature().is_ok_and(|now| now == right)
        })
    }

    fn open(&self) -> Result<OpenBytes, StoreError> {
        let path = self.files.home.owned(self.file);
        match self.files.disk.open(&path, Access::Read) {
            Ok(file) => Ok(OpenBytes::File(file)),
            Err(error) if is_loss(&error) => {
                self.files.home_is_there()?;
                Ok(OpenBytes::Nothing)
            }
            Err(error) => Err(DiskError::new("open", &path, error).into()),
        }
    }
}
