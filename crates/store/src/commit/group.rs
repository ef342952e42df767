//! Group commits: data before index, many chunks at once.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use hubless_content::{ChunkIndex, ChunkSet, FileHash};

use crate::{
    Shared, Store,
    disk::{Signature, is_loss},
    error::{IoContext, StoreError},
    files::{located::Located, partial::Partial},
    index::{Batch, FileRow, Place, Record},
    sync::lock,
    work::check::Target,
};

/// The thread that commits when it is time. Dropping it commits what is left.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Committer {
    pub(crate) fn start(shared: Arc<Shared>) -> Result<Self, StoreError> {
        let for_thread = shared.clone();
        let thread = thread::Builder::new()
            .name("store-commit".into())
            .spawn(move || run(&for_thread))
            .context("start a thread for", shared.home.root())?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(crate) fn stop(&self) {
        self.shared.queue.stop();
        let thread = lock(&self.thread).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the committer panicked");
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.stop();
        match self.shared.commit() {
            Ok(()) | Err(StoreError::Closed) => {}
            Err(error) => tracing::error!(%error, "the last commit failed"),
        }
        self.shared.write_uses();
        self.shared.index.close();
    }
}

fn run(shared: &Shared) {
    while shared.queue.wait_until_due() {
        if let Err(error) = shared.commit() {
            tracing::warn!(%error, "a commit failed; it will be tried again");
        }
    }
}

impl Store {
    /// Makes everything durable that was put before.
    ///
    /// # Errors
    /// If the disk is full or fails. What was put stays readable and is tried again.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.shared.commit()
    }

    /// Commits what is left and lets go of the directory, also if there are other clones: their
    /// calls end with [`StoreError::Closed`].
    ///
    /// # Errors
    /// As [`Store::flush`]; the store is closed nevertheless.
    pub fn close(&self) -> Result<(), StoreError> {
        self._committer.stop();
        let outcome = match self.shared.commit() {
            Err(StoreError::Closed) => Ok(()),
            outcome => outcome,
        };
        self.shared.write_uses();
        self.shared.index.close();
        lock(&self.shared.handles).clear();
        self.shared.partials.lock().clear();
        outcome
    }
}

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
            Some(signature) => (Place::Owned(*signature), None),
            None => (Place::Partial, Some(&self.held)),
        };
        FileRow {
            file,
            record: Record::new(self.size, place),
            held,
        }
    }
}

impl Shared {
    pub(crate) fn commit(&self) -> Result<(), StoreError> {
        let outcome = self.commit_and_prove();
        self.damage.deliver();
        outcome
    }

    fn commit_and_prove(&self) -> Result<(), StoreError> {
        self.commit_once()?;
        if lock(&self.unproven).is_empty() {
            return Ok(());
        }
        let _one_at_a_time = lock(&self.proving);
        self.prove_complete()?;
        self.commit_once()
    }

