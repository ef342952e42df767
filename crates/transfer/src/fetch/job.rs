//! One fetch: keeps sources, feeds the scheduler, does what it says, and knows when to give up.

mod hearing;
mod sources;
mod telling;

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hubless_content::{CHUNK_SIZE, ChunkSet, ContentHash, Manifest, ManifestEntry, chunk_len};
use hubless_network::{Multiaddr, Network, PeerId};
use hubless_scheduler::{Input, Order, Output, Scheduler, SchedulerConfig, SourceId};
use tokio::{
    sync::{Semaphore, broadcast, mpsc, watch},
    task::JoinSet,
    time::Instant,
};

use super::{
    digests::DigestAsks,
    discovery::{Candidate, Candidates, Search, nearby},
    failures,
    feed::Demand,
    layout::{FileNumber, Layout},
    lists::Lists,
    plan::{self, Planned},
    source::{Command, MANIFEST_ASKS_MAX, News, Shared},
    supply::Supply,
    target::Target,
    widen::Widening,
};
use crate::{
    blocking::Blocking, failure::Failure, failure::interrupted, fetches::Fetches,
    progress::ProgressSink, transfers::Live,
};

/// News from all sources that waits for the job: a few for each source.
const NEWS_MAX: usize = 256;

/// Peers found in the DHT that wait for the job.
const FOUND_MAX: usize = 64;

/// Time between two progress events.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// What to fetch.
pub struct Wish {
    /// The model or the file.
    pub target: Target,
    /// Peers that the caller named.
    pub named: Vec<Multiaddr>,
    /// Which files.
    pub wants: Box<dyn Fn(&ManifestEntry) -> bool + Send + Sync>,
    /// Of these files, only the chunks that hold bytes of this range.
    pub range: Option<Range<u64>>,
    /// What else is to be fetched, as it becomes known; the fetch then ends with this.
    pub demands: Option<mpsc::Receiver<Demand>>,
    /// Which chunks come first.
    pub order: Order,
    /// How long to wait without progress.
    pub patience: Duration,
    /// Keep the model from garbage collection from now on.
    pub keep: bool,
    /// Fetch no chunks, and store nothing.
    pub only_plan: bool,
}

/// What a fetch did.
pub struct Fetch {
    /// The files, and which of them were wanted.
    pub layout: Arc<Layout>,
    /// Chunk payload that came over the network.
    pub bytes_fetched: u64,
    /// Bytes that were there before.
    pub bytes_present: u64,
}

/// Whether a fetch may bring something soon, and what was tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Outlook {
    /// Connected peers, if something came in the last seconds.
    pub(super) peers: usize,
    /// Sources that said that they have some of it.
    pub(super) holders: usize,
    /// Peers that were named for it.
    pub(super) named: usize,
    /// Walks through the DHT that have ended.
    pub(super) walks: u32,
}

/// One source as the job sees it.
struct Handle {
    peer: PeerId,
    commands: mpsc::Sender<Command>,
    /// Whether it gave something.
    useful: bool,
    /// Whether it said that it has something of what is wanted.
    has_some: bool,
}

/// A fetch under way.
pub struct Job {
    wish: Wish,
    network: Network,
    sink: ProgressSink,
    shared: Arc<Shared>,
    layout: watch::Sender<Option<Arc<Layout>>>,
    /// Counts stored chunks, for those who stream them.
    stored: watch::Sender<u64>,
    /// For those who wait for the first of them.
    outlook: watch::Sender<Outlook>,
    news: mpsc::Receiver<News>,
    found: mpsc::Receiver<Candidate>,
    /// For those who name peers while it runs.
    introductions: mpsc::Sender<Candidate>,
    /// Peers that ask this node what it has, of any model.
    askers: broadcast::Receiver<(ContentHash, PeerId)>,
    search: Search,
    candidates: Candidates,
    sources: HashMap<SourceId, Handle>,
    tasks: JoinSet<()>,
    next_source: u32,
    /// The first source of each peer, which stands for the peer.
    firsts: HashMap<PeerId, SourceId>,
    start: Instant,
    last_progress: Instant,
    /// Payload that all fetches of this node got, and since when it is so much.
    last_bytes: (u64, Instant),
    /// The peer that gave the last chunk.
    last_giver: Option<PeerId>,
    /// The progress after which others were looked for, because nothing more came.
    hurried_after: Option<Instant>,
    /// The progress after which a stall was counted.
    stalled_after: Option<Instant>,
    widening: Widening,
    scheduler: Option<Scheduler>,
    wake: Option<Instant>,
    /// Wanted chunks that are not held, those without a list among them.
    missing: ChunkSet,
    bytes_missing: u64,
    bytes_present: u64,
    lists_missing: usize,
    /// Files whose lists were asked for.
    lists_asked: HashSet<FileNumber>,
    /// Whether any peer was ever reached.
    reached: bool,
    /// Whether any source ever had something.
    anyone: bool,
    /// Tells those who look how it goes, of a model.
    live: Option<Live>,
}

