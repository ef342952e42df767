//! One source: a peer, an open exchange with it, and what was asked of it.
//!
//! The task reads answers itself, so a source that sends faster than chunks can be stored is
//! slowed down by its own stream and by nothing else. What a source has is heard on a stream of its
//! own where chunks come on a lane: news that waits behind chunks comes too late for a swarm.

mod answers;
mod naming;
mod storing;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use hubless_content::{FileHash, Manifest};
use hubless_network::{
    AnswerReceiver, AskSender, Carrier, Exchange, ExchangeError, Incoming, Multiaddr, PeerId,
};
use hubless_scheduler::{Input, SourceId};
use hubless_store::StoreError;
use hubless_wire::{Answer, Ask, Scope};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::{Interval, interval, timeout},
};

pub(super) use self::storing::{Stored, put};
use super::{
    availability::Availability,
    digests::{DigestAsk, DigestAsks, Round},
    discovery::Candidate,
    layout::{FileNumber, Layout},
    lists::{Claim, ListInProgress, Lists},
    manifest,
    target::Target,
};
use crate::fetches::Fetches;

/// Chunks of one source that are being verified and stored at once. With 256 KiB each, what a disk
/// writes in a few milliseconds; more would only use memory.
const STORING_MAX: usize = 16;

/// Chunk lists asked of one source at once.
const LISTS_MAX: usize = 4;

/// Cancelled asks whose answers may still come: as many as can be open.
const CANCELLED_MAX: usize = hubless_wire::ASKS_PER_STREAM_MAX;

/// How long a source may say nothing about a chunk list before another is asked.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks for digests that are open with one source: one that waits for a large file does not hold up
/// the others.
const DIGEST_ASKS_MAX: usize = 4;

/// How long a source may take to answer one: what it may wait by the protocol, and a slow line.
const DIGESTS_TIMEOUT: Duration = Duration::from_secs(5);

/// How often that is looked at.
const LIST_WATCH_EVERY: Duration = Duration::from_secs(1);

/// Sources from which the manifest is asked at once: one may be slow, another may lie.
pub(super) const MANIFEST_ASKS_MAX: usize = 3;

/// Files whose availability is asked of a source that was named for files: it has at least one.
const FILE_SCOPES_MAX: usize = 64;

/// What all sources of a fetch share.
pub(super) struct Shared {
    pub(super) fetches: Arc<Fetches>,
    pub(super) target: Target,
    /// Set as soon as the manifest is there.
    pub(super) layout: watch::Receiver<Option<Arc<Layout>>>,
    pub(super) manifest_asks: Semaphore,
    pub(super) lists: Lists,
    pub(super) digests: DigestAsks,
    /// Chunk payload that came over the network.
    pub(super) bytes_fetched: AtomicU64,
    pub(super) news: mpsc::Sender<News>,
}

/// What a source tells the job.
pub(super) enum News {
    /// The manifest; its hash is right.
    Manifest(Arc<Manifest>),
    /// The manifest's hash is right, but it breaks a rule.
    BadManifest(hubless_content::ManifestError),
    /// For the scheduler.
    Input(Input),
    /// A chunk list is proven and stored.
    List(FileNumber),
    /// The peer named another one.
    Peer(Candidate),
    /// The store refused a chunk.
    Store(StoreError),
    /// The source is no more.
    Ended(SourceId, End),
}

/// Why a source ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It could not be reached.
    Unreachable,
    /// It has nothing of what is wanted.
    Nothing,
    /// The stream ended.
    Gone,
    /// It sent wrong bytes or broke a rule.
    Lied,
}

/// What the job tells a source.
#[derive(Debug, Clone, Copy)]
pub(super) enum Command {
    Request(u32),
    Cancel(u32),
}

/// A peer to become a source.
pub(super) struct SourceArgs {
    pub(super) id: SourceId,
    pub(super) peer: PeerId,
    pub(super) addresses: Vec<Multiaddr>,
    /// Files it was named for.
    pub(super) files: Vec<FileHash>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) shared: Arc<Shared>,
}

/// Runs until the source ends or the job drops its commands.
pub(super) async fn run(args: SourceArgs) {
    let (id, news) = (args.id, args.shared.news.clone());
    let end = match connect(args).await {
        Ok(mut source) => {
            let end = source.work().await.err().unwrap_or(End::Gone);
            source.settle().await.unwrap_or(end)
        }
        Err(end) => end,
    };
    let _ = news.send(News::Ended(id, end)).await;
}

