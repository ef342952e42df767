//! The bytes of a file, in order: read ahead where they are held, waited for where they are not.

use std::{collections::VecDeque, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use hubless_content::{CHUNK_SIZE, ChunkIndex, ContentHash, ManifestEntry, chunk_offset};
use hubless_store::{FilesGuard, Store, StoreError};
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::Feed;
use crate::{
    api::{Failure, FailureKind},
    core::Core,
};

/// Chunks that are read at once: 2 MiB. A disk gives its full rate, and the hop to a thread that
/// may block costs nothing beside it. Two such pieces are in memory for each reader.
const READ_CHUNKS: usize = 8;

/// What a reader that waits has fetched first: 4 MiB, more than comes while it asks again.
const URGENT_BYTES: u64 = 4 * 1024 * 1024;

/// A range of a file of the store. Every piece was verified when it was stored; of the user's own
/// file, only pieces that did not change since are given.
pub(crate) struct StoredStream {
    core: Arc<Core>,
    /// The model it is fetched with; without, what is not here is not waited for.
    model: Option<ContentHash>,
    file: ManifestEntry,
    /// Neither collected nor evicted while it is read.
    _in_use: FilesGuard,
    range: Range<u64>,
    at: u64,
    ready: VecDeque<Bytes>,
    ahead: Option<JoinHandle<Result<Vec<Bytes>, StoreError>>>,
    feed: Option<Feed>,
    /// How long it waits for peers without getting anything, if there is another source.
    patience: Option<Duration>,
    last_progress: Instant,
}

impl StoredStream {
    pub(crate) fn new(
        core: Arc<Core>,
        model: Option<ContentHash>,
        file: ManifestEntry,
        range: Range<u64>,
    ) -> Self {
        let in_use = core.store.protect_files();
        in_use.add(file.hash);
        Self {
            core,
            model,
            file,
            _in_use: in_use,
            at: range.start,
            range,
            ready: VecDeque::new(),
            ahead: None,
            feed: None,
            patience: None,
            last_progress: Instant::now(),
        }
    }

    /// Gives up when peers give nothing for so long.
    pub(crate) fn with_patience(self, patience: Duration) -> Self {
        Self {
            patience: Some(patience),
            ..self
        }
    }

    /// The model it is fetched with.
    pub(crate) fn model(&self) -> Option<ContentHash> {
        self.model
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// If they are not here and no peer gives them.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            if self.at >= self.range.end {
                return Ok(None);
            }
            if let Some(feed) = &mut self.feed {
                feed.look();
            }
            let pieces = self.read().await?;
            if pieces.is_empty() {
                self.wait_patiently().await?;
                continue;
            }
            self.last_progress = Instant::now();
            self.at += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
            self.ready.extend(pieces);
            if self.at < self.range.end {
                self.ahead = Some(self.start_reading());
            }
        }
    }

    /// What is held at the beginning of the range, a few chunks at most; `None` if it is not.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(crate) async fn held(&self) -> Result<Option<Bytes>, Failure> {
        let pieces = self
            .start_reading()
            .await
            .map_err(|_| crate::replies::interrupted())??;
        Ok(match &pieces[..] {
            [] => None,
            [piece] => Some(piece.clone()),
            pieces => Some(pieces.concat().into()),
        })
    }

    fn start_reading(&self) -> JoinHandle<Result<Vec<Bytes>, StoreError>> {
        let (store, file, range) = (
            self.core.store.clone(),
            self.file.clone(),
            self.at..self.range.end,
        );
        let blocking = self.core.blocking.clone();
        tokio::spawn(async move {
            let read = blocking
                .run(move || held_pieces(&store, &file, range))
                .await;
            read.unwrap_or(Ok(Vec::new()))
        })
    }

    async fn read(&mut self) -> Result<Vec<Bytes>, Failure> {
        let reading = match self.ahead.take() {
            Some(reading) => reading,
            None => self.start_reading(),
        };
        let pieces = reading.await.map_err(|_| crate::replies::interrupted())?;
        Ok(pieces?)
    }

    async fn wait_patiently(&mut self) -> Result<(), Failure> {
        let Some(patience) = self.patience else {
            return self.wait().await;
        };
        let end = self.last_progress + patience;
        let waited = timeout_at(end, self.wait()).await;
        waited.map_err(|_| {
            let message = format!("no peer gave {:?} in {patience:?}", self.file.path);
            Failure::new(FailureKind::Network, message)
        })?
    }

    /// Waits until something was stored since the last look.
    async fn wait(&mut self) -> Result<(), Failure> {
        let wanted = self.at..self.range.end;
        let next = self.at..self.at.saturating_add(URGENT_BYTES).min(wanted.end);
        let begun = self.feed.is_none();
        let feed = match &mut self.feed {
            Some(feed) => feed,
            None => {
                let model = self.model.ok_or_else(|| lost(&self.file))?;
                self.feed.insert(Feed::join(&self.core, model)?)
            }
        };
        feed.demand(self.file.hash, wanted, next).await?;
        if begun {
            // What came between the look and the joining would not be told.
            feed.look();
            return Ok(());
        }
        feed.more().await.map_err(|failure| Failure {
            message: format!("{:?}: {}", self.file.path, failure.message),
            ..failure
        })
    }
}

/// The file was here a moment ago, or is damaged.
fn lost(file: &ManifestEntry) -> Failure {
    let message = format!("{:?} cannot be read from the store", file.path);
    Failure::new(FailureKind::Integrity, message)
        .hint("`hubless verify` finds what is damaged, `hubless get` repairs it")
}

/// The held bytes at the beginning of a range, a few chunks of them.
fn held_pieces(
    store: &Store,
    file: &ManifestEntry,
    range: Range<u64>,
) -> Result<Vec<Bytes>, StoreError> {
    let mut pieces = Vec::with_capacity(READ_CHUNKS);
    let mut at = range.start;
    while at < range.end && pieces.len() < READ_CHUNKS {
        let Some(index) = ChunkIndex::of_offset(at) else {
            break;
        };
        let Some(chunk) = store.read_chunk(file.hash, index)? else {
            break;
        };
        let start = chunk_offset(index);
        let end = range.end.min(start + CHUNK_SIZE as u64);
        let inside = (at - start) as usize..(end - start) as usize;
        if inside.end > chunk.len() {
            break;
        }
        pieces.push(chunk.slice(inside));
        at = end;
    }
    Ok(pieces)
}
