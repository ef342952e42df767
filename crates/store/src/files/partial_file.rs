//! Partial files below the home directory: loading, making and reading them.

use std::sync::Arc;

use bytes::Bytes;
use hubless_content::{
    ChunkIndex, ChunkSet, FileHash, VerifiedChunk, chunk_count, chunk_len, chunk_offset,
};
use hubless_disk::{Access, DiskError, DiskFile, IoContext, is_loss};

use crate::{
    error::StoreError,
    files::{
        Files,
        chunk_source::{ChunkRead, ChunkSource},
        handles::HandleKey,
        located::LocatedFile,
        partial::Partial,
        source::OpenBytes,
    },
};

/// A file that is being fetched.
pub(super) struct PartialFile<'a> {
    pub(super) files: &'a Files,
    pub(super) partial: &'a Partial,
}

impl ChunkSource for PartialFile<'_> {
    fn presence(&self) -> ChunkSet {
        self.partial.lock().held.clone()
    }

    fn read(&self, index: ChunkIndex) -> Result<ChunkRead, StoreError> {
        let Some(len) = chunk_len(self.partial.lock().size, index) else {
            return Ok(ChunkRead::Absent);
        };
        let handle = self.files.partial_handle(self.partial)?;
        if !self.partial.holds(index) {
            return Ok(ChunkRead::Absent);
        }
        let path = || self.files.home.partial(self.partial.file);
        Ok(match self.files.read_at(&*handle, path, index, len)? {
            Some(bytes) => ChunkRead::Bytes {
                bytes,
                is_known: true,
            },
            None => ChunkRead::Lost,
        })
    }

    fn read_now(&self, _: ChunkIndex) -> Option<Bytes> {
        None
    }

    fn open(&self) -> Result<OpenBytes, StoreError> {
        self.files.partial_handle(self.partial).map(OpenBytes::File)
    }
}

impl Files {
    /// The partial file that a chunk belongs to, made if there is none; `None` if the file is
    /// complete.
    pub(crate) fn partial_for(
        &self,
        file: FileHash,
        size: u64,
    ) -> Result<Option<Arc<Partial>>, StoreError> {
        match self.locate(file)? {
            LocatedFile::Partial(partial) => return Ok(Some(partial)),
            LocatedFile::Waiting(_) => return Ok(None),
            LocatedFile::Stored(record) if record.is_complete() => return Ok(None),
            LocatedFile::Stored(_) | LocatedFile::Missing => {}
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
            DiskError::new("make", &path, error).into()
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
            Err(error) => return Err(DiskError::new("open", &path, error).into()),
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
        Ok(resized.context("resize", &self.home.partial(partial.file))?)
    }
}
