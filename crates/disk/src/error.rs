//! Why the disk refused, with the file and what was tried.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustix::io::Errno;

/// What the disk refused.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
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
}

impl DiskError {
    /// What `source` means for `action`, a verb, on the file at `path`.
    pub fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
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

/// Names the file and the action when the disk refuses.
pub trait IoContext<T> {
    /// `action` is a verb: what was tried with the file at `path`.
    ///
    /// # Errors
    /// The refusal, as [`DiskError::new`] has it.
    fn context(self, action: &'static str, path: &Path) -> Result<T, DiskError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, DiskError> {
        self.map_err(|source| DiskError::new(action, path, source))
    }
}

/// Whether an error says that a file of the store is gone, cut off or unreadable. Others, such as too
/// many open files, say nothing about it.
pub fn is_loss(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    let kind = matches!(
        error.kind(),
        Kind::NotFound
            | Kind::NotADirectory
            | Kind::IsADirectory
            | Kind::UnexpectedEof
            | Kind::NotSeekable
    );
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    kind || matches!(code, Some(Errno::IO | Errno::LOOP | Errno::NXIO))
}

/// Whether an error says that this process or machine has too little of something.
pub fn is_shortage(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
}
