//! Bytes of a file whose BLAKE3 is not known yet: what comes from other hubs over HTTP.
//!
//! They are written aside in order, and hashed on the way. When all are there and are what was
//! expected, one transaction makes them a file of the store, with its chunk list and digests. A
//! reader that waits for them can read what was written until then ([`IncomingReader`]), but they are not
//! announced or served before. Dropped without [`Incoming::finish`], nothing is left.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use hubless_content::{
    CHUNK_SIZE, ChunkList, FILE_SIZE_MAX, FileHash, FileHasher, GitBlobId, Sha256,
};
use hubless_disk::{DiskFile, IoContext, Signature};
use hubless_index::{DigestHasher, Digests, FileLocation, Record};
use hubless_memory::AlignedBytes;
use hubless_sync::lock;

use crate::{
    commit::place::{Placed, TempFile},
    error::StoreError,
    pending::quota::Reservation,
    work::Work,
};

/// What the bytes must be; what is `None` is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expected {
    /// Their BLAKE3.
    pub file: Option<FileHash>,
    /// Their SHA-256.
    pub sha256: Option<Sha256>,
    /// What git calls them.
    pub git_blob: Option<GitBlobId>,
}

/// A file that is coming in, its bytes in order.
pub struct Incoming {
    work: Arc<Work>,
    size: u64,
    list: FileHasher,
    digests: DigestHasher,
    body: Arc<Body>,
    room: Room,
}

/// Reads what has come of an [`Incoming`], also after that has ended. Nothing proves these bytes.
#[derive(Clone)]
pub struct IncomingReader(Arc<Body>);

struct Body {
    written: AtomicU64,
    place: BodyPlace,
}

/// The bytes of a file of one chunk go to the index in the end, and never to a file.
enum BodyPlace {
    Memory(Mutex<Vec<u8>>),
    File(Arc<dyn DiskFile>, PathBuf),
}

/// What is taken for the bytes, and given back unless they are kept.
enum Room {
    Memory(Reservation),
    File(TempFile),
}

impl Incoming {
    /// Takes the next bytes; they can be read when it returns.
    ///
    /// # Errors
    /// [`StoreError::WrongSize`] if there are more than was said; others if the disk fails. Nothing
    /// of these bytes counts then.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let at = self.written();
        let end = at.saturating_add(bytes.len() as u64);
        if end > self.size {
            return Err(StoreError::WrongSize {
                expected: self.size,
                found: end,
            });
        }
        match &self.body.place {
            BodyPlace::Memory(memory) => lock(memory).extend_from_slice(bytes),
            BodyPlace::File(file, path) => file.write_all_at(bytes, at).context("write", path)?,
        }
        self.list.update(bytes);
        self.digests.update(bytes);
        self.body.written.store(end, Ordering::Release);
        Ok(())
    }

    /// Bytes taken so far.
    pub fn written(&self) -> u64 {
        self.body.written.load(Ordering::Acquire)
    }

    /// Bytes in all.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// For readers that take the bytes before they are proven.
    pub fn reader(&self) -> IncomingReader {
        IncomingReader(self.body.clone())
    }

    /// Makes the bytes a file of the store, if they are what was expected. It is kept from being
    /// collected until this returns; what names it must be known by then. `proven` is called with
    /// the file before any reader can find it.
    ///
    /// # Errors
    /// [`StoreError::WrongSize`], [`StoreError::WrongFile`], [`StoreError::WrongSha256`],
    /// [`StoreError::WrongGitBlob`] if they are not; others if the disk or the index fails. Nothing
    /// is left then.
    pub fn finish(
        self,
        expected: Expected,
        proven: impl FnOnce(FileHash),
    ) -> Result<(FileHash, Digests), StoreError> {
        let found = self.written();
        if found != self.size {
            return Err(StoreError::WrongSize {
                expected: self.size,
                found,
            });
        }
        let (list, digests) = (self.list.finish(), self.digests.finish());
        check(expected, list.file(), digests)?;
        let file = list.file();
        proven(file);
        let guard = self.work.in_use.protect_files();
        guard.add(file);
        match (self.room, &self.body.place) {
            (Room::Memory(reservation), BodyPlace::Memory(memory)) => {
                // The index takes room of its own for them.
                drop(reservation);
                let bytes = Bytes::copy_from_slice(&lock(memory));
                self.work.put_inline(file, &bytes)?;
                self.work.put_digests(file, digests)?;
            }
            (Room::File(copy), _) => keep(&self.work, copy, list, digests)?,
            (Room::Memory(_), BodyPlace::File(..)) => {} // never made
        }
        self.work.files.uses.note(file);
        Ok((file, digests))
    }
}

