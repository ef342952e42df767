//! Drives one fetch: owns the connections, reports to the state machine what happened, and executes
//! what it decided.

mod execution;
mod report;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, OnceLock, atomic::AtomicU64},
    time::Duration,
};

use hubless_content::{ContentHash, Manifest};
use hubless_fetch::{
    Fetch, FetchArgs, FetchRequest, Finished, LISTS_PER_SOURCE_MAX, Layout, Outlook, PeerCommand,
    ReadRequest, SourceId, WalkEnded,
};
use hubless_network::{Multiaddr, Network, PeerId};
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        mpsc, watch,
    },
    task::{JoinError, JoinSet},
    time::{Instant, Interval},
};

use self::report::Reports;
use super::{
    connection::{Event, Input, Shared},
    discovery::{self, Candidate},
    read::ExternalChunks,
};
use crate::{
    blocking::Blocking, digest_asks::DigestAsks, error::TransferError, fetches::Fetches,
    progress::ProgressSink, transfers::Live,
};

/// Events from all connections that wait for the driver: a few for each of them.
const EVENTS_MAX: usize = 256;

/// Peers found in the DHT that wait for the driver.
const FOUND_MAX: usize = 64;

/// Commands that wait for a connection: all that can be open, and as many cancels.
const COMMANDS_MAX: usize = 2 * (hubless_scheduler::REQUESTS_PER_SOURCE_MAX + LISTS_PER_SOURCE_MAX);

/// Time between two progress events.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// What a fetch is begun with.
pub struct DriverArgs {
    /// What to fetch.
    pub request: FetchRequest,
    /// Peers that the caller named.
    pub named: Vec<Multiaddr>,
    /// What readers wait for, if the request takes reads.
    pub reads: Option<mpsc::Receiver<ReadRequest>>,
    /// How long to wait without progress.
    pub patience: Duration,
}

/// What a fetch did.
pub struct Fetched {
    /// The files, and which of them were wanted.
    pub layout: Arc<Layout>,
    /// Chunk payload that came over the network.
    pub bytes_fetched: u64,
    /// Bytes that were held before.
    pub bytes_present: u64,
}

/// A fetch under way.
pub struct Driver {
    fetch: Fetch<PeerId, Multiaddr>,
    network: Network,
    shared: Arc<Shared>,
    named: Vec<Multiaddr>,
    start: Instant,
    inbox: Inbox,
    reports: Reports,
    connections: HashMap<SourceId, mpsc::Sender<PeerCommand>>,
    connection_tasks: JoinSet<()>,
    /// Searches in the DHT; each ends with what it reports.
    searches: JoinSet<Input>,
    finished: Option<Finished<PeerId>>,
}

/// Where what happens comes from.
struct Inbox {
    events: mpsc::Receiver<Event>,
    found: mpsc::Receiver<Candidate>,
    /// For searches, and for callers that name peers while it runs.
    names: mpsc::Sender<Candidate>,
    /// Peers that ask this node what it has, of any model.
    askers: broadcast::Receiver<(ContentHash, PeerId)>,
    reads: Option<mpsc::Receiver<ReadRequest>>,
}

impl Driver {
    /// Prepares a fetch.
    ///
    /// # Errors
    /// If this process has no network.
    pub fn new(
        fetches: &Arc<Fetches>,
        sink: &ProgressSink,
        args: DriverArgs,
    ) -> Result<Self, TransferError> {
        let network = fetches.cx.network()?.clone();
        let (event_sender, events) = mpsc::channel(EVENTS_MAX);
        let (names, found) = mpsc::channel(FOUND_MAX);
        let target = args.request.target();
        let transfer = target.model().map(|model| fetches.transfers.begin(model));
        let reports = Reports::new(sink.clone(), transfer);
        let shared = Arc::new(Shared {
            fetches: fetches.clone(),
            target,
            layout: reports.layout(),
            digests: DigestAsks::default(),
            bytes_fetched: AtomicU64::new(0),
            events: event_sender,
        });
        let expects_peers = !args.named.is_empty() || fetches.known_peers.any();
        Ok(Self {
            fetch: Fetch::new(FetchArgs {
                own: network.peer_id(),
                request: args.request,
                patience: args.patience,
                expects_peers,
                seed: rand::random(),
            }),
            network,
            shared,
            named: args.named,
            start: Instant::now(),
            inbox: Inbox {
                events,
                found,
                names,
                askers: fetches.swarms.askers(),
                reads: args.reads,
            },
            reports,
            connections: HashMap::new(),
            connection_tasks: JoinSet::new(),
            searches: JoinSet::new(),
            finished: None,
        })
    }

