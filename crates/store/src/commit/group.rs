//! Group commits: data before index, many chunks at once.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use hubless_content::{ChunkSet, FileHash};
use hubless_disk::{IoContext, Signature, is_loss};
use hubless_index::{Batch, FileLocation, FileRow, Record};
use hubless_sync::lock;

use crate::{commit::Commits, error::StoreError, files::partial::Partial};

/// A partial file as it is committed.
struct Snapshot {
    partial: Arc<Partial>,
    size: u64,
    held: ChunkSet,
    /// All is held and was verified by this process, so that it becomes a complete file.
    proven: bool,
}

/// Partial files that a commit has open at once: each takes a file descriptor beside those that are
/// kept open.
const SYNC_AT_ONCE: usize = 4;

impl Snapshot {
    /// What is held now: its bytes are written, and will be synced before it is committed.
    fn of(partial: &Arc<Partial>) -> Self {
        let mut state = partial.lock();
        state.dirty = false;
        Self {
            partial: partial.clone(),
            size: state.size,
            held: state.held.clone(),
            proven: state.is_proven(),
        }
    }

    /// What the index is to know; `published` are the signatures of those that became complete files.
    fn row(&self, published: &HashMap<FileHash, Signature>) -> FileRow<'_> {
        let file = self.partial.file;
        let (place, held) = match published.get(&file) {
            Some(signature) => (FileLocation::Owned(*signature), None),
            None => (FileLocation::Partial, Some(&self.held)),
        };
        FileRow {
            file,
            record: Record::new(self.size, place),
            held,
        }
    }
}

impl Commits {
    pub(crate) fn commit_once(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.committing.lock();
        let Some(batch) = self.files.queue.begin() else {
            return Ok(());
        };
        // What a store takes in that is only read is known elsewhere or can be found again.
        if self.files.index.is_read_only() {
            self.files.queue.end(&batch, true);
            return Ok(());
        }
        let outcome = self.commit_batch(&batch);
        self.files.queue.end(&batch, outcome.is_ok());
        self.files.partials.trim();
        outcome
    }

    fn commit_batch(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut snapshots = Vec::new();
        let synced = self.sync_partials(batch, &mut snapshots);
        let outcome = synced.and_then(|()| self.write_batch(batch, &snapshots));
        for snapshot in &snapshots {
            self.settle(snapshot, outcome.is_ok());
        }
        outcome
    }

    /// Takes what is held of each file and makes its bytes durable: a few files at a time, for a batch
    /// may have thousands.
    fn sync_partials(
        &self,
        batch: &Batch,
        snapshots: &mut Vec<Snapshot>,
    ) -> Result<(), StoreError> {
        let partials: Vec<Arc<Partial>> = {
            let map = self.files.partials.lock();
            let partials = batch.dirty.iter().filter_map(|file| map.get(file));
            partials.cloned().collect()
        };
        for partials in partials.chunks(SYNC_AT_ONCE) {
            // Opening one may show that it is gone, so it is opened before its state is read.
            let handles = partials
                .iter()
                .map(|partial| self.files.partial_handle(partial));
            let handles = handles.collect::<Result<Vec<_>, _>>()?;
            snapshots.extend(partials.iter().map(Snapshot::of));
            for (partial, handle) in partials.iter().zip(handles) {
                let synced = handle.sync();
                synced.context("sync", &self.files.home.partial(partial.file))?;
            }
        }
        Ok(())
    }

    fn write_batch(&self, batch: &Batch, snapshots: &[Snapshot]) -> Result<(), StoreError> {
        self.files
            .partials
            .sync_names(&*self.files.disk, &self.files.home.partials())?;
        let proven = snapshots.iter().filter(|snapshot| snapshot.proven);
        let published = self.publish(proven.map(|snapshot| &*snapshot.partial))?;
        let uses = self.files.uses.due();
        let rows: Vec<FileRow<'_>> = snapshots
            .iter()
            .map(|snapshot| snapshot.row(&published))
            .collect();
        let twice = self.files.index.commit(batch, &rows, &uses)?;
        self.files.uses.settle(&uses);
        // Two threads brought the same file, and each took room for it.
        self.files.quota.give_back(twice);
        Ok(())
    }

    /// Writes the last uses of files when no commit follows any more.
    pub(crate) fn write_uses(&self) {
        let due = self.files.uses.due();
        if due.is_empty() {
            return;
        }
        match self.files.index.files().put_uses(&due) {
            Ok(()) => self.files.uses.settle(&due),
            Err(error) => tracing::debug!(%error, "the last uses of files are not written"),
        }
    }

    /// Moves complete files, which are synced, to where complete files lie.
    /// Returns their signatures there.
    pub(crate) fn publish<'a>(
        &self,
        partials: impl Iterator<Item = &'a Partial>,
    ) -> Result<HashMap<FileHash, Signature>, StoreError> {
        let mut directories = BTreeSet::new();
        let mut published = HashMap::new();
        for partial in partials {
            self.publish_one(partial)?;
            published.insert(partial.file, self.owned_signature(partial.file)?);
            directories.insert(self.files.home.owned_dir(partial.file));
        }
        self.sync_directories(directories)?;
        Ok(published)
    }

    pub(crate) fn owned_signature(&self, file: FileHash) -> Result<Signature, StoreError> {
        let path = self.files.home.owned(file);
        Ok(self.files.disk.signature(&path).context("read", &path)?)
    }

    fn publish_one(&self, partial: &Partial) -> Result<(), StoreError> {
        let file = partial.file;
        let handle = self.files.partial_handle(partial)?;
        let mut state = partial.lock();
        if state.published {
            return Ok(());
        }
        let path = self.files.home.owned(file);
        handle
            .set_read_only(true)
            .context("make read-only", &self.files.home.partial(file))?;
        let moved = self.move_to_owned(&self.files.home.partial(file), file);
        if moved.as_ref().is_err_and(is_loss) {
            // It was removed while it was open: nothing of it is left for the next process.
            self.files.home_is_there()?;
            self.files.lose_all(partial, &mut state);
            self.files.drop_handle(file, partial.id);
        }
        moved.context("rename to", &path)?;
        state.published = true;
        Ok(())
    }

    pub(crate) fn move_to_owned(&self, from: &Path, file: FileHash) -> io::Result<()> {
        self.files
            .disk
            .create_dir_all(&self.files.home.owned_dir(file))?;
        self.files.disk.rename(from, &self.files.home.owned(file))
    }

    /// Makes the names of complete files durable.
    pub(crate) fn sync_directories(
        &self,
        directories: BTreeSet<PathBuf>,
    ) -> Result<(), StoreError> {
        if directories.is_empty() {
            return Ok(());
        }
        for directory in directories.into_iter().chain([self.files.home.files()]) {
            self.files
                .disk
                .sync_dir(&directory)
                .context("sync", &directory)?;
        }
        Ok(())
    }

    fn settle(&self, snapshot: &Snapshot, committed: bool) {
        if !committed {
            snapshot.partial.lock().dirty = true;
        } else if snapshot.proven {
            self.files.partials.lock().remove(&snapshot.partial.file);
        } else if snapshot.held.is_full() {
            lock(&self.unproven).push(snapshot.partial.clone());
        }
    }
}
