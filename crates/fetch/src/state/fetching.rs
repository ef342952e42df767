//! After the layout is known: the missing chunks and lists, and the scheduler.

use std::{ops::Range, sync::Arc, time::Duration};

use hubless_content::{ChunkSet, FileHash, ModelChunk};
use hubless_scheduler::{Input as SchedulerInput, Scheduler, SchedulerConfig, SourceId};

use super::{lanes::ExtraLanes, lists::Lists};
use crate::{
    layout::{FileNumber, Layout},
    types::Planned,
};

/// The largest missing files, which are searched by their own hashes when the model's has too few
/// providers: another model may share them.
const FILES_SEARCHED_MAX: usize = 4;

/// What is valid once it is known what is missing.
#[derive(Debug)]
pub(crate) struct Fetching<P> {
    pub(crate) layout: Arc<Layout>,
    pub(crate) scheduler: Scheduler,
    /// When the scheduler wants to know that time went by.
    pub(crate) wake_at: Option<Duration>,
    pub(crate) lists: Lists,
    pub(crate) lanes: ExtraLanes,
    /// The peer that gave the last chunk.
    pub(crate) last_giver: Option<P>,
    /// Wanted chunks that are not held, those without a list among them.
    missing: ChunkSet,
    bytes_missing: u64,
    /// Bytes of the chosen files that were there at the beginning.
    bytes_present: u64,
    /// Chunks that were stored since the beginning.
    chunks_stored: u64,
}

impl<P: Copy> Fetching<P> {
    pub(crate) fn new(
        layout: Arc<Layout>,
        planned: Planned,
        config: SchedulerConfig,
        now: Duration,
    ) -> Self {
        let mut lists = Lists::default();
        lists.add(planned.lists);
        let bytes_missing = layout.bytes_of(&planned.missing);
        Self {
            scheduler: Scheduler::new(config, &planned.wanted_now),
            wake_at: None,
            lists,
            lanes: ExtraLanes::new(now),
            last_giver: None,
            missing: planned.missing,
            bytes_missing,
            bytes_present: layout.bytes_total.saturating_sub(bytes_missing),
            chunks_stored: 0,
            layout,
        }
    }

    /// Whether all that is wanted now is held.
    pub(crate) fn holds_all(&self) -> bool {
        self.lists.is_complete() && self.missing.is_empty()
    }

    /// A source can be asked; `first` is another connection of the same peer, which may have left.
    pub(crate) fn joined(&mut self, now: Duration, source: SourceId, first: Option<SourceId>) {
        self.schedule(now, SchedulerInput::SourceJoined(source));
        if let Some(first) = first {
            self.schedule(now, SchedulerInput::SourceSharesPeer(source, first));
        }
        self.lists.source_joined();
    }

    pub(crate) fn gone(&mut self, now: Duration, source: SourceId) {
        self.schedule(now, SchedulerInput::SourceGone(source));
        self.lists.source_gone(source);
    }

    /// A chunk is held now, whichever way it came.
    pub(crate) fn stored(&mut self, chunk: ModelChunk, bytes: u32) {
        if self.missing.remove(chunk.0) {
            self.bytes_missing = self.bytes_missing.saturating_sub(bytes.into());
        }
        self.chunks_stored += 1;
    }

    /// A chunk list is there: the chunks of its file can be verified, so they are wanted.
    pub(crate) fn list_stored(&mut self, now: Duration, file: FileNumber) {
        if self.lists.stored(file) {
            for run in runs_in(&self.missing, self.layout.range(file)) {
                self.schedule(now, SchedulerInput::Want(run));
            }
        }
    }

    /// A reader waits for what the store lacks of a file, and for `next` of it first.
    pub(crate) fn read_planned(
        &mut self,
        now: Duration,
        file: FileNumber,
        next: &Range<u64>,
        planned: &Planned,
    ) {
        let mut added = ChunkSet::empty(self.layout.chunks());
        for chunk in planned.missing.iter() {
            if self.missing.insert(chunk) {
                added.insert(chunk);
            }
        }
        self.bytes_missing += self.layout.bytes_of(&added);
        self.lists.add(planned.lists.iter().copied());
        for run in runs_in(&planned.wanted_now, self.layout.range(file)) {
            self.schedule(now, SchedulerInput::Want(run));
        }
        let first = self.layout.chunks_with(file, next);
        self.schedule(now, SchedulerInput::Prioritize(first));
    }

    /// The files to search by their own hashes.
    pub(crate) fn largest_missing(&self) -> Vec<FileHash> {
        let layout = &self.layout;
        let is_missing = |file: &FileNumber| {
            let mut chunks = ModelChunk::each(layout.range(*file));
            chunks.any(|chunk| self.missing.contains(chunk.0))
        };
        let mut files: Vec<FileNumber> = layout.wanted().filter(is_missing).collect();
        files.sort_by_key(|file| std::cmp::Reverse(layout.entry(*file).size));
        files.truncate(FILES_SEARCHED_MAX);
        files.iter().map(|file| layout.entry(*file).hash).collect()
    }

    pub(crate) fn schedule(&mut self, now: Duration, input: SchedulerInput) {
        self.scheduler.handle(now, input);
    }

    pub(crate) fn file(&self, hash: FileHash) -> Option<FileNumber> {
        let mut entries = self.layout.manifest.entries().iter();
        let position = entries.position(|entry| entry.hash == hash);
        position.map(FileNumber)
    }

    pub(crate) fn bytes_missing(&self) -> u64 {
        self.bytes_missing
    }

    pub(crate) fn bytes_present(&self) -> u64 {
        self.bytes_present
    }

    pub(crate) fn chunks_stored(&self) -> u64 {
        self.chunks_stored
    }
}

/// The runs of a set inside a range.
fn runs_in(set: &ChunkSet, range: Range<ModelChunk>) -> Vec<Range<ModelChunk>> {
    let mut runs: Vec<Range<ModelChunk>> = Vec::new();
    for chunk in ModelChunk::each(range).filter(|chunk| set.contains(chunk.0)) {
        let after = chunk.plus(1);
        match runs.last_mut() {
            Some(run) if run.end == chunk => run.end = after,
            _ => runs.push(chunk..after),
        }
    }
    runs
}
