//! One connection: a peer, an open exchange with it, and what was asked of it.
//!
//! The task reads answers itself, so a peer that sends faster than chunks can be stored is slowed
//! down by its own stream and by nothing else. What a peer has is received on a stream of its own
//! where chunks come on a lane: an update that waits behind chunks comes too late for a swarm.

mod answers;
mod list;
mod manifest;
mod naming;
mod open;
mod storing;

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use hubless_content::FileHash;
use hubless_fetch::{Availability, Dial, End, Layout, PeerCommand, SourceId, Target};
use hubless_network::{
    Carrier, Exchange, ExchangeError, Incoming, Multiaddr, PeerId, RequestSender, ResponseReceiver,
};
use hubless_store::StoreError;
use hubless_wire::{Request, Response, Scope};
use tokio::{
    sync::{mpsc, watch},
    time::{Interval, interval, timeout},
};

pub(super) use self::storing::{Stored, put};
use self::{
    list::ListInProgress,
    open::{Open, OpenRequest},
};
use crate::{
    digest_asks::{DigestAsks, Round},
    fetches::Fetches,
};

/// Chunks of one peer that are being verified and stored at once. With 256 KiB each, what a disk
/// writes in a few milliseconds; more would only use memory.
const STORING_MAX: usize = 16;

/// Requests for digests that are open with one peer: one that waits for a large file does not hold
/// up the others.
const DIGEST_ASKS_MAX: usize = 4;

/// How long a peer may take to answer one: what it may wait by the protocol, and a slow line.
const DIGESTS_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the age of requests for digests is checked.
const DIGESTS_CHECK_EVERY: Duration = Duration::from_secs(1);

/// Files whose availability is asked of a peer that was named for files: it has at least one.
const FILE_SCOPES_MAX: usize = 64;

/// What a connection reports: an input of the state machine, or a failure of the store.
pub(super) type Event = Result<Input, StoreError>;

/// What happened, in the terms of the state machine.
pub(super) type Input = hubless_fetch::Input<PeerId, Multiaddr>;

/// What all connections of a fetch share.
pub(super) struct Shared {
    pub(super) fetches: Arc<Fetches>,
    pub(super) target: Target,
    /// Set as soon as the manifest is there.
    pub(super) layout: watch::Receiver<Option<Arc<Layout>>>,
    pub(super) digests: DigestAsks,
    /// Chunk payload that came over the network.
    pub(super) bytes_fetched: AtomicU64,
    pub(super) events: mpsc::Sender<Event>,
}

impl Shared {
    pub(super) fn bytes_fetched(&self) -> u64 {
        self.bytes_fetched.load(Ordering::Relaxed)
    }

    /// Reports what happened.
    ///
    /// # Errors
    /// If the fetch has ended.
    pub(super) async fn report(&self, input: Input) -> Result<(), End> {
        self.events.send(Ok(input)).await.map_err(|_| End::Gone)
    }
}

/// A peer to connect to.
pub(super) struct ConnectionArgs {
    pub(super) source: SourceId,
    pub(super) dial: Dial<PeerId, Multiaddr>,
    pub(super) commands: mpsc::Receiver<PeerCommand>,
    pub(super) shared: Arc<Shared>,
}

/// Runs until the peer ends the exchange or the driver drops the commands.
pub(super) async fn run(args: ConnectionArgs) {
    let (source, shared) = (args.source, args.shared.clone());
    let end = match connect(args).await {
        Ok(mut connection) => {
            let end = connection.work().await.err().unwrap_or(End::Gone);
            connection.settle().await.unwrap_or(end)
        }
        Err(end) => end,
    };
    let _ = shared.report(Input::Ended(source, end)).await;
}

