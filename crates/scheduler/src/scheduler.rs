//! The state machine: applies inputs, emits outputs. The modules below implement the inputs.

mod endings;
mod fill;
mod holdings;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Range,
    time::Duration,
};

use hubless_content::{ChunkSet, ModelChunk};

use crate::{
    bits::Bits,
    cancelled::CancelledRequests,
    config::SchedulerConfig,
    faults::Faults,
    pool::Pool,
    requests::{Request, Requests},
    rng::Rng,
    source::{Has, Source},
    types::{Input, Output, SourceId, SourceView},
};

/// Ranges that readers wait for. A reader needs one; the oldest gives way.
const URGENT_RANGES_MAX: usize = 16;

/// Decides which chunk is requested from which source and when, for one fetch of one model; see the
/// crate.
///
/// **Drain rule:** after [`Scheduler::new`] and after every [`Scheduler::handle`], call
/// [`Scheduler::poll_output`] until it returns `None`, before the next `handle`.
///
/// **Every request ends once:** for each [`Output::Request`] the caller reports `Received`, `Wrong`,
/// `Refused` or `Failed`, unless a [`Output::Cancel`], [`Output::Ban`] or [`Input::SourceGone`]
/// ended it before. A request without a report is sent to another source too when it is late, and
/// cancelled after a minute.
#[derive(Debug)]
pub struct Scheduler {
    config: SchedulerConfig,
    requests_max: usize,
    now: Duration,
    rng: Rng,
    pool: Pool,
    requests: Requests,
    sources: BTreeMap<SourceId, Source>,
    banned: BTreeSet<SourceId>,
    urgent: Vec<Range<ModelChunk>>,
    /// Sources that get requests at the end of this input.
    to_fill: Vec<SourceId>,
    fill_all: bool,
    /// Chunks that a partial source just gained.
    to_trade: Vec<ModelChunk>,
    /// Sources with less than their share of requests when the limit was reached; they get the next.
    hungry: VecDeque<SourceId>,
    wake_at: Option<Duration>,
    outputs: VecDeque<Output>,
    done: bool,
    starved: bool,
    chunks_wasted: u64,
    cancelled: CancelledRequests,
    faults: Faults,
    bytes_received: u64,
    bytes_wasted: u64,
}

impl Scheduler {
    /// A fetch of the chunks in `wanted`, a set over all chunks of the model: those that are not
    /// held yet.
    pub fn new(config: SchedulerConfig, wanted: &ChunkSet) -> Self {
        let config = config.bounded();
        let mut scheduler = Self {
            config,
            requests_max: config.requests_max(),
            now: Duration::ZERO,
            rng: Rng::new(config.seed),
            pool: Pool::new(Bits::from_set(wanted.len(), wanted)),
            requests: Requests::default(),
            sources: BTreeMap::new(),
            banned: BTreeSet::new(),
            urgent: Vec::new(),
            to_fill: Vec::new(),
            fill_all: false,
            to_trade: Vec::new(),
            hungry: VecDeque::new(),
            wake_at: None,
            outputs: VecDeque::new(),
            done: false,
            starved: false,
            chunks_wasted: 0,
            cancelled: CancelledRequests::default(),
            faults: Faults::default(),
            bytes_received: 0,
            bytes_wasted: 0,
        };
        scheduler.report_done();
        scheduler
    }

