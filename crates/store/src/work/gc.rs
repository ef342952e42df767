//! Garbage collection: removing what no pin reaches, while others work.
//!
//! First it is found what the pins and the repos reach, on one snapshot. Then the rest is removed in small
//! batches; between two of them, imports and fetches go on. What they use is kept: see `in_use`.
//! The index forgets first, then the file goes: a crash in between leaves a file that opening the
//! store sweeps.

use std::collections::HashSet;

use hubless_content::{ContentHash, FileHash};
use hubless_index::Named;

use crate::{
    error::StoreError,
    work::{Work, in_use::InUseState},
};

/// Files removed by one transaction: few enough that no other task waits long for it.
pub(crate) const BATCH_FILES: usize = 256;

/// What a collection removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GcReport {
    /// Models that were known but neither pinned nor a repo's.
    pub models: u64,
    /// Files that nothing that is kept has.
    pub files: u64,
    /// Bytes that are free now.
    pub bytes: u64,
    /// Models that stay because they are pinned.
    pub pinned: u64,
    /// Revisions of repos made here or mirrored, whose files stay.
    pub named: u64,
    /// Revisions of an upstream's or another publisher's repos, whose files stay until the quota needs
    /// their room.
    pub cached: u64,
}

/// What stays, growing while the collection runs.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) models: HashSet<ContentHash>,
    pub(crate) files: HashSet<FileHash>,
}

impl Work {
    /// Removes what no pinned or protected model and no repo reaches. The user's own files stay.
    pub(crate) fn gc(&self) -> Result<GcReport, StoreError> {
        let _one_at_a_time = self.collecting.lock();
        self.in_use.lock().begin();
        let outcome = self.collect();
        self.in_use.lock().since = None;
        outcome
    }

    /// Removes a file at once that came for nothing, unless a known model or a repo has it or
    /// a task works with it. Whether it was removed.
    pub(crate) fn discard(&self, file: FileHash) -> Result<bool, StoreError> {
        let _one_at_a_time = self.collecting.lock();
        self.in_use.lock().begin();
        let outcome = self.discard_file(file);
        self.in_use.lock().since = None;
        outcome
    }

    fn collect(&self) -> Result<GcReport, StoreError> {
        self.commit_before();
        let mut report = GcReport::default();
        let mut kept = self.reached(&mut report)?;
        report.models = self.forget_models(self.files.index.manifests().hashes()?, &mut kept)?;
        let garbage: Vec<FileHash> = {
            let mut files = self.files.index.files().all()?;
            files.retain(|file| !kept.files.contains(file));
            files
        };
        for batch in garbage.chunks(BATCH_FILES) {
            self.remove_files(batch, &mut kept, &mut report)?;
        }
        Ok(report)
    }

    fn discard_file(&self, file: FileHash) -> Result<bool, StoreError> {
        self.commit_before();
        let mut report = GcReport::default();
        let mut kept = self.reached(&mut report)?;
        for model in self.files.index.manifests().hashes()? {
            self.keep_model(&mut kept, model)?;
        }
        self.remove_files(&[file], &mut kept, &mut report)?;
        Ok(report.files > 0)
    }

    /// What is not in the index cannot be collected. On a full disk this fails, and the collection
    /// makes room for it.
    pub(crate) fn commit_before(&self) {
        if let Err(error) = self.commit() {
            tracing::debug!(%error, "collecting without a commit before");
        }
    }

    /// What the pins and the repos reach; the report says how much that is.
    fn reached(&self, report: &mut GcReport) -> Result<Kept, StoreError> {
        let mut kept = Kept::default();
        for model in self.files.index.pins().all()? {
            report.pinned += 1;
            self.keep_model(&mut kept, model)?;
        }
        for named in self.files.index.revisions().named()? {
            match named.is_cached {
                true => report.cached += 1,
                false => report.named += 1,
            }
            self.keep_named(&mut kept, &named)?;
        }
        Ok(kept)
    }

    /// Keeps what a revision names.
    pub(crate) fn keep_named(&self, kept: &mut Kept, named: &Named) -> Result<(), StoreError> {
        kept.files.extend(&named.files);
        match named.model {
            Some(model) => self.keep_model(kept, model),
            None => Ok(()),
        }
    }

    pub(crate) fn keep_model(&self, kept: &mut Kept, model: ContentHash) -> Result<(), StoreError> {
        if let Some(manifest) = self.files.index.manifests().get(model)?
            && kept.models.insert(model)
        {
            kept.files
                .extend(manifest.entries().iter().map(|entry| entry.hash));
        }
        Ok(())
    }

    /// Keeps also what came into use since the last check.
    pub(crate) fn keep_touched(
        &self,
        kept: &mut Kept,
        in_use: &InUseState,
    ) -> Result<(), StoreError> {
        let Some(since) = &in_use.since else {
            return Ok(());
        };
        kept.files.extend(&since.files);
        since
            .models
            .iter()
            .try_for_each(|model| self.keep_model(kept, *model))
    }

    /// Forgets those of `models` that are not kept; how many.
    pub(crate) fn forget_models(
        &self,
        mut models: Vec<ContentHash>,
        kept: &mut Kept,
    ) -> Result<u64, StoreError> {
        let in_use = self.in_use.lock();
        self.keep_touched(kept, &in_use)?;
        // The manifest of one that is being put may have come after the check above.
        let is_used =
            |model: &ContentHash| (in_use.since.iter()).any(|since| since.models.contains(model));
        models.retain(|model| !kept.models.contains(model) && !is_used(model));
        if models.is_empty() {
            return Ok(0);
        }
        self.files.index.manifests().remove(&models)?;
        Ok(models.len() as u64)
    }

    pub(crate) fn remove_files(
        &self,
        batch: &[FileHash],
        kept: &mut Kept,
        report: &mut GcReport,
    ) -> Result<(), StoreError> {
        let _no_commit_meanwhile = self.commits.lock();
        let in_use = self.in_use.lock();
        self.keep_touched(kept, &in_use)?;
        let garbage: Vec<FileHash> = batch
            .iter()
            .filter(|file| !kept.files.contains(file))
            .copied()
            .collect();
        for (file, record) in self.commits.forget_files(&garbage)? {
            report.files += 1;
            report.bytes += record.bytes_owned();
            // The room is free when the file is gone, not when the index has forgotten it.
            self.commits.remove_file(file, &record)?;
            self.files.quota.give_back(record.bytes_owned());
        }
        Ok(())
    }
}
