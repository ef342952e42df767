//! Group commits: data before index, many chunks at once.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use hubless_content::{ChunkSet, FileHash};

use crate::{
    Shared, Store, digests,
    error::{IoContext, StoreError},
    files::encode_list,
    partial::Partial,
    queue::Batch,
    record::{Place, Record},
    sync::lock,
    tables,
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
}

impl Shared {
    pub(crate) fn commit(&self) -> Result<(), StoreError> {
        let _one_at_a_time = lock(&self.committing);
        self.commit_locked()
    }

    /// As [`Shared::commit`], for those who hold the commit lock.
    pub(crate) fn commit_locked(&self) -> Result<(), StoreError> {
        let Some(batch) = self.queue.begin() else {
            return Ok(());
        };
        let snapshots = self.snapshots(&batch);
        let outcome = self.write_batch(&batch, &snapshots);
        for snapshot in &snapshots {
            self.settle(snapshot, outcome.is_ok());
        }
        self.queue.end(&batch, outcome.is_ok());
        self.partials.trim();
        outcome
    }

    /// What is held now: its bytes are written, and will be synced before it is committed.
    fn snapshots(&self, batch: &Batch) -> Vec<Snapshot> {
        let map = self.partials.lock();
        let partials = batch.dirty.iter().filter_map(|file| map.get(file));
        let snapshot = |partial: &Arc<Partial>| {
            let mut state = partial.lock();
            state.dirty = false;
            Snapshot {
                partial: partial.clone(),
                size: state.size,
                held: state.held.clone(),
            }
        };
        partials.map(snapshot).collect()
    }

    fn write_batch(&self, batch: &Batch, snapshots: &[Snapshot]) -> Result<(), StoreError> {
        for snapshot in snapshots {
            let synced = self.partial_handle(&snapshot.partial)?.sync();
            synced.context("sync", &self.home.partial(snapshot.partial.file))?;
        }
        let complete = snapshots.iter().filter(|snapshot| snapshot.held.is_full());
        self.publish(complete.map(|snapshot| &*snapshot.partial))?;
        let twice = self.index.write(|write| {
            let mut twice = 0;
            let mut files = write.open_table(tables::FILES)?;
            let mut held = write.open_table(tables::HELD)?;
            let mut lists = write.open_table(tables::CHUNK_LISTS)?;
            let mut inline = write.open_table(tables::INLINE)?;
            let mut records = write.open_table(tables::RECORDS)?;
            for (file, list) in &batch.lists {
                lists.insert(file.as_bytes(), &encode_list(list)[..])?;
            }
            for (file, bytes) in &batch.inline {
                let record = Record::new(bytes.len() as u64, Place::Inline);
                inline.insert(file.as_bytes(), &bytes[..])?;
                let before = files.insert(file.as_bytes(), &record.encode()[..])?;
                twice += before.map_or(0, |_| bytes.len() as u64);
            }
            for snapshot in snapshots {
                let file = snapshot.partial.file;
                let place = if snapshot.held.is_full() {
                    held.remove(file.as_bytes())?;
                    Place::Owned
                } else {
                    held.insert(file.as_bytes(), &snapshot.held.to_bytes()[..])?;
                    Place::Partial
                };
                let record = Record::new(snapshot.size, place);
                files.insert(file.as_bytes(), &record.encode()[..])?;
            }
            for (key, value) in &batch.records {
                match value {
                    Some(value) => records.insert(&key[..], &value[..])?,
                    None => records.remove(&key[..])?,
                };
            }
            drop(files);
            digests::write(write, &batch.digests)?;
            Ok(twice)
        })?;
        // Two threads brought the same file, and each took room for it.
        self.quota.give_back(twice);
        Ok(())
    }

    /// Moves complete files, which are synced, to where complete files lie.
    fn publish<'a>(&self, partials: impl Iterator<Item = &'a Partial>) -> Result<(), StoreError> {
        let mut directories = BTreeSet::new();
        for partial in partials {
            self.publish_one(partial)?;
            directories.insert(self.home.owned_dir(partial.file));
        }
        self.sync_directories(directories)
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
        self.move_to_owned(&self.home.partial(file), file)
            .context("rename to", &path)?;
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
        } else if snapshot.held.is_full() {
            self.partials.lock().remove(&snapshot.partial.file);
        }
    }
}