    /// Lists the fetch in `status` and on the web pages as this entry.
    pub(super) fn list_as(&mut self, transfer: Option<Live>) {
        self.reports.list_as(transfer);
    }

    /// The layout, as soon as it is known.
    pub fn layout(&self) -> watch::Receiver<Option<Arc<Layout>>> {
        self.reports.layout()
    }

    /// Changes whenever a chunk was stored.
    pub fn stored(&self) -> watch::Receiver<u64> {
        self.reports.stored()
    }

    /// Changes with what may be expected of the fetch.
    pub(super) fn outlook(&self) -> watch::Receiver<Outlook> {
        self.reports.outlook()
    }

    /// Where digests can be asked for while it runs.
    pub(super) fn digests(&self) -> DigestAsks {
        self.shared.digests.clone()
    }

    /// Where peers can be named while it runs.
    pub(super) fn names(&self) -> mpsc::Sender<Candidate> {
        self.inbox.names.clone()
    }

    /// Where chunks from elsewhere can be given while it runs.
    pub(super) fn external_chunks(&self) -> ExternalChunks {
        ExternalChunks::new(&self.shared)
    }

    /// Fetches until nothing is missing and no reader may ask for more.
    ///
    /// # Errors
    /// If no peer has it, nothing comes for too long, the store is full, or the caller leaves.
    /// What came stays.
    pub async fn run(self) -> Result<Fetched, TransferError> {
        let _busy = self.shared.fetches.cx.busy.begin();
        let under_way = self.shared.fetches.cx.counters.begin_fetch();
        let outcome = self.work().await;
        under_way.end(&outcome);
        outcome
    }

    /// As [`Driver::run`]; a failure is noted before those that wait for chunks see the end.
    pub(super) async fn run_noting(self, failure: &OnceLock<TransferError>) {
        let _open = self.reports.keep_open();
        if let Err(error) = self.run().await {
            let _ = failure.set(error);
        }
    }

    async fn work(mut self) -> Result<Fetched, TransferError> {
        let store = self.shared.fetches.cx.store.clone();
        let target = &self.shared.target;
        let _in_use = target.model().map(|model| store.protect(model));
        let files_in_use = store.protect_files();
        if let FetchRequest::File(file) = self.fetch.request() {
            files_in_use.add(file.hash);
        }
        let mut inputs = VecDeque::new();
        self.execute_all(&mut inputs).await?;
        inputs.extend(self.known_manifest().await?.map(Input::ManifestKnown));
        self.handle(inputs).await?;
        let fetches = self.shared.fetches.clone();
        let nearby = discovery::nearby(&fetches, &self.network, &self.named).await;
        self.handle(nearby.into_iter().map(Input::PeerNamed).collect())
            .await?;
        let mut progress = tokio::time::interval(PROGRESS_EVERY);
        loop {
            if let Some(finished) = self.finished.take() {
                return self.finish(finished).await;
            }
            self.step(&mut progress).await?;
            self.reports.note(&self.fetch, self.start.elapsed());
        }
    }

    /// Waits for what happens next, and executes what follows from it.
    async fn step(&mut self, progress: &mut Interval) -> Result<(), TransferError> {
        let wake = self.start + self.fetch.next_wake();
        let takes_reads = self.fetch.is_fetching();
        tokio::select! {
            Some(event) = self.inbox.events.recv() => self.on_events(event).await,
            Some(candidate) = self.inbox.found.recv() => {
                self.handle_one(Input::PeerNamed(candidate)).await
            }
            asker = self.inbox.askers.recv() => self.on_asker(asker).await,
            Some(ended) = self.searches.join_next() => self.on_search_ended(ended).await,
            Some(_) = self.connection_tasks.join_next() => Ok(()),
            () = tokio::time::sleep_until(wake) => self.handle_one(Input::Tick).await,
            _ = progress.tick() => self.on_progress().await,
            read = next_read(&mut self.inbox.reads), if takes_reads => self.on_read(read).await,
            () = self.reports.cancelled() => Err(TransferError::Interrupted),
        }
    }

