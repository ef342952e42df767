//! The bytes of a file of a repo, wherever they come from.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use hubless_content::ManifestEntry;
use hubless_transfer::{Failure, FailureKind, Fetches, fetch::StoredStream};

use hubless_upstream::{Body, Origin, Pulled, PulledStream, Upstream};

/// A range of a file. What comes from the store or from peers was verified, each piece of it; what
/// the upstream sends is passed on as it comes, and proven before the end.
pub struct FileStream {
    fetches: Arc<Fetches>,
    entry: ManifestEntry,
    at: u64,
    end: u64,
    source: Source,
    /// Where the bytes can be had if the source fails.
    upstream: Option<(Arc<Upstream>, Origin)>,
    changes: u32,
}

/// Changes of the source. From the store to the upstream, and past the store; more of them only
/// where what was just stored cannot be read.
const CHANGES_MAX: u32 = 3;

enum Source {
    Stored(Box<StoredStream>),
    Pulled(PulledStream),
    /// Past the store: a part of a file that nobody wants as a whole, or there is no room.
    Passed(Box<Body>),
}

impl FileStream {
    /// What is in the store, or comes into it from peers.
    pub(super) fn stored(
        fetches: &Arc<Fetches>,
        stored: StoredStream,
        entry: ManifestEntry,
        range: Range<u64>,
        upstream: Option<(Arc<Upstream>, Origin)>,
    ) -> Self {
        Self {
            fetches: fetches.clone(),
            entry,
            at: range.start,
            end: range.end,
            source: Source::Stored(Box::new(stored)),
            upstream,
            changes: 0,
        }
    }

    /// What is to come from the upstream. `entry` need not have the right hash.
    pub(super) fn pulled(
        fetches: &Arc<Fetches>,
        upstream: Arc<Upstream>,
        origin: Origin,
        entry: ManifestEntry,
        range: Range<u64>,
    ) -> Self {
        let source = from_upstream(fetches, &upstream, &origin, range.clone());
        Self {
            fetches: fetches.clone(),
            entry,
            at: range.start,
            end: range.end,
            source,
            upstream: Some((upstream, origin)),
            changes: 0,
        }
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// If nobody gives them, or what came was not what the upstream says of the file: then not all
    /// was given.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let next = match &mut self.source {
                Source::Stored(stored) => stored.next().await,
                Source::Passed(body) => body.next().await.map_err(Failure::from),
                Source::Pulled(pulled) => match pulled.next().await {
                    Ok(Some(Pulled::Bytes(bytes))) => Ok(Some(bytes)),
                    Ok(Some(Pulled::InStore(file))) => {
                        self.entry.hash = file;
                        let (entry, rest) = (self.entry.clone(), self.at..self.end);
                        let stored = StoredStream::new(self.fetches.clone(), None, entry, rest);
                        self.source = Source::Stored(Box::new(stored));
                        continue;
                    }
                    Ok(None) => Ok(None),
                    Err(failure) => Err(failure),
                },
            };
            match next {
                Ok(Some(bytes)) => {
                    self.at += bytes.len() as u64;
                    return Ok(Some(bytes));
                }
                Err(failure) => self.change(failure)?,
                end => return end,
            }
        }
    }

    /// Goes on from another source, if there is one that helps.
    fn change(&mut self, failure: Failure) -> Result<(), Failure> {
        let Some((upstream, origin)) = &self.upstream else {
            return Err(failure);
        };
        self.changes += 1;
        let rest = self.at..self.end;
        self.source = match self.source {
            _ if self.changes > CHANGES_MAX => return Err(failure),
            Source::Stored(ref stored) => {
                stored
                    .model()
                    .inspect(|model| upstream.peerless().note(*model));
                from_upstream(&self.fetches, upstream, origin, rest)
            }
            // No room to keep it, but the client can have it.
            Source::Pulled(_) if failure.kind == FailureKind::NoSpace => {
                Source::Passed(Box::new(origin.body(&self.fetches, upstream, rest)))
            }
            // Peers may have it, but only the whole of it is proven.
            Source::Passed(_) if failure.kind == FailureKind::Network => {
                let pulled = PulledStream::wait(&self.fetches, upstream, origin, rest);
                Source::Pulled(pulled.ok_or(failure.clone())?)
            }
            Source::Pulled(_) | Source::Passed(_) => return Err(failure),
        };
        tracing::debug!(%failure, path = %self.entry.path, "another source is asked");
        Ok(())
    }
}

fn from_upstream(
    fetches: &Arc<Fetches>,
    upstream: &Arc<Upstream>,
    origin: &Origin,
    range: Range<u64>,
) -> Source {
    match PulledStream::join(fetches, upstream, origin, range.clone()) {
        Some(pulled) => Source::Pulled(pulled),
        None => Source::Passed(Box::new(origin.body(fetches, upstream, range))),
    }
}
