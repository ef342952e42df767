//! The door to redb.
//!
//! redb refuses all work after one failed write or read, because it no longer knows what is on
//! the disk, and it may panic on a file that something else has altered. Neither may end the
//! store: here a database that failed is dropped and opened again from its last commit, and a
//! panic becomes [`IndexError::Corrupt`].

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use hubless_disk::{DiskError, DiskFile, IoContext};
use hubless_sync::{read, write};
use redb::{ReadOnlyDatabase, ReadTransaction, ReadableDatabase, WriteTransaction};

use crate::{
    backend::IndexFile,
    error::IndexError,
    overlay::pages_are_right,
    tx::{Panicked, TxError, TxResult, caught},
};

/// Memory that redb may use. Its pages are few: bulk bytes lie in files.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// The database, opened anew after a failure.
pub(crate) struct Database {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    database: RwLock<Option<Opened>>,
    read_only: bool,
    closed: AtomicBool,
}

/// How the database is open.
enum Opened {
    Writable(redb::Database),
    ReadOnly(ReadOnlyDatabase),
}

impl Opened {
    fn begin_read(&self) -> Result<ReadTransaction, redb::TransactionError> {
        match self {
            Self::Writable(database) => database.begin_read(),
            Self::ReadOnly(database) => database.begin_read(),
        }
    }

    fn begin_write(&self) -> TxResult<WriteTransaction> {
        match self {
            Self::Writable(database) => Ok(database.begin_write()?),
            Self::ReadOnly(_) => Err(TxError::ReadOnly),
        }
    }
}

impl Database {
    pub(crate) fn open(path: PathBuf, file: Arc<dyn DiskFile>) -> Result<Self, IndexError> {
        Self::open_as(path, file, false)
    }

    /// Opens an index that cannot be written to. One that was not closed needs to be.
    pub(crate) fn open_read_only(
        path: PathBuf,
        file: Arc<dyn DiskFile>,
    ) -> Result<Self, IndexError> {
        Self::open_as(path, file, true)
    }

    fn open_as(
        path: PathBuf,
        file: Arc<dyn DiskFile>,
        read_only: bool,
    ) -> Result<Self, IndexError> {
        let database = Self {
            path,
            file,
            database: RwLock::new(None),
            read_only,
            closed: AtomicBool::new(false),
        };
        drop(database.ready()?);
        Ok(database)
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// An error if the index was opened to read.
    pub(crate) fn writable(&self) -> Result<(), IndexError> {
        match self.read_only {
            true => Err(self.explain(Failure::Index(TxError::ReadOnly))),
            false => Ok(()),
        }
    }

    /// Runs `work` on a snapshot. It may run twice, if the database had to be opened again.
    pub(crate) fn read<T>(
        &self,
        work: impl Fn(&ReadTransaction) -> TxResult<T>,
    ) -> Result<T, IndexError> {
        self.run(|database| work(&database.begin_read()?))
    }

    /// Runs `work` and makes what it wrote durable. It may run twice, as with [`Database::read`].
    pub(crate) fn write<T>(
        &self,
        work: impl Fn(&WriteTransaction) -> TxResult<T>,
    ) -> Result<T, IndexError> {
        self.run(|database| {
            let transaction = database.begin_write()?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })
    }

    /// Runs `work` as [`Database::write`] does, unless it refuses: then nothing is written.
    pub(crate) fn write_unless_refused<T, R>(
        &self,
        work: impl Fn(&WriteTransaction) -> TxResult<Result<T, R>>,
    ) -> Result<Result<T, R>, IndexError> {
        self.run(|database| {
            let transaction = database.begin_write()?;
            let outcome = work(&transaction)?;
            match outcome {
                Ok(_) => transaction.commit()?,
                Err(_) => transaction.abort()?,
            }
            Ok(outcome)
        })
    }

    /// As [`Database::write_unless_refused`], for work that refuses by [`Stop::Refused`].
    pub(crate) fn write_or_stop<T>(
        &self,
        work: impl Fn(&WriteTransaction) -> Result<T, Stop>,
    ) -> Result<T, IndexError> {
        self.write_unless_refused(|write| match work(write) {
            Ok(value) => Ok(Ok(value)),
            Err(Stop::Refused(refusal)) => Ok(Err(refusal)),
            Err(Stop::Failed(error)) => Err(error),
        })?
    }

    /// Ends all work; the file is no longer touched.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.reset();
        if let Err(error) = self.file.unlock() {
            tracing::debug!(%error, "the index could not be unlocked");
        }
    }

    fn run<T>(&self, work: impl Fn(&Opened) -> TxResult<T>) -> Result<T, IndexError> {
        match self.attempt(&work) {
            // Another call failed before; this one opens the database again.
            Err(Failure::Index(TxError::Redb(redb::Error::PreviousIo))) => self.attempt(&work),
            outcome => outcome,
        }
        .map_err(|failure| self.explain(failure))
    }

