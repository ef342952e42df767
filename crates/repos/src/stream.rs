//! The bytes of a file of a repo, whatever their source.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use hubless_transfer::{Fetches, TransferError, fetch::StoredStream};
use hubless_upstream::{
    Body, Origin, PullError, Pulled, PulledStream, RepoError, Upstream, UpstreamError,
};

/// A range of a file. Bytes from the store or from peers are verified, piece by piece; bytes of the
/// upstream are passed on as they arrive, and proven before the end.
pub struct FileStream {
    fetches: Arc<Fetches>,
    range: Range<u64>,
    source: Source,
    /// Alternatives if the source fails.
    upstream: Option<(Arc<Upstream>, Origin)>,
    changes: u32,
}

/// Limit of source changes: from the store to the upstream, and to one that bypasses the store.
/// More are needed only if newly stored bytes cannot be read.
const CHANGES_MAX: u32 = 3;

enum Source {
    Stored(Box<StoredStream>),
    Pulled(Box<PulledStream>),
    /// Past the store: a part of a file that no client wants as a whole, or there is no room.
    Passed(Box<Body>),
}

/// Why a source gives no more.
enum SourceError {
    Stored(TransferError),
    Pulled(Arc<PullError>),
    Passed(UpstreamError),
}

impl From<SourceError> for RepoError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Stored(error) => error.into(),
            SourceError::Pulled(error) => Self::of_pull(error),
            SourceError::Passed(error) => Self::of_file(error),
        }
    }
}

impl FileStream {
    /// Bytes in the store, or fetched into it from peers.
    pub(super) fn stored(
        fetches: &Arc<Fetches>,
        stored: StoredStream,
        range: Range<u64>,
        upstream: Option<(Arc<Upstream>, Origin)>,
    ) -> Self {
        Self {
            fetches: fetches.clone(),
            range,
            source: Source::Stored(Box::new(stored)),
            upstream,
            changes: 0,
        }
    }

    /// What is to come from the upstream.
    pub(super) fn pulled(
        fetches: &Arc<Fetches>,
        upstream: Arc<Upstream>,
        origin: Origin,
        range: Range<u64>,
    ) -> Self {
        Self {
            fetches: fetches.clone(),
            source: from_upstream(fetches, &upstream, &origin, range.clone()),
            range,
            upstream: Some((upstream, origin)),
            changes: 0,
        }
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// If no source gives them, or what came was not what the upstream says of the file: then not
    /// all was given.
    pub async fn next(&mut self) -> Result<Option<Bytes>, RepoError> {
        loop {
            match self.piece().await {
                Ok(Some(bytes)) => {
                    self.range.start += bytes.len() as u64;
                    return Ok(Some(bytes));
                }
                Ok(None) => return Ok(None),
                Err(error) => self.change(error)?,
            }
        }
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, SourceError> {
        loop {
            match &mut self.source {
                Source::Stored(stored) => return stored.next().await.map_err(SourceError::Stored),
                Source::Passed(body) => return body.next().await.map_err(SourceError::Passed),
                Source::Pulled(pulled) => {
                    match pulled.next().await.map_err(SourceError::Pulled)? {
                        Some(Pulled::Bytes(bytes)) => return Ok(Some(bytes)),
                        Some(Pulled::InStore(entry)) => {
                            let (fetches, rest) = (self.fetches.clone(), self.range.clone());
                            let stored = StoredStream::new(fetches, None, entry, rest);
                            self.source = Source::Stored(Box::new(stored));
                        }
                        None => return Ok(None),
                    }
                }
            }
        }
    }

    /// Continues from another source, if there is a suitable one.
    fn change(&mut self, error: SourceError) -> Result<(), RepoError> {
        self.changes += 1;
        let other = match self.changes {
            0..=CHANGES_MAX => self.other_source(&error),
            _ => None,
        };
        let error = RepoError::from(error);
        let Some(source) = other else {
            return Err(error);
        };
        tracing::debug!(%error, "another source is asked for a file");
        self.source = source;
        Ok(())
    }

    fn other_source(&self, error: &SourceError) -> Option<Source> {
        let (upstream, origin) = self.upstream.as_ref()?;
        let rest = self.range.clone();
        match error {
            SourceError::Stored(_) => {
                if let Source::Stored(stored) = &self.source
                    && let Some(model) = stored.model()
                {
                    upstream.no_peers().note(model);
                }
                Some(from_upstream(&self.fetches, upstream, origin, rest))
            }
            // It cannot be kept, but the client can have it.
            SourceError::Pulled(error) if error.is_for_lack_of_room() => {
                let body = origin.body(&self.fetches, upstream, rest);
                Some(Source::Passed(Box::new(body)))
            }
            // Peers may have it, but only the complete file can be proven.
            SourceError::Passed(error) if !error.is_refusal() => {
                let pulled = PulledStream::wait(&self.fetches, upstream, origin, rest);
                pulled.map(|pulled| Source::Pulled(Box::new(pulled)))
            }
            SourceError::Pulled(_) | SourceError::Passed(_) => None,
        }
    }
}

fn from_upstream(
    fetches: &Arc<Fetches>,
    upstream: &Arc<Upstream>,
    origin: &Origin,
    range: Range<u64>,
) -> Source {
    match PulledStream::join(fetches, upstream, origin, range.clone()) {
        Some(pulled) => Source::Pulled(Box::new(pulled)),
        None => Source::Passed(Box::new(origin.body(fetches, upstream, range))),
    }
}
