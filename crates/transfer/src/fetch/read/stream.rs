//! The bytes of a file, in order: read where they are held, waited for where they are not.
//!
//! A chunk that is in the page cache is read when it is wanted, by the thread that sends it: to hand it
//! from thread to thread costs more than to read it. What comes from a slower disk is read ahead.

use std::{collections::VecDeque, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use hubless_content::{CHUNK_SIZE, ChunkIndex, ContentHash, ManifestEntry, chunk_offset};
use hubless_fetch::Outlook;
use hubless_memory::KeptBuffers;
use hubless_store::{FilesGuard, Store, StoreError};
use tokio::{
    sync::OwnedSemaphorePermit,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::SharedFetch;
use crate::{
    damage::{DamageWatch, not_replaced},
    failure::{Failure, FailureKind},
    fetches::Fetches,
    remedy::Remedy,
};

/// Chunks that are read at once. With the one that is sent and the one that is read ahead, a reader
/// that takes nothing has two in memory.
const READ_CHUNKS: usize = 1;

/// Chunks that one look at what is held takes: 2 MiB.
const LOOK_CHUNKS: usize = 8;

/// What a reader that waits has fetched first: 4 MiB, more than comes while it asks again.
const URGENT_BYTES: u64 = 4 * 1024 * 1024;

/// How long a reader without a byte waits before it is refused, if no peer gives anything: a search
/// and a connection over a slow line take less. Clients wait 10 s.
const REFUSED_AFTER: Duration = Duration::from_secs(4);

/// How often that is looked at from then on.
const LOOK_EVERY: Duration = Duration::from_secs(1);

type Reading = JoinHandle<Result<Vec<Bytes>, StoreError>>;

/// A range of a file of the store, for readers that cannot verify it: every chunk is hashed as it
/// leaves. A wrong one is not held any more, and waited for as others that are missing.
pub struct StoredStream {
    fetches: Arc<Fetches>,
    /// The model it is fetched with; without, what is not here is not waited for.
    model: Option<ContentHash>,
    file: ManifestEntry,
    /// Neither collected nor evicted while it is read.
    _in_use: FilesGuard,
    range: Range<u64>,
    at: u64,
    ready: VecDeque<Bytes>,
    ahead: Option<(Reading, OwnedSemaphorePermit)>,
    /// Whether the disk was waited for last.
    waited_for_disk: bool,
    _buffers: KeptBuffers,
    shared: Option<SharedFetch>,
    /// How long it waits for peers without getting anything, if there is another source.
    patience: Option<Duration>,
    /// Whether it fails early if nothing can be expected, as long as it gave nothing.
    refuses: bool,
    last_progress: Instant,
    damage: DamageWatch,
}

impl StoredStream {
    /// The bytes `range` of a file. What is missing is fetched with `model`; without one it is an error.
    pub fn new(
        fetches: Arc<Fetches>,
        model: Option<ContentHash>,
        file: ManifestEntry,
        range: Range<u64>,
    ) -> Self {
        let in_use = fetches.cx.store.protect_files();
        in_use.add(file.hash);
        let damage = DamageWatch::new(&fetches.damage, file.hash);
        let buffers = fetches.cx.store.keep_buffers();
        Self {
            damage,
            fetches,
            model,
            file,
            _in_use: in_use,
            at: range.start,
            range,
            ready: VecDeque::new(),
            ahead: None,
            waited_for_disk: false,
            _buffers: buffers,
            shared: None,
            patience: None,
            refuses: false,
            last_progress: Instant::now(),
        }
    }

    /// Gives up when peers give nothing for so long.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self {
            patience: Some(patience),
            ..self
        }
    }

    /// Fails early if no peer can be expected to give its first bytes: an answer can still be an error
    /// then.
    pub fn refusing_early(self) -> Self {
        Self {
            refuses: true,
            ..self
        }
    }

    /// The model it is fetched with.
    pub fn model(&self) -> Option<ContentHash> {
        self.model
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// If they are not here and no peer gives them.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            if self.at >= self.range.end {
                return Ok(None);
            }
            if let Some(shared) = &mut self.shared {
                shared.mark_read();
            }
            let pieces = self.read().await?;
            if pieces.is_empty() {
                let waited = self.wait_patiently().await;
                waited.map_err(|failure| self.explain(failure))?;
                continue;
            }
            self.last_progress = Instant::now();
            self.at += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
            self.ready.extend(pieces);
            if self.at < self.range.end && self.waited_for_disk {
                self.ahead = self.read_ahead();
            }
        }
    }

    /// What is held at the beginning of the range, a few chunks at most; `None` if it is not.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn held(&self) -> Result<Option<Bytes>, Failure> {
        let pieces = self
            .start_reading(LOOK_CHUNKS)
            .await
            .map_err(|_| crate::failure::interrupted())??;
        Ok(match &pieces[..] {
            [] => None,
            [piece] => Some(piece.clone()),
            pieces => Some(pieces.concat().into()),
        })
    }

    /// Reads what comes next while the reader takes what was read, if there is room for it.
    fn read_ahead(&self) -> Option<(Reading, OwnedSemaphorePermit)> {
        let room = self.fetches.read_ahead.clone().try_acquire_owned().ok()?;
        Some((self.start_reading(READ_CHUNKS), room))
    }

    fn start_reading(&self, chunks: usize) -> Reading {
        let (store, file, range) = (
            self.fetches.cx.store.clone(),
            self.file.clone(),
            self.at..self.range.end,
        );
        let blocking = self.fetches.cx.blocking.clone();
        tokio::spawn(async move {
            let read = blocking
                .run(move || held_pieces(&store, &file, range, chunks))
                .await;
            read.unwrap_or(Ok(Vec::new()))
        })
    }

    async fn read(&mut self) -> Result<Vec<Bytes>, Failure> {
        let (ahead, _room) = self.ahead.take().unzip();
        let at_once = ahead.is_none().then(|| self.read_at_once()).flatten();
        if let Some(piece) = at_once {
            self.waited_for_disk = false;
            return Ok(vec![piece]);
        }
        let reading = ahead.unwrap_or_else(|| self.start_reading(READ_CHUNKS));
        self.waited_for_disk = !reading.is_finished();
        let pieces = reading.await.map_err(|_| crate::failure::interrupted())?;
        Ok(pieces?)
    }

    /// The rest of the chunk that comes next, if it is in memory.
    fn read_at_once(&self) -> Option<Bytes> {
        let index = ChunkIndex::of_offset(self.at)?;
        let chunk = (self.fetches.cx.store).read_proven_at_once(self.file.hash, index)?;
        part_of(&chunk, index, self.at..self.range.end)
    }

    async fn wait_patiently(&mut self) -> Result<(), Failure> {
        let Some(patience) = self.patience else {
            return match self.refuses && self.at == self.range.start {
                true => self.wait_hopefully().await,
                false => self.wait().await,
            };
        };
        let end = self.last_progress + patience;
        let waited = timeout_at(end, self.wait()).await;
        waited.map_err(|_| {
            let message = format!("no peer gave {:?} in {patience:?}", self.file.path);
            Failure::new(FailureKind::Network, message)
        })?
    }

    /// Waits for the first bytes as long as some may come soon.
    async fn wait_hopefully(&mut self) -> Result<(), Failure> {
        let mut look_at = self.last_progress + REFUSED_AFTER;
        loop {
            if let Ok(waited) = timeout_at(look_at, self.wait()).await {
                return waited;
            }
            let outlook = self
                .shared
                .as_ref()
                .map(SharedFetch::outlook)
                .unwrap_or_default();
            if outlook.peers == 0 && outlook.walks > 0 {
                return Err(no_giver(&self.file, outlook));
            }
            look_at = Instant::now() + LOOK_EVERY;
        }
    }

    /// A failure to get what is missing, with the reason why it is.
    fn explain(&mut self, failure: Failure) -> Failure {
        match self.damage.take() {
            // What kind of failure it is decides which source is asked next.
            Some(chunk) => Failure {
                kind: failure.kind,
                ..not_replaced(&self.file.path, chunk, &failure)
            },
            None => failure,
        }
    }

    /// Waits until something was stored since the last look.
    async fn wait(&mut self) -> Result<(), Failure> {
        let wanted = self.at..self.range.end;
        let next = self.at..self.at.saturating_add(URGENT_BYTES).min(wanted.end);
        let begun = self.shared.is_none();
        let shared = match &mut self.shared {
            Some(shared) => shared,
            None => {
                let model = self.model.ok_or_else(|| lost(&self.file))?;
                self.shared.insert(SharedFetch::join(&self.fetches, model)?)
            }
        };
        shared.request(self.file.hash, wanted, next).await?;
        if begun {
            // What came between the read and the joining would not be reported.
            shared.mark_read();
            return Ok(());
        }
        shared.stored_more().await.map_err(|failure| Failure {
            message: format!("{:?}: {}", self.file.path, failure.message),
            ..failure
        })
    }
}

