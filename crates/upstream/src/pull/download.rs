//! The upstream's part of a pull: one ranged GET, written aside in order, and made a file of the
//! store when its digests are those that the upstream lists.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hubless_content::FileHash;
use hubless_store::{DiskError, Expected, Incoming, StoreError, StoreErrorKind};
use hubless_transfer::{Blocking, Fetches, State, TransferReport, Withheld};
use tokio::sync::mpsc;

use crate::{
    error::UpstreamError,
    pulls::{Input, Origin, Part, PullError, Shared},
    upstream::Upstream,
};

/// Pieces that wait to be written: some 16 to 64 KiB each.
const PIECES_MAX: usize = 64;

/// Pieces that are written before readers are woken.
const PIECES_AT_ONCE: usize = 16;

/// Interval of progress updates.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// One file that the upstream sends.
pub(super) struct Download {
    pub(super) fetches: Arc<Fetches>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) origin: Origin,
    pub(super) shared: Arc<Shared>,
}

impl Download {
    /// Brings the file into the store. Dropping it stops it; what came is kept if the pull's state
    /// says so.
    ///
    /// # Errors
    /// If the upstream does not give it, what it gives is not the file, or it cannot be kept.
    pub(super) async fn run(self) -> Result<FileHash, PullError> {
        let part = self.part().await?;
        let start = part.incoming.written();
        self.shared.begin_body(part.incoming.reader());
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let written = Blocking::run_long(self.writer(part, pieces));
        let (sent, written) = tokio::join!(self.send(start, sender), written);
        sent?;
        let file = written?.map_err(|error| self.explain(error))?;
        file.ok_or(PullError::Interrupted)
    }

    /// What an earlier pull left, or room for all of it.
    async fn part(&self) -> Result<Part, PullError> {
        let (store, upstream) = (self.fetches.cx.store.clone(), self.upstream.clone());
        let (key, size) = (self.origin.key(), self.origin.size);
        let begin = move || {
            let kept = &upstream.pulls.kept;
            if let Some(part) = kept.take(&key) {
                return Ok(part);
            }
            let begun = match store.incoming(size) {
                // A file that is wanted now goes before parts that may be wanted again.
                Err(StoreError::Quota { .. } | StoreError::Disk(DiskError::NoSpace { .. }))
                    if kept.clear() =>
                {
                    store.incoming(size)
                }
                begun => begun,
            };
            begun.map(Part::new)
        };
        Ok(self.fetches.cx.blocking.run(begin).await??)
    }

    /// Writes what comes; returns the file if all came and was right. Else the part is kept if it is
    /// of use. It runs on a thread of its own, and ends after [`Download`] was dropped.
    fn writer(
        &self,
        mut part: Part,
        pieces: mpsc::Receiver<Bytes>,
    ) -> impl FnOnce() -> Result<Option<FileHash>, StoreError> + Send + 'static {
        let (fetches, upstream, shared) = (
            self.fetches.clone(),
            self.upstream.clone(),
            self.shared.clone(),
        );
        let (key, expected) = (self.origin.key(), self.origin.expected);
        let restricted = self.origin.restricted;
        move || {
            write(&mut part.incoming, pieces, &shared)?;
            if part.incoming.written() == part.incoming.size() {
                let file = if restricted {
                    keep_restricted(&upstream.withheld, part.incoming, expected)?
                } else {
                    part.incoming.finish(expected, |_| {})?.0
                };
                return Ok(Some(file));
            }
            if part.incoming.written() > 0 && shared.keeps_part() {
                upstream.pulls.kept.put(key, part);
                let cancel = fetches.cx.cancel.clone();
                let expire = async move { upstream.pulls.kept.expire(&cancel).await };
                fetches.cx.tasks.spawn(expire);
            }
            Ok(None)
        }
    }

    /// Passes on what comes, as fast as it can be written.
    async fn send(&self, start: u64, sender: mpsc::Sender<Bytes>) -> Result<(), UpstreamError> {
        let rest = start..self.origin.size;
        let body = self.origin.body(&self.fetches, &self.upstream, rest);
        let mut body = body.resumed();
        let live = self
            .origin
            .show(&self.fetches, Some(self.upstream.client.name()));
        let (mut came, mut progress_at) = (0, Instant::now());
        while let Some(bytes) = body.next().await? {
            came += bytes.len() as u64;
            if let Some(live) = &live
                && Instant::now() >= progress_at
            {
                live.report(Some(self.progress(start, came)));
                progress_at = Instant::now() + PROGRESS_EVERY;
            }
            if sender.send(bytes).await.is_err() {
                break; // the writer failed, and returns why
            }
        }
        Ok(())
    }

    fn progress(&self, start: u64, came: u64) -> TransferReport {
        TransferReport {
            state: State::Fetching,
            bytes_verified: start + came,
            bytes_total: self.origin.size,
            bytes_fetched: came,
            sources: Vec::new(),
            stall: None,
        }
    }

    fn explain(&self, error: StoreError) -> PullError {
        if error.kind() == StoreErrorKind::Integrity {
            return PullError::OtherFile {
                path: self.origin.path.clone(),
                source: error,
            };
        }
        error.into()
    }
}

/// Writes until there are no more pieces.
fn write(
    incoming: &mut Incoming,
    mut pieces: mpsc::Receiver<Bytes>,
    shared: &Shared,
) -> Result<(), StoreError> {
    while let Some(piece) = pieces.blocking_recv() {
        incoming.write(&piece)?;
        for _ in 1..PIECES_AT_ONCE {
            let Ok(piece) = pieces.try_recv() else { break };
            incoming.write(&piece)?;
        }
        shared.handle(Input::Written(incoming.written()));
    }
    Ok(())
}

/// Makes what came a file of the store that no peer gets, not even for a moment.
fn keep_restricted(
    withheld: &Withheld,
    incoming: Incoming,
    expected: Expected,
) -> Result<FileHash, StoreError> {
    let mut held_back = None;
    let (file, _) = incoming.finish(expected, |file| held_back = Some(withheld.hold_back(file)))?;
    // A refresh of what is withheld that began before the file was there does not find it.
    withheld.add(file);
    drop(held_back);
    Ok(file)
}

#[cfg(test)]
mod tests {
    use hubless_store::{Store, StoreOptions};

    use super::*;

    #[test]
    fn a_restricted_file_is_withheld_but_from_members() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path(), StoreOptions::default()).unwrap();
        for (is_among_members, bytes) in [(false, b"one"), (true, b"two")] {
            let withheld = Withheld::new(is_among_members);
            let mut incoming = store.incoming(3).unwrap();
            incoming.write(bytes).unwrap();
            let file = keep_restricted(&withheld, incoming, Expected::default()).unwrap();
            assert!(store.file(file).unwrap().is_some());
            assert_eq!(withheld.has_file(file), !is_among_members);
        }
    }
}
