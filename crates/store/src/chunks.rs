//! Chunks in and out: the hot paths.

use std::{io, sync::Arc};

use bytes::{Bytes, BytesMut};
use hubless_content::{
    ChunkIndex, ChunkSet, FileHash, VerifiedChunk, chunk_count, chunk_len, chunk_offset,
};

use crate::{
    Shared, Store,
    disk::{Access, DiskFile},
    error::{IoContext, StoreError},
    files::{HandleKey, Located},
    partial::{Inserted, Partial},
    queue::Pushed,
    record::{External, Place},
    sync::lock,
};

/// What became of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put {
    /// It was not held before.
    pub new: bool,
    /// All chunks of its file are held now.
    pub file_complete: bool,
}

impl Store {
    /// Takes a chunk in. It can be read at once and is durable with the next group commit.
    ///
    /// # Errors
    /// [`StoreError::Quota`] and [`StoreError::NoSpace`] when there is no room: what is held stays
    /// readable, and putting works again when there is. Others if the disk or the index fails.
    pub fn put(&self, chunk: &VerifiedChunk) -> Result<Put, StoreError> {
        // What could not be committed comes first, or the error would never reach anybody.
        if self.shared.queue.has_failed() {
            self.shared.commit()?;
        }
        if chunk_count(chunk.file_size()) == 1 {
            self.shared.put_inline(chunk.file(), chunk.bytes())
        } else {
            self.shared.put_partial(chunk)
        }
    }

    /// The bytes of a chunk, or `None` if they are not held.
    ///
    /// The bytes of a file of the user's own are given only if the file did not change.
    ///
    /// # Errors
    /// If the disk or the index fails.
    pub fn read_chunk(
        &self,
        file: FileHash,
        index: ChunkIndex,
    ) -> Result<Option<Bytes>, StoreError> {
        match self.shared.locate(file)? {
            Located::Missing => Ok(None),
            Located::Waiting(bytes) => Ok((index.0 == 0).then_some(bytes)),
            Located::Partial(partial) => self.shared.read_partial(&partial, index),
            Located::Stored(record) => {
                let Some(len) = chunk_len(record.size, index) else {
                    return Ok(None);
                };
                match record.place {
                    Place::Inline => self.shared.read_inline(file),
                    Place::Owned => {
                        let handle = self.shared.owned_handle(file)?;
                        let bytes = self.shared.read_at(&*handle, index, len);
                        bytes
                            .context("read", &self.shared.home.owned(file))
                            .map(Some)
                    }
                    Place::External(external) => {
                        self.shared.read_external(file, &external, index, len)
                    }
                    Place::Partial => Ok(None),
                }
            }
        }
    }

    /// The bytes of a chunk, if nobody has to wait for them: they are in memory, and their file is
    /// open. `None` says that it is not known, and [`Store::read_chunk`] is to be called.
    ///
    /// For a thread that must not wait: it takes no lock that somebody holds while a disk works.
    /// What it reads here, it has in its own cache.
    pub fn read_chunk_at_once(&self, file: FileHash, index: ChunkIndex) -> Option<Bytes> {
        let (shared, key) = (&self.shared, HandleKey { file, partial: 0 });
        let open = || lock(&shared.handles).get(key);
        let handle = open()?;
        let record = shared.record(file).ok()??;
        let mut buffer = shared.buffers.take(chunk_len(record.size, index)?);
        let read = handle.read_at_once(buffer.bytes_mut(), chunk_offset(index));
        // Looked at after reading, so that a change before or while it was read shows.
        let is_right = match &record.place {
            Place::Owned => true,
            Place::External(external) => !external.stale && shared.is_unchanged(external),
            Place::Inline | Place::Partial => false,
        };
        // What took the place of another file meanwhile has another handle, or none.
        let is_same = || open().is_some_and(|now| Arc::ptr_eq(&now, &handle));
        (read.ok()? && is_right && is_same()).then(|| buffer.freeze())
    }

    /// Bytes `offset..offset + len` of a file, each chunk verified while it is read.
    ///
    /// # Errors
    /// [`StoreError::Incomplete`] if a chunk of the range is not held, [`StoreError::Range`] if it
    /// goes beyond the end, [`StoreError::Damaged`] if stored bytes are wrong.
    pub fn read_range(&self, file: FileHash, offset: u64, len: u64) -> Result<Bytes, StoreError> {
        let incomplete = StoreError::Incomplete { file };
        let Some(size) = self.file(file)?.map(|info| info.size) else {
            return Err(incomplete);
        };
        let end = offset.saturating_add(len);
        if end > size {
            return Err(StoreError::Range { file, end, size });
        }
        let Some(list) = self.chunk_list(file)? else {
            return Err(incomplete);
        };
        let mut range = BytesMut::new();
        let mut at = offset;
        while at < end {
            let Some(index) = ChunkIndex::of_offset(at) else {
                return Err(incomplete);
            };
            let Some(chunk) = self.read_chunk(file, index)? else {
                return Err(incomplete);
            };
            list.check(index, &chunk)
                .map_err(|_| StoreError::Damaged { file, chunk: index })?;
            let start = chunk_offset(index);
            let stop = (end - start).min(chunk.len() as u64);
            range.extend_from_slice(&chunk[(at - start) as usize..stop as usize]);
            at = start + stop;
        }
        Ok(range.freeze())
    }
}