/// The peers that had the file have left, or do not answer.
fn no_giver(file: &ManifestEntry, outlook: Outlook) -> Failure {
    let Outlook { named, walks, .. } = outlook;
    let message = format!(
        "no peer gives {:?} now: {named} were named for it, and the DHT was searched {walks} times",
        file.path
    );
    Failure::new(FailureKind::Network, message).remedy(Remedy::WaitForHolder)
}

/// The file was here a moment ago, or is damaged.
fn lost(file: &ManifestEntry) -> Failure {
    let message = format!("{:?} cannot be read from the store", file.path);
    Failure::new(FailureKind::Integrity, message).remedy(Remedy::Repair)
}

/// The held bytes at the beginning of a range, so many chunks of them at most.
fn held_pieces(
    store: &Store,
    file: &ManifestEntry,
    range: Range<u64>,
    chunks: usize,
) -> Result<Vec<Bytes>, StoreError> {
    let mut pieces = Vec::with_capacity(chunks);
    let mut at = range.start;
    while at < range.end && pieces.len() < chunks {
        let Some(index) = ChunkIndex::of_offset(at) else {
            break;
        };
        let Some(chunk) = store.read_proven(file.hash, index)? else {
            break;
        };
        let Some(piece) = part_of(&chunk, index, at..range.end) else {
            break;
        };
        at += piece.len() as u64;
        pieces.push(piece);
    }
    Ok(pieces)
}

/// What a chunk has of a range that begins in it; `None` if the chunk ends before that.
fn part_of(chunk: &Bytes, index: ChunkIndex, range: Range<u64>) -> Option<Bytes> {
    let start = chunk_offset(index);
    let end = range.end.min(start + CHUNK_SIZE as u64);
    let inside = (range.start - start) as usize..(end - start) as usize;
    (inside.end <= chunk.len()).then(|| chunk.slice(inside))
}
