//! One source: a peer, an open exchange with it, and what was asked of it.
//!
//! The task reads answers itself, so a source that sends faster than chunks can be stored is
//! slowed down by its own stream and by nothing else.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use hubless_content::{ChunkList, ContentHash, FileHash, Manifest, chunk_count};
use hubless_network::{
    AnswerFrame, AnswerReceiver, AskSender, Exchange, ExchangeError, Multiaddr, PeerId,
};
use hubless_scheduler::{Input, Refusal, SourceId};
use hubless_store::StoreError;
use hubless_wire::{Answer, Ask, Scope};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::{Interval, interval, timeout},
};

use super::{
    availability::Availability,
    discovery::Candidate,
    layout::{FileNumber, Layout},
    lists::{Claim, ListInProgress, Lists},
    manifest,
};
use crate::core::Core;

/// Chunks of one source that are being verified and stored at once. With 256 KiB each, what a disk
/// writes in a few milliseconds; more would only use memory.
const STORING_MAX: usize = 16;

/// Chunk lists asked of one source at once.
const LISTS_MAX: usize = 4;

/// Cancelled asks whose answers may still come: as many as can be open.
const CANCELLED_MAX: usize = hubless_wire::ASKS_PER_STREAM_MAX;

/// How long a source may say nothing about a chunk list before another is asked.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

/// How often that is looked at.
const LIST_WATCH_EVERY: Duration = Duration::from_secs(1);

/// Sources from which the manifest is asked at once: one may be slow, another may lie.
pub(super) const MANIFEST_ASKS_MAX: usize = 3;

/// Files whose availability is asked of a source that was named for files: it has at least one.
const FILE_SCOPES_MAX: usize = 64;

/// What all sources of a fetch share.
pub(super) struct Shared {
    pub(super) core: Arc<Core>,
    pub(super) content: ContentHash,
    /// Set as soon as the manifest is there.
    pub(super) layout: watch::Receiver<Option<Arc<Layout>>>,
    pub(super) manifest_asks: Semaphore,
    pub(super) lists: Lists,
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
    /// It has nothing of the model.
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
        Ok(mut source) => match source.work().await {
            Ok(()) => End::Gone,
            Err(end) => end,
        },
        Err(end) => end,
    };
    let _ = news.send(News::Ended(id, end)).await;
}

async fn connect(args: SourceArgs) -> Result<Source, End> {
    let shared = args.shared;
    let network = shared.core.network().map_err(|_| End::Unreachable)?;
    let opened = network.open(args.peer, args.addresses).await;
    let mut exchange = opened.map_err(|error| {
        tracing::debug!(peer = %args.peer, %error, "cannot ask");
        End::Unreachable
    })?;
    let layout = layout(&mut exchange, &shared).await?;
    let Exchange { asks, answers, .. } = exchange;
    Ok(Source {
        id: args.id,
        files: args.files,
        commands: args.commands,
        shared,
        layout,
        asks,
        answers,
        next_id: FIRST_ID,
        open: HashMap::new(),
        chunks: HashMap::new(),
        cancelled: VecDeque::new(),
        storing: FuturesUnordered::new(),
        lists: 0,
        list_watch: interval(LIST_WATCH_EVERY),
        refused_lists: HashSet::new(),
    })
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
        let news = manifest::get(exchange, shared.content).await?;
        shared.news.send(news).await.map_err(|_| End::Gone)?;
        known.changed().await.map_err(|_| End::Gone)?;
    }
}

/// An ask that is not answered to its end yet.
enum Open {
    Chunk(u32),
    Availability(Availability),
    List(ListInProgress),
    Peers,
}

/// How storing a chunk went.
enum Stored {
    Right { chunk: u32, bytes: u32 },
    Wrong { chunk: u32 },
    Failed { chunk: u32, error: StoreError },
    Aborted,
    List(FileNumber),
    WrongList,
}

struct Source {
    id: SourceId,
    files: Vec<FileHash>,
    commands: mpsc::Receiver<Command>,
    shared: Arc<Shared>,
    layout: Arc<Layout>,
    asks: AskSender,
    answers: AnswerReceiver,
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
}

/// What happened next.
enum Step {
    Answer(Option<Result<AnswerFrame, ExchangeError>>),
    Stored(Stored),
    Command(Option<Command>),
    List(Claim),
    Tick,
}

