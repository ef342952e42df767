//! The user's own files: noticing that they changed, and that they are back.

use std::path::PathBuf;

use bytes::Bytes;
use hubless_content::{ChunkIndex, ChunkList, ChunkSet, FileHash, chunk_count, chunk_len};
use hubless_disk::{Access, DiskError, Signature, is_shortage, parallel};
use hubless_index::{External, FileLocation, Presence, Record};

use crate::{
    error::StoreError,
    files::{
        Files,
        chunk_source::{ChunkRead, ChunkSource},
        handles::HandleKey,
        source::OpenBytes,
    },
};

/// A file of the user's own that is served no more, or again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalChange {
    /// What its bytes were when it was added.
    pub file: FileHash,
    /// Where it is, or was.
    pub path: PathBuf,
    /// True if it is no longer that; false if it is again.
    pub stale: bool,
}

/// The record of an external file that was just hashed.
pub(crate) fn external_record(size: u64, path: PathBuf, right: Signature) -> Record {
    let external = External {
        path,
        right,
        stale: false,
        wrong: Signature::default(),
    };
    Record::new(size, FileLocation::External(external))
}

/// A file where the user has it.
pub(super) struct ExternalFile<'a> {
    pub(super) files: &'a Files,
    pub(super) file: FileHash,
    pub(super) size: u64,
    pub(super) external: &'a External,
}

impl ChunkSource for ExternalFile<'_> {
    fn presence(&self) -> ChunkSet {
        let chunks = chunk_count(self.size);
        if self.external.stale {
            ChunkSet::empty(chunks)
        } else {
            ChunkSet::full(chunks)
        }
    }

    fn read(&self, index: ChunkIndex) -> Result<ChunkRead, StoreError> {
        let (files, file, external) = (self.files, self.file, self.external);
        let Some(len) = chunk_len(self.size, index).filter(|_| !external.stale) else {
            return Ok(ChunkRead::Absent);
        };
        let path = || external.path.clone();
        let key = HandleKey { file, partial: 0 };
        let bytes = match files.handle(key, Access::ReadUsers, path) {
            Ok(handle) => files.read_at(&*handle, path, index, len)?,
            Err(StoreError::Disk(DiskError::Io { source, .. })) if !is_shortage(&source) => None,
            Err(error) => return Err(error),
        };
        // After reading, so that a change before or during the read shows.
        let now = files.disk.signature(&external.path).unwrap_or_default();
        let right = files.known_signature(file, &external.right);
        match bytes {
            Some(bytes) if now.is_same_but_for_change(&right) => Ok(ChunkRead::Bytes {
                bytes,
                is_known: now == right,
            }),
            _ => {
                files.suspect(file)?;
                Ok(ChunkRead::Absent)
            }
        }
    }

    fn read_now(&self, index: ChunkIndex) -> Option<Bytes> {
        let len = chunk_len(self.size, index).filter(|_| !self.external.stale)?;
        self.files.read_open(self.file, index, len, |_| {
            self.files.is_unchanged(self.file, self.external)
        })
    }

    fn open(&self) -> Result<OpenBytes, StoreError> {
        let path = &self.external.path;
        match self.files.disk.open(path, Access::ReadUsers) {
            Ok(file) => Ok(OpenBytes::File(file)),
            Err(error) if is_shortage(&error) => Err(DiskError::new("open", path, error).into()),
            Err(_) => Ok(OpenBytes::Nothing),
        }
    }
}

impl Files {
    /// Checks all external files. One that changed is hashed: if its bytes are others, it is
    /// not served until they are right again. A file that has not changed since it was last
    /// checked is not read.
    pub(crate) fn check_externals(&self) -> Result<Vec<ExternalChange>, StoreError> {
        let mut changes = Vec::new();
        for (file, record, external) in self.externals()? {
            let (now, inspected) = self.inspect(file, &record, &external)?;
            if now == external {
                continue;
            }
            let was_replaced = !self.replace_external(file, &record, &now)?;
            if !was_replaced && (now.stale != external.stale || (now.stale && inspected)) {
                changes.push(ExternalChange {
                    file,
                    path: now.path,
                    stale: now.stale,
                });
            }
        }
        Ok(changes)
    }

    /// The external files that are not served, because they changed.
    pub(crate) fn stale(&self) -> Result<Vec<(FileHash, PathBuf)>, StoreError> {
        let externals = self.externals()?.into_iter();
        let stale = externals.filter(|(_, _, external)| external.stale);
        Ok(stale
            .map(|(file, _, external)| (file, external.path))
            .collect())
    }

