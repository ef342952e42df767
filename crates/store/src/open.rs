//! Opening a store, and putting in order what a crash left behind.

use std::{path::Path, sync::Arc};

use hubless_disk::{Disk, Home, IoContext, RealDisk};
use hubless_index::Index;

use crate::{
    Store,
    error::StoreError,
    files::{Files, handles::HANDLES_MAX},
    pending::quota::Quota,
    work::{Work, committer::Committer, sweep::sweep},
};

/// How a store is opened.
#[derive(Debug, Clone, Default)]
pub struct StoreOptions {
    /// Bytes that files may take in the home directory; no limit if `None`.
    pub quota: Option<u64>,
    /// Files of the store that are kept open; 128 if `None`.
    pub open_files_max: Option<usize>,
}

impl Store {
    /// Opens the store in `home`, and makes it if there is none. One that cannot be written to is
    /// opened to be read: what would write ends with `DiskError::ReadOnly`.
    ///
    /// # Errors
    /// `IndexError::Locked` if another process has it open, `IndexError::Corrupt` if the index
    /// is damaged, `IndexError::Newer` if a newer version wrote it.
    pub fn open(home: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        Self::open_on(Arc::new(RealDisk), home, options)
    }

    /// As [`Store::open`], on a disk of the caller's choice.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        home: &Path,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        let home = Home::new(home);
        for directory in [home.root(), &home.files(), &home.partials()] {
            disk.create_dir_all(directory).context("make", directory)?;
        }
        let index = Index::open(&*disk, &home)?;
        if !index.is_read_only() {
            sweep(&*disk, &home, &index)?;
        }
        let quota = Quota::new(bytes_used(&index)?, options.quota);
        let handles_max = options.open_files_max.unwrap_or(HANDLES_MAX);
        let files = Files::new(disk, home, index, quota, handles_max);
        let work = Arc::new(Work::new(files));
        let committer = Arc::new(Committer::start(work.clone())?);
        Ok(Self { work, committer })
    }
}

fn bytes_used(index: &Index) -> Result<u64, StoreError> {
    let used = index.files().fold(
        || 0u64,
        |sum, _, record| *sum = sum.saturating_add(record.bytes_owned()),
    )?;
    Ok(used)
}
