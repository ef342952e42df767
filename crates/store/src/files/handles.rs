//! Open files of the store, kept for their next reader or writer.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use hubless_content::{ChunkIndex, FileHash, chunk_offset};
use hubless_disk::{Access, DiskError, DiskFile, IoContext, is_loss};
use hubless_memory::KeptBuffers;

use crate::{
    error::StoreError,
    files::{Files, partial::Partial},
};

/// Open files, unless the caller has fewer descriptors: a store never needs more than this, and a few.
pub(crate) const HANDLES_MAX: usize = 128;

/// An open file of the store. `partial` distinguishes the files that one hash may have one after
/// the other: what was collected and is fetched again is another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct HandleKey {
    pub(crate) file: FileHash,
    pub(crate) partial: u64,
}

impl Files {
    /// An open file from the cache, or opened by `path` and put there.
    pub(crate) fn handle(
        &self,
        key: HandleKey,
        access: Access,
        path: impl FnOnce() -> PathBuf,
    ) -> Result<Arc<dyn DiskFile>, StoreError> {
        if let Some(handle) = self.handles.lock().get(key) {
            return Ok(handle);
        }
        let path = path();
        let handle = self.disk.open(&path, access).context("open", &path)?;
        self.handles.lock().insert(key, handle.clone(), 1);
        Ok(handle)
    }

    pub(crate) fn owned_handle(&self, file: FileHash) -> Result<Arc<dyn DiskFile>, StoreError> {
        self.handle(HandleKey { file, partial: 0 }, Access::Read, || {
            self.home.owned(file)
        })
    }

    pub(crate) fn partial_handle(
        &self,
        partial: &Partial,
    ) -> Result<Arc<dyn DiskFile>, StoreError> {
        let key = HandleKey {
            file: partial.file,
            partial: partial.id,
        };
        // Held while it is opened, so that it does not move to another place in between.
        let mut state = partial.lock();
        if state.published {
            return self.handle(key, Access::Read, || self.home.owned(partial.file));
        }
        let access = match self.index.is_read_only() {
            true => Access::Read,
            false => Access::Update,
        };
        let opened = self.handle(key, access, || self.home.partial(partial.file));
        match opened {
            // A removed one is written to once more at most, for nothing.
            Err(StoreError::Disk(DiskError::Io { source, .. }))
                if is_loss(&source) && state.removed =>
            {
                let path = self.home.partial(partial.file);
                let made = self.disk.open(&path, Access::Create);
                Ok(made.context("make", &path)?)
            }
            Err(StoreError::Disk(DiskError::Io { source, .. })) if is_loss(&source) => {
                self.home_is_there()?;
                self.lose_all(partial, &mut state);
                let handle = self.make_partial_file(partial.file, state.size)?;
                self.handles.lock().insert(key, handle.clone(), 1);
                Ok(handle)
            }
            opened => opened,
        }
    }

    pub(crate) fn drop_handle(&self, file: FileHash, partial: u64) {
        self.handles.lock().remove(HandleKey { file, partial });
    }

    /// The open file of a complete or external file, if it is open.
    pub(super) fn open_handle(&self, file: FileHash) -> Option<Arc<dyn DiskFile>> {
        self.handles.lock().get(HandleKey { file, partial: 0 })
    }

    /// Reads a chunk of `file` that should be there in full.
    pub(super) fn read_at(
        &self,
        file: &dyn DiskFile,
        path: impl FnOnce() -> PathBuf,
        index: ChunkIndex,
        len: usize,
    ) -> Result<Option<Bytes>, StoreError> {
        let mut buffer = self.buffers.take(len);
        match file.read_exact_at(buffer.bytes_mut(), chunk_offset(index)) {
            Ok(()) => Ok(Some(buffer.freeze())),
            Err(error) if is_loss(&error) => Ok(None),
            Err(error) => Err(DiskError::new("read", &path(), error).into()),
        }
    }

    /// Reads a chunk of a file that is open, if that needs no wait and `is_right` returns true afterwards.
    pub(super) fn read_open(
        &self,
        file: FileHash,
        index: ChunkIndex,
        len: usize,
        is_right: impl FnOnce(&dyn DiskFile) -> bool,
    ) -> Option<Bytes> {
        let handle = self.open_handle(file)?;
        let mut buffer = self.buffers.take(len);
        let read = handle.read_at_once(buffer.bytes_mut(), chunk_offset(index));
        // Checked after reading, so that a change before or during the read shows.
        let is_right = is_right(&*handle);
        // What took the place of another file meanwhile has another handle, or none.
        let is_same = || {
            let now = self.open_handle(file);
            now.is_some_and(|now| Arc::ptr_eq(&now, &handle))
        };
        (read.ok()? && is_right && is_same()).then(|| buffer.freeze())
    }

    /// Keeps the memory of chunks that were read and dropped for the next ones.
    pub(crate) fn keep_buffers(&self) -> KeptBuffers {
        self.buffers.keep()
    }
}
