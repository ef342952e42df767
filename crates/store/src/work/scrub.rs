//! Checking what is at rest, one file after the other: silent damage is found before the last good
//! copy elsewhere is gone.

use std::{
    collections::{BinaryHeap, VecDeque},
    time::SystemTime,
};

use hubless_content::{ChunkIndex, FileHash, chunk_len};
use hubless_index::seconds_since_1970;
use hubless_memory::AlignedBytes;
use hubless_sync::lock;

use crate::{error::StoreError, files::located::LocatedFile, work::Work};

/// Files that one scan of the index finds: few enough to be no memory, many enough that small
/// files do not make each scrub scan all of it.
const FOUND_MAX: usize = 1024;

/// What a scrub did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scrubbed {
    /// Bytes that were read.
    pub bytes: u64,
    /// Chunks that were rejected.
    pub rejected: u32,
    /// False if it was stopped before the end of the file.
    pub finished: bool,
}

/// A time in the future is that of a clock that was wrong: such a file counts as never checked.
fn not_in_future(checked: u64) -> u64 {
    if checked > seconds_since_1970(SystemTime::now()) {
        0
    } else {
        checked
    }
}

impl Work {
    /// The complete file whose last full check is oldest and older than `before`, or one whose size,
    /// times, inode or device are no longer as after its last check; `None` if there is none.
    pub(crate) fn next_to_scrub(&self, before: SystemTime) -> Result<Option<FileHash>, StoreError> {
        let before = seconds_since_1970(before);
        let touched = self.files.take_touched();
        if let Some(file) = touched
            && self.checked(file)?.is_some()
        {
            return Ok(Some(file));
        }
        loop {
            if lock(&self.due).is_empty() {
                let found = self.oldest(before)?;
                *lock(&self.due) = found;
            }
            let Some(file) = lock(&self.due).pop_front() else {
                return Ok(None);
            };
            // It may have been checked or removed since it was found.
            if (self.checked(file)?).is_some_and(|checked| checked < before) {
                return Ok(Some(file));
            }
        }
    }

    /// Checks one file and records that it was checked; rejects what is wrong. `pace` is called with
    /// the bytes of each chunk after it was read, and ends the check by returning false.
    pub(crate) fn scrub(
        &self,
        file: FileHash,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Scrubbed, StoreError> {
        let outcome = self.scrub_target(file, pace);
        self.files.damage.deliver();
        outcome
    }

    fn scrub_target(
        &self,
        file: FileHash,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Scrubbed, StoreError> {
        let mut scrubbed = Scrubbed::default();
        let Some(target) = self.target(file)? else {
            scrubbed.finished = true;
            return Ok(scrubbed);
        };
        let source = self.files.source(file, &target.located)?;
        let mut buffer = AlignedBytes::default();
        let mut wrong = Vec::new();
        for index in target.held.iter().map(ChunkIndex) {
            if !source.is_right(&target.list, index, &mut buffer)? {
                wrong.push(index);
            }
            let len = chunk_len(target.list.size(), index).unwrap_or(0) as u64;
            scrubbed.bytes += len;
            if !pace(len) {
                self.commits.reject(file, &wrong)?;
                return Ok(scrubbed);
            }
        }
        let rejected = self.conclude(&target, &wrong)?;
        scrubbed.rejected = u32::try_from(rejected.len()).unwrap_or(u32::MAX);
        scrubbed.finished = true;
        Ok(scrubbed)
    }

    /// When a complete file was last checked.
    fn checked(&self, file: FileHash) -> Result<Option<u64>, StoreError> {
        let waiting = self.files.queue.checked_at(file);
        Ok(match self.files.locate(file)? {
            LocatedFile::Stored(record) if record.is_complete() => {
                Some(waiting.unwrap_or_else(|| not_in_future(record.checked)))
            }
            _ => None,
        })
    }

    fn oldest(&self, before: u64) -> Result<VecDeque<FileHash>, StoreError> {
        let found = self
            .files
            .index
            .files()
            .fold(BinaryHeap::new, |found, file, record| {
                let checked = not_in_future(record.checked);
                if record.is_complete() && checked < before {
                    found.push((checked, *file.as_bytes()));
                    if found.len() > FOUND_MAX {
                        found.pop();
                    }
                }
            })?;
        let found = found.into_sorted_vec().into_iter();
        Ok(found.map(|(_, file)| FileHash::new(file)).collect())
    }
}