impl Job {
    /// Prepares a fetch.
    ///
    /// # Errors
    /// If this process has no network.
    pub fn new(fetches: &Arc<Fetches>, sink: &ProgressSink, wish: Wish) -> Result<Self, Failure> {
        let network = fetches.cx.network()?.clone();
        let (news_sender, news) = mpsc::channel(NEWS_MAX);
        let (found_sender, found) = mpsc::channel(FOUND_MAX);
        let (layout, layout_known) = watch::channel(None);
        let shared = Arc::new(Shared {
            fetches: fetches.clone(),
            target: wish.target.clone(),
            layout: layout_known,
            manifest_asks: Semaphore::new(MANIFEST_ASKS_MAX),
            lists: Lists::default(),
            digests: DigestAsks::default(),
            bytes_fetched: AtomicU64::new(0),
            news: news_sender,
        });
        let now = Instant::now();
        let model = wish.target.model();
        let live = model.map(|model| fetches.transfers.begin(model));
        Ok(Self {
            candidates: Candidates::new(network.peer_id()),
            search: Search::new(network.clone(), wish.target.clone(), found_sender.clone()),
            wish,
            network,
            sink: sink.clone(),
            shared,
            layout,
            stored: watch::channel(0).0,
            outlook: watch::channel(Outlook::default()).0,
            news,
            found,
            introductions: found_sender,
            askers: fetches.swarms.askers(),
            sources: HashMap::new(),
            tasks: JoinSet::new(),
            next_source: 0,
            firsts: HashMap::new(),
            start: now,
            last_progress: now,
            last_bytes: (0, now),
            last_giver: None,
            hurried_after: None,
            stalled_after: None,
            widening: Widening::new(now.into_std()),
            scheduler: None,
            wake: None,
            missing: ChunkSet::empty(0),
            bytes_missing: 0,
            bytes_present: 0,
            lists_missing: 0,
            lists_asked: HashSet::new(),
            reached: false,
            anyone: false,
            live,
        })
    }

    /// Has those who look see it.
    pub fn show(&mut self, live: Option<Live>) {
        self.live = live;
    }

    /// The layout, as soon as it is known.
    pub fn layout(&self) -> watch::Receiver<Option<Arc<Layout>>> {
        self.layout.subscribe()
    }

    /// Changes whenever a chunk was stored.
    pub fn stored(&self) -> watch::Receiver<u64> {
        self.stored.subscribe()
    }

    /// Where digests can be asked for while it runs.
    pub(super) fn digests(&self) -> DigestAsks {
        self.shared.digests.clone()
    }

    /// Changes with what may be expected of the fetch.
    pub(super) fn outlook(&self) -> watch::Receiver<Outlook> {
        self.outlook.subscribe()
    }

    /// Where peers can be named while it runs.
    pub(super) fn introductions(&self) -> mpsc::Sender<Candidate> {
        self.introductions.clone()
    }

    /// Where what comes from elsewhere can be given while it runs.
    pub(super) fn supply(&self) -> Supply {
        Supply::new(&self.shared)
    }

