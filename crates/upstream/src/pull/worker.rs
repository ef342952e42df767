//! The work of one pull: peers and the upstream, until one of them has brought the file.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hubless_content::{ChunkIndex, FileHash};
use hubless_store::{Expected, Incoming, IncomingReader, Store, StoreError, StoreErrorKind};
use hubless_transfer::{Blocking, Fetches, Told, Withheld, interrupted};
use tokio::sync::{mpsc, watch};

use super::{
    Coming, Origin, Pull, State, find_held,
    kept::{self, Part},
};
use crate::{
    Upstream,
    complete::file_came,
    error::UpstreamError,
    peers::{Lead, Peers},
};
use hubless_transfer::{self, Failure, FailureKind};

/// Pieces that wait to be written: some 16 to 64 KiB each.
const PIECES_MAX: usize = 64;

/// Pieces that are written before those who wait are told.
const PIECES_AT_ONCE: usize = 16;

/// How long a pull goes on without readers, at least.
const LINGER: Duration = Duration::from_secs(10);

/// How often those who look are told how far it is.
const TELL_EVERY: Duration = Duration::from_millis(200);

pub(super) struct Worker {
    pub(super) fetches: Arc<Fetches>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) origin: Origin,
    pub(super) pull: Arc<Pull>,
    pub(super) state: Arc<watch::Sender<State>>,
}

impl Worker {
    pub(super) async fn run(self) {
        let _busy = self.fetches.cx.busy.begin();
        let outcome = self.bring().await;
        let (repo, path) = (&self.origin.repo, &self.origin.path);
        let state = match outcome {
            Ok(file) => {
                self.note(file).await;
                State::Done(file)
            }
            Err(failure) => {
                tracing::warn!(%repo, %path, error = %failure, "a pull from the upstream failed");
                State::Failed(failure)
            }
        };
        self.state.send_replace(state);
    }

    /// Gets the file from the store, from peers or from the upstream.
    async fn bring(&self) -> Result<FileHash, Failure> {
        let room = self.upstream.pulls.rooms.of(self.origin.size);
        let _place = tokio::select! {
            place = room.take(&self.origin.repo) => place?,
            () = self.abandoned() => return Err(interrupted()),
            () = self.fetches.cx.cancel.cancelled() => return Err(interrupted()),
        };
        let (store, origin) = (self.fetches.cx.store.clone(), self.origin.clone());
        let held = move || find_held(&store, origin.expected, origin.size);
        if let Some(file) = self.fetches.cx.blocking.run(held).await?? {
            return Ok(file);
        }
        let mut peers = Peers::new(&self.fetches, &self.upstream.withheld, &self.origin).await;
        let outcome = tokio::select! {
            outcome = self.race(&mut peers) => outcome,
            () = self.abandoned() => Err(interrupted()),
            () = self.fetches.cx.cancel.cancelled() => Err(interrupted()),
        };
        peers.settle(outcome.as_ref().ok().copied()).await;
        outcome
    }

    /// Ends when nobody has read for a while.
    async fn abandoned(&self) {
        while self.pull.is_only_peers() || !self.leave_if_unread() {
            tokio::time::sleep(LINGER).await;
        }
    }

    /// Sees to it that nobody joins any more, if nobody reads.
    fn leave_if_unread(&self) -> bool {
        let Ok(mut running) = self.upstream.pulls.running.lock() else {
            return true;
        };
        // Readers join under this lock.
        let is_unread = Arc::strong_count(&self.pull) == 1;
        if is_unread {
            running.remove(&self.origin.key());
        }
        is_unread
    }

    /// Peers and the upstream, until one of them has brought it.
    async fn race(&self, peers: &mut Peers) -> Result<FileHash, Failure> {
        let lead = peers.lead();
        let mut from_upstream = Box::pin(self.download(lead.clone()));
        let mut from_peers = pin!(peers.run(&self.pull, &self.state));
        let (mut refused, mut peerless) = (None, false);
        loop {
            if let Some(refused) = refused.take_if(|_| peerless) {
                return Err(refused);
            }
            tokio::select! {
                copied = &mut from_peers, if !peerless => match copied {
                    Some(file) => {
                        drop(from_upstream);
                        return self.same(file).await;
                    }
                    None => peerless = true,
                },
                pulled = &mut from_upstream, if refused.is_none() => match pulled {
                    Ok(file) => return Ok(file),
                    Err(failure) if is_refusal(&failure) => return Err(failure),
                    Err(failure) => {
                        let only_peers = |coming: &mut Coming| coming.only_peers = true;
                        self.state.send_if_modified(|state| state.change(only_peers));
                        refused = Some(failure);
                    }
                },
                () = Lead::fade(lead.clone()), if refused.is_some() => peerless = true,
            }
        }
    }

    /// A file of peers is proven. What readers got from the upstream until now must be the same.
    async fn same(&self, file: FileHash) -> Result<FileHash, Failure> {
        // Nothing more of it is given from here on.
        let mut given = 0;
        self.state.send_if_modified(|state| {
            state.change(|coming| {
                given = std::mem::take(&mut coming.written);
                coming.sealed = true;
            })
        });
        let Some(reader) = self.pull.came() else {
            return Ok(file);
        };
        let store = self.fetches.cx.store.clone();
        let same = Blocking::run_long(move || is_same(&store, file, &reader, given)).await??;
        match same {
            true => Ok(file),
            false => {
                let message = format!("the upstream sent wrong bytes of {:?}", self.origin.path);
                Err(Failure::new(FailureKind::Integrity, message)
                    .hint("download it again from the beginning: the right ones are here now"))
            }
        }
    }

