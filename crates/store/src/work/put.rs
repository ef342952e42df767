//! Chunks in, and room for them.

use std::sync::Arc;

use bytes::Bytes;
use hubless_content::{FileHash, VerifiedChunk, chunk_count, chunk_offset};
use hubless_disk::{Access, DiskFile, IoContext};

use crate::{
    commit::place::TempFile, error::StoreError, files::partial::Inserted, pending::queue::Pushed,
    work::Work,
};

/// What became of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put {
    /// It was not held before.
    pub new: bool,
    /// All chunks of its file are held now.
    pub file_complete: bool,
}

impl Work {
    /// An empty file under a temporary name, and room for `size` bytes, made if there is none.
    pub(crate) fn make_temporary(
        &self,
        size: u64,
    ) -> Result<(TempFile, Arc<dyn DiskFile>), StoreError> {
        self.files.index.writable()?;
        let reservation = Some(self.reserve(size)?);
        let path = self.files.home.new_import();
        let disk = self.files.disk.clone();
        let handle = disk.open(&path, Access::Create).context("make", &path)?;
        let file = TempFile {
            disk,
            path,
            reservation,
        };
        Ok((file, handle))
    }

    /// Takes a chunk in. It can be read at once and is durable with the next group commit.
    pub(crate) fn put(&self, chunk: &VerifiedChunk) -> Result<Put, StoreError> {
        self.files.index.writable()?;
        // What could not be committed comes first, or the error would reach no caller.
        if self.files.queue.has_failed() {
            self.commit()?;
        }
        if chunk_count(chunk.file_size()) == 1 {
            self.put_inline(chunk.file(), chunk.bytes())
        } else {
            self.put_partial(chunk)
        }
    }

    pub(crate) fn put_inline(&self, file: FileHash, bytes: &Bytes) -> Result<Put, StoreError> {
        self.files.index.writable()?;
        let done = |new| Put {
            new,
            file_complete: true,
        };
        if self
            .files
            .record(file)?
            .is_some_and(|record| record.is_complete())
        {
            return Ok(done(false));
        }
        let reservation = self.reserve(bytes.len() as u64)?;
        loop {
            match self.files.queue.push_inline(file, bytes) {
                Pushed::Known => return Ok(done(false)),
                Pushed::Stuck => self.commit()?,
                Pushed::New => {
                    reservation.keep();
                    return Ok(done(true));
                }
            }
        }
    }

    pub(crate) fn put_partial(&self, chunk: &VerifiedChunk) -> Result<Put, StoreError> {
        let (file, index) = (chunk.file(), chunk.index());
        loop {
            let partial = self.making_room(|| self.files.partial_for(file, chunk.file_size()));
            let Some(partial) = partial? else {
                return Ok(Put {
                    new: false,
                    file_complete: true,
                });
            };
            self.files.take_proven_size(&partial, chunk)?;
            if !partial.holds(index) {
                let handle = self.files.partial_handle(&partial)?;
                let written = handle.write_all_at(chunk.bytes(), chunk_offset(index));
                written.context("write", &self.files.home.partial(file))?;
            }
            match partial.insert(index) {
                Inserted::New { complete } => {
                    self.files
                        .queue
                        .push_dirty(file, chunk.bytes().len() as u64);
                    return Ok(Put {
                        new: true,
                        file_complete: complete,
                    });
                }
                Inserted::Known { complete } => {
                    return Ok(Put {
                        new: false,
                        file_complete: complete,
                    });
                }
                Inserted::Removed => {}
            }
        }
    }
}
