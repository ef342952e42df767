//! Files that were put aside because the index does not know them: taking them back.
//!
//! Most are what a crash left between two steps, and no model wants them. One that the index lost to
//! damage is wanted by a model, and may be the last copy: its chunks are verified, and it is the
//! store's again.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use hubless_content::{ChunkSet, FileHash, chunk_count};
use hubless_disk::{Access, DiskError, IoContext, is_loss, parallel};
use hubless_index::seconds_since_1970;

use crate::{error::StoreError, files::located::LocatedFile, work::Work};

/// How long a file that no model wants is kept: time to notice that a model is gone, and to add or
/// get it again.
const KEPT_FOR: Duration = Duration::from_secs(14 * 24 * 60 * 60);

impl Work {
    /// Takes back those files in `lost/` that a known model has, and removes those that none had for
    /// two weeks. Returns how many were taken back, as a whole or in part.
    pub(crate) fn tidy_lost(&self) -> Result<u64, StoreError> {
        let lost = self.lost_files()?;
        if lost.is_empty() || self.files.index.is_read_only() {
            return Ok(0);
        }
        let wanted = self.wanted()?;
        let mut taken_back = 0;
        for file in lost {
            if !wanted.contains(&file) {
                self.remove_lost_if_old(file)?;
            } else if self.recover(file)? > 0 {
                tracing::info!(%file, "a file that was put aside is the store's again");
                taken_back += 1;
            }
        }
        self.flush()?;
        Ok(taken_back)
    }

    fn lost_files(&self) -> Result<Vec<FileHash>, StoreError> {
        let directory = self.files.home.losts();
        let names = match self.files.disk.list(&directory) {
            Err(error) if is_loss(&error) => return Ok(Vec::new()),
            names => names.context("list", &directory)?,
        };
        let files = names.iter().filter_map(|name| name.to_str()?.parse().ok());
        Ok(files.collect())
    }

    /// The files of all known models and repos.
    fn wanted(&self) -> Result<HashSet<FileHash>, StoreError> {
        let named = self.files.index.revisions().named()?.into_iter();
        let mut wanted: HashSet<FileHash> = named.flat_map(|named| named.files).collect();
        for model in self.files.index.manifests().hashes()? {
            let manifest = self.files.index.manifests().get(model)?;
            let entries = manifest.iter().flat_map(|manifest| manifest.entries());
            wanted.extend(entries.map(|entry| entry.hash));
        }
        Ok(wanted)
    }

    fn remove_lost_if_old(&self, file: FileHash) -> Result<(), StoreError> {
        let path = self.files.home.lost(file);
        // It was renamed when it was put aside.
        let since = self
            .files
            .disk
            .signature(&path)
            .context("read", &path)?
            .changed;
        let Ok(since) = u64::try_from(since) else {
            return Ok(());
        };
        let until = since.saturating_add(KEPT_FOR.as_secs());
        if since > 0 && until < seconds_since_1970(SystemTime::now()) {
            tracing::info!(path = %path.display(), "removing a file that no model wants");
            self.files.disk.remove(&path).context("remove", &path)?;
        }
        Ok(())
    }

    /// Makes a file that was put aside a partial one of which no chunk is held, if it is there and
    /// its chunk list is known or can be made. True if it did.
    pub(crate) fn take_back_lost(&self, file: FileHash) -> Result<bool, StoreError> {
        if self.files.index.is_read_only() {
            return Ok(false);
        }
        let path = self.files.home.lost(file);
        let handle = match self.files.disk.open(&path, Access::Read) {
            Err(error) if is_loss(&error) => return Ok(false),
            handle => handle.context("open", &path)?,
        };
        let list = match self.files.chunk_list(file)? {
            Some(list) => Some(list),
            None => {
                let size = handle.signature().context("read", &path)?.size;
                match parallel::hash(&*handle, &path, size) {
                    Err(DiskError::Io { source, .. }) if is_loss(&source) => None,
                    list => list?.filter(|list| list.file() == file),
                }
            }
        };
        let Some(list) = list.filter(|list| list.count() > 1) else {
            return Ok(false);
        };
        let _no_commit_meanwhile = self.commits.lock();
        let partials = self.files.partials.lock();
        if partials.contains_key(&file) || self.files.record(file)?.is_some() {
            return Ok(false);
        }
        let reservation = self.files.quota.reserve(list.size())?;
        let partial = self.files.home.partial(file);
        if handle.links().context("read", &path)? > 1 {
            // Its other name is an export's, which is not ours to write to.
            let all = ChunkSet::full(chunk_count(list.size()));
            self.commits
                .copy_for_repair(&*handle, list.size(), &all, &partial)?;
            self.files.disk.remove(&path).context("remove", &path)?;
        } else {
            handle
                .set_read_only(false)
                .context("make writable", &path)?;
            self.files
                .disk
                .rename(&path, &partial)
                .context("rename", &path)?;
        }
        self.files.index.files().put_partial(&list)?;
        reservation.keep();
        Ok(true)
    }

    /// A file that is not here, but may have been put aside: where it is then.
    pub(crate) fn locate_lost(&self, file: FileHash) -> Result<LocatedFile, StoreError> {
        match self.files.locate(file)? {
            LocatedFile::Missing if self.take_back_lost(file)? => self.files.locate(file),
            located => Ok(located),
        }
    }
}