    async fn download(&self, lead: watch::Receiver<Lead>) -> Result<FileHash, Failure> {
        Lead::pass(lead).await;
        let part = self.part().await?;
        let start = part.incoming.written();
        let _ = self.pull.reader.set(part.incoming.reader());
        let came = |coming: &mut Coming| coming.wrote(start);
        self.state.send_if_modified(|state| state.change(came));
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let written = Blocking::run_long(self.writer(part, pieces));
        let (sent, written) = tokio::join!(self.send(start, sender), written);
        sent?;
        let written = written?.map_err(|error| match error.kind() {
            StoreErrorKind::Integrity => UpstreamError::WrongFile {
                path: self.origin.path.clone(),
                source: error,
            },
            _ => error.into(),
        });
        written?.ok_or_else(interrupted)
    }

    /// What an earlier pull left, or room for all of it.
    async fn part(&self) -> Result<Part, Failure> {
        let (store, upstream) = (self.fetches.cx.store.clone(), self.upstream.clone());
        let (key, size) = (self.origin.key(), self.origin.size);
        let begin = move || {
            let kept = &upstream.pulls.kept;
            match kept.take(&key) {
                Some(part) => Ok(part),
                None => match store.incoming(size) {
                    Err(StoreError::Quota { .. } | StoreError::NoSpace { .. }) if kept.clear() => {
                        store.incoming(size)
                    }
                    begun => begun,
                }
                .map(Part::new),
            }
        };
        Ok(self.fetches.cx.blocking.run(begin).await??)
    }

    /// Writes what comes; the file if all came and was right. Else the part is kept, unless the
    /// whole came from peers meanwhile.
    fn writer(
        &self,
        mut part: Part,
        pieces: mpsc::Receiver<Bytes>,
    ) -> impl FnOnce() -> Result<Option<FileHash>, StoreError> + Send + 'static {
        let (fetches, upstream, state) = (
            self.fetches.clone(),
            self.upstream.clone(),
            self.state.clone(),
        );
        let (key, expected) = (self.origin.key(), self.origin.expected);
        let restricted = self.origin.restricted;
        move || {
            write(&mut part.incoming, pieces, &state)?;
            if part.incoming.written() == part.incoming.size() {
                let kept = match restricted {
                    true => keep_restricted(&upstream.withheld, part.incoming, expected),
                    false => part.incoming.finish(expected, |_| {}).map(|(file, _)| file),
                };
                return kept.map(Some);
            }
            if part.incoming.written() > 0 && state.borrow().wants_rest() {
                upstream.pulls.kept.put(key, part);
                fetches
                    .cx
                    .tasks
                    .spawn(kept::expire(fetches.cx.cancel.clone(), upstream));
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
        let (mut came, mut tell_at) = (0, Instant::now());
        while let Some(bytes) = body.next().await? {
            came += bytes.len() as u64;
            if let Some(live) = &live
                && Instant::now() >= tell_at
            {
                live.tell(Some(self.told(start, came)));
                tell_at = Instant::now() + TELL_EVERY;
            }
            if sender.send(bytes).await.is_err() {
                break; // the writer failed, and says why
            }
        }
        Ok(())
    }

    /// How far the upstream is.
    fn told(&self, start: u64, came: u64) -> Told {
        Told {
            state: hubless_transfer::State::Fetching,
            bytes_verified: start + came,
            bytes_total: self.origin.size,
            bytes_fetched: came,
            sources: Vec::new(),
            stall: None,
        }
    }

    /// The file is here: who may have it, and what is complete with it?
    async fn note(&self, file: FileHash) {
        match self.origin.restricted {
            true => self.upstream.withheld.add(file),
            false => {
                let (repo, commit) = (&self.origin.repo, self.origin.commit);
                file_came(&self.fetches, &self.upstream.missing, repo, commit).await;
            }
        }
        self.fetches.cx.note_change();
    }
}

/// Whether the upstream says no. Then peers are not to say yes.
fn is_refusal(failure: &Failure) -> bool {
    matches!(failure.kind, FailureKind::Denied | FailureKind::NotFound)
}

/// Writes until there are no more pieces.
fn write(
    incoming: &mut Incoming,
    mut pieces: mpsc::Receiver<Bytes>,
    state: &watch::Sender<State>,
) -> Result<(), StoreError> {
    while let Some(piece) = pieces.blocking_recv() {
        incoming.write(&piece)?;
        for _ in 1..PIECES_AT_ONCE {
            let Ok(piece) = pieces.try_recv() else { break };
            incoming.write(&piece)?;
        }
        let written = incoming.written();
        state.send_if_modified(|state| state.change(|coming| coming.wrote(written)));
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
    // A look at all repos that began before the file was there does not find it.
    withheld.add(file);
    drop(held_back);
    Ok(file)
}

/// Whether the first bytes that came in order are those of a file of the store.
fn is_same(
    store: &Store,
    file: FileHash,
    came: &IncomingReader,
    bytes: u64,
) -> Result<bool, StoreError> {
    let mut at = 0;
    while let Some(index) = ChunkIndex::of_offset(at).filter(|_| at < bytes) {
        let Some(right) = store.read_proven(file, index)? else {
            return Ok(false);
        };
        let len = (bytes - at).min(right.len() as u64) as usize;
        if len == 0 || came.read(at, len)? != right[..len] {
            return Ok(false);
        }
        at += len as u64;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use hubless_store::StoreOptions;

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