async fn connect(args: ConnectionArgs) -> Result<Connection, End> {
    let (shared, mut commands) = (args.shared, args.commands);
    let Dial {
        peer,
        addresses,
        files,
    } = args.dial;
    let network = shared.fetches.cx.network().map_err(|_| End::Unreachable)?;
    let opened = network.open(peer, addresses).await;
    let mut exchange = opened.map_err(|error| {
        tracing::debug!(%peer, %error, "cannot open an exchange");
        End::Unreachable
    })?;
    shared.report(Input::Connected(args.source)).await?;
    let layout = layout(&mut exchange, &mut commands, &shared).await?;
    let beside = match exchange.carrier() {
        Carrier::Lane => network.open_beside(peer).await.ok(),
        _ => None,
    };
    let Exchange {
        requests,
        responses,
        ..
    } = exchange;
    Ok(Connection {
        digests_changed: marked(shared.digests.changes()),
        source: args.source,
        files,
        commands,
        shared,
        layout,
        requests,
        responses,
        beside,
        open: Open::new(),
        storing: FuturesUnordered::new(),
        digests_check: interval(DIGESTS_CHECK_EVERY),
        digest_asks: 0,
        refused_digests: HashSet::new(),
    })
}

/// The same, so that what was there before counts as a change.
fn marked(mut changes: watch::Receiver<()>) -> watch::Receiver<()> {
    changes.mark_changed();
    changes
}

/// Waits for the layout, and asks for the manifest if the driver wants that of this connection.
async fn layout(
    exchange: &mut Exchange,
    commands: &mut mpsc::Receiver<PeerCommand>,
    shared: &Shared,
) -> Result<Arc<Layout>, End> {
    loop {
        match commands.recv().await.ok_or(End::Gone)? {
            PeerCommand::Begin(layout) => return Ok(layout),
            PeerCommand::AskManifest => {
                // The manifest of a file alone is known from the beginning.
                let content = shared.target.model().ok_or(End::Gone)?;
                tokio::select! {
                    manifest = manifest::get(exchange, content) => shared.report(manifest?).await?,
                    // Another peer was faster.
                    layout = begin(commands) => return layout,
                }
            }
            // Everything else refers to a layout.
            _ => {}
        }
    }
}

/// Waits for the layout alone.
async fn begin(commands: &mut mpsc::Receiver<PeerCommand>) -> Result<Arc<Layout>, End> {
    loop {
        if let PeerCommand::Begin(layout) = commands.recv().await.ok_or(End::Gone)? {
            return Ok(layout);
        }
    }
}

struct Connection {
    source: SourceId,
    files: Vec<FileHash>,
    commands: mpsc::Receiver<PeerCommand>,
    shared: Arc<Shared>,
    layout: Arc<Layout>,
    requests: RequestSender,
    responses: ResponseReceiver,
    /// For what is small and should not wait, if chunks come on a lane.
    beside: Option<Exchange>,
    open: Open,
    storing: FuturesUnordered<BoxFuture<'static, Stored>>,
    digests_check: Interval,
    /// Changes when there may be files whose digests are to be asked for.
    digests_changed: watch::Receiver<()>,
    digest_asks: usize,
    refused_digests: HashSet<Round>,
}

/// What happened next.
enum Step {
    Incoming(Option<Result<Incoming, ExchangeError>>),
    Stored(Stored),
    Command(Option<PeerCommand>),
    Digests,
    CheckDigests,
}

impl Connection {
    async fn work(&mut self) -> Result<(), End> {
        let scope = self.layout.target.scope();
        self.ask_availability(scope).await?;
        if let Some(model) = self.layout.target.model() {
            self.ask_beside(Request::Peers(model), OpenRequest::Peers)
                .await?;
        }
        loop {
            match self.next_step().await {
                Step::Incoming(Some(Ok(Incoming::Begins(id)))) => self.begins(id).await?,
                Step::Incoming(Some(Ok(Incoming::Response(frame)))) => self.answered(frame).await?,
                Step::Incoming(Some(Err(error))) => {
                    tracing::debug!(%error, "an exchange failed");
                    return Err(if error.is_violation() {
                        End::Misbehaved
                    } else {
                        End::Gone
                    });
                }
                Step::Incoming(None) => return Err(End::Gone),
                Step::Stored(stored) => self.stored(stored).await?,
                Step::Command(Some(command)) => self.execute(command).await?,
                Step::Command(None) => return Ok(()),
                Step::Digests => self.ask_digests().await?,
                Step::CheckDigests => self.give_up_slow_digests().await?,
            }
        }
    }