    fn attempt<T>(&self, work: impl Fn(&Opened) -> TxResult<T>) -> Result<T, Failure> {
        let guard = self.ready().map_err(Failure::Open)?;
        let Some(database) = guard.as_ref() else {
            return Err(Failure::Open(IndexError::Closed));
        };
        let outcome = caught(|| work(database));
        drop(guard);
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                if matches!(
                    &error,
                    TxError::Redb(redb::Error::Io(_) | redb::Error::PreviousIo)
                ) {
                    self.reset();
                }
                Err(Failure::Index(error))
            }
            Err(Panicked) => {
                self.reset();
                Err(Failure::Panic)
            }
        }
    }

    /// The database, opened if it is not.
    fn ready(&self) -> Result<RwLockReadGuard<'_, Option<Opened>>, IndexError> {
        loop {
            let guard = read(&self.database);
            if guard.is_some() {
                return Ok(guard);
            }
            drop(guard);
            let mut slot = write(&self.database);
            if self.closed.load(Ordering::Acquire) {
                return Err(IndexError::Closed);
            }
            if slot.is_none() {
                *slot = Some(self.open_database()?);
            }
        }
    }

    fn open_database(&self) -> Result<Opened, IndexError> {
        let opened = caught(|| {
            let mut builder = redb::Database::builder();
            builder.set_cache_size(CACHE_BYTES);
            let backend = IndexFile(self.file.clone());
            if self.read_only {
                let database = builder.open_read_only_with_backend(backend);
                database.map(Opened::ReadOnly)
            } else {
                builder.create_with_backend(backend).map(Opened::Writable)
            }
        });
        match opened {
            Ok(Ok(database)) => Ok(database),
            Ok(Err(error)) => Err(self.explain(Failure::Index(error.into()))),
            Err(Panicked) => Err(self.explain(Failure::Panic)),
        }
    }

    /// Whether all pages are as they were written. All else waits meanwhile; the file is closed for it,
    /// and stays as it is.
    pub(crate) fn pages_are_right(&self) -> Result<bool, IndexError> {
        let mut slot = write(&self.database);
        if self.closed.load(Ordering::Acquire) {
            return Err(IndexError::Closed);
        }
        let database = slot.take();
        if caught(|| drop(database)).is_err() {
            return Ok(false);
        }
        Ok(pages_are_right(&self.file).context("read", &self.path)?)
    }

    /// As [`Database::pages_are_right`], for callers that can do nothing about it.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] if a page is damaged.
    pub(crate) fn check(&self) -> Result<(), IndexError> {
        if self.pages_are_right()? {
            return Ok(());
        }
        Err(IndexError::Corrupt {
            path: self.path.clone(),
            detail: "some of its pages are damaged; it is made anew at the next start".into(),
        })
    }

    /// The file that the index lies in.
    pub(crate) fn file(&self) -> Arc<dyn DiskFile> {
        self.file.clone()
    }

    /// Drops a database that can no longer be used.
    fn reset(&self) {
        let database = write(&self.database).take();
        if caught(|| drop(database)).is_err() {
            tracing::warn!("the index did not close cleanly");
        }
    }

    fn explain(&self, failure: Failure) -> IndexError {
        let path = self.path.clone();
        let corrupt = |detail: String| IndexError::Corrupt {
            path: path.clone(),
            detail,
        };
        let error = match failure {
            Failure::Open(error) => return error,
            Failure::Panic => return corrupt("reading it failed unexpectedly".into()),
            Failure::Index(TxError::Malformed(what)) => {
                return corrupt(format!("a value is not {what}"));
            }
            Failure::Index(TxError::ReadOnly) => return DiskError::ReadOnly { path }.into(),
            Failure::Index(TxError::Redb(error)) => error,
        };
        match error {
            redb::Error::Corrupted(detail) => corrupt(detail),
            // It was not closed, and cannot be repaired where it is.
            redb::Error::RepairAborted => DiskError::ReadOnly { path }.into(),
            redb::Error::UpgradeRequired(version) => corrupt(format!("file format {version}")),
            redb::Error::Io(error) if is_about_contents(&error) => corrupt(error.to_string()),
            redb::Error::Io(error) => DiskError::new("write", &path, error).into(),
            error @ (redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableDoesNotExist(_)
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TypeDefinitionChanged { .. }) => corrupt(error.to_string()),
            error => IndexError::Failed {
                path,
                source: Box::new(error),
            },
        }
    }
}

/// redb reports a file that is not its own as `InvalidData`, one that is cut off as the read
/// beyond its end.
fn is_about_contents(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}

/// Why a transaction ended before its commit.
pub(crate) enum Stop {
    Failed(TxError),
    /// By a rule; the caller gets the error as it is.
    Refused(IndexError),
}

impl<E: Into<TxError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl From<IndexError> for Stop {
    fn from(refusal: IndexError) -> Self {
        Self::Refused(refusal)
    }
}

/// Refuses a table with more rows than it takes: `rows` is their number with the new one.
pub(crate) fn at_most(rows: u64, what: &'static str, max: u64) -> Result<(), IndexError> {
    match rows {
        rows if rows > max => Err(IndexError::TooMany { what, max }),
        _ => Ok(()),
    }
}

enum Failure {
    Open(IndexError),
    Index(TxError),
    Panic,
}
