//! `cat`: the bytes of one file, in order, each chunk verified as it leaves.

use std::{
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use hubless_content::{
    CHUNK_SIZE, ChunkIndex, ContentHash, ManifestEntry, ModelPath, chunk_offset,
};
use hubless_fetch::{FetchRequest, Layout, ReadRequest};
use hubless_network::Multiaddr;
use hubless_sync::lock;
use hubless_transfer::{
    DamageWatch, TransferError,
    fetch::{Driver, DriverArgs},
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use super::Call;
use crate::{
    addresses::of_peers,
    core::Core,
    failure::{Failure, FailureKind},
    remedy::Remedy,
    replies::ReplySink,
};

/// Time without a stored chunk after which the missing chunks are determined again.
const RECHECK_AFTER: Duration = Duration::from_secs(5);

/// Sends the bytes of a file or of a range of it, verified, as
/// [`Update::Data`](crate::Update::Data).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cat {
    /// The model.
    pub hash: ContentHash,
    /// Addresses of peers to ask, each ending in `/p2p/<peer id>`.
    pub peers: Vec<Multiaddr>,
    /// The file.
    pub path: ModelPath,
    /// First byte, and the byte behind the last one; the whole file without.
    pub range: Option<(u64, Option<u64>)>,
    /// Seconds to wait without progress.
    pub timeout_s: u64,
}

impl Call for Cat {
    type Answer = ();

    async fn handle(self, core: &Arc<Core>, sink: &ReplySink) -> Result<(), Failure> {
        let (start, end) = self.range.unwrap_or((0, None));
        let (reads, read_requests) = mpsc::channel(1);
        let args = DriverArgs {
            request: FetchRequest::Bytes {
                model: self.hash,
                path: self.path.clone(),
                range: start..end.unwrap_or(u64::MAX),
            },
            named: of_peers("peer", &self.peers)?,
            reads: Some(read_requests),
            patience: Duration::from_secs(self.timeout_s),
        };
        let driver = Driver::new(&core.fetches, &sink.of_fetch(), args)?;
        let (layout, stored) = (driver.layout(), driver.stored());
        let rejected = Mutex::default();
        let printer = Printer {
            core,
            sink,
            stored,
            reads,
            rejected: &rejected,
        };
        let fetched = async { driver.run().await.map_err(CatError::Fetch) };
        let printed = async { printer.print(&self, layout).await.map_err(CatError::Print) };
        match tokio::try_join!(fetched, printed) {
            Ok(_) => Ok(()),
            Err(CatError::Print(failure)) => Err(failure),
            Err(CatError::Fetch(error)) => Err(explain(error, &self.path, *lock(&rejected))),
        }
    }
}

/// Which part of the work failed.
enum CatError {
    Fetch(TransferError),
    Print(Failure),
}

/// The failure of a fetch, with the damage of which no peer had the chunk.
fn explain(error: TransferError, path: &ModelPath, rejected: Option<ChunkIndex>) -> Failure {
    match rejected {
        Some(chunk) if error.is_absence() => TransferError::NotReplaced {
            path: path.clone(),
            chunk,
            source: Box::new(error),
        }
        .into(),
        _ => error.into(),
    }
}

/// Sends a file in order while it is fetched.
struct Printer<'a> {
    core: &'a Arc<Core>,
    sink: &'a ReplySink,
    stored: watch::Receiver<u64>,
    /// Chunks that were held when the fetch began, and no longer are. The fetch ends with this.
    reads: mpsc::Sender<ReadRequest>,
    /// The chunk that is being fetched again because it was wrong on disk.
    rejected: &'a Mutex<Option<ChunkIndex>>,
}

