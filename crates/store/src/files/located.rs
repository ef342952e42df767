//! What is known about a file, from the index and from what waits to get there.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

use bytes::Bytes;
use hubless_content::{
    CHUNK_SIZE, ChunkCv, ChunkIndex, ChunkList, ChunkSet, ContentHash, FileHash, ManifestEntry,
    Sha256, chunk_count, chunk_len,
};
use redb::{ReadTransaction, ReadableTable, Table};

use crate::{
    Shared, Store,
    disk::{Access, DiskFile, is_loss},
    error::{IoContext, StoreError},
    files::partial::Partial,
    index::{
        database::{IndexError, IndexResult},
        digests::Digests,
        record::{Place, Record},
        sealed, tables,
    },
    sync::lock,
};

/// Open files, unless the caller has fewer descriptors: a store never needs more than this, and a few.
pub(crate) const HANDLES_MAX: usize = 128;

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

/// What a node may announce.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnnounceKeys {
    /// Models of which at least one chunk can be served.
    pub models: Vec<ContentHash>,
    /// Files of which at least one chunk can be served.
    pub files: Vec<FileHash>,
    /// SHA-256 of those of which all chunks can be served, as far as it is known.
    pub sha256s: Vec<Sha256>,
}

/// An open file of the store. `partial` tells apart the files that one hash may have one after
/// the other: what was collected and is fetched again is another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct HandleKey {
    pub(crate) file: FileHash,
    pub(crate) partial: u64,
}

/// Where a file is to be read now.
#[derive(Clone)]
pub(crate) enum Located {
    Missing,
    /// Its only chunk waits to be committed.
    Waiting(Bytes),
    Partial(Arc<Partial>),
    /// In the index, and not partial.
    Stored(Record),
}

impl Located {
    /// The chunks that can be read.
    pub(crate) fn held(&self) -> ChunkSet {
        match self {
            Self::Missing => ChunkSet::empty(0),
            Self::Waiting(_) => ChunkSet::full(1),
            Self::Partial(partial) => partial.lock().held.clone(),
            Self::Stored(record) if record.is_complete() => {
                ChunkSet::full(chunk_count(record.size))
            }
            Self::Stored(record) => ChunkSet::empty(chunk_count(record.size)),
        }
    }

    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Missing => 0,
            Self::Waiting(bytes) => bytes.len() as u64,
            Self::Partial(partial) => partial.lock().size,
            Self::Stored(record) => record.size,
        }
    }

    pub(crate) fn is_external(&self) -> bool {
        matches!(self, Self::Stored(record) if matches!(record.place, Place::External(_)))
    }
}

/// Which chunks of a file can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Chunks {
    None,
    All { external: bool },
    Some(ChunkSet),
}

impl Chunks {
    pub(crate) fn bytes(&self, size: u64) -> u64 {
        match self {
            Self::None => 0,
            Self::All { .. } => size,
            Self::Some(held) => {
                let last = ChunkIndex(chunk_count(size) - 1);
                let missing_of_last = CHUNK_SIZE - chunk_len(size, last).unwrap_or(CHUNK_SIZE);
                let full = u64::from(held.count()) * CHUNK_SIZE as u64;
                full - if held.contains(last.0) {
                    missing_of_last as u64
                } else {
                    0
                }
            }
        }
    }
}

type Files<T> = sealed::Rows<T>;

/// A file hash as a value.
pub(crate) fn file_of(value: &[u8]) -> IndexResult<FileHash> {
    FileHash::from_slice(value).ok_or(IndexError::Malformed("the hash of a file"))
}

pub(crate) fn get_record(
    table: &Files<impl ReadableTable<tables::Hash, &'static [u8]>>,
    file: FileHash,
) -> IndexResult<Option<Record>> {
    let value = table.get(file.as_bytes())?;
    value.map(|value| decode_record(&value)).transpose()
}

/// All records, ordered by file.
pub(crate) fn records(
    table: &Files<impl ReadableTable<tables::Hash, &'static [u8]>>,
) -> IndexResult<impl Iterator<Item = IndexResult<(FileHash, Record)>>> {
    let rows = table.iter()?;
    Ok(rows.map(|row| {
        let (key, value) = row?;
        Ok((FileHash::new(*key.value()), decode_record(&value)?))
    }))
}

pub(crate) fn put_record(
    table: &mut Files<Table<'_, tables::Hash, &'static [u8]>>,
    file: FileHash,
    record: &Record,
) -> IndexResult<()> {
    table.insert(file.as_bytes(), &record.encode())
}

pub(crate) fn decode_record(bytes: &[u8]) -> IndexResult<Record> {
    Record::decode(bytes).ok_or(IndexError::Malformed("the record of a file"))
}

pub(crate) fn get_held(
    table: &Files<impl ReadableTable<tables::Hash, &'static [u8]>>,
    file: FileHash,
    size: u64,
) -> IndexResult<ChunkSet> {
    let count = chunk_count(size);
    match table.get(file.as_bytes())? {
        None => Ok(ChunkSet::empty(count)),
        Some(value) => ChunkSet::from_bytes(count, &value)
            .ok_or(IndexError::Malformed("a set of chunks of its file")),
    }
}

