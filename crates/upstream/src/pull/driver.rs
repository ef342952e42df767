//! Drives one pull: turns what its state decides into I/O, and reports what comes of it.

use std::{future::pending, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use hubless_content::{Alias, ChunkIndex, FileHash};
use hubless_store::{Expected, IncomingReader, Store, StoreError};
use hubless_transfer::{
    Blocking, Fetches, TransferError,
    fetch::{
        Introductions,
        claims::{self, Found, Wanted},
    },
    text::sentence,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{download::Download, trial::Trial};
use crate::{
    complete::file_came,
    held::find_held,
    pulls::{Input, Origin, Output, PeerSearch, PullError, Shared, TrialEnd},
    room::Place,
    upstream::Upstream,
};

/// How long claims are searched for.
const SEARCH_FOR: Duration = Duration::from_secs(8);

/// The task of one pull. However it ends, the pull has ended then.
pub(super) struct Driver {
    fetches: Arc<Fetches>,
    upstream: Arc<Upstream>,
    origin: Origin,
    shared: Arc<Shared>,
    work: Work,
    /// The claimed file that is fetched, or that proved to be the wanted one.
    trial: Option<Trial>,
    /// Held until the pull ends.
    place: Option<Place>,
}

/// A place among the pulls, and the file if the store has it already.
struct Start {
    place: Place,
    held: Option<FileHash>,
}

/// What is under way. Dropping a part stops it.
#[derive(Default)]
struct Work {
    start: Option<BoxFuture<'static, Result<Start, PullError>>>,
    search: Option<mpsc::Receiver<Found>>,
    fetch: Option<BoxFuture<'static, TrialEnd>>,
    introductions: Option<Introductions>,
    download: Option<BoxFuture<'static, Result<FileHash, PullError>>>,
    comparison: Option<BoxFuture<'static, Result<(), PullError>>>,
}

impl Driver {
    pub(super) fn new(
        fetches: &Arc<Fetches>,
        upstream: &Arc<Upstream>,
        origin: &Origin,
        shared: &Arc<Shared>,
    ) -> Self {
        Self {
            fetches: fetches.clone(),
            upstream: upstream.clone(),
            origin: origin.clone(),
            shared: shared.clone(),
            work: Work::default(),
            trial: None,
            place: None,
        }
    }

    pub(super) async fn run(mut self) {
        let _busy = self.fetches.cx.busy.begin();
        let mut changes = self.shared.changes();
        self.work.start = Some(self.start().boxed());
        loop {
            while let Some(output) = self.shared.poll_output() {
                self.perform(output).await;
            }
            if self.shared.has_ended() {
                return;
            }
            let deadline = self.shared.deadline();
            let work = &mut self.work;
            let input = tokio::select! {
                biased;
                () = self.fetches.cx.cancel.cancelled() => Input::Stopped,
                // Claims that came before the end count: a peer that lied is banned.
                found = next_found(&mut work.search) => found,
                started = ended(&mut work.start) => self.started(started).await,
                end = ended(&mut work.fetch) => Input::TrialEnded(end),
                end = ended(&mut work.download) => Input::UpstreamEnded(end),
                compared = ended(&mut work.comparison) => Input::Compared(compared),
                () = passed(deadline) => Input::Tick,
                () = changes.next() => continue,
            };
            self.shared.handle(input);
        }
    }

    /// Waits for a place, then searches the store.
    fn start(&self) -> impl Future<Output = Result<Start, PullError>> + Send + 'static {
        let (fetches, upstream, origin) = (
            self.fetches.clone(),
            self.upstream.clone(),
            self.origin.clone(),
        );
        async move {
            let room = upstream.pulls.rooms.of(origin.size);
            let place = room.take(&origin.repo).await?;
            let store = fetches.cx.store.clone();
            let held = move || find_held(&store, origin.expected, origin.size);
            let held = fetches.cx.blocking.run(held).await??;
            Ok(Start { place, held })
        }
    }

    async fn started(&mut self, started: Result<Start, PullError>) -> Input {
        match started {
            Ok(Start { place, held }) => {
                self.place = Some(place);
                match held {
                    Some(file) => Input::Held(file),
                    None => Input::Missing(self.search().await),
                }
            }
            Err(error) => Input::NotBegun(error),
        }
    }

    /// Begins the search for claims, if there is a peer to ask. Of a file that is private or gated
    /// at the upstream, only the members of a private network may know that it is wanted.
    async fn search(&mut self) -> PeerSearch {
        let may_ask = !self.origin.restricted || self.fetches.known_peers.is_private;
        if !may_ask || !self.fetches.has_peers().await {
            return PeerSearch::None;
        }
        let Some(alias) = alias(self.origin.expected) else {
            return PeerSearch::ListedHash;
        };
        let wanted = Wanted {
            alias,
            size: Some(self.origin.size),
            named: Vec::new(),
            within: SEARCH_FOR,
        };
        self.work.search = claims::search(&self.fetches, wanted).ok();
        match self.work.search {
            Some(_) => PeerSearch::Claims,
            None => PeerSearch::ListedHash,
        }
    }

    async fn perform(&mut self, output: Output) {
        match output {
            Output::AskUpstream => {
                let download = Download {
                    fetches: self.fetches.clone(),
                    upstream: self.upstream.clone(),
                    origin: self.origin.clone(),
                    shared: self.shared.clone(),
                };
                self.work.download = Some(download.run().boxed());
            }
            Output::LeaveUpstream => self.work.download = None,
            Output::Try { file, is_trusted } => {
                if let Err(failure) = self.begin_trial(file, is_trusted).await {
                    tracing::debug!(%file, %failure, "no file from peers");
                    self.shared.handle(Input::TrialEnded(TrialEnd::Failed));
                }
            }
            Output::Introduce(claim) => {
                if let Some(introductions) = &self.work.introductions {
                    introductions.name(claim.peer, claim.addresses);
                }
            }
            Output::Ban(peer) => self.fetches.cx.reject(peer).await,
            Output::Discard(file) => {
                (self.work.fetch, self.work.introductions) = (None, None);
                if let Some(trial) = self.trial.take_if(|trial| trial.file() == file) {
                    trial.discard().await;
                }
            }
            Output::Compare { file, bytes } => {
                self.work.comparison = Some(self.compare(file, bytes).boxed());
            }
            Output::StopAll => self.work = Work::default(),
            Output::Settle(outcome) => {
                self.settle(outcome).await;
                self.shared.handle(Input::Settled);
            }
        }
    }

    async fn begin_trial(&mut self, file: FileHash, is_trusted: bool) -> Result<(), TransferError> {
        let trial = Trial::begin(
            &self.fetches,
            &self.upstream,
            &self.origin,
            file,
            is_trusted,
        )
        .await?;
        let trial = self.trial.insert(trial);
        let (introductions, fetch) = trial.fetch(self.shared.clone())?;
        self.work.introductions = Some(introductions);
        self.work.fetch = Some(fetch.boxed());
        Ok(())
    }

    fn compare(
        &self,
        file: FileHash,
        bytes: u64,
    ) -> impl Future<Output = Result<(), PullError>> + Send + 'static {
        let (store, body) = (self.fetches.cx.store.clone(), self.shared.body());
        let path = self.origin.path.clone();
        async move {
            // Without a body, nothing was released.
            let Some(body) = body else { return Ok(()) };
            let compare = move || is_same(&store, file, &body, bytes);
            if Blocking::run_long(compare).await?? {
                return Ok(());
            }
            Err(PullError::WrongBytes { path })
        }
    }

    /// Withholds the file from peers or completes its revision; logs why there is none.
    async fn settle(&mut self, outcome: Result<FileHash, Arc<PullError>>) {
        let (repo, path) = (&self.origin.repo, &self.origin.path);
        // What was held back until the proof is given from now on.
        self.trial = None;
        match outcome {
            Ok(file) => {
                if self.origin.restricted {
                    self.upstream.withheld.add(file);
                } else {
                    let commit = self.origin.commit;
                    file_came(&self.fetches, &self.upstream.missing, repo, commit).await;
                }
                self.fetches.cx.note_change();
            }
            Err(error) => {
                let error = sentence(&error);
                tracing::warn!(%repo, %path, error, "a pull from the upstream failed");
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Without a driver, readers would wait for ever.
        self.shared.handle(Input::Stopped);
        self.shared.handle(Input::Settled);
        self.upstream.pulls.forget(&self.origin.key(), &self.shared);
    }
}

/// Waits for the result of a part of the work; for ever if that is not under way.
async fn ended<T>(work: &mut Option<BoxFuture<'static, T>>) -> T {
    let Some(running) = work else {
        return pending().await;
    };
    let end = running.await;
    *work = None;
    end
}

/// What a search finds next; for ever nothing after its end.
async fn next_found(search: &mut Option<mpsc::Receiver<Found>>) -> Input {
    let Some(found) = search else {
        return pending().await;
    };
    match found.recv().await {
        Some(Found::Claim(claim)) => Input::Claimed(claim),
        Some(Found::NearbyAnswered) => Input::NearbyAnswered,
        None => {
            *search = None;
            Input::SearchEnded
        }
    }
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

/// What peers may know the file by.
fn alias(expected: Expected) -> Option<Alias> {
    let sha256 = expected.sha256.map(Alias::from);
    sha256.or(expected.git_blob.map(Alias::from))
}

/// Whether the first `bytes` bytes that came in order are those of a file of the store.
fn is_same(
    store: &Store,
    file: FileHash,
    body: &IncomingReader,
    bytes: u64,
) -> Result<bool, StoreError> {
    let mut at = 0;
    while let Some(index) = ChunkIndex::of_offset(at).filter(|_| at < bytes) {
        let Some(right) = store.read_proven(file, index)? else {
            return Ok(false);
        };
        let len = (bytes - at).min(right.len() as u64) as usize;
        if len == 0 || body.read(at, len)? != right[..len] {
            return Ok(false);
        }
        at += len as u64;
    }
    Ok(true)
}
