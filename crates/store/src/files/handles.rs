//! Open files of the store, kept for their next reader or writer.

use std::{path::PathBuf, sync::Arc};

use hubless_content::FileHash;

use crate::{
    disk::{Access, DiskFile, is_loss},
    error::{IoContext, StoreError},
    files::{Files, partial::Partial},
};

/// Open files, unless the caller has fewer descriptors: a store never needs more than this, and a few.
pub(crate) const HANDLES_MAX: usize = 128;

/// An open file of the store. `partial` tells apart the files that one hash may have one after
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
            Err(StoreError::Io { source, .. }) if is_loss(&source) && state.removed => {
                let path = self.home.partial(partial.file);
                self.disk.open(&path, Access::Create).context("make", &path)
            }
            Err(StoreError::Io { source, .. }) if is_loss(&source) => {
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
}