    /// The manifest, if the store has it.
    async fn known_manifest(&self) -> Result<Option<Arc<Manifest>>, TransferError> {
        let cx = &self.shared.fetches.cx;
        let Some(model) = self.shared.target.model() else {
            return Ok(None);
        };
        let store = cx.store.clone();
        Ok(cx.blocking.run(move || store.manifest(model)).await??)
    }

    async fn finish(mut self, finished: Finished<PeerId>) -> Result<Fetched, TransferError> {
        let bytes_fetched = self.shared.bytes_fetched();
        let takes_reads = self.inbox.reads.is_some();
        self.reports
            .progress(finished.progress, bytes_fetched, takes_reads);
        self.connections.clear();
        self.connection_tasks.shutdown().await;
        let store = self.shared.fetches.cx.store.clone();
        if !self.fetch.request().only_plans() {
            Blocking::run_long(move || store.flush()).await??;
        }
        self.shared.fetches.cx.note_change();
        Ok(Fetched {
            layout: finished.layout,
            bytes_fetched: self.shared.bytes_fetched(),
            bytes_present: finished.bytes_present,
        })
    }

    // What happened.

    /// Takes all events that wait before it waits for others.
    async fn on_events(&mut self, first: Event) -> Result<(), TransferError> {
        let mut event = Some(first);
        for _ in 0..EVENTS_MAX {
            let Some(next) = event else { break };
            let input =
                next.map_err(|error| TransferError::of_store(&self.shared.target, error))?;
            self.handle_one(input).await?;
            event = self.inbox.events.try_recv().ok();
        }
        Ok(())
    }

    async fn on_asker(
        &mut self,
        asker: Result<(ContentHash, PeerId), RecvError>,
    ) -> Result<(), TransferError> {
        match asker {
            Ok((model, peer)) if Some(model) == self.shared.target.model() => {
                self.handle_one(Input::PeerAsked(peer)).await
            }
            // An asker that is missed because too many ask is named by others.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn on_search_ended(
        &mut self,
        ended: Result<Input, JoinError>,
    ) -> Result<(), TransferError> {
        // A search that panicked found nothing.
        let nothing = Input::WalkEnded(WalkEnded::default());
        self.handle_one(ended.unwrap_or(nothing)).await
    }

    async fn on_progress(&mut self) -> Result<(), TransferError> {
        let received = self.network.counters().received.total();
        self.handle_one(Input::BytesReceived(received)).await?;
        let progress = self.fetch.progress(self.start.elapsed());
        let takes_reads = self.inbox.reads.is_some();
        self.reports
            .progress(progress, self.shared.bytes_fetched(), takes_reads);
        Ok(())
    }

    async fn on_read(&mut self, read: Option<ReadRequest>) -> Result<(), TransferError> {
        let input = match read {
            Some(request) => Input::ReadWanted(request),
            None => {
                self.inbox.reads = None;
                Input::ReadersLeft
            }
        };
        self.handle_one(input).await
    }

    async fn handle_one(&mut self, input: Input) -> Result<(), TransferError> {
        self.handle(VecDeque::from([input])).await
    }

    /// Reports what happened, and executes what follows until nothing more does.
    async fn handle(&mut self, mut inputs: VecDeque<Input>) -> Result<(), TransferError> {
        while let Some(input) = inputs.pop_front() {
            self.fetch.handle(self.start.elapsed(), input);
            self.execute_all(&mut inputs).await?;
        }
        Ok(())
    }
}

/// The next read; never ends for a fetch that takes none.
async fn next_read(reads: &mut Option<mpsc::Receiver<ReadRequest>>) -> Option<ReadRequest> {
    match reads {
        Some(reads) => reads.recv().await,
        None => std::future::pending().await,
    }
}
