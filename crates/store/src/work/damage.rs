//! Chunks that are found to be wrong: deciding that once more, and holding them no longer.
//!
//! A reader, a check or a peer suspects chunks while others add and remove files. What they saw may
//! be gone by now, so it is decided here, under the commit lock, by reading the chunks again from
//! where the index has them now.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use hubless_content::{ChunkIndex, ChunkSet, FileHash, chunk_count, chunk_offset};
use hubless_memory::AlignedBytes;

use crate::{
    Shared, Store,
    disk::{Access, DiskFile, clone_into, is_loss},
    error::{IoContext, StoreError},
    files::{
        located::{HandleKey, Located},
        partial::{Partial, PartialState},
    },
    index::Place,
    parallel,
    sync::lock,
};

/// Chunks that are read again while others wait for the commit lock: some 10 ms of a disk.
const CHUNKS_PER_LOCK: usize = 64;

/// A file whose stored bytes are no longer right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// The file.
    pub file: FileHash,
    /// The chunks that are wrong, ascending; they are no longer held.
    pub chunks: Vec<ChunkIndex>,
    /// Whether it is the user's own file, which is no longer served.
    pub external: bool,
}

/// Called for each file in which chunks were rejected.
type Hook = Arc<dyn Fn(&Damaged) + Send + Sync>;

/// What was rejected, for those who want to know.
#[derive(Default)]
pub(crate) struct DamageReports {
    hook: Mutex<Option<Hook>>,
    /// Rejected under a lock; reported when it is free.
    waiting: Mutex<Vec<Damaged>>,
    chunks: AtomicU64,
}

impl DamageReports {
    fn push(&self, damaged: Damaged, path: &Path) {
        for chunk in &damaged.chunks {
            tracing::warn!(file = %damaged.file, %chunk, path = %path.display(), "a stored chunk is wrong");
        }
        let count = damaged.chunks.len() as u64;
        self.chunks.fetch_add(count, Ordering::Relaxed);
        lock(&self.waiting).push(damaged);
    }

    /// Calls the hook for what waits. The caller holds no lock of the store.
    pub(crate) fn deliver(&self) {
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        let hook = lock(&self.hook).clone();
        if let Some(hook) = hook {
            waiting.iter().for_each(|damaged| hook(damaged));
        }
    }
}

impl Store {
    /// From now on `hook` is called for each file in which chunks were rejected, whichever way that
    /// was found; from any thread, outside the store's locks. It takes the place of an earlier one.
    pub fn on_damage(&self, hook: Arc<dyn Fn(&Damaged) + Send + Sync>) {
        *lock(&self.shared.damage.hook) = Some(hook);
    }

    /// Chunks rejected since the store was opened.
    pub fn chunks_rejected(&self) -> u64 {
        self.shared.damage.chunks.load(Ordering::Relaxed)
    }

    /// Reads one chunk again and checks it; rejects it if it is wrong. For a chunk that a peer
    /// reported as wrong. True if it is held and right.
    ///
    /// # Errors
    /// If the disk or the index fails.
    pub fn recheck(&self, file: FileHash, index: ChunkIndex) -> Result<bool, StoreError> {
        Ok(self.read_proven(file, index)?.is_some())
    }
}

impl Shared {
    /// Holds those of the suspected chunks no longer that are wrong when they are read again.
    /// Returns them.
    pub(crate) fn reject(
        &self,
        file: FileHash,
        suspected: &[ChunkIndex],
    ) -> Result<Vec<ChunkIndex>, StoreError> {
        let mut rejected = Vec::new();
        for group in suspected.chunks(CHUNKS_PER_LOCK) {
            let _no_commit_meanwhile = lock(&self.committing);
            rejected.extend(self.reject_locked(file, group)?);
        }
        Ok(rejected)
    }

    /// As [`Shared::reject`], for a few chunks and a caller that holds the commit lock.
    fn reject_locked(
        &self,
        file: FileHash,
        suspected: &[ChunkIndex],
    ) -> Result<Vec<ChunkIndex>, StoreError> {
        let Some(list) = self.chunk_list(file)? else {
            return Ok(Vec::new());
        };
        let located = self.locate(file)?;
        let source = self.source(file, &located)?;
        let held = located.held();
        let mut buffer = AlignedBytes::default();
        let mut wrong = Vec::new();
        for index in suspected.iter().filter(|index| held.contains(index.0)) {
            if !source.is_right(&list, *index, &mut buffer)? {
                wrong.push(*index);
            }
        }
        if !wrong.is_empty() {
            self.unhold(file, &located, held, &wrong)?;
        }
        Ok(wrong)
    }

    /// Holds chunks of a file no longer. The caller holds the commit lock.
    fn unhold(
        &self,
        file: FileHash,
        located: &Located,
        mut held: ChunkSet,
        wrong: &[ChunkIndex],
    ) -> Result<(), StoreError> {
        for index in wrong {
            held.remove(index.0);
        }
        let path = match located {
            // That cannot be recorded: each reader finds it again.
            _ if self.index.is_read_only() => self.home.owned(file),
            Located::Missing | Located::Waiting(_) => return Ok(()),
            Located::Partial(partial) => {
                self.unhold_partial(partial, wrong)?;
                self.home.partial(file)
            }
            Located::Stored(record) => match &record.place {
                Place::Inline => {
                    self.forget(file)?;
                    self.home.index()
                }
                Place::Owned(_) => {
                    if held.is_empty() {
                        self.forget(file)?;
                    } else {
                        self.demote(file, record.size, &held)?;
                    }
                    self.home.owned(file)
                }
                Place::External(external) => {
                    self.suspect(file)?;
                    external.path.clone()
                }
                Place::Partial => return Ok(()),
            },
        };
        let damaged = Damaged {
            file,
            chunks: wrong.to_vec(),
            external: located.is_external(),
        };
        self.damage.push(damaged, &path);
        Ok(())
    }

