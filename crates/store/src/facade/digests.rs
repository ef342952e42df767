//! Digests: what other hubs call files.

use hubless_content::{FileHash, GitBlobId, Sha256};

use crate::{Ahead, Digests, DigestsAhead, Observer, Store, StoreError};

impl Store {
    /// Takes up to `max` chunks into the digests of a file. Every chunk is verified on the way.
    ///
    /// # Errors
    /// If the disk or the index fails.
    pub fn digest_ahead(&self, ahead: &mut DigestsAhead, max: u32) -> Result<Ahead, StoreError> {
        self.work.digest_ahead(ahead, max)
    }

    /// The digests of a file, if they are known.
    ///
    /// # Errors
    /// If the index fails.
    pub fn digests(&self, file: FileHash) -> Result<Option<Digests>, StoreError> {
        self.work.digests(file)
    }

    /// Keeps digests that were proven over the whole of a file that is held; durable with the next
    /// group commit. A digest that is known of another file stays with that one.
    ///
    /// # Errors
    /// [`StoreError::Incomplete`] if not all of the file is held; others if the index fails.
    pub fn put_digests(&self, file: FileHash, digests: Digests) -> Result<(), StoreError> {
        self.work.put_digests(file, digests)
    }

    /// The file with this SHA-256, if its digests are known.
    ///
    /// # Errors
    /// If the index fails.
    pub fn file_by_sha256(&self, sha256: Sha256) -> Result<Option<FileHash>, StoreError> {
        self.work.file_by_sha256(sha256)
    }

    /// The file that git calls this, if its digests are known.
    ///
    /// # Errors
    /// If the index fails.
    pub fn file_by_git_blob(&self, git_blob: GitBlobId) -> Result<Option<FileHash>, StoreError> {
        self.work.file_by_git_blob(git_blob)
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
        self.work.files_without_digests(after, max)
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
        self.work.compute_digests(file, observer)
    }
}
