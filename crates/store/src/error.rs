//! What can go wrong, with the facts a person needs to act on it.

use std::path::PathBuf;

use hubless_content::{
    ChunkIndex, ContentHash, FileHash, GitBlobId, ManifestError, ModelPath, PathError, Sha256,
};
use hubless_disk::DiskError;
use hubless_index::IndexError;

/// Why the store could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk refused something, also if it was to the index.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The index refused something.
    #[error(transparent)]
    Index(IndexError),
    /// What should be imported is a file, or is not there.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// What was given.
        path: PathBuf,
    },
    /// What should be imported has no files.
    #[error("there are no files in {}", path.display())]
    NoFiles {
        /// What was given.
        path: PathBuf,
    },
    /// A name cannot be a path inside a model.
    #[error("{} cannot be part of a model: {source}", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// The rule that its name breaks.
        source: PathError,
    },
    /// The files together break a rule of manifests.
    #[error("{} cannot be a model: {source}", path.display())]
    Manifest {
        /// The directory.
        path: PathBuf,
        /// The rule.
        source: ManifestError,
    },
    /// Neither a file nor a directory.
    #[error("{} is a {kind}; only files can be shared", path.display())]
    NotAFile {
        /// Where it is.
        path: PathBuf,
        /// `socket`, `pipe` or `device`.
        kind: &'static str,
    },
    /// A link leads out of the directory that is imported.
    #[error("{} is a link out of the directory, to {} (links are followed on request)",
        link.display(), target.display())]
    LinkLeaves {
        /// The link.
        link: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A link leads to a directory.
    #[error("{} is a link to a directory (links are followed on request)", link.display())]
    LinkToDirectory {
        /// The link.
        link: PathBuf,
    },
    /// A link leads to a directory that it is itself in.
    #[error("{} is a link to a directory it lies in", link.display())]
    LinkCycle {
        /// The link.
        link: PathBuf,
    },
    /// A file has more bytes than its size says, as files of `/proc` have.
    #[error("{} says that it has {size} bytes, but has more: only ordinary files can be shared",
        path.display())]
    PseudoFile {
        /// The file.
        path: PathBuf,
        /// The size it says it has.
        size: u64,
    },
    /// A file was written to while it was read.
    #[error("{} changed while it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The store may not grow that much.
    #[error("{needed} bytes more would exceed the quota of {quota} bytes ({used} are used)")]
    Quota {
        /// Bytes asked for.
        needed: u64,
        /// Bytes allowed.
        quota: u64,
        /// Bytes used and reserved.
        used: u64,
    },
    /// The model is not known here.
    #[error("there is no model {model} in this store")]
    UnknownModel {
        /// The model.
        model: ContentHash,
    },
    /// The file is not held, or not all of it.
    #[error("file {file} is not held completely")]
    Incomplete {
        /// The file.
        file: FileHash,
    },
    /// A range goes beyond the end of a file.
    #[error("the range ends at byte {end}, but file {file} has {size} bytes")]
    Range {
        /// The file.
        file: FileHash,
        /// Where the range ends.
        end: u64,
        /// Bytes of the file.
        size: u64,
    },
    /// Stored bytes are no longer what they were when they were verified.
    #[error("chunk {chunk} of file {file} is damaged on disk")]
    Damaged {
        /// The file.
        file: FileHash,
        /// The chunk.
        chunk: ChunkIndex,
    },
    /// Something in the way of an export is not a plain directory.
    #[error("{path:?} cannot be written: {} in the target is a link or not a directory",
        obstacle.display())]
    UnsafeTarget {
        /// The file of the model.
        path: ModelPath,
        /// What is in the way, relative to the target directory.
        obstacle: PathBuf,
    },
    /// The target has a file with other bytes, which the store does not have.
    #[error("{} has other bytes than the model's file, and is not replaced{}", path.display(),
        and_more(*more))]
    WouldReplace {
        /// The file.
        path: PathBuf,
        /// Further such files.
        more: u64,
    },
    /// Two names of the model are one name on the target's file system.
    #[error("{first:?} and {second:?} are the same name on the file system of {}",
        target.display())]
    SameName {
        /// One name.
        first: String,
        /// The other.
        second: String,
        /// The target directory.
        target: PathBuf,
    },
    /// A model that is to be removed is a revision of a repo.
    #[error("model {model} is a revision of a repo: remove that first")]
    Named {
        /// The model.
        model: ContentHash,
    },
    /// More or fewer bytes came than were expected.
    #[error("{found} bytes came, but {expected} were expected")]
    WrongSize {
        /// Bytes expected.
        expected: u64,
        /// Bytes that came; if there were too many, those until this was noticed.
        found: u64,
    },
    /// Other bytes came than were expected.
    #[error("file {found} came, but {expected} was expected")]
    WrongFile {
        /// What was expected.
        expected: FileHash,
        /// What came.
        found: FileHash,
    },
    /// Other bytes came than were expected.
    #[error("bytes with SHA-256 {found} came, but {expected} was expected")]
    WrongSha256 {
        /// What was expected.
        expected: Sha256,
        /// What came.
        found: Sha256,
    },
    /// Other bytes came than were expected.
    #[error("bytes that git calls {found} came, but {expected} was expected")]
    WrongGitBlob {
        /// What was expected.
        expected: GitBlobId,
        /// What came.
        found: GitBlobId,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}

