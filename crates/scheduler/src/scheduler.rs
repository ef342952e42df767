//! The state machine: inputs in, outputs out.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Range,
    time::Duration,
};

use hubless_content::ChunkSet;

use crate::{
    bits::Bits,
    choose,
    config::SchedulerConfig,
    pool::Pool,
    rarity::Rarity,
    requests::{Ask, Requests},
    rng::Rng,
    source::{Has, Source},
    types::{BanReason, Input, Output, Refusal, SourceId, SourceView},
};

/// An ask without an answer for this long is given up and its source has failed: one that would
/// still deliver does less than 5 KB/s.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// While the last chunks are open, how often it is looked whether a second source should be asked:
/// a dead source is noticed when it is overdue, which is sooner than late.
const END_GAME_TICK: Duration = Duration::from_millis(100);

/// Chunks that insurance may cost, received twice or asked twice: one in this many wanted, or
/// [`SPARE_ASKS_MIN`] if that is more.
const CHUNKS_PER_SPARE_ASK: u32 = 32;

/// See [`CHUNKS_PER_SPARE_ASK`]: a small model must not wait either.
const SPARE_ASKS_MIN: usize = 4;

/// Ranges that somebody waits for. A reader needs one; older ones give way.
const URGENT_RANGES_MAX: usize = 16;

/// Banned sources remembered; the caller bans peers, this only keeps late inputs from reviving
/// them.
const BANNED_MAX: usize = 4096;

