//! Repairs wrong stored chunks, whether a reader, a peer that rejected them, or a check found them.
//!
//! The store no longer holds them. The log names file and model for the operator; announcements
//! follow the held content; and pinned or named content is fetched again in the background.

use std::{collections::VecDeque, ops::Range, sync::Arc, time::Duration};

use hubless_content::{CHUNK_SIZE, ChunkIndex, ContentHash, ManifestEntry, chunk_offset};
use hubless_repos::names::names_of;
use hubless_store::{Damaged, Store, StoreError};
use hubless_transfer::{Blocking, Withheld, fetch::StoredStream};
use tokio::{
    sync::{broadcast::error::RecvError, mpsc},
    time::Instant,
};
use tracing::{debug, info, warn};

use crate::{core::Core, failure::Failure};

/// Chunks of one report that are logged one by one: for a failing disk, the first suffice.
const LOGGED_MAX: usize = 16;

/// Files that wait to be repaired. The next check finds the others again.
const WAITING_MAX: usize = 256;

/// Delay before a repair that found no peer is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(3600);

/// A damaged file of a model.
struct Lost {
    model: ContentHash,
    entry: ManifestEntry,
    /// The ranges of wrong bytes.
    ranges: Vec<Range<u64>>,
    /// Whether a pin or a name keeps it, and strangers may be asked for it.
    is_wanted: bool,
}

/// Runs until the node stops.
pub(crate) async fn run(core: Arc<Core>) {
    let mut reports = core.fetches.damage.subscribe();
    let (queue, waiting) = mpsc::channel(WAITING_MAX);
    core.cx.tasks.spawn(repair(core.clone(), waiting));
    let cancel = core.cx.cancel.clone();
    let work = async {
        loop {
            match reports.recv().await {
                Ok(damaged) => report(&core, damaged, &queue).await,
                Err(RecvError::Lagged(missed)) => warn!(missed, "reports of damage were lost"),
                Err(RecvError::Closed) => return,
            }
            core.cx.note_change();
        }
    };
    cancel.run_until_cancelled(work).await;
}

/// Logs damaged chunks, and queues their files for repair.
async fn report(core: &Arc<Core>, damaged: Damaged, queue: &mpsc::Sender<Lost>) {
    let (store, withheld, found) = (
        core.cx.store.clone(),
        core.withheld.clone(),
        damaged.clone(),
    );
    let lost = Blocking::run_long(move || lost(&store, &withheld, &found)).await;
    let lost = match lost {
        Ok(Ok(lost)) => lost,
        Ok(Err(error)) => return warn!(%error, "cannot find the models of a damaged file"),
        Err(error) => return warn!(%error, "cannot find the models of a damaged file"),
    };
    for Lost { model, entry, .. } in &lost {
        for chunk in damaged.chunks.iter().take(LOGGED_MAX) {
            warn!(%model, path = %entry.path, %chunk, "a stored chunk is wrong: it is no longer held");
        }
        if damaged.chunks.len() > LOGGED_MAX {
            let chunks = damaged.chunks.len();
            warn!(%model, path = %entry.path, chunks, "more stored chunks are wrong");
        }
    }
    // The user changed the own file: only a reader causes a copy of the old bytes to be fetched.
    if let Some(lost) = lost.into_iter().find(|lost| lost.is_wanted)
        && !damaged.external
        && queue.try_send(lost).is_err()
    {
        debug!(file = %damaged.file, "too many files wait to be repaired");
    }
}

/// The places of a file in the known models.
fn lost(store: &Store, withheld: &Withheld, damaged: &Damaged) -> Result<Vec<Lost>, StoreError> {
    let mut all = Vec::new();
    for model in store.models()? {
        let Some(manifest) = store.manifest(model.hash)? else {
            continue;
        };
        let entries = manifest.entries().iter();
        for entry in entries.filter(|entry| entry.hash == damaged.file) {
            let is_kept = model.pinned || !names_of(store, model.hash, 1)?.is_empty();
            let is_private = withheld.has_model(model.hash) || withheld.has_file(entry.hash);
            all.push(Lost {
                model: model.hash,
                entry: entry.clone(),
                ranges: ranges(&damaged.chunks, entry.size),
                is_wanted: is_kept && !is_private,
            });
        }
    }
    Ok(all)
}

/// The byte ranges of chunks, merged for consecutive ones.
fn ranges(chunks: &[ChunkIndex], size: u64) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for chunk in chunks {
        let start = chunk_offset(*chunk);
        let end = size.min(start + CHUNK_SIZE as u64);
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => ranges.push(start..end),
        }
    }
    ranges
}

/// Fetches lost chunks again, one file after the other, while no foreground work runs.
async fn repair(core: Arc<Core>, mut waiting: mpsc::Receiver<Lost>) {
    let cancel = core.cx.cancel.clone();
    let mut later: VecDeque<(Instant, Lost)> = VecDeque::new();
    let work = async {
        while let Some(lost) = next(&mut waiting, &mut later).await {
            core.cx.busy.idle().await;
            let (model, path) = (lost.model, &lost.entry.path);
            match fetch(&core, &lost).await {
                Ok(()) => info!(%model, %path, "what was damaged is right again"),
                Err(failure) if later.len() < WAITING_MAX => {
                    debug!(%model, %path, %failure, "what is damaged was not replaced");
                    later.push_back((Instant::now() + AGAIN_AFTER, lost));
                }
                Err(failure) => debug!(%model, %path, %failure, "given up"),
            }
        }
    };
    cancel.run_until_cancelled(work).await;
}

/// The next file to repair: a newly damaged one, or one whose retry is due.
async fn next(
    waiting: &mut mpsc::Receiver<Lost>,
    later: &mut VecDeque<(Instant, Lost)>,
) -> Option<Lost> {
    let Some((due, _)) = later.front() else {
        return waiting.recv().await;
    };
    tokio::select! {
        lost = waiting.recv() => lost,
        () = tokio::time::sleep_until(*due) => later.pop_front().map(|(_, lost)| lost),
    }
}

/// Reads the lost ranges as a reader would, which fetches only missing chunks.
async fn fetch(core: &Arc<Core>, lost: &Lost) -> Result<(), Failure> {
    let (store, model) = (core.cx.store.clone(), lost.model);
    let known = core
        .cx
        .blocking
        .run(move || store.manifest(model))
        .await??;
    if known.is_none() {
        return Ok(()); // removed meanwhile
    }
    for range in &lost.ranges {
        let (fetches, entry) = (core.fetches.clone(), lost.entry.clone());
        let mut stream = StoredStream::new(fetches, Some(lost.model), entry, range.clone());
        while stream.next().await?.is_some() {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_chunks_are_one_range_that_ends_with_the_file() {
        let chunk = CHUNK_SIZE as u64;
        let chunks = [0, 1, 3].map(ChunkIndex);
        let size = 3 * chunk + 5;
        assert_eq!(ranges(&chunks, size), [0..2 * chunk, 3 * chunk..size]);
    }
}