async fn connect(args: SourceArgs) -> Result<Source, End> {
    let shared = args.shared;
    let network = shared.fetches.cx.network().map_err(|_| End::Unreachable)?;
    let opened = network.open(args.peer, args.addresses).await;
    let mut exchange = opened.map_err(|error| {
        tracing::debug!(peer = %args.peer, %error, "cannot ask");
        End::Unreachable
    })?;
    let layout = layout(&mut exchange, &shared).await?;
    let beside = match exchange.carrier() {
        Carrier::Lane => network.open_beside(args.peer).await.ok(),
        _ => None,
    };
    let Exchange { asks, answers, .. } = exchange;
    Ok(Source {
        digests_changed: marked(shared.digests.changes()),
        id: args.id,
        files: args.files,
        commands: args.commands,
        shared,
        layout,
        asks,
        answers,
        beside,
        next_id: FIRST_ID,
        open: HashMap::new(),
        chunks: HashMap::new(),
        cancelled: VecDeque::new(),
        storing: FuturesUnordered::new(),
        lists: 0,
        list_watch: interval(LIST_WATCH_EVERY),
        refused_lists: HashSet::new(),
        digest_asks: 0,
        refused_digests: HashSet::new(),
    })
}

/// The same, so that what was there before counts as a change.
fn marked(mut changes: watch::Receiver<()>) -> watch::Receiver<()> {
    changes.mark_changed();
    changes
}

/// Ids of the asks for the manifest are below.
const FIRST_ID: u64 = 1 << 32;

/// Waits for the manifest, or gets it from this source if too few others are at it.
async fn layout(exchange: &mut Exchange, shared: &Shared) -> Result<Arc<Layout>, End> {
    let mut known = shared.layout.clone();
    loop {
        if let Some(layout) = known.borrow_and_update().clone() {
            return Ok(layout);
        }
        let _permit = tokio::select! {
            permit = shared.manifest_asks.acquire() => permit.map_err(|_| End::Gone)?,
            changed = known.changed() => {
                changed.map_err(|_| End::Gone)?;
                continue;
            }
        };
        if known.borrow().is_some() {
            continue;
        }
        // Of a file alone it is known from the beginning.
        let content = shared.target.model().ok_or(End::Gone)?;
        let news = manifest::get(exchange, content).await?;
        shared.news.send(news).await.map_err(|_| End::Gone)?;
        known.changed().await.map_err(|_| End::Gone)?;
    }
}

/// An ask that is not answered to its end yet.
enum Open {
    Chunk(u32),
    Availability(Availability),
    List(ListInProgress),
    Digests(DigestAsk),
    Peers,
    /// A report; nothing follows from its answer.
    Report,
}

struct Source {
    id: SourceId,
    files: Vec<FileHash>,
    commands: mpsc::Receiver<Command>,
    shared: Arc<Shared>,
    layout: Arc<Layout>,
    asks: AskSender,
    answers: AnswerReceiver,
    /// For what is small and should not wait, if chunks come on a lane.
    beside: Option<Exchange>,
    next_id: u64,
    open: HashMap<u64, Open>,
    /// The open ask of each chunk.
    chunks: HashMap<u32, u64>,
    /// Asks that were cancelled, but may have been answered before the peer heard of it.
    cancelled: VecDeque<(u64, u32)>,
    storing: FuturesUnordered<BoxFuture<'static, Stored>>,
    lists: usize,
    list_watch: Interval,
    refused_lists: HashSet<FileNumber>,
    /// Changes when there may be files whose digests are to be asked for.
    digests_changed: watch::Receiver<()>,
    digest_asks: usize,
    refused_digests: HashSet<Round>,
}

/// What happened next.
enum Step {
    Incoming(Option<Result<Incoming, ExchangeError>>),
    Stored(Stored),
    Command(Option<Command>),
    List(Claim),
    Digests,
    Tick,
}

