//! Chunks in and out: the hot paths.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use hubless_content::{
    ChunkIndex, ChunkList, ChunkSet, FileHash, VerifiedChunk, chunk_count, chunk_len, chunk_offset,
};
use hubless_memory::KeptBuffers;

use crate::{
    disk::{Access, DiskFile, Signature, is_loss, is_shortage},
    error::{IoContext, StoreError},
    files::{Files, handles::HandleKey, located::Located, partial::Partial},
    index::{External, Place},
};

/// A chunk as it was read.
pub(crate) enum Read {
    /// It is not held.
    Absent,
    /// `is_known` if its file is as it was when it was last found to be right.
    Bytes { bytes: Bytes, is_known: bool },
    /// It is held, but not there in full.
    Lost,
}

impl Files {
    /// A chunk that is in memory, and the size of its file, which is as it was when it was last found
    /// to be right. Takes no lock that is held while a disk works.
    pub(crate) fn read_at_once(&self, file: FileHash, index: ChunkIndex) -> Option<(Bytes, u64)> {
        let key = HandleKey { file, partial: 0 };
        let open = || self.handles.lock().get(key);
        let handle = open()?;
        let record = self.record(file).ok()??;
        let mut buffer = self.buffers.take(chunk_len(record.size, index)?);
        let read = handle.read_at_once(buffer.bytes_mut(), chunk_offset(index));
        // Checked after reading, so that a change before or during the read shows.
        let is_right = match &record.place {
            Place::Owned(right) => {
                let right = self.known_signature(file, right);
                handle.signature().is_ok_and(|now| now == right)
            }
            Place::External(external) => !external.stale && self.is_unchanged(file, external),
            Place::Inline | Place::Partial => false,
        };
        // What took the place of another file meanwhile has another handle, or none.
        let is_same = || open().is_some_and(|now| Arc::ptr_eq(&now, &handle));
        let is_known = read.ok()? && is_right && is_same();
        is_known.then(|| (buffer.freeze(), record.size))
    }

    /// Keeps the memory of chunks that were read and dropped for the next ones.
    pub(crate) fn keep_buffers(&self) -> KeptBuffers {
        self.buffers.keep()
    }

    pub(crate) fn read(
        &self,
        file: FileHash,
        located: &Located,
        index: ChunkIndex,
    ) -> Result<Read, StoreError> {
        match located {
            Located::Missing => Ok(Read::Absent),
            Located::Waiting(_) if index.0 > 0 => Ok(Read::Absent),
            Located::Waiting(bytes) => Ok(Read::Bytes {
                bytes: bytes.clone(),
                is_known: true,
            }),
            Located::Partial(partial) => self.read_partial(partial, index),
            Located::Stored(record) => {
                let Some(len) = chunk_len(record.size, index) else {
                    return Ok(Read::Absent);
                };
                match &record.place {
                    Place::Inline => Ok(match self.read_inline(file)? {
                        // No signature says that these bytes of the index are right.
                        Some(bytes) => Read::Bytes {
                            bytes,
                            is_known: false,
                        },
                        None => Read::Lost,
                    }),
                    Place::Owned(right) => self.read_owned(file, right, index, len),
                    Place::External(external) => self.read_external(file, external, index, len),
                    Place::Partial => Ok(Read::Absent),
                }
            }
        }
    }