/// Whom to ask for what and when, for one fetch of one model; see the crate.
///
/// **Drain rule:** after [`Scheduler::new`] and after every [`Scheduler::handle`], call
/// [`Scheduler::poll_output`] until it returns `None`, before the next `handle`.
///
/// **Every ask ends once:** for each [`Output::Request`] the caller reports `Received`, `Wrong`,
/// `Refused` or `Failed`, unless a [`Output::Cancel`], [`Output::Ban`] or
/// [`Input::SourceGone`] ended it before. An ask of which nothing is heard is asked elsewhere when
/// it is late, and given up after a minute.
#[derive(Debug)]
pub struct Scheduler {
    config: SchedulerConfig,
    asks_max: usize,
    now: Duration,
    rng: Rng,
    pool: Pool,
    requests: Requests,
    sources: BTreeMap<SourceId, Source>,
    banned: BTreeSet<SourceId>,
    urgent: Vec<Range<u32>>,
    /// Sources to look for something for, when the input is done with.
    to_fill: Vec<SourceId>,
    fill_all: bool,
    /// Chunks that a partial source just gained.
    to_trade: Vec<u32>,
    /// Sources that had too few asks when all asks were given out; they get the next.
    hungry: VecDeque<SourceId>,
    wake_at: Option<Duration>,
    outputs: VecDeque<Output>,
    done: bool,
    starved: bool,
    chunks_wasted: u64,
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
            asks_max: config.asks_max(),
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
            bytes_received: 0,
            bytes_wasted: 0,
        };
        scheduler.report_done();
        scheduler
    }

    /// Takes what happened at `now`, the time since the start of the fetch. Times that go back are
    /// taken as the last one.
    pub fn handle(&mut self, now: Duration, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::SourceJoined(id) => self.joined(id),
            Input::SourceHas(id, set) => {
                let has = Bits::from_set(self.pool.len(), &set);
                self.replace_has(id, has);
            }
            Input::SourceGained(id, ranges) => self.gained(id, &ranges),
            Input::SourceComplete(id) => self.set_has(id, Has::Complete { lacks: Vec::new() }),
            Input::SourceGone(id) => self.gone(id),
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
        self.fill();
        self.report_done();
        self.report_starved();
    }

    /// The next thing to do; see the drain rule.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Wanted chunks that did not arrive yet.
    pub fn missing(&self) -> u32 {
        self.pool.missing().count()
    }

    /// Open asks, over all sources.
    pub fn in_flight(&self) -> usize {
        self.requests.open()
    }

    /// Chunks that are asked of nobody and that no known source has: if this stays above 0, the
    /// fetch cannot end.
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

    /// Bytes of the chunks that arrived a second time.
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

    // What sources have.

    fn joined(&mut self, id: SourceId) {
        let full = self.sources.len() >= self.config.sources_max;
        if !full && !self.banned.contains(&id) {
            let asks_max = self.config.asks_per_source_max;
            self.sources
                .entry(id)
                .or_insert_with(|| Source::new(asks_max));
        }
    }

    fn replace_has(&mut self, id: SourceId, has: Bits) {
        let complete = has.count() == has.len();
        self.set_has(
            id,
            if complete {
                Has::Complete { lacks: Vec::new() }
            } else {
                Has::Partial(has)
            },
        );
    }

    /// Replaces what a source has, and keeps rarity in step.
    fn set_has(&mut self, id: SourceId, has: Has) {
        let Some(source) = self.sources.get_mut(&id) else {
            return;
        };
        source.forget_choices();
        if let Has::Partial(bits) = &has {
            self.pool.partial_joined(bits, &mut self.rng);
        }
        let complete = matches!(has, Has::Complete { .. });
        let old = std::mem::replace(&mut source.has, has);
        if let Has::Partial(bits) = &old {
            self.pool.partial_left(bits, complete);
        }
        self.to_fill.push(id);
    }

    fn gained(&mut self, id: SourceId, ranges: &[Range<u32>]) {
        let Some(source) = self.sources.get_mut(&id) else {
            return;
        };
        match &mut source.has {
            Has::Unknown => {
                self.set_has(id, Has::Partial(Bits::empty(self.pool.len())));
                return self.gained(id, ranges);
            }
            Has::Partial(bits) => {
                for range in ranges {
                    for chunk in range.start..range.end.min(bits.len()) {
                        if bits.insert(chunk) {
                            self.pool.partial_gained(chunk);
                            self.to_trade.push(chunk);
                        }
                    }
                }
                source.dry_at = None;
                if bits.count() == bits.len() {
                    self.set_has(id, Has::Complete { lacks: Vec::new() });
                }
            }
            Has::Complete { lacks } => {
                lacks.retain(|chunk| !ranges.iter().any(|range| range.contains(chunk)));
                source.dry_at = None;
            }
        }
        self.to_fill.push(id);
        self.trade_asks();
    }

    /// Chunks that were rarest when a complete source was asked for them, and that others have by
    /// now: while it has chunks that only complete sources have, it is asked for one of those
    /// instead. What it sends to two peers is time lost for a whole swarm.
    fn trade_asks(&mut self) {
        for chunk in std::mem::take(&mut self.to_trade) {
            let alone = self.pool.rarity().map_or(0, Rarity::without_holders);
            let &[ask] = self.requests.of(chunk) else {
                continue;
            };
            let Some(source) = self.sources.get_mut(&ask.source) else {
                continue;
            };
            let complete = matches!(source.has, Has::Complete { .. });
            if alone == 0 || !complete || self.now < source.rests_until() {
                continue;
            }
            // Asking before cancelling keeps our turn at the source, if there is room for it.
            let room = self.requests.open() < self.asks_max
                && source.open.len() < self.config.asks_per_source_max;
            let (order, rng) = (self.config.order, &mut self.rng);
            let instead = choose::free_chunk(&mut self.pool, source, &self.urgent, order, rng);
            let Some(instead) = instead else { continue };
            if room {
                self.ask(ask.source, instead, false);
            }
            self.cancel(ask.source, chunk);
            self.release(chunk);
        }
    }

    fn lacks(&mut self, id: SourceId, chunk: u32) {
        let Some(source) = self.sources.get_mut(&id) else {
            return;
        };
        match &mut source.has {
            Has::Unknown => {}
            Has::Partial(bits) => {
                if bits.remove(chunk) {
                    self.pool.partial_lost(chunk);
                }
            }
            Has::Complete { lacks } => {
                if !Source::complete_lacks(lacks, chunk) {
                    self.set_has(id, Has::Partial(Bits::empty(self.pool.len())));
                }
            }
        }
    }

    fn gone(&mut self, id: SourceId) {
        let Some(source) = self.sources.remove(&id) else {
            return;
        };
        self.hungry.retain(|&hungry| hungry != id);
        if let Has::Partial(bits) = &source.has {
            self.pool.partial_left(bits, false);
        }
        for chunk in source.open {
            self.requests.remove(chunk, id);
            self.release(chunk);
        }
    }

    // How asks end.

    fn received(&mut self, id: SourceId, chunk: u32, bytes: u32) {
        if chunk >= self.pool.len() {
            return;
        }
        let ask = self.end_ask(id, chunk);
        let now = self.now;
        if let Some(source) = self.sources.get_mut(&id) {
            source.worked();
            match ask {
                Some(ask) => source.pace.answered(now, ask.mark, bytes),
                None => source.pace.add_unmeasured(bytes),
            }
            self.to_fill.push(id);
        }
        if self.pool.receive(chunk) {
            self.bytes_received += u64::from(bytes);
            self.cancel_all(chunk);
        } else {
            self.bytes_wasted += u64::from(bytes);
            self.chunks_wasted += 1;
        }
    }

    fn wrong(&mut self, id: SourceId, chunk: u32) {
        if self.sources.contains_key(&id) {
            self.gone(id);
            self.outputs
                .push_back(Output::Ban(id, BanReason::WrongBytes(chunk)));
            self.banned.insert(id);
            if self.banned.len() > BANNED_MAX {
                self.banned.pop_first();
            }
        }
    }

    fn refused(&mut self, id: SourceId, chunk: u32, refusal: Refusal) {
        let ended = self.end_ask(id, chunk).is_some();
        let now = self.now;
        let Some(source) = self.sources.get_mut(&id) else {
            return;
        };
        match refusal {
            Refusal::Busy(wait) => source.refused_busy(now, wait),
            Refusal::NotHere => {
                if source.refused_not_here() {
                    source.failed(now, &mut self.rng);
                }
            }
        }
        self.wake_after_rest(id);
        if refusal == Refusal::NotHere && chunk < self.pool.len() {
            self.lacks(id, chunk);
        }
        if ended {
            self.to_fill.push(id);
            self.release(chunk);
        }
    }

    fn failed(&mut self, id: SourceId, chunk: u32) {
        if self.end_ask(id, chunk).is_none() {
            return;
        }
        if let Some(source) = self.sources.get_mut(&id) {
            source.failed(self.now, &mut self.rng);
        }
        self.wake_after_rest(id);
        self.release(chunk);
    }

    // What the caller wants.

    fn prioritize(&mut self, range: Range<u32>) {
        if !range.is_empty() {
            self.urgent.insert(0, range);
            self.urgent.truncate(URGENT_RANGES_MAX);
            self.fill_all = true;
        }
    }

    fn want(&mut self, range: Range<u32>) {
        if self.pool.want(range) {
            self.done = false;
            self.fill_all = true;
        }
    }

    fn unwanted(&mut self, range: Range<u32>) {
        for chunk in range.start..range.end.min(self.pool.len()) {
            if self.pool.drop_wanted(chunk) {
                self.cancel_all(chunk);
            }
        }
    }

    // Open asks.

    fn ask(&mut self, id: SourceId, chunk: u32, spare: bool) {
        let now = self.now;
        let Some(source) = self.sources.get_mut(&id) else {
            return;
        };
        let answer_time = source.pace.answer_time(source.open.len());
        let deadline = now.saturating_add(source.pace.patience(answer_time));
        source.open.push(chunk);
        let ask = Ask {
            source: id,
            sent_at: now,
            expected_at: now.saturating_add(answer_time),
            deadline,
            late: false,
            spare,
            mark: source.pace.mark(now),
        };
        self.pool.take(chunk);
        self.requests.add(chunk, ask);
        self.outputs.push_back(Output::Request(id, chunk));
        self.wake_by(deadline);
        self.starved = false;
    }

    fn end_ask(&mut self, id: SourceId, chunk: u32) -> Option<Ask> {
        let ask = self.requests.remove(chunk, id)?;
        if let Some(source) = self.sources.get_mut(&id) {
            source.open.retain(|&open| open != chunk);
            source.late -= usize::from(ask.late);
        }
        Some(ask)
    }

    fn cancel(&mut self, id: SourceId, chunk: u32) {
        if self.end_ask(id, chunk).is_some() {
            self.outputs.push_back(Output::Cancel(id, chunk));
            self.to_fill.push(id);
        }
    }

    fn cancel_all(&mut self, chunk: u32) {
        while let Some(ask) = self.requests.of(chunk).first() {
            self.cancel(ask.source, chunk);
        }
    }

    /// An ask for the chunk ended without it: if it was the last, anybody may be asked.
    fn release(&mut self, chunk: u32) {
        if self.requests.of(chunk).is_empty() {
            self.pool.release(chunk);
        }
        self.fill_all = true;
    }

    // Time.

    fn wake_by(&mut self, at: Duration) {
        if self.wake_at.is_none_or(|wake_at| at < wake_at) {
            self.wake_at = Some(at);
            self.outputs.push_back(Output::WakeAt(at));
        }
    }

    fn wake_after_rest(&mut self, id: SourceId) {
        let end = self
            .sources
            .get(&id)
            .map(Source::rests_until)
            .filter(|&end| end > self.now);
        if let Some(end) = end {
            self.wake_by(end);
        }
    }

    /// Does what is due: late asks, asks to give up, ends of rests.
    fn watch(&mut self) {
        if self.wake_at.is_none_or(|wake_at| self.now < wake_at) {
            return;
        }
        self.wake_at = None;
        self.fill_all = true;
        for (chunk, source) in self.due_asks() {
            self.late_ask(chunk, source);
        }
        if let Some(next) = self.next_due() {
            self.wake_by(next);
        }
    }

    fn due_asks(&self) -> Vec<(u32, SourceId)> {
        let due = |ask: &&Ask| self.now >= next_step(ask);
        self.requests
            .iter()
            .flat_map(|(chunk, asks)| asks.iter().filter(due).map(move |ask| (chunk, ask.source)))
            .collect()
    }

    fn late_ask(&mut self, chunk: u32, id: SourceId) {
        let now = self.now;
        let Some(ask) = self.requests.of(chunk).iter().find(|ask| ask.source == id) else {
            return;
        };
        if ask.late {
            self.cancel(id, chunk);
            if let Some(source) = self.sources.get_mut(&id) {
                source.failed(now, &mut self.rng);
            }
            return self.release(chunk);
        }
        self.requests.mark_late(chunk, id);
        if let Some(source) = self.sources.get_mut(&id) {
            source.late += 1;
            source.pace.shrink();
        }
    }

    fn next_due(&self) -> Option<Duration> {
        let asks = self
            .requests
            .iter()
            .flat_map(|(_, asks)| asks.iter().map(next_step));
        let rests = self
            .sources
            .values()
            .map(Source::rests_until)
            .filter(|&end| end > self.now);
        asks.chain(rests).min()
    }

    // Who is asked for what.

    /// Gives asks to all sources for which something changed.
    fn fill(&mut self) {
        if self.pool.missing().count() == 0 {
            self.to_fill.clear();
            self.fill_all = false;
            return;
        }
        self.feed_hungry();
        let end_game = self.pool.free().count() == 0;
        if std::mem::take(&mut self.fill_all) || end_game {
            self.to_fill.clear();
            let mut ids: Vec<SourceId> = self.with_room().collect();
            let start = self.rng.below(ids.len());
            ids.rotate_left(start);
            ids.into_iter()
                .for_each(|id| self.fill_source(id, usize::MAX));
        }
        // An ask that moves from one source to another gives the first one room again. This ends:
        // each step gives out a free chunk, takes one from those that are late, or moves one to a
        // source that had none.
        while let Some(id) = self.to_fill.pop() {
            self.fill_source(id, usize::MAX);
        }
        if self.pool.free().count() == 0 && self.requests.open() > 0 {
            self.wake_by(self.now.saturating_add(END_GAME_TICK));
        }
    }

    fn with_room(&self) -> impl Iterator<Item = SourceId> + '_ {
        self.sources
            .iter()
            .filter(|(_, source)| source.has_room(self.now))
            .map(|(&id, _)| id)
    }

    /// Asks of one source if all had the same number.
    fn fair_share(&self) -> usize {
        (self.asks_max / self.sources.len().max(1)).max(1)
    }

    /// Room under the limit of all asks goes first to those that got none when there was none.
    fn feed_hungry(&mut self) {
        let share = self.fair_share();
        while self.requests.open() < self.asks_max {
            let Some(id) = self.hungry.pop_front() else {
                break;
            };
            if let Some(source) = self.sources.get_mut(&id) {
                source.hungry = false;
                self.fill_source(id, share);
            }
        }
    }

    fn fill_source(&mut self, id: SourceId, open_max: usize) {
        while self
            .sources
            .get(&id)
            .is_some_and(|source| source.open.len() < open_max)
            && self.ask_for_one_more(id)
        {}
    }

    /// Finds one more chunk to ask this source for; false if there is none.
    fn ask_for_one_more(&mut self, id: SourceId) -> bool {
        let share = self.fair_share();
        let Some(source) = self.sources.get_mut(&id) else {
            return false;
        };
        if !source.has_room(self.now) {
            return false;
        }
        let room = self.requests.open() < self.asks_max;
        if let Some((chunk, instead_of)) = choose::late_chunk(&self.requests, id, source) {
            let instead_of = instead_of.or_else(|| {
                self.requests
                    .of(chunk)
                    .first()
                    .filter(|_| !room)
                    .map(|ask| ask.source)
            });
            if let Some(other) = instead_of {
                self.cancel(other, chunk);
            }
            self.ask(id, chunk, false);
            return true;
        }
        if !room {
            if !source.hungry && source.open.len() < share {
                source.hungry = true;
                self.hungry.push_back(id);
            }
            return false;
        }
        let order = self.config.order;
        let free = choose::free_chunk(&mut self.pool, source, &self.urgent, order, &mut self.rng);
        if let Some(chunk) = free {
            self.ask(id, chunk, false);
            return true;
        }
        self.ask_instead(id)
    }

    /// Nothing that this source has is free: takes an ask over from another source, or insures
    /// one at the end.
    fn ask_instead(&mut self, id: SourceId) -> bool {
        let spent = self.requests.spare() as u64 + self.chunks_wasted;
        let Some(source) = self.sources.get(&id) else {
            return false;
        };
        if source.late > 0 || spent >= self.spare_asks_max() {
            return false;
        }
        if self.pool.free().count() == 0 {
            let spare = choose::spare_chunk(&self.requests, id, source, self.now);
            spare.inspect(|&chunk| self.ask(id, chunk, true)).is_some()
        } else if source.open.is_empty() {
            let (requests, sources) = (&self.requests, &self.sources);
            let moved = choose::movable_chunk(requests, sources, id, source, self.now);
            moved
                .inspect(|&(chunk, other)| {
                    self.cancel(other, chunk);
                    self.ask(id, chunk, false);
                })
                .is_some()
        } else {
            false
        }
    }

    fn spare_asks_max(&self) -> u64 {
        let share = (self.pool.wanted() / CHUNKS_PER_SPARE_ASK) as usize;
        share.max(SPARE_ASKS_MIN) as u64
    }

    // What the caller must know.

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
        let hope = self.sources.values().any(|source| match source.has {
            Has::Unknown => true,
            _ => source.is_busy(self.now) && source.has_any(self.pool.missing()),
        });
        if !hope {
            self.starved = true;
            self.outputs.push_back(Output::Starved);
        }
    }
}

/// When something is to be done about an ask: it becomes late, or is given up.
fn next_step(ask: &Ask) -> Duration {
    if ask.late {
        ask.sent_at.saturating_add(GIVE_UP_AFTER).max(ask.deadline)
    } else {
        ask.deadline
    }
}
