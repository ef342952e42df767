//! What waits for the next group commit.
//!
//! Everything in it can already be read. It is bounded: when too many bytes wait, a caller
//! with more waits for a commit.

use std::{
    collections::HashMap,
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hubless_content::{ChunkList, FileHash};
use hubless_disk::Signature;
use hubless_index::{Batch, Check, Digests, RecordChange};
use hubless_sync::{lock, wait, wait_timeout};

/// Bytes after which a commit begins. Large enough that its two or three syncs (some
/// milliseconds) do not matter at disk speed.
const COMMIT_BYTES: u64 = 32 * 1024 * 1024;

/// The longest that something new stays uncommitted: what a crash may cost.
const COMMIT_AFTER: Duration = Duration::from_millis(200);

/// The same for records of others, which are no loss and come all the time: fewer syncs.
const COMMIT_RECORDS_AFTER: Duration = Duration::from_secs(5);

/// Payload that may wait in memory.
const INLINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// After a failure, when to try again unasked.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Default)]
struct QueueState {
    next: Batch,
    /// Being committed: no longer in `next`, not yet in the index.
    committing: Option<Arc<Batch>>,
    /// Bytes of chunks in `next`.
    bytes: u64,
    /// Bytes of payload in memory, of both batches.
    inline_bytes: u64,
    due: Option<Instant>,
    /// The last commit failed.
    failed: bool,
    stopped: bool,
}

impl QueueState {
    fn wake_after(&mut self, wait: Duration) {
        let at = Instant::now() + wait;
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    fn batches(&self) -> impl Iterator<Item = &Batch> {
        std::iter::once(&self.next).chain(self.committing.as_deref())
    }
}

/// What became of payload that was brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    New,
    Known,
    /// There is no room and the last commit failed: the caller must commit first.
    Stuck,
}

impl Queue {
    /// Takes the bytes of a file of one chunk; waits while too much is in memory.
    pub(crate) fn push_inline(&self, file: FileHash, bytes: &Bytes) -> Pushed {
        let mut state = lock(&self.state);
        loop {
            if state
                .batches()
                .any(|batch| batch.inline.contains_key(&file))
            {
                return Pushed::Known;
            }
            if state.inline_bytes < INLINE_BYTES_MAX {
                break;
            }
            if state.failed || state.stopped {
                return Pushed::Stuck;
            }
            state = wait(&self.changed, state);
        }
        state.next.inline.insert(file, bytes.clone());
        state.inline_bytes += bytes.len() as u64;
        self.more(&mut state, bytes.len() as u64);
        Pushed::New
    }

    /// Notes that a partial file has `bytes` more than the index knows.
    pub(crate) fn push_dirty(&self, file: FileHash, bytes: u64) {
        let mut state = lock(&self.state);
        state.next.dirty.insert(file);
        self.more(&mut state, bytes);
    }

    pub(crate) fn push_list(&self, list: &ChunkList) {
        let mut state = lock(&self.state);
        state.next.lists.insert(list.file(), list.clone());
        self.more(&mut state, list.cvs().len() as u64 * 32);
    }

    pub(crate) fn push_records(&self, records: &[RecordChange]) {
        let mut state = lock(&self.state);
        state.next.records.extend(records.iter().cloned());
        let bytes = records
            .iter()
            .map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len));
        state.bytes += bytes.sum::<usize>() as u64;
        self.wake(&mut state, COMMIT_RECORDS_AFTER);
    }

    pub(crate) fn push_digests(&self, file: FileHash, digests: Digests) {
        let mut state = lock(&self.state);
        state.next.digests.insert(file, digests);
        self.more(&mut state, size_of::<Digests>() as u64);
    }

    pub(crate) fn push_check(&self, file: FileHash, check: Check) {
        let mut state = lock(&self.state);
        state.next.checks.insert(file, check);
        self.more(&mut state, size_of::<Check>() as u64);
    }

    /// Another file takes the place of one that was checked. The caller holds the commit lock.
    pub(crate) fn forget_check(&self, file: FileHash) {
        lock(&self.state).next.checks.remove(&file);
    }

    fn more(&self, state: &mut QueueState, bytes: u64) {
        state.bytes += bytes;
        self.wake(state, COMMIT_AFTER);
    }

    /// Has a commit begin after `wait`, or at once if there is enough for it. After a failure it
    /// stays with the time that was set then.
    fn wake(&self, state: &mut QueueState, wait: Duration) {
        if state.failed {
            return;
        }
        let before = state.due;
        state.wake_after(wait);
        // Waking the committer for each chunk would cost more than the chunk.
        if state.due != before || state.bytes >= COMMIT_BYTES {
            self.changed.notify_all();
        }
    }

    pub(crate) fn inline(&self, file: FileHash) -> Option<Bytes> {
        let state = lock(&self.state);
        state
            .batches()
            .find_map(|batch| batch.inline.get(&file).cloned())
    }

    pub(crate) fn inline_files(&self) -> Vec<FileHash> {
        let state = lock(&self.state);
        state
            .batches()
            .flat_map(|batch| batch.inline.keys().copied())
            .collect()
    }

    pub(crate) fn list(&self, file: FileHash) -> Option<ChunkList> {
        let state = lock(&self.state);
        state
            .batches()
            .find_map(|batch| batch.lists.get(&file).cloned())
    }

    pub(crate) fn digests(&self, file: FileHash) -> Option<Digests> {
        let state = lock(&self.state);
        state
            .batches()
            .find_map(|batch| batch.digests.get(&file).copied())
    }

    /// The signature with which a file was found to be right, if that waits.
    pub(crate) fn signature(&self, file: FileHash) -> Option<Signature> {
        self.check(file)?.signature
    }

    /// When a file was found to be right, if that waits.
    pub(crate) fn checked_at(&self, file: FileHash) -> Option<u64> {
        Some(self.check(file)?.at)
    }

    fn check(&self, file: FileHash) -> Option<Check> {
        let state = lock(&self.state);
        let mut batches = state.batches();
        batches.find_map(|batch| batch.checks.get(&file).copied())
    }

    /// All digests that wait.
    pub(crate) fn all_digests(&self) -> HashMap<FileHash, Digests> {
        let state = lock(&self.state);
        let batches = state.batches();
        batches
            .flat_map(|batch| batch.digests.iter().map(|(file, of)| (*file, *of)))
            .collect()
    }

    /// A file whose digests wait and are such. There are few: they wait for the next commit.
    pub(crate) fn file_with(&self, is_such: impl Fn(&Digests) -> bool) -> Option<FileHash> {
        let state = lock(&self.state);
        state.batches().find_map(|batch| {
            let mut waiting = batch.digests.iter();
            waiting
                .find(|(_, digests)| is_such(digests))
                .map(|(file, _)| *file)
        })
    }

    pub(crate) fn has_failed(&self) -> bool {
        lock(&self.state).failed
    }

    /// Waits until there is something to commit; false when the store ends.
    pub(crate) fn wait_until_due(&self) -> bool {
        let mut state = lock(&self.state);
        loop {
            if state.stopped {
                return false;
            }
            let now = Instant::now();
            let time = match state.due {
                Some(due) if due <= now || (state.bytes >= COMMIT_BYTES && !state.failed) => {
                    return true;
                }
                Some(due) => due - now,
                None => Duration::from_secs(3600),
            };
            state = wait_timeout(&self.changed, state, time);
        }
    }

    pub(crate) fn stop(&self) {
        lock(&self.state).stopped = true;
        self.changed.notify_all();
    }

    /// Takes what waits, to be committed. One at a time: the commit lock is held.
    pub(crate) fn begin(&self) -> Option<Arc<Batch>> {
        let mut state = lock(&self.state);
        state.due = None;
        state.bytes = 0;
        if state.next.is_empty() {
            return None;
        }
        let batch = Arc::new(std::mem::take(&mut state.next));
        state.committing = Some(batch.clone());
        Some(batch)
    }

    /// The batch is in the index, or goes back.
    pub(crate) fn end(&self, batch: &Batch, committed: bool) {
        let mut state = lock(&self.state);
        state.committing = None;
        state.failed = !committed;
        if committed {
            state.inline_bytes -= batch
                .inline
                .values()
                .map(|bytes| bytes.len() as u64)
                .sum::<u64>();
        } else {
            batch.put_under(&mut state.next);
            state.wake_after(RETRY_AFTER);
        }
        self.changed.notify_all();
    }
}
