//! Keeping a store in order: garbage, checks, room.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use hubless_content::{ContentHash, FileHash};

use crate::{
    Damaged, Evictions, ExternalChange, GcReport, Observer, Scrubbed, Store, StoreError, Totals,
    Usage, VerifyReport,
};

impl Store {
    /// Checks all external files. One that changed is hashed: if its bytes are others, it is
    /// not served until they are right again. A file that has not changed since it was last
    /// checked is not read.
    ///
    /// # Errors
    /// If the index fails; a file that cannot be read is just not served.
    pub fn check_externals(&self) -> Result<Vec<ExternalChange>, StoreError> {
        self.work.files.check_externals()
    }

    /// The external files that are not served, because they changed.
    ///
    /// # Errors
    /// If the index fails.
    pub fn stale(&self) -> Result<Vec<(FileHash, PathBuf)>, StoreError> {
        self.work.files.stale()
    }

    /// Bytes that the store takes, and may take.
    ///
    /// # Errors
    /// If the index fails.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        self.work.usage()
    }

    /// Sets how many bytes the store may take from now on. What it has beyond that stays.
    pub fn set_quota(&self, quota: Option<u64>) {
        self.work.set_quota(quota);
    }

    /// From now on `hook` is called for each file in which chunks were rejected, whichever way that
    /// was found; from any thread, outside the store's locks. It takes the place of an earlier one.
    pub fn on_damage(&self, hook: Arc<dyn Fn(&Damaged) + Send + Sync>) {
        self.work.files.on_damage(hook);
    }

    /// Chunks rejected since the store was opened.
    pub fn chunks_rejected(&self) -> u64 {
        self.work.files.chunks_rejected()
    }

    /// What was evicted since the store was opened.
    pub fn evictions(&self) -> Evictions {
        self.work.evictions()
    }

    /// Removes what no pinned or protected model and no repo reaches. The user's own files stay.
    ///
    /// # Errors
    /// If the disk or the index fails; what was removed until then is removed.
    pub fn gc(&self) -> Result<GcReport, StoreError> {
        self.work.gc()
    }

    /// Removes a file at once that came for nothing, unless a known model or a repo has it or
    /// a task works with it. Whether it was removed.
    ///
    /// # Errors
    /// If the disk or the index fails.
    pub fn discard(&self, file: FileHash) -> Result<bool, StoreError> {
        self.work.discard(file)
    }

    /// Takes back those files in `lost/` that a known model has, and removes those that none had for
    /// two weeks. Returns how many were taken back, as a whole or in part.
    ///
    /// # Errors
    /// If the disk or the index fails.
    pub fn tidy_lost(&self) -> Result<u64, StoreError> {
        self.work.tidy_lost()
    }

    /// Finds chunks of a partial file that were written but not committed, or of one that was put
    /// aside because the index did not know it; verifies them, and returns how many are held again.
    /// It needs the chunk list, and searches each file once; where nothing was written it does not read.
    ///
    /// # Errors
    /// If the disk or the index fails.
    pub fn recover(&self, file: FileHash) -> Result<u32, StoreError> {
        self.work.recover(file)
    }

    /// The complete file whose last full check is oldest and older than `before`, or one whose size,
    /// times, inode or device are no longer as after its last check; `None` if there is none.
    ///
    /// # Errors
    /// If the index fails.
    pub fn next_to_scrub(&self, before: SystemTime) -> Result<Option<FileHash>, StoreError> {
        self.work.next_to_scrub(before)
    }

    /// Checks one file and records that it was checked; rejects what is wrong. `pace` is called with
    /// the bytes of each chunk after it was read, and ends the check by returning false.
    ///
    /// # Errors
    /// If the disk or the index fails. Damage is not an error.
    pub fn scrub(
        &self,
        file: FileHash,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Scrubbed, StoreError> {
        self.work.scrub(file, pace)
    }

    /// Whether the store works, and others could open it. If its directory was moved away or its
    /// disk unmounted, a process that has it open can go on for long, for nothing.
    ///
    /// # Errors
    /// If the index is not where it was, or fails.
    pub fn check(&self) -> Result<(), StoreError> {
        self.work.check()
    }

    /// How much there is; takes the same short time however much that is.
    ///
    /// # Errors
    /// If the index fails.
    pub fn totals(&self) -> Result<Totals, StoreError> {
        self.work.totals()
    }

    /// Reads all stored bytes of a model, or of all files, and the index, and checks them. Wrong chunks are no
    /// longer held afterwards, so that fetching the model again fetches only them; external files
    /// that changed are no longer served, and those that are right again are. What was put aside and
    /// is wanted is taken back first.
    ///
    /// # Errors
    /// [`StoreError::UnknownModel`]; others if the index fails. Damage is not an error.
    pub fn verify(
        &self,
        model: Option<ContentHash>,
        observer: &dyn Observer,
    ) -> Result<VerifyReport, StoreError> {
        self.work.verify(model, observer)
    }
}
