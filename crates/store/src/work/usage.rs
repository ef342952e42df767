//! How much there is, without reading each row.

use hubless_disk::IoContext;

use crate::{error::StoreError, pending::quota::Usage, work::Work};

/// How much a store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Bytes of files in the home directory, as [`Usage`](crate::Usage) counts them.
    pub bytes: u64,
    /// Bytes allowed, if there is a limit.
    pub quota: Option<u64>,
    /// Models, complete or not.
    pub models: u64,
    /// Files, complete or not.
    pub files: u64,
    /// Repos.
    pub repos: u64,
}

impl Work {
    /// Bytes that the store takes, and may take.
    pub(crate) fn usage(&self) -> Result<Usage, StoreError> {
        let (bytes, quota) = self.files.quota.used_and_limit();
        let missing = self.files.bytes_missing_of_partials()?;
        let externals = self.files.externals()?;
        let external_bytes = externals.iter().map(|(_, record, _)| record.size);
        Ok(Usage {
            bytes,
            held_bytes: bytes.saturating_sub(missing),
            external_bytes: external_bytes.sum(),
            quota,
        })
    }

    /// Sets how many bytes the store may take from now on. What it has beyond that stays.
    pub(crate) fn set_quota(&self, quota: Option<u64>) {
        self.files.quota.set_limit(quota);
    }

    /// Whether the store works, and others could open it. If its directory was moved away or its
    /// disk unmounted, a process that has it open can go on for long, for nothing.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let index = self.files.home.index();
        self.files.disk.signature(&index).context("find", &index)?;
        self.totals().map(drop)
    }

    /// How much there is; takes the same short time however much that is.
    pub(crate) fn totals(&self) -> Result<Totals, StoreError> {
        let (bytes, quota) = self.files.quota.used_and_limit();
        let counts = self.files.index.counts()?;
        Ok(Totals {
            bytes,
            quota,
            models: counts.models,
            files: counts.files,
            repos: counts.repos,
        })
    }
}