    /// Applies an event at `now`, the time since the start of the fetch. A time before that of the
    /// previous event counts as that time.
    pub fn handle(&mut self, now: Duration, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::SourceJoined(id) => self.joined(id),
            Input::SourceSharesPeer(id, of) => self.shares_peer(id, of),
            Input::SourceHas(id, set) => {
                let has = Bits::from_set(self.pool.len(), &set);
                self.replace_has(id, has);
            }
            Input::SourceGained(id, ranges) => self.gained(id, &ranges),
            Input::OnTheWay(ranges) => self.on_the_way(&ranges),
            Input::SourceComplete(id) => self.set_has(id, Has::Complete { lacks: Vec::new() }),
            Input::SourceGone(id) => self.gone(id),
            Input::Started { source, chunk } => self.started(source, chunk),
            Input::Received {
                source,
                chunk,
                bytes,
            } => self.received(source, chunk, bytes),
            Input::Wrong { source, chunk } => self.wrong(source, chunk),
            Input::Refused {
                source,
                chunk,
                refusal,
            } => self.refused(source, chunk, refusal),
            Input::Failed { source, chunk } => self.failed(source, chunk),
            Input::Prioritize(range) => self.prioritize(range),
            Input::Want(range) => self.want(range),
            Input::Unwanted(range) => self.unwanted(range),
            Input::Tick => {}
        }
        self.watch();
        self.pool.end_promises(self.now);
        self.cancelled.end_old(self.now);
        self.fill();
        self.report_done();
        self.report_starved();
    }

    /// The next decision to execute; see the drain rule.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Number of wanted chunks that have not arrived yet.
    pub fn missing(&self) -> u32 {
        self.pool.missing().count()
    }

    /// Open requests, over all sources.
    pub fn in_flight(&self) -> usize {
        self.requests.open()
    }

    /// Number of chunks without an open request that no known source has: while this stays above 0,
    /// the fetch cannot end.
    pub fn unavailable(&self) -> u32 {
        let complete = |source: &Source| matches!(source.has, Has::Complete { .. });
        if self.sources.values().any(complete) {
            return 0;
        }
        let free = self.pool.free().count();
        self.pool
            .rarity()
            .map_or(free, |rarity| rarity.without_holders() as u32)
    }

    /// Bytes of the chunks that arrived and were missing.
    pub fn bytes_received(&self) -> u64 {
        self.bytes_received
    }

    /// Bytes of the chunks that arrived again.
    pub fn bytes_wasted(&self) -> u64 {
        self.bytes_wasted
    }

    /// The known sources, by their number.
    pub fn sources(&self) -> impl Iterator<Item = SourceView> + '_ {
        let len = self.pool.len();
        self.sources
            .iter()
            .map(move |(&id, source)| source.view(id, self.now, len))
    }

    // Wishes of the caller.

    fn prioritize(&mut self, range: Range<ModelChunk>) {
        if !range.is_empty() {
            self.urgent.insert(0, range);
            self.urgent.truncate(URGENT_RANGES_MAX);
            self.fill_all = true;
        }
    }

    fn want(&mut self, range: Range<ModelChunk>) {
        if self.pool.want(range) {
            self.done = false;
            self.fill_all = true;
        }
    }

    fn unwanted(&mut self, range: Range<ModelChunk>) {
        for chunk in self.pool.missing().within(range) {
            if self.pool.drop_wanted(chunk) {
                self.cancel_all(chunk);
            }
        }
    }

    // Open requests.

    fn request(&mut self, id: SourceId, chunk: ModelChunk, duplicate: bool) {
        let now = self.now;
        let Some(source) = self.sources.get_mut(&id) else {
            return;
        };
        let answer_time = source.pace.answer_time(source.open.len());
        let deadline = now.saturating_add(source.pace.patience(answer_time));
        source.open.push(chunk);
        let request = Request {
            source: id,
            sent_at: now,
            expected_at: now.saturating_add(answer_time),
            deadline,
            late: false,
            duplicate,
            started: false,
            mark: source.pace.mark(now),
        };
        self.pool.take(chunk);
        self.requests.add(chunk, request);
        self.outputs.push_back(Output::Request(id, chunk));
        self.wake_by(deadline);
        self.starved = false;
    }

    fn end_request(&mut self, id: SourceId, chunk: ModelChunk) -> Option<Request> {
        let request = self.requests.remove(chunk, id)?;
        if let Some(source) = self.sources.get_mut(&id) {
            source.open.retain(|&open| open != chunk);
            source.late -= usize::from(request.late);
        }
        Some(request)
    }

    fn cancel(&mut self, id: SourceId, chunk: ModelChunk) {
        if self.end_request(id, chunk).is_some() {
            self.outputs.push_back(Output::Cancel(id, chunk));
            self.cancelled.begin(self.now, id);
            self.to_fill.push(id);
        }
    }

    fn cancel_all(&mut self, chunk: ModelChunk) {
        while let Some(request) = self.requests.of(chunk).first() {
            self.cancel(request.source, chunk);
        }
    }

    /// A request for the chunk ended without it: if it was the last, the chunk is free again.
    fn release(&mut self, chunk: ModelChunk) {
        if self.requests.of(chunk).is_empty() {
            self.pool.release(chunk);
        }
        self.fill_all = true;
    }

    // Reports to the caller.

    fn report_done(&mut self) {
        if !self.done && self.pool.missing().count() == 0 {
            self.done = true;
            self.wake_at = None;
            self.outputs.push_back(Output::Done);
        }
    }

    fn report_starved(&mut self) {
        if self.done || self.starved || self.requests.open() > 0 {
            return;
        }
        let is_any_usable = self.sources.values().any(|source| match source.has {
            // It may have the missing chunks.
            Has::Unknown => true,
            // A busy source is soon usable again. One that failed may not be: more sources are needed.
            _ => source.is_busy(self.now) && source.has_any(self.pool.missing()),
        });
        if !is_any_usable {
            self.starved = true;
            self.outputs.push_back(Output::Starved);
        }
    }
}
