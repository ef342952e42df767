//! The bytes of a file, in order: read where they are held, waited for where they are not.
//!
//! A chunk that is in the page cache is read when it is wanted, by the thread that sends it: to hand it
//! from thread to thread costs more than to read it. What comes from a slower disk is read ahead.

use std::{collections::VecDeque, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use hubless_content::{ContentHash, ManifestEntry, ModelPath};
use tokio::time::{Instant, timeout_at};

use super::{SharedFetch, held_reader::HeldReader};
use crate::{damage::DamageWatch, error::TransferError, fetches::Fetches};

/// What a reader that waits has fetched first: 4 MiB, more than comes while it asks again.
const URGENT_BYTES: u64 = 4 * 1024 * 1024;

/// How long a reader without a byte waits before it is refused, if no peer gives anything: a search
/// and a connection over a slow line take less. Clients wait 10 s.
const REFUSED_AFTER: Duration = Duration::from_secs(4);

/// How often that is checked from then on.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// A range of a file of the store, for readers that cannot verify it: every chunk is hashed as it
/// leaves. A wrong one is not held any more, and waited for as others that are missing.
pub struct StoredStream {
    fetches: Arc<Fetches>,
    reader: HeldReader,
    ready: VecDeque<Bytes>,
    /// The model it is fetched with; without, what is not here is not waited for.
    model: Option<ContentHash>,
    shared: Option<SharedFetch>,
    patience: Patience,
    /// Whether bytes were given.
    has_begun: bool,
    last_progress: Instant,
    damage: DamageWatch,
}

/// When a reader without bytes gives up.
enum Patience {
    /// When the fetch does.
    Fetch,
    /// Early if no peer can be expected to give the first bytes, then when the fetch does.
    UntilBegun,
    /// After so long without bytes: there is another source.
    For(Duration),
}

impl StoredStream {
    /// The bytes `range` of a file. What is missing is fetched with `model`; without one it is an error.
    pub fn new(
        fetches: Arc<Fetches>,
        model: Option<ContentHash>,
        file: ManifestEntry,
        range: Range<u64>,
    ) -> Self {
        Self {
            damage: DamageWatch::new(&fetches.damage, file.hash),
            reader: HeldReader::new(Arc::clone(&fetches), file, range),
            fetches,
            model,
            ready: VecDeque::new(),
            shared: None,
            patience: Patience::Fetch,
            has_begun: false,
            last_progress: Instant::now(),
        }
    }

    /// Gives up when peers give nothing for so long.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self {
            patience: Patience::For(patience),
            ..self
        }
    }

    /// Fails early if no peer can be expected to give its first bytes: an answer can still be an error
    /// then.
    pub fn refusing_early(self) -> Self {
        Self {
            patience: Patience::UntilBegun,
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
    pub async fn next(&mut self) -> Result<Option<Bytes>, TransferError> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            if self.reader.left().is_empty() {
                return Ok(None);
            }
            if let Some(shared) = &mut self.shared {
                shared.mark_read();
            }
            let pieces = self.reader.next().await?;
            if pieces.is_empty() {
                let waited = self.wait_patiently().await;
                waited.map_err(|error| self.explain(error))?;
                continue;
            }
            self.last_progress = Instant::now();
            self.has_begun = true;
            self.ready.extend(pieces);
        }
    }

    /// What is held at the beginning of the range, a few chunks at most; `None` if it is not.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn held(&self) -> Result<Option<Bytes>, TransferError> {
        let pieces = self.reader.peek().await?;
        Ok(match &pieces[..] {
            [] => None,
            [piece] => Some(piece.clone()),
            pieces => Some(pieces.concat().into()),
        })
    }

    async fn wait_patiently(&mut self) -> Result<(), TransferError> {
        let patience = match self.patience {
            Patience::UntilBegun if !self.has_begun => return self.wait_hopefully().await,
            Patience::Fetch | Patience::UntilBegun => return self.wait().await,
            Patience::For(patience) => patience,
        };
        let end = self.last_progress + patience;
        let waited = timeout_at(end, self.wait()).await;
        waited.map_err(|_| TransferError::Silent {
            path: self.path(),
            patience,
        })?
    }

    /// Waits for the first bytes as long as some may come soon.
    async fn wait_hopefully(&mut self) -> Result<(), TransferError> {
        let mut check_at = self.last_progress + REFUSED_AFTER;
        loop {
            if let Ok(waited) = timeout_at(check_at, self.wait()).await {
                return waited;
            }
            let outlook = self
                .shared
                .as_ref()
                .map(SharedFetch::outlook)
                .unwrap_or_default();
            if outlook.peers == 0 && outlook.walks > 0 {
                return Err(TransferError::NoGiver {
                    path: self.path(),
                    named: outlook.named,
                    walks: outlook.walks,
                });
            }
            check_at = Instant::now() + CHECK_EVERY;
        }
    }

    /// A failure to get what is missing, with the reason why it is.
    fn explain(&mut self, error: TransferError) -> TransferError {
        match self.damage.take() {
            Some(chunk) => TransferError::NotReplaced {
                path: self.path(),
                chunk,
                source: Box::new(error),
            },
            None => error,
        }
    }

    fn path(&self) -> ModelPath {
        self.reader.file().path.clone()
    }

    /// Waits until something was stored since the last check.
    async fn wait(&mut self) -> Result<(), TransferError> {
        let wanted = self.reader.left();
        let next = wanted.start..wanted.start.saturating_add(URGENT_BYTES).min(wanted.end);
        let begun = self.shared.is_none();
        let shared = match &mut self.shared {
            Some(shared) => shared,
            None => {
                let unreadable = || TransferError::Unreadable {
                    path: self.reader.file().path.clone(),
                };
                let model = self.model.ok_or_else(unreadable)?;
                self.shared.insert(SharedFetch::join(&self.fetches, model)?)
            }
        };
        shared
            .request(self.reader.file().hash, wanted, next)
            .await?;
        if begun {
            // What came between the read and the joining would not be reported.
            shared.mark_read();
            return Ok(());
        }
        let stored = shared.stored_more().await;
        stored.map_err(|error| TransferError::OfFile {
            path: self.path(),
            source: Box::new(error),
        })
    }
}