impl Shared {
    /// Reads a chunk that must be there in full.
    fn read_at(&self, file: &dyn DiskFile, index: ChunkIndex, len: usize) -> io::Result<Bytes> {
        let mut buffer = self.buffers.take(len);
        file.read_exact_at(buffer.bytes_mut(), chunk_offset(index))?;
        Ok(buffer.freeze())
    }

    pub(crate) fn put_inline(&self, file: FileHash, bytes: &Bytes) -> Result<Put, StoreError> {
        let done = |new| Put {
            new,
            file_complete: true,
        };
        if self
            .record(file)?
            .is_some_and(|record| record.is_complete())
        {
            return Ok(done(false));
        }
        let reservation = self.quota.reserve(bytes.len() as u64)?;
        loop {
            match self.queue.push_inline(file, bytes) {
                Pushed::Known => return Ok(done(false)),
                Pushed::Stuck => self.commit()?,
                Pushed::New => {
                    reservation.keep();
                    return Ok(done(true));
                }
            }
        }
    }

    fn put_partial(&self, chunk: &VerifiedChunk) -> Result<Put, StoreError> {
        let (file, index) = (chunk.file(), chunk.index());
        loop {
            let Some(partial) = self.partial_for(file, chunk.file_size())? else {
                return Ok(Put {
                    new: false,
                    file_complete: true,
                });
            };
            self.take_proven_size(&partial, chunk)?;
            if !partial.holds(index) {
                let handle = self.partial_handle(&partial)?;
                let written = handle.write_all_at(chunk.bytes(), chunk_offset(index));
                written.context("write", &self.home.partial(file))?;
            }
            match partial.insert(index) {
                Inserted::New { complete } => {
                    self.queue.push_dirty(file, chunk.bytes().len() as u64);
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

    /// The partial file that a chunk belongs to, made if there is none; `None` if the file is
    /// complete.
    fn partial_for(&self, file: FileHash, size: u64) -> Result<Option<Arc<Partial>>, StoreError> {
        match self.locate(file)? {
            Located::Partial(partial) => return Ok(Some(partial)),
            Located::Waiting(_) => return Ok(None),
            Located::Stored(record) if record.is_complete() => return Ok(None),
            Located::Stored(_) | Located::Missing => {}
        }
        let mut map = self.partials.lock();
        if let Some(partial) = map.get(&file) {
            return Ok(Some(partial.clone()));
        }
        let known = self.record_and_held(file)?;
        let partial = match known {
            Some((record, _)) if record.is_complete() => return Ok(None),
            Some((record, held)) if record.place == Place::Partial => {
                Partial::new(file, record.size, held)
            }
            _ => self.make_partial(file, size)?,
        };
        let partial = Arc::new(partial);
        map.insert(file, partial.clone());
        Ok(Some(partial))
    }

    fn make_partial(&self, file: FileHash, size: u64) -> Result<Partial, StoreError> {
        let reservation = self.quota.reserve(size)?;
        let partial = Partial::new(file, size, ChunkSet::empty(chunk_count(size)));
        let path = self.home.partial(file);
        let made = self.disk.open(&path, Access::Create).and_then(|handle| {
            handle.allocate(size)?;
            handle.set_len(size)?;
            Ok(handle)
        });
        match made {
            Ok(handle) => {
                reservation.keep();
                let key = HandleKey {
                    file,
                    partial: partial.id,
                };
                lock(&self.handles).insert(key, handle, 1);
                Ok(partial)
            }
            Err(error) => {
                // There may be nothing to remove; the error that matters is the first.
                let _ = self.disk.remove(&path);
                Err(StoreError::io("make", &path, error))
            }
        }
    }

    fn take_proven_size(&self, partial: &Partial, chunk: &VerifiedChunk) -> Result<(), StoreError> {
        let size = chunk.file_size();
        let Some(believed) = partial.prove_size(size, chunk.index()) else {
            return Ok(());
        };
        self.quota.correct(believed, size);
        let resized = self.partial_handle(partial)?.set_len(size);
        resized.context("resize", &self.home.partial(partial.file))
    }

    fn read_partial(
        &self,
        partial: &Partial,
        index: ChunkIndex,
    ) -> Result<Option<Bytes>, StoreError> {
        let size = {
            let state = partial.lock();
            if !state.held.contains(index.0) {
                return Ok(None);
            }
            state.size
        };
        let Some(len) = chunk_len(size, index) else {
            return Ok(None);
        };
        let bytes = self.read_at(&*self.partial_handle(partial)?, index, len);
        bytes
            .context("read", &self.home.partial(partial.file))
            .map(Some)
    }

    pub(crate) fn read_inline(&self, file: FileHash) -> Result<Option<Bytes>, StoreError> {
        self.index.read(|read| {
            let table = read.open_table(crate::tables::INLINE)?;
            Ok(table
                .get(file.as_bytes())?
                .map(|value| Bytes::copy_from_slice(value.value())))
        })
    }

    fn read_external(
        &self,
        file: FileHash,
        external: &External,
        index: ChunkIndex,
        len: usize,
    ) -> Result<Option<Bytes>, StoreError> {
        if external.stale {
            return Ok(None);
        }
        let key = HandleKey { file, partial: 0 };
        let handle = self.handle(key, Access::Read, || external.path.clone());
        let bytes = handle
            .ok()
            .and_then(|handle| self.read_at(&*handle, index, len).ok());
        // After reading, so that a change before or while it was read shows.
        let is_same = self.is_unchanged(external);
        if bytes.is_none() || !is_same {
            self.suspect(file)?;
        }
        Ok(bytes.filter(|_| is_same))
    }
}
