//! A file of a revision, as its listing or manifest says.

use hubless_content::{FileHash, GitBlobId, Lfs, ModelPath};

/// A file of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoFile {
    /// Its path.
    pub path: ModelPath,
    /// Its bytes.
    pub size: u64,
    /// Its BLAKE3, if it is known.
    pub hash: Option<FileHash>,
    /// Git's id of the file or its pointer, as another hub lists it.
    pub git_blob: Option<GitBlobId>,
    /// Its properties as a large file, as another hub lists them.
    pub lfs: Option<Lfs>,
}