    /// Fetches until nothing is missing.
    ///
    /// # Errors
    /// If nobody has it, nothing comes for too long, the store is full, or the caller leaves.
    /// What came stays.
    pub async fn run(self) -> Result<Fetch, Failure> {
        let _busy = self.shared.fetches.cx.busy.begin();
        let under_way = self.shared.fetches.cx.counters.begin_fetch();
        let outcome = self.work().await;
        under_way.end(&outcome);
        outcome
    }

    async fn work(mut self) -> Result<Fetch, Failure> {
        let store = self.shared.fetches.cx.store.clone();
        let _in_use = self.wish.target.model().map(|model| store.protect(model));
        let files_in_use = store.protect_files();
        if let Target::File(file) = &self.wish.target {
            files_in_use.add(file.hash);
        }
        if let Some(manifest) = self.known_manifest().await? {
            self.plan(manifest).await?;
        }
        let mut progress = tokio::time::interval(PROGRESS_EVERY);
        let fetches = self.shared.fetches.clone();
        for candidate in nearby(&fetches, &self.network, &self.wish.named).await {
            self.candidates.add(candidate, self.start);
        }
        while !self.is_done() {
            // While there is none, no peer learns what is wanted.
            if !self.has_all() {
                self.start_sources();
                self.search.step(
                    self.sources.len(),
                    self.layout.borrow().as_deref(),
                    &self.missing,
                );
            }
            self.obey();
            let wake = self.next_wake();
            tokio::select! {
                Some(news) = self.news.recv() => self.hear_all(news).await?,
                Some(candidate) = self.found.recv() => {
                    self.candidates.add(candidate, Instant::now());
                }
                asker = self.askers.recv() => self.hear_asker(asker),
                () = self.search.ended() => {}
                Some(_) = self.tasks.join_next() => {}
                () = tokio::time::sleep_until(wake) => self.tick(),
                _ = progress.tick() => {
                    self.look_for_bytes();
                    self.show_progress();
                    self.widen();
                }
                demand = next_demand(&mut self.wish.demands), if self.scheduler.is_some() => {
                    self.demanded(demand).await?;
                }
                () = self.sink.cancelled() => return Err(interrupted()),
            }
            self.check_patience()?;
        }
        self.finish().await
    }

    /// The list of files, if no peer has to be asked for it.
    async fn known_manifest(&self) -> Result<Option<Arc<Manifest>>, Failure> {
        let fetches = &self.shared.fetches;
        let Some(model) = self.wish.target.model() else {
            let own = self.wish.target.own_manifest();
            return own.map_err(|error| failures::bad_manifest(&self.wish.target, &error));
        };
        let store = fetches.cx.store.clone();
        Ok(fetches
            .cx
            .blocking
            .run(move || store.manifest(model))
            .await??)
    }

    /// As [`Job::run`]; what failed is told before those who wait for chunks hear of the end.
    pub(super) async fn run_telling(self, failure: &OnceLock<Failure>) {
        let (_layout, _stored) = (self.layout.clone(), self.stored.clone());
        if let Err(error) = self.run().await {
            let _ = failure.set(error);
        }
    }

    fn is_done(&self) -> bool {
        self.wish.demands.is_none() && self.has_all()
    }

    /// Whether nothing is missing now.
    fn has_all(&self) -> bool {
        self.scheduler.is_some()
            && (self.wish.only_plan || (self.lists_missing == 0 && self.missing.is_empty()))
    }

    async fn finish(mut self) -> Result<Fetch, Failure> {
        self.show_progress();
        self.sources.clear();
        self.tasks.shutdown().await;
        let store = self.shared.fetches.cx.store.clone();
        if !self.wish.only_plan {
            Blocking::run_long(move || store.flush()).await??;
        }
        self.shared.fetches.cx.note_change();
        let layout = self.layout.borrow().clone().ok_or_else(interrupted)?;
        Ok(Fetch {
            layout,
            bytes_fetched: self.shared.bytes_fetched.load(Ordering::Relaxed),
            bytes_present: self.bytes_present,
        })
    }

