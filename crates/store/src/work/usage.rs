//! How much there is, without looking at each of it.

use crate::{
    Store,
    error::{IoContext, StoreError},
};

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

impl Store {
    /// Whether the store works, and others could open it. If its directory was moved away or its
    /// disk unmounted, whoever has it open can go on for long, for nothing.
    ///
    /// # Errors
    /// If the index is not where it was, or fails.
    pub fn check(&self) -> Result<(), StoreError> {
        let index = self.shared.home.index();
        self.shared.disk.signature(&index).context("find", &index)?;
        self.totals().map(drop)
    }

    /// How much there is; takes the same short time however much that is.
    ///
    /// # Errors
    /// If the index fails.
    pub fn totals(&self) -> Result<Totals, StoreError> {
        let (bytes, quota) = self.shared.quota.used_and_limit();
        let counts = self.shared.index.counts()?;
        Ok(Totals {
            bytes,
            quota,
            models: counts.models,
            files: counts.files,
            repos: counts.repos,
        })
    }
}
