//! The index: what is known of files, models and repos, in one redb database.
//!
//! Only this folder names redb. [`Index`] hands out one typed table for each kind of rows; what one
//! transaction must write together, such as a group commit, is a method of the index itself
//! (`batch.rs`). Nothing here takes a lock of the layers above, or opens a file but the index.

mod backend;
mod batch;
mod database;
mod digests;
mod files;
mod histories;
mod manifests;
mod migrate;
mod open;
mod overlay;
mod pins;
mod presence;
mod record;
mod records;
mod refs;
mod repos;
mod revisions;
mod salvage;
mod sealed;
mod tables;

use std::sync::{Arc, Mutex};

use hubless_content::{ContentHash, Manifest};
use redb::{ReadTransaction, ReadableTableMetadata, WriteTransaction};

use crate::{error::StoreError, lru::Lru};
use database::{Database, IndexResult};
use digests::DigestTable;
use files::FileTable;
use histories::HistoryTable;
use manifests::{DECODED_FILES_MAX, ManifestTable};
use pins::PinTable;
use records::RecordTable;
use repos::RepoTable;
use revisions::RevisionTable;

pub use digests::{DigestHasher, Digests};
pub use histories::{HISTORY_MAX, PastCommit};
pub use records::{RecordChange, StoredRecord};
pub use refs::RefChange;
pub use repos::{REFS_MAX, REPOS_MAX, Repo, RepoOrigin};
pub use revisions::{COMMIT_PREFIX_MIN, REVISIONS_MAX};

pub(crate) use batch::{Batch, FileRow, PlacedRow};
pub(crate) use presence::Presence;
pub(crate) use record::{Check, External, FileLocation, Record, seconds_since_1970};
pub(crate) use revisions::Named;

/// The index of a store, open.
pub(crate) struct Index {
    database: Database,
    decoded: Mutex<Lru<ContentHash, Arc<Manifest>>>,
}

/// How many rows there are.
pub(crate) struct Counts {
    pub(crate) models: u64,
    pub(crate) files: u64,
    pub(crate) repos: u64,
}

impl Index {
    fn new(database: Database) -> Self {
        Self {
            database,
            decoded: Mutex::new(Lru::new(DECODED_FILES_MAX)),
        }
    }

    pub(crate) fn files(&self) -> FileTable<'_> {
        FileTable { index: self }
    }

    pub(crate) fn manifests(&self) -> ManifestTable<'_> {
        ManifestTable { index: self }
    }

    pub(crate) fn pins(&self) -> PinTable<'_> {
        PinTable { index: self }
    }

    pub(crate) fn digests(&self) -> DigestTable<'_> {
        DigestTable { index: self }
    }

    pub(crate) fn records(&self) -> RecordTable<'_> {
        RecordTable { index: self }
    }

    pub(crate) fn repos(&self) -> RepoTable<'_> {
        RepoTable { index: self }
    }

    pub(crate) fn revisions(&self) -> RevisionTable<'_> {
        RevisionTable { index: self }
    }

    pub(crate) fn histories(&self) -> HistoryTable<'_> {
        HistoryTable { index: self }
    }

    /// Takes the same short time however much there is.
    pub(crate) fn counts(&self) -> Result<Counts, StoreError> {
        self.read(|read| {
            Ok(Counts {
                models: read.open_table(tables::MANIFESTS)?.len()?,
                files: tables::FILES.read(read)?.table.len()?,
                repos: tables::REPOS.read(read)?.table.len()?,
            })
        })
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.database.is_read_only()
    }

    /// An error if the index was opened to read.
    pub(crate) fn writable(&self) -> Result<(), StoreError> {
        self.database.writable()
    }

    /// Compares all pages with their checksums.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if a page is damaged.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        self.database.check()
    }

    /// Ends all work; the file is no longer touched.
    pub(crate) fn close(&self) {
        self.database.close();
    }

    fn read<T>(&self, work: impl Fn(&ReadTransaction) -> IndexResult<T>) -> Result<T, StoreError> {
        self.database.read(work)
    }

    fn write<T>(
        &self,
        work: impl Fn(&WriteTransaction) -> IndexResult<T>,
    ) -> Result<T, StoreError> {
        self.database.write(work)
    }

    fn write_unless_refused<T, R>(
        &self,
        work: impl Fn(&WriteTransaction) -> IndexResult<Result<T, R>>,
    ) -> Result<Result<T, R>, StoreError> {
        self.database.write_unless_refused(work)
    }
}