    /// The manifest is known: finds out what is missing, and tells the sources.
    async fn plan(&mut self, manifest: Arc<Manifest>) -> Result<(), Failure> {
        if self.scheduler.is_some() {
            return Ok(());
        }
        let target = &self.wish.target;
        let layout = Layout::new(target.clone(), manifest, &self.wish.wants)
            .map_err(|error| failures::bad_manifest(target, &error))?;
        let layout = Arc::new(layout);
        let (fetches, planned, range) = (
            self.shared.fetches.clone(),
            layout.clone(),
            self.wish.range.clone(),
        );
        let pin = target.model().filter(|_| self.wish.keep);
        let planned =
            Blocking::run_long(move || plan::plan(&fetches.cx.store, &planned, range, pin))
                .await??;
        let Planned {
            wanted_now,
            missing,
            lists,
        } = planned;
        let config = SchedulerConfig {
            order: self.wish.order,
            seed: rand::random(),
            ..SchedulerConfig::default()
        };
        self.bytes_missing = bytes_of(&layout, &missing);
        self.bytes_present = layout.bytes_total.saturating_sub(self.bytes_missing);
        self.missing = missing;
        self.lists_missing = lists.len();
        self.lists_asked.extend(&lists);
        self.scheduler = Some(Scheduler::new(config, &wanted_now));
        self.shared.lists.add(lists);
        self.layout.send_replace(Some(layout));
        self.shared.fetches.cx.note_change();
        self.last_progress = Instant::now();
        if let Some(model) = self.wish.target.model() {
            let askers = self.shared.fetches.swarms.known(model);
            askers.into_iter().for_each(|peer| self.add_asker(peer));
        }
        Ok(())
    }

    /// Somebody waits for more, or nobody will any more.
    async fn demanded(&mut self, demand: Option<Demand>) -> Result<(), Failure> {
        let Some(demand) = demand else {
            self.wish.demands = None;
            return Ok(());
        };
        let Some(layout) = self.layout.borrow().clone() else {
            return Ok(());
        };
        let entries = layout.manifest.entries();
        let Some(file) = entries.iter().position(|entry| entry.hash == demand.file) else {
            return Ok(());
        };
        if self.has_all() {
            self.last_progress = Instant::now();
        }
        let (fetches, bytes) = (self.shared.fetches.clone(), demand.bytes);
        let planned = {
            let layout = layout.clone();
            Blocking::run_long(move || plan::plan_one(&fetches.cx.store, &layout, file, bytes))
                .await??
        };
        let mut added = ChunkSet::empty(layout.chunks());
        for chunk in planned.missing.iter() {
            if self.missing.insert(chunk) {
                added.insert(chunk);
            }
        }
        self.bytes_missing += bytes_of(&layout, &added);
        // A list is asked for once, whoever else waits for it.
        if let Some(file) = planned.lists.first()
            && self.lists_asked.insert(*file)
        {
            self.lists_missing += 1;
            self.shared.lists.add([*file]);
        }
        let chunks = layout.range(file);
        for run in runs_in(&planned.wanted_now, chunks.clone()) {
            self.schedule(Input::Want(run));
        }
        self.schedule(Input::Prioritize(chunks_of(&chunks, &demand.next)));
        Ok(())
    }

    /// Does what the scheduler says.
    fn obey(&mut self) {
        let Some(scheduler) = &mut self.scheduler else {
            return;
        };
        let (mut unheard, mut liars) = (Vec::new(), Vec::new());
        loop {
            while let Some(output) = scheduler.poll_output() {
                match output {
                    Output::Request(source, chunk) => {
                        let handle = self.sources.get(&source);
                        let sent = handle.map(|h| h.commands.try_send(Command::Request(chunk)));
                        if !matches!(sent, Some(Ok(()))) {
                            unheard.push(Input::Failed { source, chunk });
                        }
                    }
                    Output::Cancel(source, chunk) => {
                        if let Some(handle) = self.sources.get(&source) {
                            let _ = handle.commands.try_send(Command::Cancel(chunk));
                        }
                    }
                    Output::Ban(source, _) => liars.push(source),
                    Output::WakeAt(at) => self.wake = Some(self.start + at),
                    Output::Starved => self.search.hurry(),
                    Output::Done => {}
                }
            }
            if unheard.is_empty() {
                break;
            }
            let now = self.start.elapsed();
            unheard
                .drain(..)
                .for_each(|input| scheduler.handle(now, input));
        }
        liars.into_iter().for_each(|source| self.break_with(source));
    }

