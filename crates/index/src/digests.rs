//! SHA-256 and git's SHA-1 of files: what other hubs call them.
//!
//! They cost several times what BLAKE3 does, so an import does not compute them; they are found
//! when a caller asks, or in the background, and kept as long as the file. Kept digests are true:
//! they come from bytes that were read and verified, all of them (`Store::compute_digests`), or
//! from a caller that did that already.

use std::collections::HashMap;

use hubless_content::{FileHash, GitBlobId, Sha256};
use redb::WriteTransaction;
use sha1::{Digest, Sha1};

use crate::{
    database::Database,
    error::IndexError,
    file_rows::{decode_record, file_of, get_record},
    tables,
    tx::{TxError, TxResult},
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

/// The rows of digests.
#[derive(Clone, Copy)]
pub struct DigestTable<'a> {
    pub(crate) database: &'a Database,
}

impl DigestTable<'_> {
    /// The digests of a file, if they are known.
    pub fn get(self, file: FileHash) -> Result<Option<Digests>, IndexError> {
        self.database.read(|read| {
            let table = tables::DIGESTS.read(read)?;
            let row = table.get(file.as_bytes())?;
            row.map(|row| decode(&row)).transpose()
        })
    }

    /// The file with this SHA-256, if one is known.
    pub fn file_by_sha256(self, sha256: Sha256) -> Result<Option<FileHash>, IndexError> {
        self.database.read(|read| {
            let table = tables::SHA256S.read(read)?;
            let row = table.get(sha256.as_bytes())?;
            row.map(|row| file_of(&row)).transpose()
        })
    }

    /// The file with this id as a git blob, if one is known.
    pub fn file_by_git_blob(self, git_blob: GitBlobId) -> Result<Option<FileHash>, IndexError> {
        self.database.read(|read| {
            let table = tables::GIT_BLOBS.read(read)?;
            let row = table.get(git_blob.as_bytes())?;
            row.map(|row| file_of(&row)).transpose()
        })
    }

    /// The SHA-256 of those files that `wants` picks.
    pub fn sha256s(self, wants: impl Fn(FileHash) -> bool) -> Result<Vec<Sha256>, IndexError> {
        self.database.read(|read| {
            let mut found = Vec::new();
            for row in tables::SHA256S.read(read)?.iter()? {
                let (sha256, file) = row?;
                if wants(file_of(&file)?) {
                    found.push(Sha256::new(*sha256.value()));
                }
            }
            Ok(found)
        })
    }

    /// Up to `max` complete files without digests, in the order of their hashes, those after `after`.
    pub fn files_without(
        self,
        after: Option<FileHash>,
        max: usize,
    ) -> Result<Vec<FileHash>, IndexError> {
        let start = after.unwrap_or(FileHash::new([0; 32]));
        self.database.read(|read| {
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
}

fn decode(bytes: &[u8]) -> TxResult<Digests> {
    let digests = bytes.try_into().ok().and_then(Digests::from_bytes);
    digests.ok_or(TxError::Malformed("the digests of a file"))
}

/// Writes the digests of those files that are still there.
pub(crate) fn write(
    write: &WriteTransaction,
    digests: &HashMap<FileHash, Digests>,
) -> TxResult<()> {
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
        // SHA-1 can be made to collide: a second file does not take the place of the first.
        let git_blob = digests.git_blob.as_bytes();
        if git_blobs.get(git_blob)?.is_none() {
            git_blobs.insert(git_blob, file.as_bytes())?;
        }
    }
    Ok(())
}

/// Removes the digests of files that are removed.
pub(crate) fn forget(write: &WriteTransaction, files: &[FileHash]) -> TxResult<()> {
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
