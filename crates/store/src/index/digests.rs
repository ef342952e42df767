//! SHA-256 and git's SHA-1 of files: what other hubs call them.
//!
//! They cost several times what BLAKE3 does, so an import does not compute them; they are found
//! when somebody asks, or in the background, and kept as long as the file. Kept digests are true:
//! they come from bytes that were read and verified, all of them ([`Store::compute_digests`]), or
//! from who did that already.

use std::collections::HashMap;

use hubless_content::{ChunkIndex, ChunkList, FileHash, GitBlobId, Sha256, chunk_count, chunk_len};
use redb::WriteTransaction;
use sha1::{Digest, Sha1};

use crate::{
    Shared, Store,
    error::StoreError,
    files::located::{Located, decode_record, file_of, get_record},
    index::{
        database::{IndexError, IndexResult},
        tables,
    },
    observer::Observer,
    parallel::Meter,
};

/// What other hubs call a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digests {
    /// SHA-256 of its bytes.
    pub sha256: Sha256,
    /// Its id as a git blob.
    pub git_blob: GitBlobId,
}

impl Digests {
    /// Those of a file of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = DigestHasher::new(bytes.len() as u64);
        hasher.update(bytes);
        hasher.finish()
    }

    fn to_bytes(self) -> [u8; 52] {
        let mut bytes = [0; 52];
        bytes[..32].copy_from_slice(self.sha256.as_bytes());
        bytes[32..].copy_from_slice(self.git_blob.as_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; 52]) -> Option<Self> {
        Some(Self {
            sha256: Sha256::from_slice(&bytes[..32])?,
            git_blob: GitBlobId::from_slice(&bytes[32..])?,
        })
    }
}

/// Computes [`Digests`] from a file's bytes in order.
#[derive(Clone)]
pub struct DigestHasher {
    sha256: sha2::Sha256,
    git_blob: Sha1,
}

impl DigestHasher {
    /// For a file of `size` bytes: git puts the size before them.
    pub fn new(size: u64) -> Self {
        Self {
            sha256: sha2::Sha256::new(),
            git_blob: Sha1::new_with_prefix(format!("blob {size}\0")),
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.git_blob.update(bytes);
    }

    /// What the bytes were.
    pub fn finish(self) -> Digests {
        Digests {
            sha256: Sha256::new(self.sha256.finalize().into()),
            git_blob: GitBlobId::new(self.git_blob.finalize().into()),
        }
    }
}

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

/// How far [`Store::digest_ahead`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ahead {
    /// The next chunk is not held yet.
    Waits,
    /// It took as many as it was to.
    More,
    /// All chunks were taken; the digests are kept.
    Done(Digests),
}