impl Source {
    async fn work(&mut self) -> Result<(), End> {
        self.tell(Input::SourceJoined(self.id)).await?;
        let scope = Scope::Content(self.layout.hash);
        self.ask(
            Ask::Availability(scope),
            Open::Availability(Availability::new(scope)),
        )
        .await?;
        self.ask(Ask::Peers(self.layout.hash), Open::Peers).await?;
        loop {
            match self.next_step().await {
                Step::Answer(Some(Ok(frame))) => self.answered(frame).await?,
                Step::Answer(Some(Err(error))) => {
                    tracing::debug!(%error, "a source failed");
                    return Err(if error.is_violation() {
                        End::Lied
                    } else {
                        End::Gone
                    });
                }
                Step::Answer(None) => return Err(End::Gone),
                Step::Stored(stored) => self.stored(stored).await?,
                Step::Command(Some(command)) => self.command(command).await?,
                Step::Command(None) => return Ok(()),
                Step::List(claim) => self.ask_list(claim).await?,
                Step::Tick => self.give_up_slow_lists().await?,
            }
        }
    }

    async fn next_step(&mut self) -> Step {
        tokio::select! {
            biased;
            Some(stored) = self.storing.next() => Step::Stored(stored),
            command = self.commands.recv() => Step::Command(command),
            answer = self.answers.recv(), if self.storing.len() < STORING_MAX => {
                Step::Answer(answer)
            }
            claim = self.shared.lists.claim(&self.refused_lists), if self.lists < LISTS_MAX => {
                Step::List(claim)
            }
            _ = self.list_watch.tick(), if self.lists > 0 => Step::Tick,
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
        let id = self.next_id;
        self.next_id += 1;
        self.open.insert(id, open);
        self.asks.send(id, ask).await.map_err(|_| End::Gone)?;
        Ok(id)
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

    async fn answered(&mut self, frame: AnswerFrame) -> Result<(), End> {
        let AnswerFrame {
            id,
            answer,
            payload,
        } = frame;
        match self.open.remove(&id) {
            Some(Open::Chunk(chunk)) => {
                self.chunks.remove(&chunk);
                self.chunk_answered(chunk, answer, payload).await
            }
            Some(Open::Availability(availability)) => {
                self.availability_answered(id, availability, answer, &payload)
                    .await
            }
            Some(Open::List(list)) => self.list_answered(id, list, answer, &payload).await,
            Some(Open::Peers) => self.peers_answered(answer).await,
            None => {
                let cancelled = self
                    .cancelled
                    .iter()
                    .find(|(cancelled, _)| *cancelled == id);
                match (cancelled, answer) {
                    (Some((_, chunk)), answer @ Answer::Chunk(_)) => {
                        self.chunk_answered(*chunk, answer, payload).await
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    async fn chunk_answered(
        &mut self,
        chunk: u32,
        answer: Answer,
        payload: Bytes,
    ) -> Result<(), End> {
        let source = self.id;
        let refusal = match answer {
            Answer::Chunk(index) => {
                let place = self
                    .layout
                    .place(chunk)
                    .filter(|(_, asked)| *asked == index);
                let (file, _) = place.ok_or(End::Lied)?;
                self.shared
                    .bytes_fetched
                    .fetch_add(payload.len() as u64, Ordering::Relaxed);
                self.store(chunk, file, payload);
                return Ok(());
            }
            Answer::NotHere => Refusal::NotHere,
            Answer::Busy(wait) => Refusal::Busy(wait),
            _ => return self.tell(Input::Failed { source, chunk }).await,
        };
        self.tell(Input::Refused {
            source,
            chunk,
            refusal,
        })
        .await
    }

    /// Verifies and stores a chunk, beside the reading of the next ones.
    fn store(&mut self, chunk: u32, file: FileNumber, payload: Bytes) {
        let (core, layout) = (self.shared.core.clone(), self.layout.clone());
        self.storing.push(Box::pin(async move {
            let blocking = core.blocking.clone();
            let stored = blocking.run(move || put(&core, &layout, chunk, file, payload));
            stored.await.unwrap_or(Stored::Aborted)
        }));
    }

    async fn stored(&mut self, stored: Stored) -> Result<(), End> {
        let source = self.id;
        match stored {
            Stored::Right { chunk, bytes } => {
                self.tell(Input::Received {
                    source,
                    chunk,
                    bytes,
                })
                .await
            }
            Stored::Wrong { chunk } => {
                self.shared.core.count_rejected();
                self.tell(Input::Wrong { source, chunk }).await?;
                Err(End::Lied)
            }
            Stored::Failed { chunk, error } => {
                self.tell(Input::Failed { source, chunk }).await?;
                self.shared
                    .news
                    .send(News::Store(error))
                    .await
                    .map_err(|_| End::Gone)
            }
            Stored::Aborted => Err(End::Gone),
            Stored::List(file) => self
                .shared
                .news
                .send(News::List(file))
                .await
                .map_err(|_| End::Gone),
            Stored::WrongList => {
                self.shared.core.count_rejected();
                Err(End::Lied)
            }
        }
    }

    async fn availability_answered(
        &mut self,
        id: u64,
        mut availability: Availability,
        answer: Answer,
        payload: &Bytes,
    ) -> Result<(), End> {
        if answer == Answer::NotHere {
            return match availability.scope() {
                Scope::Content(_) => self.ask_for_files().await,
                Scope::File(_) => Ok(()),
            };
        }
        let inputs = availability.take(self.id, &self.layout, answer, payload)?;
        if !inputs.is_empty() {
            // It has more than before, perhaps also lists.
            self.refused_lists.clear();
        }
        for input in inputs {
            self.tell(input).await?;
        }
        self.open.insert(id, Open::Availability(availability));
        Ok(())
    }

    /// The peer does not know the model, but was named for some of its files.
    async fn ask_for_files(&mut self) -> Result<(), End> {
        let files = std::mem::take(&mut self.files);
        if files.is_empty() {
            return Err(End::Nothing);
        }
        for file in files.into_iter().take(FILE_SCOPES_MAX) {
            let scope = Scope::File(file);
            self.ask(
                Ask::Availability(scope),
                Open::Availability(Availability::new(scope)),
            )
            .await?;
        }
        Ok(())
    }

    async fn ask_list(&mut self, claim: Claim) -> Result<(), End> {
        self.lists += 1;
        let entry = self.layout.entry(claim.file());
        let (file, size) = (entry.hash, entry.size);
        let list = ListInProgress::new(claim, chunk_count(size));
        self.ask(
            Ask::ChunkList {
                file,
                size,
                first: 0,
            },
            Open::List(list),
        )
        .await?;
        Ok(())
    }

    async fn list_answered(
        &mut self,
        id: u64,
        mut list: ListInProgress,
        answer: Answer,
        payload: &Bytes,
    ) -> Result<(), End> {
        if answer != Answer::ChunkList {
            self.lists -= 1;
            self.refused_lists.insert(list.file());
            return Ok(()); // dropping the claim gives it to another source
        }
        let entry = self.layout.entry(list.file());
        let (file, size) = (entry.hash, entry.size);
        list.take(payload).ok_or(End::Lied)?;
        if let Some(first) = list.next() {
            self.open.insert(id, Open::List(list));
            // An answer ends its ask, so the id is free again.
            return self
                .asks
                .send(id, Ask::ChunkList { file, size, first })
                .await
                .map_err(|_| End::Gone);
        }
        self.lists -= 1;
        let (core, layout) = (self.shared.core.clone(), self.layout.clone());
        self.storing.push(Box::pin(async move {
            let blocking = core.blocking.clone();
            blocking
                .run(move || put_list(&core, &layout, list))
                .await
                .unwrap_or(Stored::Aborted)
        }));
        Ok(())
    }

    async fn give_up_slow_lists(&mut self) -> Result<(), End> {
        let slow = |open: &Open| matches!(open, Open::List(list) if list.idle() > LIST_TIMEOUT);
        let ids: Vec<u64> = self
            .open
            .iter()
            .filter(|(_, open)| slow(open))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            if let Some(Open::List(list)) = self.open.remove(&id) {
                self.lists -= 1;
                self.refused_lists.insert(list.file());
                self.asks
                    .send(id, Ask::Cancel)
                    .await
                    .map_err(|_| End::Gone)?;
            }
        }
        Ok(())
    }

    async fn peers_answered(&mut self, answer: Answer) -> Result<(), End> {
        if let Answer::Peers(peers) = answer {
            for candidate in peers.iter().filter_map(Candidate::from_exchange) {
                self.shared
                    .news
                    .send(News::Peer(candidate))
                    .await
                    .map_err(|_| End::Gone)?;
            }
        }
        Ok(())
    }
}

/// Proves a chunk and stores it; tells those who wait for it.
fn put(core: &Core, layout: &Layout, chunk: u32, file: FileNumber, payload: Bytes) -> Stored {
    let Some((_, index)) = layout.place(chunk) else {
        return Stored::Wrong { chunk };
    };
    let Some(list) = layout.list(file) else {
        return Stored::Wrong { chunk };
    };
    let bytes = payload.len() as u32;
    let Ok(verified) = list.verify(index, payload) else {
        return Stored::Wrong { chunk };
    };
    match core.store.put(&verified) {
        Ok(put) => {
            if put.new {
                core.gains.tell(crate::serve::Gain {
                    file: verified.file(),
                    index,
                });
            }
            if put.file_complete {
                core.note_change();
            }
            Stored::Right { chunk, bytes }
        }
        Err(error) => Stored::Failed { chunk, error },
    }
}

/// Proves a chunk list and stores it.
fn put_list(core: &Core, layout: &Layout, list: ListInProgress) -> Stored {
    let file = list.file();
    let entry = layout.entry(file);
    let (claim, cvs) = list.finish();
    let Ok(list) = ChunkList::prove(entry.hash, entry.size, cvs) else {
        return Stored::WrongList;
    };
    if let Err(error) = core.store.put_chunk_list(&list) {
        return Stored::Failed {
            chunk: layout.range(file).start,
            error,
        };
    }
    layout.set_list(file, list);
    claim.done();
    Stored::List(file)
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