pub(crate) fn encode_list(list: &ChunkList) -> Vec<u8> {
    let cvs = list.cvs().iter().flat_map(|cv| cv.as_bytes());
    list.size()
        .to_le_bytes()
        .iter()
        .chain(cvs)
        .copied()
        .collect()
}

pub(crate) fn decode_list(file: FileHash, bytes: &[u8]) -> Option<ChunkList> {
    let (size, cvs) = bytes.split_first_chunk()?;
    let (cvs, rest) = cvs.as_chunks();
    let cvs = cvs.iter().map(|cv| ChunkCv::new(*cv)).collect();
    let list = ChunkList::prove(file, u64::from_le_bytes(*size), cvs).ok()?;
    rest.is_empty().then_some(list)
}

fn get_list(read: &ReadTransaction, file: FileHash) -> IndexResult<Option<ChunkList>> {
    let lists = read.open_table(tables::CHUNK_LISTS)?;
    let Some(value) = lists.get(file.as_bytes())? else {
        return Ok(None);
    };
    let list = decode_list(file, value.value());
    list.map(Some)
        .ok_or(IndexError::Malformed("the chunk list of its file"))
}

impl Shared {
    pub(crate) fn record(&self, file: FileHash) -> Result<Option<Record>, StoreError> {
        self.index
            .read(|read| get_record(&tables::FILES.read(read)?, file))
    }

    /// Where `file` is now. What waits is looked at before the index: it leaves the one only
    /// after it is in the other.
    pub(crate) fn locate(&self, file: FileHash) -> Result<Located, StoreError> {
        if let Some(bytes) = self.queue.inline(file) {
            return Ok(Located::Waiting(bytes));
        }
        if let Some(partial) = self.partials.lock().get(&file) {
            return Ok(Located::Partial(partial.clone()));
        }
        match self.record(file)? {
            None => Ok(Located::Missing),
            Some(record) if !record.is_partial() => Ok(Located::Stored(record)),
            Some(_) => self.load_partial(file),
        }
    }

    /// Takes a partial file into memory. The index is read again under the lock, because the file
    /// may have become complete since.
    fn load_partial(&self, file: FileHash) -> Result<Located, StoreError> {
        let mut map = self.partials.lock();
        if let Some(partial) = map.get(&file) {
            return Ok(Located::Partial(partial.clone()));
        }
        let Some((record, held)) = self.record_and_held(file)? else {
            return Ok(Located::Missing);
        };
        if !record.is_partial() {
            return Ok(Located::Stored(record));
        }
        let partial = Arc::new(self.take_in(file, record.size, held)?);
        map.insert(file, partial.clone());
        Ok(Located::Partial(partial))
    }

    pub(crate) fn record_and_held(
        &self,
        file: FileHash,
    ) -> Result<Option<(Record, ChunkSet)>, StoreError> {
        self.index.read(|read| {
            let Some(record) = get_record(&tables::FILES.read(read)?, file)? else {
                return Ok(None);
            };
            let held = get_held(&tables::HELD.read(read)?, file, record.size)?;
            Ok(Some((record, held)))
        })
    }

    /// Which chunks of each file can be read; fast for many files.
    pub(crate) fn chunks_of(&self, entries: &[ManifestEntry]) -> Result<Vec<Chunks>, StoreError> {
        let waiting: HashSet<FileHash> = self.queue.inline_files().into_iter().collect();
        let partials: HashMap<FileHash, Arc<Partial>> = self.partials.lock().clone();
        self.index.read(|read| {
            let files = tables::FILES.read(read)?;
            let held = tables::HELD.read(read)?;
            let chunks = entries.iter().map(|entry| {
                if waiting.contains(&entry.hash) {
                    return Ok(Chunks::All { external: false });
                }
                if let Some(partial) = partials.get(&entry.hash) {
                    return Ok(Chunks::Some(partial.lock().held.clone()));
                }
                Ok(match get_record(&files, entry.hash)? {
                    None => Chunks::None,
                    Some(record) if record.is_partial() => {
                        Chunks::Some(get_held(&held, entry.hash, record.size)?)
                    }
                    Some(record) if record.is_complete() => Chunks::All {
                        external: matches!(record.place, Place::External(_)),
                    },
                    Some(_) => Chunks::None,
                })
            });
            chunks.collect()
        })
    }

    pub(crate) fn chunk_list(&self, file: FileHash) -> Result<Option<ChunkList>, StoreError> {
        if let Some(list) = self.queue.list(file) {
            return Ok(Some(list));
        }
        if let Some(list) = self.index.read(|read| get_list(read, file))? {
            return Ok(Some(list));
        }
        let size = match self.locate(file)? {
            Located::Waiting(bytes) => bytes.len() as u64,
            Located::Stored(record) => record.size,
            Located::Partial(_) | Located::Missing => return Ok(None),
        };
        Ok(ChunkList::single(file, size).ok())
    }

