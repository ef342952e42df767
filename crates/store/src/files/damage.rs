//! Reports of damage: chunks that were found to be wrong, and files that may be.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use hubless_content::{ChunkIndex, FileHash};
use hubless_sync::lock;

use crate::files::{
    Files,
    partial::{Partial, PartialState},
};

/// Files with another signature than recorded that are remembered; others wait for their turn.
const TOUCHED_MAX: usize = 1024;

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

/// What was rejected, for the hook and the metrics.
#[derive(Default)]
pub(crate) struct DamageReports {
    hook: Mutex<Option<Hook>>,
    /// Rejected under a lock; reported when it is free.
    waiting: Mutex<Vec<Damaged>>,
    chunks: AtomicU64,
}

impl DamageReports {
    pub(crate) fn push(&self, damaged: Damaged, path: &Path) {
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

impl Files {
    /// From now on `hook` is called for each file in which chunks were rejected, whichever way that
    /// was found; from any thread, outside the store's locks. It takes the place of an earlier one.
    pub(crate) fn on_damage(&self, hook: Arc<dyn Fn(&Damaged) + Send + Sync>) {
        *lock(&self.damage.hook) = Some(hook);
    }

    /// Chunks rejected since the store was opened.
    pub(crate) fn chunks_rejected(&self) -> u64 {
        self.damage.chunks.load(Ordering::Relaxed)
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

    pub(crate) fn lose_locked(
        &self,
        partial: &Partial,
        state: &mut PartialState,
        chunks: Vec<ChunkIndex>,
    ) {
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

    /// Notes that a reader found another signature than recorded: the file is checked next.
    pub(crate) fn note_touched(&self, file: FileHash) {
        let mut touched = lock(&self.touched);
        if touched.len() < TOUCHED_MAX {
            touched.insert(file);
        }
    }

    /// One of the files that [`Files::note_touched`] noted.
    pub(crate) fn take_touched(&self) -> Option<FileHash> {
        lock(&self.touched).pop_first()
    }
}