    fn next_wake(&self) -> Instant {
        let far = Instant::now() + Duration::from_secs(1);
        let search = [self.candidates.next_try(), self.search.next_step()];
        let search = search.into_iter().filter(|_| !self.has_all());
        let wakes = search.chain([self.wake]);
        wakes.flatten().fold(far, Instant::min)
    }

    fn tick(&mut self) {
        if self.wake.is_some_and(|wake| wake <= Instant::now()) {
            self.wake = None;
            self.schedule(Input::Tick);
        }
    }

    fn schedule(&mut self, input: Input) {
        let now = self.start.elapsed();
        if let Some(scheduler) = &mut self.scheduler {
            scheduler.handle(now, input);
        }
    }

    /// Gives up when nothing comes for too long, or earlier when it is certain that nobody has it.
    fn check_patience(&mut self) -> Result<(), Failure> {
        if self.has_all() {
            return Ok(());
        }
        self.note_stall();
        // A reader of the file, such as an HTTP client, waits for an answer meanwhile.
        let may_wait = self.wish.demands.is_none();
        let is_fruitless = self.search.is_fruitless(may_wait);
        let hopeless = !self.anyone && self.sources.is_empty() && is_fruitless;
        let nobody_left = hopeless && self.candidates.next_try().is_none();
        if !nobody_left && self.last_progress.elapsed() < self.wish.patience {
            return Ok(());
        }
        if self.scheduler.is_some() && self.anyone {
            let total = self
                .layout
                .borrow()
                .as_ref()
                .map_or(0, |layout| layout.bytes_total);
            return Err(failures::partial(
                &self.wish.target,
                total - self.bytes_missing,
                total,
            ));
        }
        let expected = !self.wish.named.is_empty() || self.shared.fetches.known_peers.any();
        Err(if expected && !self.reached && !self.search.has_joined() {
            failures::no_network(&self.wish.target)
        } else if !self.search.has_joined() && self.candidates.named() == 0 {
            failures::alone(&self.wish.target)
        } else {
            failures::no_provider(&self.wish.target, self.candidates.named())
        })
    }
}

/// The next demand; never ends for a fetch that takes none.
async fn next_demand(demands: &mut Option<mpsc::Receiver<Demand>>) -> Option<Demand> {
    match demands {
        Some(demands) => demands.recv().await,
        None => std::future::pending().await,
    }
}

/// The chunks of a file, given as their numbers in the model, that hold bytes of a range.
fn chunks_of(file: &Range<u32>, bytes: &Range<u64>) -> Range<u32> {
    let chunk = |chunks: u64| {
        let chunks = u32::try_from(chunks).unwrap_or(u32::MAX);
        file.start.saturating_add(chunks).min(file.end)
    };
    chunk(bytes.start / CHUNK_SIZE as u64)..chunk(bytes.end.div_ceil(CHUNK_SIZE as u64))
}

/// The runs of a set inside a range.
fn runs_in(set: &ChunkSet, range: Range<u32>) -> Vec<Range<u32>> {
    let mut runs: Vec<Range<u32>> = Vec::new();
    for chunk in range.filter(|chunk| set.contains(*chunk)) {
        match runs.last_mut() {
            Some(run) if run.end == chunk => run.end += 1,
            _ => runs.push(chunk..chunk + 1),
        }
    }
    runs
}

fn bytes_of(layout: &Layout, chunks: &ChunkSet) -> u64 {
    let bytes = |chunk| {
        let (file, index) = layout.place(chunk)?;
        chunk_len(layout.entry(file).size, index)
    };
    chunks
        .iter()
        .filter_map(bytes)
        .map(|bytes| bytes as u64)
        .sum()
}