impl Printer<'_> {
    async fn print(
        mut self,
        cat: &Cat,
        mut layout: watch::Receiver<Option<Arc<Layout>>>,
    ) -> Result<(), Failure> {
        let layout = match layout.wait_for(Option::is_some).await {
            Ok(layout) => layout.clone(),
            Err(_) => None, // the fetch failed, and reports why
        };
        let Some(layout) = layout else { return Ok(()) };
        let entry = layout.manifest.get(cat.path.as_str()).ok_or_else(|| {
            Failure::new(
                FailureKind::NotFound,
                format!("there is no file {:?} in {}", cat.path, cat.hash),
            )
            .remedy(Remedy::ShowFiles { model: cat.hash })
        })?;
        let mut damage = DamageWatch::new(&self.core.fetches.damage, entry.hash);
        let mut rest = clamp(cat.range, entry.size)?;
        while rest.start < rest.end {
            let bytes = self.next(entry, &rest, &mut damage).await?;
            rest.start += bytes.len() as u64;
            self.sink.data(bytes).await?;
        }
        Ok(())
    }

    /// Waits for the first remaining chunk, and returns the requested part of it.
    async fn next(
        &mut self,
        entry: &ManifestEntry,
        rest: &Range<u64>,
        damage: &mut DamageWatch,
    ) -> Result<Bytes, Failure> {
        let index = ChunkIndex::of_offset(rest.start).ok_or_else(|| unreadable(entry))?;
        let end = rest.end.min(next_chunk(rest.start));
        let mut is_last_read = false;
        loop {
            self.stored.borrow_and_update();
            let (store, file) = (self.core.cx.store.clone(), entry.hash);
            let read = move || store.read_proven(file, index);
            if let Some(bytes) = self.core.cx.blocking.run(read).await?? {
                self.note_rejected(None);
                let offset = chunk_offset(index);
                let inside = (rest.start - offset) as usize..(end - offset) as usize;
                let bytes = (inside.end <= bytes.len()).then(|| bytes.slice(inside));
                return bytes.ok_or_else(|| unreadable(entry));
            }
            if is_last_read {
                return Err(unreadable(entry));
            }
            if let Some(chunk) = damage.take() {
                self.note_rejected(Some(chunk));
                self.request(entry, rest, end).await;
            }
            match timeout(RECHECK_AFTER, self.stored.changed()).await {
                Ok(Ok(())) => {}
                // The fetch is over when its end is gone; what it stored last is there by then.
                Ok(Err(_)) => is_last_read = true,
                // Another reader may have found damage before this one subscribed.
                Err(_) => self.request(entry, rest, end).await,
            }
        }
    }

    /// Asks the fetch for what is left, as far as it is not here.
    async fn request(&self, entry: &ManifestEntry, rest: &Range<u64>, end: u64) {
        let request = ReadRequest {
            file: entry.hash,
            bytes: rest.clone(),
            next: rest.start..end,
        };
        // Fails only if the fetch has ended, which its result reports.
        let _ = self.reads.send(request).await;
    }

    fn note_rejected(&self, chunk: Option<ChunkIndex>) {
        *lock(self.rejected) = chunk;
    }
}

fn next_chunk(at: u64) -> u64 {
    (at / CHUNK_SIZE as u64 + 1) * CHUNK_SIZE as u64
}

fn clamp(range: Option<(u64, Option<u64>)>, size: u64) -> Result<Range<u64>, Failure> {
    let (start, end) = range.unwrap_or((0, None));
    let end = end.unwrap_or(size).min(size);
    if range.is_some() && start >= size.max(1) {
        let message = format!("the range begins at byte {start}, but the file has {size} bytes");
        return Err(Failure::new(FailureKind::Usage, message).remedy(Remedy::CountFromZero));
    }
    Ok(start..end.max(start))
}

fn unreadable(entry: &ManifestEntry) -> Failure {
    let message = format!("{:?} cannot be read from the store", entry.path);
    Failure::new(FailureKind::Integrity, message).remedy(Remedy::Repair)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_end_where_the_file_ends() {
        assert_eq!(clamp(None, 0).unwrap(), 0..0);
        assert_eq!(clamp(None, 10).unwrap(), 0..10);
        assert_eq!(clamp(Some((3, Some(5))), 10).unwrap(), 3..5);
        assert_eq!(clamp(Some((3, Some(99))), 10).unwrap(), 3..10);
        assert_eq!(
            clamp(Some((10, None)), 10).unwrap_err().kind,
            FailureKind::Usage
        );
    }
}
