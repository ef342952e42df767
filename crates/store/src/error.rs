//! What can go wrong, with the facts a person needs to act on it.

use std::{
    io,
    path::{Path, PathBuf},
};

use hubless_content::{
    ChunkIndex, CommitId, ContentHash, FileHash, GitBlobId, ManifestError, ModelPath, PathError,
    RefName, RepoId, RevisionError, Sha256,
};

/// Why the store could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
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
    /// The file system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// A verb: what was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
    /// The disk is full.
    #[error("no space left on the disk for {}", path.display())]
    NoSpace {
        /// What was written.
        path: PathBuf,
    },
    /// The store cannot be written to, only read.
    #[error("{} cannot be written to", path.display())]
    ReadOnly {
        /// What was to be written.
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
    /// Another process has the store open.
    #[error("the store in {} is in use by another process{}", home.display(), id_of(*process))]
    Locked {
        /// The home directory.
        home: PathBuf,
        /// The id of the process, if the system says it.
        process: Option<u32>,
    },
    /// The index does not hold what this program wrote to it.
    #[error("the index {} is damaged: {detail}", path.display())]
    Corrupt {
        /// The index file.
        path: PathBuf,
        /// What shows it.
        detail: String,
    },
    /// The index failed for another reason than the disk or its contents.
    #[error("the index {} failed: {source}", path.display())]
    Index {
        /// The index file.
        path: PathBuf,
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store was written by a newer version of this program.
    #[error("{} was written by a newer version (schema {found}, this version knows {known})",
        path.display())]
    Newer {
        /// The index file.
        path: PathBuf,
        /// The schema found.
        found: u64,
        /// The newest schema that this version knows.
        known: u64,
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
    /// The repo is not known here.
    #[error("there is no repo {repo} in this store")]
    UnknownRepo {
        /// The repo.
        repo: RepoId,
    },
    /// The repo was to be new, but is known.
    #[error("there is a repo {repo} already")]
    RepoExists {
        /// The repo.
        repo: RepoId,
    },
    /// A ref leads elsewhere than the writer of a change saw; nothing was changed.
    #[error("{name} of {repo} moved meanwhile{}", found.map(|at| format!(" to {at}")).unwrap_or_default())]
    RefMoved {
        /// The repo.
        repo: RepoId,
        /// The ref.
        name: RefName,
        /// Where it leads now; `None` if there is no such ref.
        found: Option<CommitId>,
    },
    /// The repo has no such revision.
    #[error("{repo} has no revision {commit}")]
    UnknownRevision {
        /// The repo.
        repo: RepoId,
        /// The revision.
        commit: CommitId,
    },
    /// A revision whose content is to be removed is what a ref leads to.
    #[error("revision {commit} of {repo} is what {name} leads to")]
    RefLeadsThere {
        /// The repo.
        repo: RepoId,
        /// The revision.
        commit: CommitId,
        /// The ref; there may be more.
        name: RefName,
    },
    /// More of something than the index takes.
    #[error("there can be at most {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: u64,
    },
    /// A revision breaks a rule.
    #[error("revision {commit} cannot be kept: {source}")]
    Revision {
        /// Its id.
        commit: CommitId,
        /// The rule.
        source: RevisionError,
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
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
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
    /// Stored bytes are not what they should be.
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
            | Self::Named { .. }
            | Self::RefLeadsThere { .. }
            | Self::TooMany { .. }
            | Self::Revision { .. } => Kind::Input,
            Self::RepoExists { .. } | Self::RefMoved { .. } => Kind::Conflict,
            Self::Io { .. } | Self::ReadOnly { .. } | Self::Index { .. } => Kind::Io,
            Self::NoSpace { .. } => Kind::NoSpace,
            Self::Quota { .. } => Kind::Quota,
            Self::Locked { .. } => Kind::Locked,
            Self::Corrupt { .. } | Self::Newer { .. } => Kind::Corrupt,
            Self::UnknownModel { .. }
            | Self::UnknownRepo { .. }
            | Self::UnknownRevision { .. }
            | Self::Incomplete { .. } => Kind::NotFound,
            Self::Damaged { .. }
            | Self::WrongSize { .. }
            | Self::WrongFile { .. }
            | Self::WrongSha256 { .. }
            | Self::WrongGitBlob { .. } => Kind::Integrity,
            Self::Cancelled | Self::Closed => Kind::Cancelled,
        }
    }

    /// Whether it was the disk's or the quota's limit, so that it may work again later.
    pub fn is_out_of_space(&self) -> bool {
        matches!(self.kind(), StoreErrorKind::NoSpace | StoreErrorKind::Quota)
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path },
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }
}

fn and_more(files: u64) -> String {
    match files {
        0 => String::new(),
        1 => " (nor is 1 more file)".to_owned(),
        more => format!(" (nor are {more} more files)"),
    }
}

/// Names the file and the action when the disk refuses.
pub(crate) trait IoContext<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::io(action, path, source))
    }
}

/// ` (pid 4711)`, or nothing.
fn id_of(process: Option<u32>) -> String {
    process.map_or_else(String::new, |id| format!(" (pid {id})"))
}