impl Source {
    async fn work(&mut self) -> Result<(), End> {
        self.tell(Input::SourceJoined(self.id)).await?;
        let scope = self.layout.target.scope();
        self.ask_availability(scope).await?;
        if let Some(model) = self.layout.target.model() {
            self.ask_beside(Ask::Peers(model), Open::Peers).await?;
        }
        loop {
            match self.next_step().await {
                Step::Incoming(Some(Ok(Incoming::Begins(id)))) => self.begins(id).await?,
                Step::Incoming(Some(Ok(Incoming::Answer(frame)))) => self.answered(frame).await?,
                Step::Incoming(Some(Err(error))) => {
                    tracing::debug!(%error, "a source failed");
                    return Err(if error.is_violation() {
                        End::Lied
                    } else {
                        End::Gone
                    });
                }
                Step::Incoming(None) => return Err(End::Gone),
                Step::Stored(stored) => self.stored(stored).await?,
                Step::Command(Some(command)) => self.command(command).await?,
                Step::Command(None) => return Ok(()),
                Step::List(claim) => self.ask_list(claim).await?,
                Step::Digests => self.ask_digests().await?,
                Step::Tick => {
                    self.give_up_slow_lists().await?;
                    self.give_up_slow_digests().await?;
                }
            }
        }
    }

    /// Ends what came before the end: it is right or wrong whatever became of the stream. Returns
    /// the end that this leads to, if it is worse.
    async fn settle(&mut self) -> Option<End> {
        let mut worse = None;
        while let Some(stored) = self.storing.next().await {
            if let Err(End::Lied) = self.stored(stored).await {
                worse = Some(End::Lied);
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
            incoming = self.answers.recv_part(), if self.storing.len() < STORING_MAX => {
                Step::Incoming(incoming)
            }
            claim = self.shared.lists.claim(&self.refused_lists), if self.lists < LISTS_MAX => {
                Step::List(claim)
            }
            _ = self.list_watch.tick(), if self.lists > 0 || self.digest_asks > 0 => Step::Tick,
        }
    }

    async fn tell(&mut self, input: Input) -> Result<(), End> {
        self.shared
            .news
            .send(News::Input(input))
            .await
            .map_err(|_| End::Gone)
    }

    async fn ask(&mut self, ask: Ask, open: Open) -> Result<u64, End> {
        let id = self.opened(open);
        self.asks.send(id, ask).await.map_err(|_| End::Gone)?;
        Ok(id)
    }

    /// Asks for what should not wait behind chunks.
    async fn ask_beside(&mut self, ask: Ask, open: Open) -> Result<(), End> {
        let id = self.opened(open);
        let asks = self
            .beside
            .as_ref()
            .map_or(&self.asks, |beside| &beside.asks);
        asks.send(id, ask).await.map_err(|_| End::Gone)
    }

    async fn ask_availability(&mut self, scope: Scope) -> Result<(), End> {
        let open = Open::Availability(Availability::new(scope));
        self.ask_beside(Ask::Availability(scope), open).await
    }

    fn opened(&mut self, open: Open) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.open.insert(id, open);
        id
    }

    async fn command(&mut self, command: Command) -> Result<(), End> {
        match command {
            Command::Request(chunk) => {
                let Some((file, first)) = self.layout.place(chunk) else {
                    return Ok(());
                };
                let entry = self.layout.entry(file);
                let ask = Ask::Chunks {
                    file: entry.hash,
                    size: entry.size,
                    first,
                    count: 1,
                };
                let id = self.ask(ask, Open::Chunk(chunk)).await?;
                self.chunks.insert(chunk, id);
            }
            Command::Cancel(chunk) => {
                let Some(id) = self.chunks.remove(&chunk) else {
                    return Ok(());
                };
                self.open.remove(&id);
                self.cancelled.push_back((id, chunk));
                if self.cancelled.len() > CANCELLED_MAX {
                    self.cancelled.pop_front();
                }
                self.asks
                    .send(id, Ask::Cancel)
                    .await
                    .map_err(|_| End::Gone)?;
            }
        }
        Ok(())
    }
}

/// What comes on the stream beside the lane; never anything if there is none.
async fn beside(exchange: &mut Option<Exchange>) -> Option<Result<Incoming, ExchangeError>> {
    match exchange {
        Some(exchange) => exchange.answers.recv_part().await,
        None => std::future::pending().await,
    }
}

/// Waits for an answer to one ask, where no others are open.
pub(super) async fn only_answer(
    exchange: &mut Exchange,
    id: u64,
    wait: Duration,
) -> Result<(Answer, Bytes), End> {
    loop {
        let answer = timeout(wait, exchange.answers.recv())
            .await
            .map_err(|_| End::Gone)?;
        match answer {
            Some(Ok(frame)) if frame.id == id => return Ok((frame.answer, frame.payload)),
            Some(Ok(_)) => {}
            Some(Err(error)) if error.is_violation() => return Err(End::Lied),
            Some(Err(_)) | None => return Err(End::Gone),
        }
    }
}