/// What kind of failure it is: what a caller decides on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// Asked for something that is not here.
    NotFound,
    /// Another process has the store.
    Locked,
    /// The index is damaged or from a newer version.
    Corrupt,
    /// The disk is full.
    NoSpace,
    /// The quota is used up.
    Quota,
    /// Stored bytes are not what they should be, or two histories of keys contradict each other.
    Integrity,
    /// What the user pointed at cannot be used.
    Input,
    /// Another writer was first: what the change was made from is no longer so.
    Conflict,
    /// The file system or index failed.
    Io,
    /// The caller asked to stop, or closed the store.
    Cancelled,
}

impl StoreError {
    /// What kind of failure it is.
    pub fn kind(&self) -> StoreErrorKind {
        use StoreErrorKind as Kind;
        match self {
            Self::NotADirectory { .. }
            | Self::NoFiles { .. }
            | Self::Name { .. }
            | Self::Manifest { .. }
            | Self::NotAFile { .. }
            | Self::LinkLeaves { .. }
            | Self::LinkToDirectory { .. }
            | Self::LinkCycle { .. }
            | Self::Changed { .. }
            | Self::Range { .. }
            | Self::UnsafeTarget { .. }
            | Self::SameName { .. }
            | Self::WouldReplace { .. }
            | Self::PseudoFile { .. }
            | Self::Named { .. } => Kind::Input,
            Self::Disk(error) => kind_of_disk(error),
            Self::Index(error) => kind_of_index(error),
            Self::Quota { .. } => Kind::Quota,
            Self::UnknownModel { .. } | Self::Incomplete { .. } => Kind::NotFound,
            Self::Damaged { .. }
            | Self::WrongSize { .. }
            | Self::WrongFile { .. }
            | Self::WrongSha256 { .. }
            | Self::WrongGitBlob { .. } => Kind::Integrity,
            Self::Cancelled => Kind::Cancelled,
        }
    }

    /// Whether it was the disk's or the quota's limit, so that it may work again later.
    pub fn is_out_of_space(&self) -> bool {
        matches!(self.kind(), StoreErrorKind::NoSpace | StoreErrorKind::Quota)
    }
}

/// A refusal of the disk is the same to a caller, whether the index or the store met it.
impl From<IndexError> for StoreError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Disk(error) => Self::Disk(error),
            error => Self::Index(error),
        }
    }
}

fn kind_of_disk(error: &DiskError) -> StoreErrorKind {
    match error {
        DiskError::Io { .. } | DiskError::ReadOnly { .. } => StoreErrorKind::Io,
        DiskError::NoSpace { .. } => StoreErrorKind::NoSpace,
    }
}

fn kind_of_index(error: &IndexError) -> StoreErrorKind {
    use StoreErrorKind as Kind;
    match error {
        IndexError::Disk(error) => kind_of_disk(error),
        IndexError::Locked { .. } => Kind::Locked,
        IndexError::Corrupt { .. } | IndexError::Newer { .. } => Kind::Corrupt,
        IndexError::Failed { .. } => Kind::Io,
        IndexError::UnknownRepo { .. } | IndexError::UnknownRevision { .. } => Kind::NotFound,
        IndexError::RepoExists { .. }
        | IndexError::RefMoved { .. }
        | IndexError::HeadMoved { .. } => Kind::Conflict,
        IndexError::ChainContradicts { .. } => Kind::Integrity,
        IndexError::RefLeadsThere { .. }
        | IndexError::OfPublisher { .. }
        | IndexError::Unpublishable { .. }
        | IndexError::NamespaceTaken { .. }
        | IndexError::TooMany { .. }
        | IndexError::Revision { .. } => Kind::Input,
        IndexError::Closed => Kind::Cancelled,
    }
}

fn and_more(files: u64) -> String {
    match files {
        0 => String::new(),
        1 => " (nor is 1 more file)".to_owned(),
        more => format!(" (nor are {more} more files)"),
    }
}