    fn commit_once(&self) -> Result<(), StoreError> {
        let _one_at_a_time = lock(&self.committing);
        let Some(batch) = self.queue.begin() else {
            return Ok(());
        };
        // What a store takes in that is only read is known elsewhere or can be found again.
        if self.index.is_read_only() {
            self.queue.end(&batch, true);
            return Ok(());
        }
        let outcome = self.commit_batch(&batch);
        self.queue.end(&batch, outcome.is_ok());
        self.partials.trim();
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
            let map = self.partials.lock();
            let partials = batch.dirty.iter().filter_map(|file| map.get(file));
            partials.cloned().collect()
        };
        for partials in partials.chunks(SYNC_AT_ONCE) {
            // Opening one may show that it is gone, so it is open before it is looked at.
            let handles = partials.iter().map(|partial| self.partial_handle(partial));
            let handles = handles.collect::<Result<Vec<_>, _>>()?;
            snapshots.extend(partials.iter().map(Snapshot::of));
            for (partial, handle) in partials.iter().zip(handles) {
                let synced = handle.sync();
                synced.context("sync", &self.home.partial(partial.file))?;
            }
        }
        Ok(())
    }

    fn write_batch(&self, batch: &Batch, snapshots: &[Snapshot]) -> Result<(), StoreError> {
        self.partials
            .sync_names(&*self.disk, &self.home.partials())?;
        let proven = snapshots.iter().filter(|snapshot| snapshot.proven);
        let published = self.publish(proven.map(|snapshot| &*snapshot.partial))?;
        let uses = self.uses.due();
        let rows: Vec<FileRow<'_>> = snapshots
            .iter()
            .map(|snapshot| snapshot.row(&published))
            .collect();
        let twice = self.index.commit(batch, &rows, &uses)?;
        self.uses.settle(&uses);
        // Two threads brought the same file, and each took room for it.
        self.quota.give_back(twice);
        Ok(())
    }

    /// Writes the last uses of files when no commit follows any more.
    pub(crate) fn write_uses(&self) {
        let due = self.uses.due();
        if due.is_empty() {
            return;
        }
        match self.index.files().put_uses(&due) {
            Ok(()) => self.uses.settle(&due),
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
            directories.insert(self.home.owned_dir(partial.file));
        }
        self.sync_directories(directories)?;
        Ok(published)
    }

    pub(crate) fn owned_signature(&self, file: FileHash) -> Result<Signature, StoreError> {
        let path = self.home.owned(file);
        self.disk.signature(&path).context("read", &path)
    }

    fn publish_one(&self, partial: &Partial) -> Result<(), StoreError> {
        let file = partial.file;
        let handle = self.partial_handle(partial)?;
        let mut state = partial.lock();
        if state.published {
            return Ok(());
        }
        let path = self.home.owned(file);
        handle
            .set_read_only(true)
            .context("make read-only", &self.home.partial(file))?;
        let moved = self.move_to_owned(&self.home.partial(file), file);
        if moved.as_ref().is_err_and(is_loss) {
            // It was removed while it was open: nothing of it is left for the next process.
            self.home_is_there()?;
            self.lose_all(partial, &mut state);
            self.drop_handle(file, partial.id);
        }
        moved.context("rename to", &path)?;
        state.published = true;
        Ok(())
    }

    pub(crate) fn move_to_owned(&self, from: &Path, file: FileHash) -> io::Result<()> {
        self.disk.create_dir_all(&self.home.owned_dir(file))?;
        self.disk.rename(from, &self.home.owned(file))
    }

    /// Makes the names of complete files durable.
    pub(crate) fn sync_directories(
        &self,
        directories: BTreeSet<PathBuf>,
    ) -> Result<(), StoreError> {
        if directories.is_empty() {
            return Ok(());
        }
        for directory in directories.into_iter().chain([self.home.files()]) {
            self.disk.sync_dir(&directory).context("sync", &directory)?;
        }
        Ok(())
    }

    fn settle(&self, snapshot: &Snapshot, committed: bool) {
        if !committed {
            snapshot.partial.lock().dirty = true;
        } else if snapshot.proven {
            self.partials.lock().remove(&snapshot.partial.file);
        } else if snapshot.held.is_full() {
            lock(&self.unproven).push(snapshot.partial.clone());
        }
    }

    /// Verifies those chunks of complete partial files that this process did not verify: the index
    /// claims them from before, and a disk may have lost them since. Others commit meanwhile.
    fn prove_complete(&self) -> Result<(), StoreError> {
        let partials = std::mem::take(&mut *lock(&self.unproven));
        for (number, partial) in partials.iter().enumerate() {
            let proven = self.prove_partial(partial);
            // One that is proven is published by the next commit, and one that failed tried again.
            self.queue.push_dirty(partial.file, 0);
            if proven.is_err() {
                lock(&self.unproven).extend_from_slice(&partials[number..]);
                return proven;
            }
        }
        Ok(())
    }

    fn prove_partial(&self, partial: &Arc<Partial>) -> Result<(), StoreError> {
        let unproven = partial.unproven();
        let located = Located::Partial(partial.clone());
        match self.chunk_list(partial.file)? {
            Some(list) => {
                let target = Target::new(partial.file, located, unproven, list);
                self.check_all(&[target], &()).map(drop)
            }
            // Nothing can prove them.
            None => {
                self.lose(partial, unproven.iter().map(ChunkIndex).collect());
                Ok(())
            }
        }
    }
}