    /// Everything that a partial file held is lost. The caller has its state locked.
    pub(crate) fn lose_all(&self, partial: &Partial, state: &mut PartialState) {
        let held: Vec<ChunkIndex> = state.held.iter().map(ChunkIndex).collect();
        self.lose_locked(partial, state, held);
    }

    /// Chunks of a partial file are lost.
    pub(crate) fn lose(&self, partial: &Partial, chunks: Vec<ChunkIndex>) {
        self.lose_locked(partial, &mut partial.lock(), chunks);
    }

    fn lose_locked(&self, partial: &Partial, state: &mut PartialState, chunks: Vec<ChunkIndex>) {
        if chunks.is_empty() {
            return;
        }
        state.lose(&chunks);
        self.queue.push_dirty(partial.file, 0);
        let damaged = Damaged {
            file: partial.file,
            chunks,
            external: false,
        };
        self.damage.push(damaged, &self.home.partial(partial.file));
    }

    fn unhold_partial(&self, partial: &Partial, wrong: &[ChunkIndex]) -> Result<(), StoreError> {
        let mut state = partial.lock();
        if state.published {
            // Its commit failed, so the index still calls it partial.
            let (owned, path) = (
                self.home.owned(partial.file),
                self.home.partial(partial.file),
            );
            let file = self
                .disk
                .open(&owned, Access::Read)
                .context("open", &owned)?;
            file.set_read_only(false).context("make writable", &owned)?;
            self.disk.rename(&owned, &path).context("rename", &owned)?;
            state.published = false;
            self.drop_handle(partial.file, partial.id);
        }
        state.lose(wrong);
        drop(state);
        self.queue.push_dirty(partial.file, 0);
        Ok(())
    }

    /// Makes a complete file partial. The index goes first: if a crash comes in between, opening
    /// the store moves the file. A file that is gone is forgotten.
    fn demote(&self, file: FileHash, size: u64, held: &ChunkSet) -> Result<(), StoreError> {
        let (owned, partial) = (self.home.owned(file), self.home.partial(file));
        let handle = match self.disk.open(&owned, Access::Read) {
            Err(error) if is_loss(&error) => return self.forget(file),
            handle => handle.context("open", &owned)?,
        };
        // An exported file may be the same one under another name, and is not ours to write to.
        let is_shared = handle.links().context("read", &owned)? > 1;
        if is_shared {
            self.copy_for_repair(&*handle, size, held, &partial)?;
            let directory = self.home.partials();
            self.disk.sync_dir(&directory).context("sync", &directory)?;
        }
        let _no_loading_meanwhile = self.partials.lock();
        self.index.files().make_partial(file, size, held)?;
        self.drop_handle(file, 0);
        if is_shared {
            return self.disk.remove(&owned).context("remove", &owned);
        }
        handle
            .set_read_only(false)
            .context("make writable", &owned)?;
        self.disk.rename(&owned, &partial).context("rename", &owned)
    }

    fn forget(&self, file: FileHash) -> Result<(), StoreError> {
        for (file, record) in self.forget_files(&[file])? {
            self.quota.give_back(record.bytes_owned());
            self.remove_file(file, &record)?;
        }
        Ok(())
    }

    /// Holds a complete file no longer that has no chunk list, and whose bytes as a whole are wrong.
    /// They stay: with the list, [`Store::recover`] finds the chunks that are right.
    pub(crate) fn reject_unlisted(&self, file: FileHash) -> Result<(), StoreError> {
        let _no_commit_meanwhile = lock(&self.committing);
        let located = self.locate(file)?;
        let Located::Stored(record) = &located else {
            return Ok(());
        };
        if self.index.is_read_only() {
            return Ok(());
        }
        let path = match &record.place {
            Place::Owned(_) => {
                self.demote(
                    file,
                    record.size,
                    &ChunkSet::empty(chunk_count(record.size)),
                )?;
                self.home.owned(file)
            }
            Place::External(external) => {
                self.suspect(file)?;
                external.path.clone()
            }
            Place::Inline | Place::Partial => return Ok(()),
        };
        let damaged = Damaged {
            file,
            chunks: (0..chunk_count(record.size)).map(ChunkIndex).collect(),
            external: located.is_external(),
        };
        self.damage.push(damaged, &path);
        Ok(())
    }

    pub(crate) fn drop_handle(&self, file: FileHash, partial: u64) {
        lock(&self.handles).remove(HandleKey { file, partial });
    }

    /// A copy of the right chunks of a file, to complete in its place.
    pub(crate) fn copy_for_repair(
        &self,
        from: &dyn DiskFile,
        size: u64,
        held: &ChunkSet,
        path: &Path,
    ) -> Result<(), StoreError> {
        let copy = self.disk.open(path, Access::Create).context("make", path)?;
        if !clone_into(from, &*copy) {
            copy.allocate(size).context("make", path)?;
            let mut buffer = AlignedBytes::default();
            for chunks in held.ranges() {
                parallel::read_chunks(from, path, size, chunks, &mut buffer, |index, bytes| {
                    let written = copy.write_all_at(bytes, chunk_offset(index));
                    written.context("write", path)
                })?;
            }
            copy.set_len(size).context("resize", path)?;
        }
        copy.sync().context("sync", path)
    }
}