    /// Ends what came before the end: it is right or wrong whatever became of the stream. Returns
    /// the end that this leads to, if it is worse.
    async fn settle(&mut self) -> Option<End> {
        let mut worse = None;
        while let Some(stored) = self.storing.next().await {
            if let Err(End::Misbehaved) = self.stored(stored).await {
                worse = Some(End::Misbehaved);
            }
        }
        worse
    }

    async fn next_step(&mut self) -> Step {
        tokio::select! {
            biased;
            Some(stored) = self.storing.next() => Step::Stored(stored),
            command = self.commands.recv() => Step::Command(command),
            Ok(()) = self.digests_changed.changed(), if self.digest_asks < DIGEST_ASKS_MAX => {
                Step::Digests
            }
            incoming = beside(&mut self.beside) => Step::Incoming(incoming),
            incoming = self.responses.recv_part(), if self.storing.len() < STORING_MAX => {
                Step::Incoming(incoming)
            }
            _ = self.digests_check.tick(), if self.digest_asks > 0 => Step::CheckDigests,
        }
    }

    /// Reports something about chunks to the scheduler.
    async fn report(&mut self, input: hubless_scheduler::Input) -> Result<(), End> {
        self.shared.report(Input::Chunks(input)).await
    }

    async fn send(&mut self, id: u64, ask: Request) -> Result<(), End> {
        self.requests.send(id, ask).await.map_err(|_| End::Gone)
    }

    /// Sends what should not wait behind chunks.
    async fn send_beside(&mut self, id: u64, ask: Request) -> Result<(), End> {
        let requests = self
            .beside
            .as_ref()
            .map_or(&self.requests, |beside| &beside.requests);
        requests.send(id, ask).await.map_err(|_| End::Gone)
    }

    async fn ask_beside(&mut self, ask: Request, request: OpenRequest) -> Result<(), End> {
        let id = self.open.add(request);
        self.send_beside(id, ask).await
    }

    async fn ask_availability(&mut self, scope: Scope) -> Result<(), End> {
        let request = OpenRequest::Availability(Availability::new(scope));
        self.ask_beside(Request::Availability(scope), request).await
    }

    async fn execute(&mut self, command: PeerCommand) -> Result<(), End> {
        match command {
            PeerCommand::Request(chunk) => {
                let Some((file, first)) = self.layout.place(chunk) else {
                    return Ok(());
                };
                let entry = self.layout.entry(file);
                let ask = Request::Chunks {
                    file: entry.hash,
                    size: entry.size,
                    first,
                    count: 1,
                };
                let id = self.open.add(OpenRequest::Chunk(chunk));
                self.send(id, ask).await
            }
            PeerCommand::Cancel(chunk) => match self.open.cancel_chunk(chunk) {
                Some(id) => self.send(id, Request::Cancel).await,
                // It was answered meanwhile.
                None => Ok(()),
            },
            PeerCommand::RequestList(file) => self.ask_list(file).await,
            PeerCommand::CancelList(file) => self.cancel_list(file).await,
            // Both come before the exchange begins.
            PeerCommand::AskManifest | PeerCommand::Begin(_) => Ok(()),
        }
    }
}

/// What comes on the stream beside the lane; never anything if there is none.
async fn beside(exchange: &mut Option<Exchange>) -> Option<Result<Incoming, ExchangeError>> {
    match exchange {
        Some(exchange) => exchange.responses.recv_part().await,
        None => std::future::pending().await,
    }
}

/// Waits for an answer to one ask, where no others are open.
pub(super) async fn only_answer(
    exchange: &mut Exchange,
    id: u64,
    wait: Duration,
) -> Result<(Response, Bytes), End> {
    loop {
        let answer = timeout(wait, exchange.responses.recv())
            .await
            .map_err(|_| End::Gone)?;
        match answer {
            Some(Ok(frame)) if frame.id == id => return Ok((frame.response, frame.payload)),
            Some(Ok(_)) => {}
            Some(Err(error)) if error.is_violation() => return Err(End::Misbehaved),
            Some(Err(_)) | None => return Err(End::Gone),
        }
    }
}
