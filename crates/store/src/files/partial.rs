//! Files that are being fetched: which of their chunks are held, in memory.
//!
//! A chunk is held from the moment its bytes are written. Its row in the index is written by the next
//! group commit; until then this is the only place that knows.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use hubless_content::{ChunkIndex, ChunkSet, FileHash, chunk_count};
use hubless_disk::{Disk, IoContext};

use crate::{
    error::StoreError,
    locks::{Rank, Ranked, RankedGuard},
};

/// Partial files kept in memory beyond those in use. A bitmap is 32 KiB for 64 GiB.
const CACHED_MAX: usize = 1024;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// The partial files that are in memory.
pub(crate) struct Partials {
    map: Ranked<PartialMap>,
    /// Files were made whose names are not durable yet.
    new_names: AtomicBool,
}

pub(crate) type PartialMap = HashMap<FileHash, Arc<Partial>>;

impl Partials {
    pub(super) fn new() -> Self {
        Self {
            map: Ranked::new(Rank::Partials, PartialMap::new()),
            new_names: AtomicBool::new(false),
        }
    }

    /// All of them, locked: no other task loads, makes or drops one meanwhile.
    pub(crate) fn lock(&self) -> RankedGuard<'_, PartialMap> {
        self.map.lock()
    }

    /// A file was made: its name has to be durable before the index may claim chunks of it.
    pub(crate) fn note_new_name(&self) {
        self.new_names.store(true, Ordering::Release);
    }

    /// Makes the names of all files durable, if there are new ones.
    pub(crate) fn sync_names(&self, disk: &dyn Disk, directory: &Path) -> Result<(), StoreError> {
        if self.new_names.swap(false, Ordering::AcqRel) {
            let synced = disk.sync_dir(directory).context("sync", directory);
            synced.inspect_err(|_| self.note_new_name())?;
        }
        Ok(())
    }

    /// Forgets those that the index knows just as well.
    pub(crate) fn trim(&self) {
        let mut map = self.lock();
        if map.len() > CACHED_MAX {
            // Other tasks get one under this lock only, so the count cannot rise meanwhile.
            map.retain(|_, partial| Arc::strong_count(partial) > 1 || partial.lock().dirty);
        }
    }
}

/// One file that is being fetched, as it was taken into memory.
pub(crate) struct Partial {
    pub(crate) file: FileHash,
    /// Never the same twice in a process, and never 0.
    pub(crate) id: u64,
    state: Ranked<PartialState>,
}

pub(crate) struct PartialState {
    pub(crate) size: u64,
    pub(crate) held: ChunkSet,
    /// Those of [`PartialState::held`] that this process verified. The others the index claims: they
    /// are read once before all is published.
    pub(crate) proven: ChunkSet,
    /// More is held than the index knows.
    pub(crate) dirty: bool,
    /// All is held, and the file was renamed to where complete files lie.
    pub(crate) published: bool,
    /// It was searched for chunks that the index does not know.
    pub(crate) recovered: bool,
    /// It was removed; a task that still has it must locate the file again.
    pub(crate) removed: bool,
}

impl PartialState {
    /// Whether all chunks are held and were verified by this process.
    pub(crate) fn is_proven(&self) -> bool {
        self.held.is_full() && self.proven.is_full()
    }

    pub(crate) fn lose(&mut self, chunks: &[ChunkIndex]) {
        for index in chunks {
            self.held.remove(index.0);
            self.proven.remove(index.0);
        }
        self.dirty = true;
    }
}

/// What became of a chunk that was written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    New { complete: bool },
    Known { complete: bool },
    Removed,
}

impl Partial {
    pub(crate) fn new(file: FileHash, size: u64, held: ChunkSet) -> Self {
        let state = PartialState {
            size,
            proven: ChunkSet::empty(held.len()),
            held,
            dirty: false,
            published: false,
            recovered: false,
            removed: false,
        };
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Self {
            file,
            id,
            state: Ranked::new(Rank::Partial, state),
        }
    }

    pub(crate) fn lock(&self) -> RankedGuard<'_, PartialState> {
        self.state.lock()
    }

    pub(crate) fn holds(&self, index: ChunkIndex) -> bool {
        self.lock().held.contains(index.0)
    }

    /// Marks a chunk whose bytes are written as held.
    pub(crate) fn insert(&self, index: ChunkIndex) -> Inserted {
        let mut state = self.lock();
        if state.removed {
            return Inserted::Removed;
        }
        let new = state.held.insert(index.0);
        state.proven.insert(index.0);
        state.dirty |= new;
        let complete = state.held.is_full();
        if new {
            Inserted::New { complete }
        } else {
            Inserted::Known { complete }
        }
    }

    /// The chunks that are held, but were not verified by this process.
    pub(crate) fn unproven(&self) -> ChunkSet {
        let state = self.lock();
        let mut unproven = state.held.clone();
        for n in state.proven.iter() {
            unproven.remove(n);
        }
        unproven
    }

    /// Notes that a chunk that is held was read and is right.
    pub(crate) fn prove(&self, index: ChunkIndex) {
        let mut state = self.lock();
        if state.held.contains(index.0) {
            state.proven.insert(index.0);
        }
    }

    /// Takes over a size that a chunk proves. Only a file's last chunk proves its size: the others
    /// are the same whatever its length, so a wrong size may have come first, from a manifest that
    /// lies. Returns the size that was believed.
    pub(crate) fn prove_size(&self, size: u64, index: ChunkIndex) -> Option<u64> {
        let mut state = self.lock();
        let is_last = index.0 + 1 == chunk_count(size);
        let other = state.size != size && state.held.len() == chunk_count(size);
        (is_last && other).then(|| std::mem::replace(&mut state.size, size))
    }
}
