//! Chunks and files, in and out.

use bytes::Bytes;
use hubless_content::{ChunkIndex, ChunkList, ChunkSet, FileHash, VerifiedChunk};
use hubless_memory::KeptBuffers;

use crate::{FileInfo, Incoming, Put, Store, StoreError};

impl Store {
    /// Makes everything durable that was put before.
    ///
    /// # Errors
    /// If the disk is full or fails. What was put stays readable and is tried again.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.work.flush()
    }

    /// Commits what is left and lets go of the directory, also if there are other clones: their
    /// calls end with `IndexError::Closed`.
    ///
    /// # Errors
    /// As [`Store::flush`]; the store is closed nevertheless.
    pub fn close(&self) -> Result<(), StoreError> {
        self.committer.stop();
        self.work.close()
    }

    /// Takes a chunk in. It can be read at once and is durable with the next group commit.
    ///
    /// # Errors
    /// [`StoreError::Quota`] and `DiskError::NoSpace` when there is no room: what is held stays
    /// readable, and putting works again when there is. Others if the disk or the index fails.
    pub fn put(&self, chunk: &VerifiedChunk) -> Result<Put, StoreError> {
        self.work.put(chunk)
    }

    /// The bytes of a chunk for a reader that verifies them, as a peer does; `None` if they are not
    /// held.
    ///
    /// They leave as they are if their file is as it was when it was last found to be right: the same
    /// size, times, inode and device. Else they are read as by [`Store::read_proven`]. The bytes of a
    /// file of the user's own are given only if it was not written to.
    ///
    /// # Errors
    /// If the disk or the index fails.
    pub fn read_chunk(
        &self,
        file: FileHash,
        index: ChunkIndex,
    ) -> Result<Option<Bytes>, StoreError> {
        self.work.read_chunk(file, index)
    }

    /// The bytes of a chunk, hashed against the chunk list on every call; `None` if they are not
    /// held. A chunk that is wrong, cut off or unreadable is rejected: it is no longer held, it is
    /// counted and logged, the hook of [`Store::on_damage`] is called, and the answer is `None`.
    ///
    /// # Errors
    /// If the disk or the index fails.
    pub fn read_proven(
        &self,
        file: FileHash,
        index: ChunkIndex,
    ) -> Result<Option<Bytes>, StoreError> {
        self.work.read_proven(file, index)
    }

    /// The bytes of a chunk, if reading them needs no wait: they are in memory, and their file is
    /// open. `None` says that it is not known, and [`Store::read_chunk`] is to be called.
    ///
    /// For a thread that must not wait: it takes no lock that is held while a disk works, and what it
    /// reads is in its own cache.
    pub fn read_chunk_at_once(&self, file: FileHash, index: ChunkIndex) -> Option<Bytes> {
        self.work.read_chunk_at_once(file, index)
    }

    /// As [`Store::read_proven`] for a thread that must not wait, as [`Store::read_chunk_at_once`].
    /// `None` says that it is not known, and [`Store::read_proven`] is to be called: also if the chunk
    /// is wrong.
    pub fn read_proven_at_once(&self, file: FileHash, index: ChunkIndex) -> Option<Bytes> {
        self.work.read_proven_at_once(file, index)
    }

    /// Keeps the memory of chunks that were read and dropped for those that are read next, until the
    /// guard is dropped: for a reader of many chunks.
    pub fn keep_buffers(&self) -> KeptBuffers {
        self.work.files.keep_buffers()
    }

    /// Bytes `offset..offset + len` of a file, each chunk verified while it is read.
    ///
    /// # Errors
    /// [`StoreError::Incomplete`] if a chunk of the range is not held, or was until it was found to be
    /// wrong; [`StoreError::Range`] if it goes beyond the end.
    pub fn read_range(&self, file: FileHash, offset: u64, len: u64) -> Result<Bytes, StoreError> {
        self.work.read_range(file, offset, len)
    }

    /// What is known about a file; `None` if nothing of it is here.
    ///
    /// # Errors
    /// If the index fails.
    pub fn file(&self, file: FileHash) -> Result<Option<FileInfo>, StoreError> {
        self.work.files.file(file)
    }

    /// Which chunks of a file can be read, committed or not; `None` if nothing of it is here.
    ///
    /// # Errors
    /// If the index fails.
    pub fn held(&self, file: FileHash) -> Result<Option<ChunkSet>, StoreError> {
        self.work.files.held(file)
    }

    /// The chunk list of a file, if it is known. That of a file of one chunk is known when the
    /// file is here.
    ///
    /// A list proves its chunks, but its size only together with the last one: compare it with
    /// the size that is expected, and if it differs, prove [`ChunkList::cvs`] anew.
    ///
    /// # Errors
    /// If the index fails.
    pub fn chunk_list(&self, file: FileHash) -> Result<Option<ChunkList>, StoreError> {
        self.work.files.chunk_list(file)
    }

    /// Keeps a chunk list; it is committed with the chunks that come after it.
    ///
    /// # Errors
    /// If the index fails.
    pub fn put_chunk_list(&self, list: &ChunkList) -> Result<(), StoreError> {
        self.work.files.put_chunk_list(list)
    }

    /// Reads one chunk again and checks it; rejects it if it is wrong. For a chunk that a peer
    /// reported as wrong. True if it is held and right.
    ///
    /// # Errors
    /// If the disk or the index fails.
    pub fn recheck(&self, file: FileHash, index: ChunkIndex) -> Result<bool, StoreError> {
        self.work.recheck(file, index)
    }

    /// Takes room for a file of `size` bytes that will come in order.
    ///
    /// # Errors
    /// [`StoreError::Quota`] and `DiskError::NoSpace` if there is no room,
    /// [`StoreError::WrongSize`] if no file can have that size; others if the disk fails.
    pub fn incoming(&self, size: u64) -> Result<Incoming, StoreError> {
        self.work.incoming(size)
    }
}