    /// Bytes of the chunks that partial files lack: a file takes all its room from its first chunk on.
    pub(crate) fn bytes_missing_of_partials(&self) -> Result<u64, StoreError> {
        let missing = |size: u64, held: ChunkSet| size - Presence::Some(held).bytes(size).min(size);
        let in_memory = self.partials.lock().clone();
        let files = self.index.files();
        let others = files.fold(Vec::new, |others, file, record| {
            if record.is_partial() && !in_memory.contains_key(&file) {
                others.push(file);
            }
        })?;
        let mut sum = 0u64;
        for file in others {
            // One that was completed or removed meanwhile lacks nothing.
            if let Some((record, held)) = files.get_with_held(file)?
                && record.is_partial()
            {
                sum += missing(record.size, held);
            }
        }
        let of_memory = in_memory.values().map(|partial| {
            let state = partial.lock();
            missing(state.size, state.held.clone())
        });
        Ok(sum + of_memory.sum::<u64>())
    }

    pub(crate) fn externals(&self) -> Result<Vec<(FileHash, Record, External)>, StoreError> {
        let add = |externals: &mut Vec<_>, file, record: Record| {
            if let FileLocation::External(external) = &record.place {
                let external = external.clone();
                externals.push((file, record, external));
            }
        };
        Ok(self.index.files().fold(Vec::new, add)?)
    }

    /// What is to be recorded of an external file now, and whether it was read for that.
    fn inspect(
        &self,
        file: FileHash,
        record: &Record,
        known: &External,
    ) -> Result<(External, bool), StoreError> {
        // A file that is gone has the signature that no file has.
        let now = self.disk.signature(&known.path).unwrap_or_default();
        let mut external = known.clone();
        if now == known.right {
            external.stale = false;
            return Ok((external, false));
        }
        if known.stale && now == known.wrong && now != Signature::default() {
            return Ok((external, false));
        }
        let right = now.size == record.size && self.hashes_to(file, record.size, known, &now);
        if right {
            external.right = now;
        } else {
            external.wrong = now;
        }
        external.stale = !right;
        Ok((external, true))
    }

    /// Whether the file at `external` has the bytes of `file`, and has not changed while it was
    /// read.
    fn hashes_to(
        &self,
        file: FileHash,
        size: u64,
        external: &External,
        signature: &Signature,
    ) -> bool {
        let Ok(handle) = self.disk.open(&external.path, Access::ReadUsers) else {
            return false;
        };
        let hashed = parallel::hash(&*handle, &external.path, size)
            .ok()
            .flatten();
        hashed.is_some_and(|list: ChunkList| list.file() == file)
            && self
                .disk
                .signature(&external.path)
                .is_ok_and(|now| now == *signature)
    }

    /// Puts the new state of an external file into the index, unless another has come meanwhile.
    /// True if it was put.
    fn replace_external(
        &self,
        file: FileHash,
        known: &Record,
        external: &External,
    ) -> Result<bool, StoreError> {
        if self.index.is_read_only() {
            return Ok(false);
        }
        let new = Record::new(known.size, FileLocation::External(external.clone()));
        let put = self.index.files().replace(file, known, &new)?;
        // The path may lead to another file now.
        self.handles.lock().remove(HandleKey { file, partial: 0 });
        Ok(put)
    }

    pub(crate) fn is_unchanged(&self, file: FileHash, external: &External) -> bool {
        let right = self.known_signature(file, &external.right);
        self.disk
            .signature(&external.path)
            .is_ok_and(|now| now == right)
    }

    /// A reader saw that an external file changed: it is not served from now on, and is read
    /// by the next check.
    pub(crate) fn suspect(&self, file: FileHash) -> Result<(), StoreError> {
        let Some(record) = self.record(file)? else {
            return Ok(());
        };
        let FileLocation::External(known) = &record.place else {
            return Ok(());
        };
        if !known.stale {
            tracing::warn!(path = %known.path.display(), "changed; it is not served");
            let external = External {
                stale: true,
                ..known.clone()
            };
            self.replace_external(file, &record, &external)?;
        }
        Ok(())
    }

    /// The signature at which a file was last found to be right: that of its record, unless a newer
    /// one waits for its commit.
    pub(crate) fn known_signature(&self, file: FileHash, recorded: &Signature) -> Signature {
        self.queue.signature(file).unwrap_or(*recorded)
    }
}
