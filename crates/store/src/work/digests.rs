//! Digests of files that are held: finding them, and reading files to compute them.

use hubless_content::{ChunkIndex, ChunkList, FileHash, GitBlobId, Sha256, chunk_count, chunk_len};
use hubless_index::{DigestHasher, Digests};

use crate::{
    error::StoreError,
    files::located::LocatedFile,
    observer::{Meter, Observer},
    work::Work,
};

/// Digests of a file that is still fetched, computed as far as its chunks are held in order: what
/// is proven by them need not wait for the whole to be read again.
pub struct DigestsAhead {
    file: FileHash,
    size: u64,
    hasher: DigestHasher,
    next: ChunkIndex,
}

impl DigestsAhead {
    /// Nothing of a file of `size` bytes yet.
    pub fn new(file: FileHash, size: u64) -> Self {
        Self {
            file,
            size,
            hasher: DigestHasher::new(size),
            next: ChunkIndex(0),
        }
    }
}

/// How far `Store::digest_ahead` came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ahead {
    /// The next chunk is not held yet.
    Waits,
    /// It took as many as it was to.
    More,
    /// All chunks were taken; the digests are kept.
    Done(Digests),
}

impl Work {
    /// Takes up to `max` chunks into the digests of a file. Every chunk is verified on the way.
    pub(crate) fn digest_ahead(
        &self,
        ahead: &mut DigestsAhead,
        max: u32,
    ) -> Result<Ahead, StoreError> {
        let list = self.files.chunk_list(ahead.file)?;
        let Some(list) = list.filter(|list| list.size() == ahead.size) else {
            return Ok(Ahead::Waits);
        };
        for _ in 0..max {
            if ahead.next.0 == chunk_count(ahead.size) {
                let digests = ahead.hasher.clone().finish();
                self.put_digests(ahead.file, digests)?;
                return Ok(Ahead::Done(digests));
            }
            if !self.digest_chunk(&list, ahead.next, &mut ahead.hasher)? {
                return Ok(Ahead::Waits);
            }
            ahead.next.0 += 1;
        }
        Ok(Ahead::More)
    }

    /// Takes a chunk into digests; false if it is not held, or was until it was found to be wrong.
    fn digest_chunk(
        &self,
        list: &ChunkList,
        chunk: ChunkIndex,
        hasher: &mut DigestHasher,
    ) -> Result<bool, StoreError> {
        let Some(bytes) = self.read_proven(list.file(), chunk)? else {
            return Ok(false);
        };
        hasher.update(&bytes);
        Ok(true)
    }

    /// The digests of a file, if they are known.
    pub(crate) fn digests(&self, file: FileHash) -> Result<Option<Digests>, StoreError> {
        if let Some(waiting) = self.files.queue.digests(file) {
            return Ok(Some(waiting));
        }
        Ok(self.files.index.digests().get(file)?)
    }

    /// Keeps digests that were proven over the whole of a file that is held; durable with the next
    /// group commit. A digest that is known of another file stays with that one.
    pub(crate) fn put_digests(&self, file: FileHash, digests: Digests) -> Result<(), StoreError> {
        if !self.is_whole(file)? {
            return Err(StoreError::Incomplete { file });
        }
        self.files.queue.push_digests(file, digests);
        Ok(())
    }

    /// The file with this SHA-256, if its digests are known.
    pub(crate) fn file_by_sha256(&self, sha256: Sha256) -> Result<Option<FileHash>, StoreError> {
        let waiting = |digests: &Digests| digests.sha256 == sha256;
        if let Some(file) = self.files.queue.file_with(waiting) {
            return Ok(Some(file));
        }
        Ok(self.files.index.digests().file_by_sha256(sha256)?)
    }

    /// The file that git calls this, if its digests are known.
    pub(crate) fn file_by_git_blob(
        &self,
        git_blob: GitBlobId,
    ) -> Result<Option<FileHash>, StoreError> {
        let waiting = |digests: &Digests| digests.git_blob == git_blob;
        if let Some(file) = self.files.queue.file_with(waiting) {
            return Ok(Some(file));
        }
        Ok(self.files.index.digests().file_by_git_blob(git_blob)?)
    }

    /// Up to `max` complete files whose digests are not known, in the order of their hashes, those
    /// after `after`. Fewer than `max` are the last ones.
    pub(crate) fn files_without_digests(
        &self,
        after: Option<FileHash>,
        max: usize,
    ) -> Result<Vec<FileHash>, StoreError> {
        self.flush()?;
        Ok(self.files.index.digests().files_without(after, max)?)
    }

    /// The digests of a file that is held: those that are known, or else found by reading it once,
    /// on this thread, and kept. Every chunk is verified on the way.
    pub(crate) fn compute_digests(
        &self,
        file: FileHash,
        observer: &dyn Observer,
    ) -> Result<Digests, StoreError> {
        if let Some(known) = self.digests(file)? {
            return Ok(known);
        }
        let incomplete = || StoreError::Incomplete { file };
        let list = self.files.chunk_list(file)?.ok_or_else(incomplete)?;
        let meter = Meter::new(observer, 1, list.size());
        let mut hasher = DigestHasher::new(list.size());
        for index in (0..chunk_count(list.size())).map(ChunkIndex) {
            if !self.digest_chunk(&list, index, &mut hasher)? {
                return Err(incomplete());
            }
            let len = chunk_len(list.size(), index).unwrap_or(0);
            meter.add(0, len as u64)?;
        }
        let digests = hasher.finish();
        self.put_digests(file, digests)?;
        Ok(digests)
    }

    fn is_whole(&self, file: FileHash) -> Result<bool, StoreError> {
        Ok(match self.files.locate(file)? {
            LocatedFile::Missing => false,
            LocatedFile::Waiting(_) => true,
            LocatedFile::Partial(partial) => partial.lock().held.is_full(),
            LocatedFile::Stored(record) => record.is_complete(),
        })
    }
}