fn keep(work: &Work, copy: TempFile, list: ChunkList, digests: Digests) -> Result<(), StoreError> {
    let file = list.file();
    if work.files.file(file)?.is_some_and(|info| info.complete) {
        return work.put_digests(file, digests);
    }
    copy.seal()?;
    let placed = Placed {
        record: Record::new(list.size(), FileLocation::Owned(Signature::default())),
        list,
        copy: Some(copy),
        digests: Some(digests),
    };
    // What waits for a commit may be older chunks of the same file.
    work.flush()?;
    work.commits.place(HashMap::from([(file, placed)]), None)
}

fn check(expected: Expected, file: FileHash, digests: Digests) -> Result<(), StoreError> {
    if let Some(expected) = expected.file.filter(|expected| *expected != file) {
        return Err(StoreError::WrongFile {
            expected,
            found: file,
        });
    }
    let Digests { sha256, git_blob } = digests;
    if let Some(expected) = expected.sha256.filter(|expected| *expected != sha256) {
        return Err(StoreError::WrongSha256 {
            expected,
            found: sha256,
        });
    }
    match expected.git_blob.filter(|expected| *expected != git_blob) {
        Some(expected) => Err(StoreError::WrongGitBlob {
            expected,
            found: git_blob,
        }),
        None => Ok(()),
    }
}

impl IncomingReader {
    /// Bytes that can be read now.
    pub fn written(&self) -> u64 {
        self.0.written.load(Ordering::Acquire)
    }

    /// Up to `len` bytes from `offset`: fewer, or none, where no more were written yet.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn read(&self, offset: u64, len: usize) -> Result<Bytes, StoreError> {
        let left = self.written().saturating_sub(offset);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(len);
        match &self.0.place {
            BodyPlace::Memory(memory) => {
                let memory = lock(memory);
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let end = start.saturating_add(len);
                let bytes = memory.get(start..end).unwrap_or_default();
                Ok(Bytes::copy_from_slice(bytes))
            }
            BodyPlace::File(file, path) => {
                let mut buffer = AlignedBytes::zeroed(len);
                let read = file.read_at(&mut buffer, offset);
                let read = read.context("read", path)?;
                Ok(buffer.freeze().slice(..read))
            }
        }
    }
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Incoming({} of {} bytes)", self.written(), self.size)
    }
}

impl Work {
    /// Takes room for a file of `size` bytes that will come in order.
    pub(crate) fn incoming(self: &Arc<Self>, size: u64) -> Result<Incoming, StoreError> {
        if size > FILE_SIZE_MAX {
            return Err(StoreError::WrongSize {
                expected: size,
                found: FILE_SIZE_MAX,
            });
        }
        let (place, room) = if size <= CHUNK_SIZE as u64 {
            let reservation = self.reserve(size)?;
            (
                BodyPlace::Memory(Mutex::default()),
                Room::Memory(reservation),
            )
        } else {
            let (file, handle) = self.make_temporary(size)?;
            handle.allocate(size).context("make", &file.path)?;
            (BodyPlace::File(handle, file.path.clone()), Room::File(file))
        };
        let written = AtomicU64::new(0);
        Ok(Incoming {
            work: self.clone(),
            size,
            list: FileHasher::new(),
            digests: DigestHasher::new(size),
            body: Arc::new(Body { written, place }),
            room,
        })
    }
}