    /// An open file from the cache, or opened by `path` and put there.
    pub(crate) fn handle(
        &self,
        key: HandleKey,
        access: Access,
        path: impl FnOnce() -> PathBuf,
    ) -> Result<Arc<dyn DiskFile>, StoreError> {
        if let Some(handle) = lock(&self.handles).get(key) {
            return Ok(handle);
        }
        let path = path();
        let handle = self.disk.open(&path, access).context("open", &path)?;
        lock(&self.handles).insert(key, handle.clone(), 1);
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
                lock(&self.handles).insert(key, handle.clone(), 1);
                Ok(handle)
            }
            opened => opened,
        }
    }
}

impl Store {
    /// What is known about a file; `None` if nothing of it is here.
    ///
    /// # Errors
    /// If the index fails.
    pub fn file(&self, file: FileHash) -> Result<Option<FileInfo>, StoreError> {
        Ok(match self.shared.locate(file)? {
            Located::Missing => None,
            Located::Waiting(bytes) => Some(FileInfo {
                size: bytes.len() as u64,
                place: FilePlace::Inline,
                held: 1,
                complete: true,
                stale: false,
            }),
            Located::Partial(partial) => {
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
            Located::Stored(record) => {
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
                        Place::Inline => FilePlace::Inline,
                        Place::Owned(_) => FilePlace::Owned,
                        Place::Partial => FilePlace::Partial,
                        Place::External(external) => FilePlace::External(external.path),
                    },
                })
            }
        })
    }

    /// Which chunks of a file can be read, committed or not; `None` if nothing of it is here.
    ///
    /// # Errors
    /// If the index fails.
    pub fn held(&self, file: FileHash) -> Result<Option<ChunkSet>, StoreError> {
        Ok(match self.shared.locate(file)? {
            Located::Missing => None,
            located => Some(located.held()),
        })
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
        self.shared.chunk_list(file)
    }

    /// Keeps a chunk list; it is committed with the chunks that come after it.
    ///
    /// # Errors
    /// If the index fails.
    pub fn put_chunk_list(&self, list: &ChunkList) -> Result<(), StoreError> {
        let known = list.cvs().is_empty()
            || self
                .shared
                .chunk_list(list.file())?
                .is_some_and(|known| known == *list);
        if !known {
            self.shared.queue.push_list(list);
        }
        Ok(())
    }

    /// Everything of which at least one chunk can be served, in no order.
    ///
    /// # Errors
    /// If the index fails.
    pub fn announce_keys(&self) -> Result<AnnounceKeys, StoreError> {
        let digests = self.shared.queue.all_digests();
        let files = self.held_files()?;
        let sha256s = self.sha256s_of(&files, digests)?;
        let mut models = Vec::new();
        for model in self.shared.model_hashes()? {
            let Some(manifest) = self.shared.manifest(model)? else {
                continue;
            };
            if manifest
                .entries()
                .iter()
                .any(|entry| files.contains_key(&entry.hash))
            {
                models.push(model);
            }
        }
        Ok(AnnounceKeys {
            models,
            files: files.into_keys().collect(),
            sha256s,
        })
    }

    /// The SHA-256 of those files that are held completely, from the index and from what waits to
    /// get there.
    fn sha256s_of(
        &self,
        files: &BTreeMap<FileHash, bool>,
        waiting: HashMap<FileHash, Digests>,
    ) -> Result<Vec<Sha256>, StoreError> {
        let is_whole = |file: &FileHash| files.get(file) == Some(&true);
        let waiting = waiting.into_iter().filter(|(file, _)| is_whole(file));
        let mut found: BTreeSet<Sha256> = waiting.map(|(_, digests)| digests.sha256).collect();
        let committed = self.shared.index.read(|read| {
            let mut committed = Vec::new();
            for row in tables::SHA256S.read(read)?.iter()? {
                let (sha256, file) = row?;
                if is_whole(&file_of(&file)?) {
                    committed.push(Sha256::new(*sha256.value()));
                }
            }
            Ok(committed)
        })?;
        found.extend(committed);
        Ok(found.into_iter().collect())
    }

    /// The files of which at least one chunk can be served, and whether all can.
    fn held_files(&self) -> Result<BTreeMap<FileHash, bool>, StoreError> {
        let waiting = self.shared.queue.inline_files();
        let mut files: BTreeMap<_, _> = waiting.into_iter().map(|file| (file, true)).collect();
        for (file, partial) in self.shared.partials.lock().iter() {
            let state = partial.lock();
            if !state.held.is_empty() {
                files.insert(*file, state.held.is_full());
            }
        }
        let committed = self.shared.index.read(|read| {
            let table = tables::FILES.read(read)?;
            let held = tables::HELD.read(read)?;
            let mut files = Vec::new();
            for row in records(&table)? {
                let (file, record) = row?;
                let whole = record.is_complete();
                let any = match record.place {
                    Place::Partial => !get_held(&held, file, record.size)?.is_empty(),
                    _ => whole,
                };
                if any {
                    files.push((file, whole));
                }
            }
            Ok(files)
        })?;
        // What was looked at before may have become complete since, and what is complete may wait
        // for its commit: either is enough.
        for (file, whole) in committed {
            *files.entry(file).or_default() |= whole;
        }
        Ok(files)
    }
}
