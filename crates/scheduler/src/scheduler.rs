//! The state machine: applies inputs, emits outputs. The modules below implement the inputs.

mod endings;
mod fill;
mod holdings;
mod outbox;
mod turns;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    time::Duration,
};

use hubless_content::{ChunkSet, ModelChunk};

use self::{outbox::Outbox, turns::Turns};
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
    now: Duration,
    rng: Rng,
    pool: Pool,
    requests: Requests,
    sources: BTreeMap<SourceId, Source>,
    banned: BTreeSet<SourceId>,
    urgent: Vec<Range<ModelChunk>>,
    turns: Turns,
    outbox: Outbox,
    received: ReceivedCount,
    cancelled: CancelledRequests,
    faults: Faults,
}

/// What arrived so far.
#[derive(Debug, Default)]
struct ReceivedCount {
    /// Bytes of chunks that were missing.
    bytes: u64,
    /// Bytes of chunks that arrived again.
    bytes_wasted: u64,
    /// Chunks that arrived again.
    chunks_wasted: u64,
}

impl Scheduler {
    /// A fetch of the chunks in `wanted`, a set over all chunks of the model: those that are not
    /// held yet.
    pub fn new(config: SchedulerConfig, wanted: &ChunkSet) -> Self {
        let config = config.bounded();
        let mut scheduler = Self {
            config,
            now: Duration::ZERO,
            rng: Rng::new(config.seed),
            pool: Pool::new(Bits::from_set(wanted.len(), wanted)),
            requests: Requests::default(),
            sources: BTreeMap::new(),
            banned: BTreeSet::new(),
            urgent: Vec::new(),
            turns: Turns::default(),
            outbox: Outbox::default(),
            received: ReceivedCount::default(),
            cancelled: CancelledRequests::default(),
            faults: Faults::default(),
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
        self.outbox.pop()
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
        self.received.bytes
    }

    /// Bytes of the chunks that arrived again.
    pub fn bytes_wasted(&self) -> u64 {
        self.received.bytes_wasted
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
            self.turns.add_all();
        }
    }

    fn want(&mut self, range: Range<ModelChunk>) {
        if self.pool.want(range) {
            self.outbox.reopen();
            self.turns.add_all();
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
        self.outbox.request(id, chunk);
        self.outbox.wake_by(deadline);
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
            self.outbox.push(Output::Cancel(id, chunk));
            self.cancelled.begin(self.now, id);
            self.turns.add(id);
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
        self.turns.add_all();
    }

    // Reports to the caller.

    fn report_done(&mut self) {
        if self.pool.missing().count() == 0 {
            self.outbox.report_done();
        }
    }

    fn report_starved(&mut self) {
        if !self.outbox.may_starve() || self.requests.open() > 0 {
            return;
        }
        let is_any_usable = self.sources.values().any(|source| match source.has {
            // It may have the missing chunks.
            Has::Unknown => true,
            // A busy source is soon usable again. One that failed may not be: more sources are needed.
            _ => source.is_busy(self.now) && source.has_any(self.pool.missing()),
        });
        if !is_any_usable {
            self.outbox.report_starved();
        }
    }
}
