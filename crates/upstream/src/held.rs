//! Finds listed files in the store.

use hubless_content::{FileHash, GitBlobId, Lfs};
use hubless_store::{Expected, Store, StoreError};

/// What the bytes of a listed file must be.
pub fn expected(file: Option<FileHash>, lfs: Option<Lfs>, git_blob: Option<GitBlobId>) -> Expected {
    Expected {
        file,
        sha256: lfs.map(|lfs| lfs.sha256),
        // Of a large file, git holds only a pointer.
        git_blob: git_blob.filter(|_| lfs.is_none()),
    }
}

/// The file of the store that is what an upstream lists, from whatever source it came.
pub fn find_held(
    store: &Store,
    expected: Expected,
    size: u64,
) -> Result<Option<FileHash>, StoreError> {
    let by_digest = match (expected.sha256, expected.git_blob) {
        (Some(sha256), _) => store.file_by_sha256(sha256)?,
        (None, Some(git_blob)) => store.file_by_git_blob(git_blob)?,
        (None, None) => None,
    };
    for file in expected.file.into_iter().chain(by_digest) {
        let held = store.file(file)?;
        if held.is_some_and(|held| held.complete && held.size == size) {
            return Ok(Some(file));
        }
    }
    Ok(None)
}