    /// Reads a chunk of `file` that should be there in full.
    fn read_at(
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
            Err(error) => Err(StoreError::io("read", &path(), error)),
        }
    }

    fn read_owned(
        &self,
        file: FileHash,
        right: &Signature,
        index: ChunkIndex,
        len: usize,
    ) -> Result<Read, StoreError> {
        let path = || self.home.owned(file);
        let handle = match self.owned_handle(file) {
            Err(StoreError::Io { source, .. }) if is_loss(&source) => {
                self.home_is_there()?;
                return Ok(Read::Lost);
            }
            handle => handle?,
        };
        let Some(bytes) = self.read_at(&*handle, path, index, len)? else {
            self.drop_handle(file, 0);
            return Ok(Read::Lost);
        };
        // After reading, so that a change before or while it was read shows.
        let now = handle.signature().context("read", &path())?;
        let is_known = now == self.known_signature(file, right);
        if !is_known {
            // Another file may lie there now: the next reader opens it.
            self.drop_handle(file, 0);
            self.note_touched(file);
        }
        Ok(Read::Bytes { bytes, is_known })
    }

    /// The partial file that a chunk belongs to, made if there is none; `None` if the file is
    /// complete.
    pub(crate) fn partial_for(
        &self,
        file: FileHash,
        size: u64,
    ) -> Result<Option<Arc<Partial>>, StoreError> {
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
            Some((record, held)) if record.is_partial() => self.take_in(file, record.size, held)?,
            _ => self.make_partial(file, size)?,
        };
        let partial = Arc::new(partial);
        map.insert(file, partial.clone());
        Ok(Some(partial))
    }

    fn make_partial(&self, file: FileHash, size: u64) -> Result<Partial, StoreError> {
        let reservation = self.quota.reserve(size)?;
        let partial = Partial::new(file, size, ChunkSet::empty(chunk_count(size)));
        let handle = self.make_partial_file(file, size)?;
        reservation.keep();
        let key = HandleKey {
            file,
            partial: partial.id,
        };
        self.handles.lock().insert(key, handle, 1);
        Ok(partial)
    }

    pub(crate) fn make_partial_file(
        &self,
        file: FileHash,
        size: u64,
    ) -> Result<Arc<dyn DiskFile>, StoreError> {
        let path = self.home.partial(file);
        let made = self.disk.open(&path, Access::Create).and_then(|handle| {
            self.partials.note_new_name();
            handle.allocate(size)?;
            handle.set_len(size)?;
            Ok(handle)
        });
        made.map_err(|error| {
            // There may be nothing to remove; the error that matters is the first.
            let _ = self.disk.remove(&path);
            StoreError::io("make", &path, error)
        })
    }

    /// A partial file of the index, with those of its chunks that its file can have.
    pub(crate) fn take_in(
        &self,
        file: FileHash,
        size: u64,
        held: ChunkSet,
    ) -> Result<Partial, StoreError> {
        let path = self.home.partial(file);
        let there = match self.disk.open(&path, Access::Read) {
            Ok(handle) => handle.signature().context("read", &path)?.size,
            Err(error) if is_loss(&error) => {
                self.home_is_there()?;
                0
            }
            Err(error) => return Err(StoreError::io("open", &path, error)),
        };
        let is_beyond = |n: &u32| {
            let len = chunk_len(size, ChunkIndex(*n)).unwrap_or(0);
            chunk_offset(ChunkIndex(*n)) + len as u64 > there
        };
        let lost: Vec<ChunkIndex> = held.iter().filter(is_beyond).map(ChunkIndex).collect();
        let partial = Partial::new(file, size, held);
        self.lose(&partial, lost);
        // All is held, and was not published: the next commit does it.
        if partial.lock().held.is_full() {
            self.queue.push_dirty(file, 0);
        }
        Ok(partial)
    }

    pub(crate) fn take_proven_size(
        &self,
        partial: &Partial,
        chunk: &VerifiedChunk,
    ) -> Result<(), StoreError> {
        let size = chunk.file_size();
        let Some(believed) = partial.prove_size(size, chunk.index()) else {
            return Ok(());
        };
        self.quota.correct(believed, size);
        let resized = self.partial_handle(partial)?.set_len(size);
        resized.context("resize", &self.home.partial(partial.file))
    }

    fn read_partial(&self, partial: &Partial, index: ChunkIndex) -> Result<Read, StoreError> {
        let Some(len) = chunk_len(partial.lock().size, index) else {
            return Ok(Read::Absent);
        };
        let handle = self.partial_handle(partial)?;
        if !partial.holds(index) {
            return Ok(Read::Absent);
        }
        let path = || self.home.partial(partial.file);
        Ok(match self.read_at(&*handle, path, index, len)? {
            Some(bytes) => Read::Bytes {
                bytes,
                is_known: true,
            },
            None => Read::Lost,
        })
    }

    pub(crate) fn read_inline(&self, file: FileHash) -> Result<Option<Bytes>, StoreError> {
        self.index.files().inline_bytes(file)
    }

    fn read_external(
        &self,
        file: FileHash,
        external: &External,
        index: ChunkIndex,
        len: usize,
    ) -> Result<Read, StoreError> {
        if external.stale {
            return Ok(Read::Absent);
        }
        let path = || external.path.clone();
        let key = HandleKey { file, partial: 0 };
        let bytes = match self.handle(key, Access::ReadUsers, path) {
            Ok(handle) => self.read_at(&*handle, path, index, len)?,
            Err(StoreError::Io { source, .. }) if !is_shortage(&source) => None,
            Err(error) => return Err(error),
        };
        // After reading, so that a change before or while it was read shows.
        let now = self.disk.signature(&external.path).unwrap_or_default();
        let right = self.known_signature(file, &external.right);
        match bytes {
            Some(bytes) if now.is_same_but_for_change(&right) => Ok(Read::Bytes {
                bytes,
                is_known: now == right,
            }),
            _ => {
                self.suspect(file)?;
                Ok(Read::Absent)
            }
        }
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
}