impl Store {
    /// Takes up to `max` chunks into the digests of a file. Every chunk is verified on the way.
    ///
    /// # Errors
    /// If the disk or the index fails.
    pub fn digest_ahead(&self, ahead: &mut DigestsAhead, max: u32) -> Result<Ahead, StoreError> {
        let list = self.chunk_list(ahead.file)?;
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
    ///
    /// # Errors
    /// If the index fails.
    pub fn digests(&self, file: FileHash) -> Result<Option<Digests>, StoreError> {
        if let Some(waiting) = self.shared.queue.digests(file) {
            return Ok(Some(waiting));
        }
        self.shared.index.read(|read| {
            let table = tables::DIGESTS.read(read)?;
            let row = table.get(file.as_bytes())?;
            row.map(|row| decode(&row)).transpose()
        })
    }

    /// Keeps digests that were proven over the whole of a file that is held; durable with the next
    /// group commit. A digest that is known of another file stays with that one.
    ///
    /// # Errors
    /// [`StoreError::Incomplete`] if not all of the file is held; others if the index fails.
    pub fn put_digests(&self, file: FileHash, digests: Digests) -> Result<(), StoreError> {
        if !self.shared.is_whole(file)? {
            return Err(StoreError::Incomplete { file });
        }
        self.shared.queue.push_digests(file, digests);
        Ok(())
    }

    /// The file with this SHA-256, if its digests are known.
    ///
    /// # Errors
    /// If the index fails.
    pub fn file_by_sha256(&self, sha256: Sha256) -> Result<Option<FileHash>, StoreError> {
        let waiting = |digests: &Digests| digests.sha256 == sha256;
        if let Some(file) = self.shared.queue.file_with(waiting) {
            return Ok(Some(file));
        }
        self.shared.index.read(|read| {
            let table = tables::SHA256S.read(read)?;
            let row = table.get(sha256.as_bytes())?;
            row.map(|row| file_of(&row)).transpose()
        })
    }

    /// The file that git calls this, if its digests are known.
    ///
    /// # Errors
    /// If the index fails.
    pub fn file_by_git_blob(&self, git_blob: GitBlobId) -> Result<Option<FileHash>, StoreError> {
        let waiting = |digests: &Digests| digests.git_blob == git_blob;
        if let Some(file) = self.shared.queue.file_with(waiting) {
            return Ok(Some(file));
        }
        self.shared.index.read(|read| {
            let table = tables::GIT_BLOBS.read(read)?;
            let row = table.get(git_blob.as_bytes())?;
            row.map(|row| file_of(&row)).transpose()
        })
    }

    /// Up to `max` complete files whose digests are not known, in the order of their hashes, those
    /// after `after`. Fewer than `max` are the last ones.
    ///
    /// # Errors
    /// If the disk or the index fails.
    pub fn files_without_digests(
        &self,
        after: Option<FileHash>,
        max: usize,
    ) -> Result<Vec<FileHash>, StoreError> {
        self.flush()?;
        let start = after.unwrap_or(FileHash::new([0; 32]));
        self.shared.index.read(|read| {
            let known = tables::DIGESTS.read(read)?;
            let files = tables::FILES.read(read)?;
            let mut without = Vec::new();
            for row in files.range(start.as_bytes()..)? {
                let (key, value) = row?;
                let file = FileHash::new(*key.value());
                let is_next = after != Some(file)
                    && decode_record(&value)?.is_complete()
                    && known.get(file.as_bytes())?.is_none();
                if is_next {
                    without.push(file);
                }
                if without.len() >= max {
                    break;
                }
            }
            Ok(without)
        })
    }

    /// The digests of a file that is held: those that are known, or else found by reading it once,
    /// on this thread, and kept. Every chunk is verified on the way.
    ///
    /// # Errors
    /// [`StoreError::Incomplete`] if not all of it is held, or was until it was found to be wrong;
    /// [`StoreError::Cancelled`]; others if the disk or the index fails.
    pub fn compute_digests(
        &self,
        file: FileHash,
        observer: &dyn Observer,
    ) -> Result<Digests, StoreError> {
        if let Some(known) = self.digests(file)? {
            return Ok(known);
        }
        let incomplete = || StoreError::Incomplete { file };
        let list = self.chunk_list(file)?.ok_or_else(incomplete)?;
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
}

impl Shared {
    fn is_whole(&self, file: FileHash) -> Result<bool, StoreError> {
        Ok(match self.locate(file)? {
            Located::Missing => false,
            Located::Waiting(_) => true,
            Located::Partial(partial) => partial.lock().held.is_full(),
            Located::Stored(record) => record.is_complete(),
        })
    }
}

fn decode(bytes: &[u8]) -> IndexResult<Digests> {
    let digests = bytes.try_into().ok().and_then(Digests::from_bytes);
    digests.ok_or(IndexError::Malformed("the digests of a file"))
}

/// Writes the digests of those files that are still there.
pub(crate) fn write(
    write: &WriteTransaction,
    digests: &HashMap<FileHash, Digests>,
) -> IndexResult<()> {
    if digests.is_empty() {
        return Ok(());
    }
    let files = tables::FILES.write(write)?;
    let mut table = tables::DIGESTS.write(write)?;
    let mut sha256s = tables::SHA256S.write(write)?;
    let mut git_blobs = tables::GIT_BLOBS.write(write)?;
    for (file, digests) in digests {
        if get_record(&files, *file)?.is_none() {
            continue;
        }
        table.insert(file.as_bytes(), &digests.to_bytes())?;
        let sha256 = digests.sha256.as_bytes();
        if sha256s.get(sha256)?.is_none() {
            sha256s.insert(sha256, file.as_bytes())?;
        }
        // SHA-1 can be made to collide: who comes second does not take the place of the first.
        let git_blob = digests.git_blob.as_bytes();
        if git_blobs.get(git_blob)?.is_none() {
            git_blobs.insert(git_blob, file.as_bytes())?;
        }
    }
    Ok(())
}

/// Removes the digests of files that are removed.
pub(crate) fn forget(write: &WriteTransaction, files: &[FileHash]) -> IndexResult<()> {
    let mut table = tables::DIGESTS.write(write)?;
    let mut sha256s = tables::SHA256S.write(write)?;
    let mut git_blobs = tables::GIT_BLOBS.write(write)?;
    for file in files {
        let row = table.get(file.as_bytes())?;
        let Some(digests) = row.map(|row| decode(&row)).transpose()? else {
            continue;
        };
        table.remove(file.as_bytes())?;
        let is_own = |other: Vec<u8>| other == file.as_bytes();
        let sha256 = digests.sha256.as_bytes();
        if sha256s.get(sha256)?.is_some_and(is_own) {
            sha256s.remove(sha256)?;
        }
        let git_blob = digests.git_blob.as_bytes();
        if git_blobs.get(git_blob)?.is_some_and(is_own) {
            git_blobs.remove(git_blob)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From `sha256sum` and `git hash-object`.
    #[test]
    fn equal_to_those_of_others() {
        for (bytes, sha256, git_blob) in [
            (
                &b""[..],
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
            ),
            (
                b"hello\n",
                "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
                "ce013625030ba8dba906f756967f9e9ca394464a",
            ),
        ] {
            let digests = Digests::of(bytes);
            assert_eq!(digests.sha256.to_string(), sha256);
            assert_eq!(digests.git_blob.to_string(), git_blob);
            assert_eq!(Digests::from_bytes(&digests.to_bytes()), Some(digests));
        }
    }
}
