//! What is known about a file, from the index and from what waits to get there.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

use bytes::Bytes;
use hubless_content::{ChunkList, ChunkSet, FileHash, ManifestEntry, chunk_count};
use hubless_index::{FileLocation, Presence, Record};

use crate::{
    error::StoreError,
    files::{Files, partial::Partial},
};

/// Where a file's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilePlace {
    /// In the index: a file of one chunk.
    Inline,
    /// In a file of the store.
    Owned,
    /// In the user's own file, there.
    External(PathBuf),
    /// In a file of the store that is not complete.
    Partial,
}

/// What the store knows about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInfo {
    /// Its bytes. Of a partial file that lacks its last chunk this is only what was believed when
    /// its first chunk came.
    pub size: u64,
    /// Where they are.
    pub place: FilePlace,
    /// Chunks that can be read.
    pub held: u32,
    /// Whether all chunks can be read.
    pub complete: bool,
    /// The user's own file changed and is not served.
    pub stale: bool,
}

/// Where a file is to be read now.
#[derive(Clone)]
pub(crate) enum LocatedFile {
    Missing,
    /// Its only chunk waits to be committed.
    Waiting(Bytes),
    Partial(Arc<Partial>),
    /// In the index, and not partial.
    Stored(Record),
}

impl LocatedFile {
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Missing => 0,
            Self::Waiting(bytes) => bytes.len() as u64,
            Self::Partial(partial) => partial.lock().size,
            Self::Stored(record) => record.size,
        }
    }

    pub(crate) fn is_external(&self) -> bool {
        matches!(self, Self::Stored(record) if matches!(record.place, FileLocation::External(_)))
    }
}

impl Files {
    /// What is known about a file; `None` if nothing of it is here.
    pub(crate) fn file(&self, file: FileHash) -> Result<Option<FileInfo>, StoreError> {
        Ok(match self.locate(file)? {
            LocatedFile::Missing => None,
            LocatedFile::Waiting(bytes) => Some(FileInfo {
                size: bytes.len() as u64,
                place: FilePlace::Inline,
                held: 1,
                complete: true,
                stale: false,
            }),
            LocatedFile::Partial(partial) => {
                let state = partial.lock();
                Some(FileInfo {
                    size: state.size,
                    place: if state.published {
                        FilePlace::Owned
                    } else {
                        FilePlace::Partial
                    },
                    held: state.held.count(),
                    complete: state.held.is_full(),
                    stale: false,
                })
            }
            LocatedFile::Stored(record) => {
                let complete = record.is_complete();
                Some(FileInfo {
                    size: record.size,
                    held: if complete {
                        chunk_count(record.size)
                    } else {
                        0
                    },
                    complete,
                    stale: !complete,
                    place: match record.place {
                        FileLocation::Inline => FilePlace::Inline,
                        FileLocation::Owned(_) => FilePlace::Owned,
                        FileLocation::Partial => FilePlace::Partial,
                        FileLocation::External(external) => FilePlace::External(external.path),
                    },
                })
            }
        })
    }

    /// Which chunks of a file can be read, committed or not; `None` if nothing of it is here.
    pub(crate) fn held(&self, file: FileHash) -> Result<Option<ChunkSet>, StoreError> {
        Ok(match self.locate(file)? {
            LocatedFile::Missing => None,
            located => Some(self.presence(file, &located)),
        })
    }

    /// Keeps a chunk list; it is committed with the chunks that come after it.
    pub(crate) fn put_chunk_list(&self, list: &ChunkList) -> Result<(), StoreError> {
        let known = list.cvs().is_empty()
            || self
                .chunk_list(list.file())?
                .is_some_and(|known| known == *list);
        if !known {
            self.queue.push_list(list);
        }
        Ok(())
    }

    pub(crate) fn record(&self, file: FileHash) -> Result<Option<Record>, StoreError> {
        Ok(self.index.files().get(file)?)
    }

    /// Where `file` is now. What waits is read before the index: it leaves the one only
    /// after it is in the other.
    pub(crate) fn locate(&self, file: FileHash) -> Result<LocatedFile, StoreError> {
        if let Some(bytes) = self.queue.inline(file) {
            return Ok(LocatedFile::Waiting(bytes));
        }
        if let Some(partial) = self.partials.lock().get(&file) {
            return Ok(LocatedFile::Partial(partial.clone()));
        }
        match self.record(file)? {
            None => Ok(LocatedFile::Missing),
            Some(record) if !record.is_partial() => Ok(LocatedFile::Stored(record)),
            Some(_) => self.load_partial(file),
        }
    }

    /// Takes a partial file into memory. The index is read again under the lock, because the file
    /// may have become complete since.
    fn load_partial(&self, file: FileHash) -> Result<LocatedFile, StoreError> {
        let mut map = self.partials.lock();
        if let Some(partial) = map.get(&file) {
            return Ok(LocatedFile::Partial(partial.clone()));
        }
        let Some((record, held)) = self.record_and_held(file)? else {
            return Ok(LocatedFile::Missing);
        };
        if !record.is_partial() {
            return Ok(LocatedFile::Stored(record));
        }
        let partial = Arc::new(self.take_in(file, record.size, held)?);
        map.insert(file, partial.clone());
        Ok(LocatedFile::Partial(partial))
    }

    pub(crate) fn record_and_held(
        &self,
        file: FileHash,
    ) -> Result<Option<(Record, ChunkSet)>, StoreError> {
        Ok(self.index.files().get_with_held(file)?)
    }

    /// Which chunks of each file can be read; fast for many files.
    pub(crate) fn chunks_of(&self, entries: &[ManifestEntry]) -> Result<Vec<Presence>, StoreError> {
        let waiting: HashSet<FileHash> = self.queue.inline_files().into_iter().collect();
        let partials: HashMap<FileHash, Arc<Partial>> = self.partials.lock().clone();
        let newer = |file| match partials.get(&file) {
            _ if waiting.contains(&file) => Some(Presence::All { external: false }),
            Some(partial) => Some(Presence::Some(partial.lock().held.clone())),
            None => None,
        };
        let files = entries.iter().map(|entry| entry.hash);
        Ok(self.index.files().presence(files, newer)?)
    }

    pub(crate) fn chunk_list(&self, file: FileHash) -> Result<Option<ChunkList>, StoreError> {
        if let Some(list) = self.queue.list(file) {
            return Ok(Some(list));
        }
        if let Some(list) = self.index.files().chunk_list(file)? {
            return Ok(Some(list));
        }
        let size = match self.locate(file)? {
            LocatedFile::Waiting(bytes) => bytes.len() as u64,
            LocatedFile::Stored(record) => record.size,
            LocatedFile::Partial(_) | LocatedFile::Missing => return Ok(None),
        };
        Ok(ChunkList::single(file, size).ok())
    }
}
