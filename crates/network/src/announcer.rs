//! When which of our keys is announced: a pure state machine that paces walks through the DHT.
//!
//! A provider record lives 48 hours, so each key must be announced again and again, and one walk
//! asks some thirty nodes. kad's own job takes a copy of all keys twice a day and walks as fast as
//! it can, also right after a restart. The [`Announcer`] does this instead:
//!
//! - **New keys at once**, in the order in which they were added, models before files before
//!   chunks, as many as the driver makes walks for.
//! - **Each key has its moment**, the same in every interval: a key's position on the ring of all
//!   keys is its position in the interval. Hashes are spread evenly, so the walks are too, whatever
//!   burst they were added in, with no queue and no timer for each key: a cursor sweeps over the
//!   sorted keys. (And neighbours on the ring come one after the other.) The moments of another
//!   node are shifted, so that the providers of a popular key do not all come at the same second.
//! - **A restart announces nothing twice**: the last success of each key is persistent, and the
//!   cursor starts one interval back to find what was missed.
//! - **Failures** wait longer each time, without chance. When nothing but failures comes, the whole
//!   announcer pauses; the driver calls [`suspend`](Announcer::suspend) while it knows no DHT peer.
//!
//! A key announced within the last quarter of an interval is passed over by the cursor, so walks of
//! one key are at most 1.25 intervals apart: 27.5 of the 48 hours. The rest is for being late;
//! [`behind`](Announcer::behind) tells how late.
//!
//! # Who calls whom
//! The driver owns time, sockets and the disk. After each call it drains [`poll`](Announcer::poll),
//! starts a walk for each key, reports its end to [`finished`](Announcer::finished), sleeps for at
//! most [`next_wake`](Announcer::next_wake), and now and then writes
//! [`take_dirty`](Announcer::take_dirty) to the database.
//!
//! **Start rule:** call [`set`](Announcer::set) once with all that is to be announced. Until then
//! the persisted times are only a memory: a key that is no longer wanted is never announced.
//!
//! # Memory
//! A sorted map with 40 bytes for each key: 60 with what the tree leaves empty, 240 MB for the
//! 4 million chunks of 1 TB. Queues hold only keys that are new or have failed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    ops::Bound,
    time::{Duration, SystemTime},
};

use libp2p::PeerId;

use crate::records::{AnnounceKey, EntryKey, RecordBatch, Stamp, announced_value};

/// Time between two announcements of one key: what libp2p's specification and Kubo use.
const INTERVAL: Duration = Duration::from_secs(22 * 3600);

/// How long the nodes of the DHT keep a provider record.
const PROVIDER_TTL: Duration = Duration::from_secs(48 * 3600);

/// Walks at a time. A walk keeps about ten requests open, so this is 160 in flight, which a home
/// router's table of connections still bears.
const IN_FLIGHT_MAX: usize = 16;

/// Wait after the first failure of a key; doubled with each more, up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(60);

/// The longest wait after failures of one key: some twenty tries before the record is gone.
const RETRY_MAX: Duration = Duration::from_secs(3600);

/// Failures in a row, as a multiple of the walks in flight, that mean that the network is at fault
/// and not the keys.
const FAILURE_ROUNDS: usize = 2;

/// Pause of the whole announcer after such a row; doubled with each more failure.
const PAUSE_MIN: Duration = Duration::from_secs(30);

/// The longest pause: nobody wants to wait longer once the network is back.
const PAUSE_MAX: Duration = Duration::from_secs(600);

/// Lateness below this is not reported: a burst of new keys, a few retries.
const BEHIND_MIN: Duration = Duration::from_secs(600);

/// The cursor passes over keys announced within this part of an interval.
const RECENT_PART: u32 = 4;

/// How a node announces.
#[derive(Debug, Clone)]
pub struct AnnouncerConfig {
    /// Time between two announcements of one key.
    pub interval: Duration,
    /// How long the network keeps a record: a key announced longer ago counts as new.
    pub ttl: Duration,
    /// Walks at a time.
    pub max_in_flight: usize,
    /// Shift of this node's moments against those of others.
    pub offset: Duration,
}

impl AnnouncerConfig {
    /// The defaults for a node; its peer id gives the shift.
    pub fn new(local: &PeerId) -> Self {
        let shift = local
            .to_bytes()
            .iter()
            .rev()
            .take(4)
            .fold(0, |n, b| n << 8 | u64::from(*b));
        let offset = Duration::from_secs(shift % INTERVAL.as_secs());
        Self {
            interval: INTERVAL,
            ttl: PROVIDER_TTL,
            max_in_flight: IN_FLIGHT_MAX,
            offset,
        }
    }
}

/// What a key stands for: models come before their files, since a model can be fetched from a
/// provider found by its content hash alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// A content hash.
    Root,
    /// A file hash.
    File,
    /// A chunk.
    Chunk,
}

impl Priority {
    const ALL: [Self; 3] = [Self::Root, Self::File, Self::Chunk];
}

/// Where a key is. Only the last two are elsewhere than in the sorted map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Announced; the cursor will come by.
    Resting,
    /// In flight.
    Walking,
    /// In the queue of new keys.
    Fresh,
    /// In the queue of failed keys.
    Retry,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// [`NEVER`], or the last success.
    announced: Stamp,
    /// Failures since then.
    failures: u8,
    place: Place,
    /// Whether the last `set` named the key; alternates between calls.
    mark: bool,
}

/// The time of the last success of a key that had none.
const NEVER: Stamp = Stamp(0);

/// Where a sweep stands: all keys of cycle `cycle` up to `passed` have been looked at.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    cycle: u64,
    passed: Option<AnnounceKey>,
}

/// The division of time into cycles, and of a cycle among keys. All times in seconds.
#[derive(Debug, Clone, Copy)]
struct Calendar {
    interval: u64,
    offset: u64,
    recent: Duration,
}

impl Calendar {
    fn new(config: &AnnouncerConfig) -> Self {
        let interval = config.interval.as_secs().max(1);
        let offset = config.offset.as_secs() % interval;
        Self {
            interval,
            offset,
            recent: Duration::from_secs(interval) / RECENT_PART,
        }
    }

    fn cycle(&self, now: Stamp) -> u64 {
        u64::from(now.0).saturating_sub(self.offset) / self.interval
    }

    fn start(&self, cycle: u64) -> u64 {
        cycle
            .saturating_mul(self.interval)
            .saturating_add(self.offset)
    }

    /// The key's moment in a cycle.
    fn moment(&self, cycle: u64, key: &AnnounceKey) -> u64 {
        let part = u128::from(key.position()) * u128::from(self.interval);
        self.start(cycle).saturating_add((part >> 64) as u64)
    }

    /// The key's last moment up to `now`.
    fn last_moment(&self, key: &AnnounceKey, now: Stamp) -> Option<u64> {
        let cycle = self.cycle(now);
        let moments = [Some(cycle), cycle.checked_sub(1)].into_iter().flatten();
        moments
            .map(|cycle| self.moment(cycle, key))
            .find(|moment| *moment <= now.0.into())
    }

    /// Whether the cursor that comes to a key at its moment must have it announced. What is due at
    /// one moment and not announced is due at the next.
    fn is_due(&self, state: &State, moment: u64) -> bool {
        let announced = u64::from(state.announced.0);
        let is_recent = announced + self.recent.as_secs() > moment;
        // The cursor is never two intervals late: such a time comes from a clock that was wrong.
        let is_future = announced > moment.saturating_add(2 * self.interval);
        state.place == Place::Resting && (!is_recent || is_future)
    }
}

/// The keys of one priority.
#[derive(Default)]
struct Lane {
    keys: BTreeMap<AnnounceKey, State>,
    /// New keys and since when they wait.
    fresh: VecDeque<(AnnounceKey, Stamp)>,
    /// Failed keys by the time of the next try.
    retry: BTreeSet<(Stamp, AnnounceKey)>,
    cursor: Cursor,
}

impl Lane {
    /// The keys the cursor has before it, with their moments, to the end of the current cycle.
    fn ahead(&self, calendar: Calendar) -> impl Iterator<Item = (&AnnounceKey, &State, u64)> {
        let from = self.cursor.passed.map_or(Bound::Unbounded, Bound::Excluded);
        let cycle = self.cursor.cycle;
        self.keys
            .range((from, Bound::Unbounded))
            .map(move |(key, state)| (key, state, calendar.moment(cycle, key)))
    }

    /// Moves the cursor up to the first key that is due, at most to `now`.
    fn advance(&mut self, calendar: Calendar, now: Stamp) {
        let cycle = calendar.cycle(now);
        if self.cursor.cycle.saturating_add(1) < cycle || self.cursor.cycle > cycle {
            // Whatever was missed in the intervals before comes up again in the last one.
            self.cursor = Cursor {
                cycle: cycle.saturating_sub(1),
                passed: None,
            };
        }
        loop {
            let mut passed = self.cursor.passed;
            let mut stopped = false;
            for (key, state, moment) in self.ahead(calendar) {
                stopped = moment > u64::from(now.0) || calendar.is_due(state, moment);
                if stopped {
                    break;
                }
                passed = Some(*key);
            }
            self.cursor.passed = passed;
            if stopped || self.cursor.cycle == cycle {
                return;
            }
            self.cursor = Cursor {
                cycle,
                passed: None,
            };
        }
    }

    /// The key at an advanced cursor, if its moment has come, and the moment.
    fn swept(&self, calendar: Calendar, now: Stamp) -> Option<(AnnounceKey, Stamp)> {
        let (key, state, moment) = self.ahead(calendar).next()?;
        let due = moment <= u64::from(now.0) && calendar.is_due(state, moment);
        due.then_some((*key, Stamp(u32::try_from(moment).unwrap_or(u32::MAX))))
    }

    /// The first failed key whose wait is over.
    fn retried(&self, now: Stamp) -> Option<(AnnounceKey, Stamp)> {
        let (at, key) = self.retry.first().copied()?;
        (at <= now).then_some((key, at))
    }

    /// The moment at which the cursor moves next.
    fn next_moment(&self, calendar: Calendar) -> Option<u64> {
        let rest = self.ahead(calendar).next().map(|(.., moment)| moment);
        rest.or_else(|| {
            let first = self.keys.keys().next()?;
            Some(calendar.moment(self.cursor.cycle.saturating_add(1), first))
        })
    }

    /// How many keys wait for a walk.
    fn backlog(&self, calendar: Calendar, now: Stamp) -> usize {
        let is_due = |key: &AnnounceKey, state: &State| {
            calendar
                .last_moment(key, now)
                .is_some_and(|moment| calendar.is_due(state, moment))
        };
        let swept = if self.cursor.cycle == calendar.cycle(now) {
            let until_now = |&(.., moment): &(_, _, u64)| moment <= u64::from(now.0);
            let ahead = self.ahead(calendar).take_while(until_now);
            ahead.filter(|(key, state, _)| is_due(key, state)).count()
        } else {
            self.keys
                .iter()
                .filter(|(key, state)| is_due(key, state))
                .count()
        };
        let retry = self.retry.iter().take_while(|(at, _)| *at <= now).count();
        self.fresh.len() + retry + swept
    }

    /// Since when the longest waiting key waits.
    fn waiting_since(&self, calendar: Calendar, now: Stamp) -> Option<Stamp> {
        let fresh = self.fresh.front().map(|(_, since)| *since);
        let retry = self.retried(now).map(|(_, at)| at);
        let swept = self.swept(calendar, now).map(|(_, moment)| moment);
        [fresh, retry, swept].into_iter().flatten().min()
    }

    /// Takes keys out of the queues that are no longer in the map.
    fn forget_removed(&mut self) {
        let keys = &self.keys;
        self.fresh.retain(|(key, _)| keys.contains_key(key));
        self.retry.retain(|(_, key)| keys.contains_key(key));
    }
}

/// Paces the announcement of own keys: new ones at once, then each at its own moment of every
/// interval. The head of this module tells how.
pub struct Announcer {
    max_in_flight: usize,
    ttl: Duration,
    calendar: Calendar,
    lanes: [Lane; 3],
    in_flight: HashSet<AnnounceKey>,
    /// Persisted times of keys that nobody has asked for yet.
    remembered: HashMap<AnnounceKey, Stamp>,
    dirty: BTreeSet<AnnounceKey>,
    announced: u64,
    mark: bool,
    suspended: bool,
    failures_in_row: usize,
    paused_until: Stamp,
    /// Whether the last walk was a new key's, while the sweep is late.
    turn_of_sweep: bool,
}

impl Announcer {
    /// `persisted` are the last successes, from
    /// [`Records::take_announced`](crate::records::Records::take_announced).
    pub fn new(
        config: AnnouncerConfig,
        persisted: impl IntoIterator<Item = (AnnounceKey, SystemTime)>,
    ) -> Self {
        Self {
            max_in_flight: config.max_in_flight.max(1),
            ttl: config.ttl,
            calendar: Calendar::new(&config),
            lanes: Default::default(),
            in_flight: HashSet::new(),
            remembered: persisted
                .into_iter()
                .map(|(key, at)| (key, at.into()))
                .collect(),
            dirty: BTreeSet::new(),
            announced: 0,
            mark: false,
            suspended: false,
            failures_in_row: 0,
            paused_until: NEVER,
            turn_of_sweep: false,
        }
    }

    /// Announces these keys and no others from now on. A key named twice has the higher priority.
    pub fn set(
        &mut self,
        keys: impl IntoIterator<Item = (AnnounceKey, Priority)>,
        now: SystemTime,
    ) {
        self.mark = !self.mark;
        self.add(keys, now);
        for lane in &mut self.lanes {
            lane.keys.retain(|key, state| {
                let stays = state.mark == self.mark;
                if !stays {
                    self.announced -= u64::from(state.announced != NEVER);
                    self.dirty.insert(*key);
                }
                stays
            });
            lane.forget_removed();
        }
        self.dirty
            .extend(std::mem::take(&mut self.remembered).into_keys());
    }

    /// Announces these keys too. Keys that are already there keep their place, unless they were
    /// there with a lower priority.
    pub fn add(
        &mut self,
        keys: impl IntoIterator<Item = (AnnounceKey, Priority)>,
        now: SystemTime,
    ) {
        let now = Stamp::from(now);
        let mut raised = false;
        for (key, priority) in keys {
            let old = self.lane_of(&key);
            if let Some(lane) = old.filter(|lane| *lane <= priority) {
                if let Some(state) = self.lanes[lane as usize].keys.get_mut(&key) {
                    state.mark = self.mark;
                }
                continue;
            }
            let last = match old {
                Some(lower) => {
                    raised = true;
                    let state = self.lanes[lower as usize].keys.remove(&key);
                    self.announced -= u64::from(state.is_some_and(|s| s.announced != NEVER));
                    state.map(|state| state.announced)
                }
                None => self.remembered.remove(&key),
            };
            self.insert(key, priority, last.unwrap_or(NEVER), now);
        }
        if raised {
            self.lanes.iter_mut().for_each(Lane::forget_removed);
        }
    }

    /// Announces these keys no longer; returns how many there were. Records in the DHT run out by
    /// themselves.
    pub fn remove(&mut self, keys: impl IntoIterator<Item = AnnounceKey>) -> usize {
        let mut removed = 0;
        for key in keys {
            let persisted = self.remembered.remove(&key).is_some();
            let state = self
                .lane_of(&key)
                .and_then(|p| self.lanes[p as usize].keys.remove(&key));
            if let Some(state) = state {
                removed += 1;
                self.announced -= u64::from(state.announced != NEVER);
            }
            if persisted || state.is_some() {
                self.dirty.insert(key);
            }
        }
        if removed > 0 {
            self.lanes.iter_mut().for_each(Lane::forget_removed);
        }
        removed
    }

    /// The next key to walk for, now; `None` if nothing is due or enough is in flight. Each key
    /// given out must come back by [`finished`](Self::finished).
    pub fn poll(&mut self, now: SystemTime) -> Option<AnnounceKey> {
        let now = Stamp::from(now);
        for lane in &mut self.lanes {
            lane.advance(self.calendar, now);
        }
        if self.suspended || now < self.paused_until || self.in_flight.len() >= self.max_in_flight {
            return None;
        }
        let key = self.next(now)?;
        self.in_flight.insert(key);
        Some(key)
    }

    /// The walk for `key` is over; `ok` if at least one node took the record.
    pub fn finished(&mut self, key: AnnounceKey, ok: bool, now: SystemTime) {
        let now = Stamp::from(now);
        if !self.in_flight.remove(&key) {
            return;
        }
        if ok {
            self.failures_in_row = 0;
        } else if !self.suspended {
            self.failed_in_row(now);
        }
        let Some(priority) = self.lane_of(&key) else {
            return;
        };
        let lane = &mut self.lanes[priority as usize];
        let Some(state) = lane
            .keys
            .get_mut(&key)
            .filter(|s| s.place == Place::Walking)
        else {
            return;
        };
        if ok {
            self.announced += u64::from(state.announced == NEVER);
            let announced = now.max(Stamp(NEVER.0 + 1));
            *state = State {
                announced,
                failures: 0,
                place: Place::Resting,
                ..*state
            };
            self.dirty.insert(key);
            return;
        }
        let wait = backoff(RETRY_MIN, RETRY_MAX, state.failures.into());
        if !self.suspended {
            state.failures = state.failures.saturating_add(1);
        }
        state.place = Place::Retry;
        lane.retry
            .insert((if self.suspended { now } else { now.plus(wait) }, key));
    }

    /// Starts no more walks, for as long as there is no one to ask. Failures meanwhile do not count.
    pub fn suspend(&mut self) {
        self.suspended = true;
    }

    /// Starts walks again, at once.
    pub fn resume(&mut self) {
        self.suspended = false;
        self.failures_in_row = 0;
        self.paused_until = NEVER;
    }

    /// How long the driver may sleep before the next [`poll`](Self::poll), unless it calls something
    /// else before; `None` if only another call can change anything.
    pub fn next_wake(&self, now: SystemTime) -> Option<Duration> {
        let now = Stamp::from(now);
        if self.suspended || self.in_flight.len() >= self.max_in_flight {
            return None;
        }
        let at = self.lanes.iter().filter_map(|lane| {
            let fresh = lane.fresh.front().map(|_| u64::from(now.0));
            let retry = lane.retry.first().map(|(at, _)| u64::from(at.0));
            [fresh, retry, lane.next_moment(self.calendar)]
                .into_iter()
                .flatten()
                .min()
        });
        let at = at.min()?.max(self.paused_until.0.into());
        Some(Duration::from_secs(at.saturating_sub(now.0.into())))
    }

    /// How many keys there are.
    pub fn len(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.keys.len() as u64).sum()
    }

    /// Whether there is nothing to announce.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of them have been announced.
    pub fn announced(&self) -> u64 {
        self.announced
    }

    /// How many walks are in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// How many keys should be announced by now and are not, without those in flight. Costs a look
    /// at each of them.
    pub fn backlog(&self, now: SystemTime) -> u64 {
        let now = Stamp::from(now);
        self.lanes
            .iter()
            .map(|lane| lane.backlog(self.calendar, now) as u64)
            .sum()
    }

    /// How long the most overdue key has been waiting, if it is worth a word. With more than some
    /// hours, records begin to run out before they are renewed.
    pub fn behind(&self, now: SystemTime) -> Option<Duration> {
        let now = Stamp::from(now);
        let since = |lane: &Lane| lane.waiting_since(self.calendar, now);
        let late = now.since(self.lanes.iter().filter_map(since).min()?);
        (late >= BEHIND_MIN).then_some(late)
    }

    /// What has changed since the last call, for the [`RecordDb`](crate::records::RecordDb).
    pub fn take_dirty(&mut self) -> RecordBatch {
        let dirty = std::mem::take(&mut self.dirty);
        let entry = |key: AnnounceKey| {
            let state = self
                .lane_of(&key)
                .and_then(|p| self.lanes[p as usize].keys.get(&key));
            let announced = state.map(|state| state.announced).filter(|at| *at != NEVER);
            (
                EntryKey::Announced(key).encode(),
                announced.map(announced_value),
            )
        };
        dirty.into_iter().map(entry).collect()
    }

    fn lane_of(&self, key: &AnnounceKey) -> Option<Priority> {
        Priority::ALL
            .into_iter()
            .find(|p| self.lanes[*p as usize].keys.contains_key(key))
    }

    /// A key that is in no lane yet, with its last success.
    fn insert(&mut self, key: AnnounceKey, priority: Priority, last: Stamp, now: Stamp) {
        // A success longer ago than records live, or in the future, is worth nothing.
        let announced = if last > now || last.plus(self.ttl) <= now {
            NEVER
        } else {
            last
        };
        let place = if self.in_flight.contains(&key) {
            Place::Walking
        } else if announced == NEVER {
            Place::Fresh
        } else {
            Place::Resting
        };
        if announced != last {
            self.dirty.insert(key);
        }
        let lane = &mut self.lanes[priority as usize];
        match place {
            Place::Fresh => lane.fresh.push_back((key, now)),
            // The cursor may have passed its moment already: it starts anew, one interval back.
            _ => lane.cursor = Cursor::default(),
        }
        self.announced += u64::from(announced != NEVER);
        lane.keys.insert(
            key,
            State {
                announced,
                failures: 0,
                place,
                mark: self.mark,
            },
        );
    }

    /// Takes the key whose turn it is out of its queue.
    fn next(&mut self, now: Stamp) -> Option<AnnounceKey> {
        let prefer_due = self.turn_of_sweep && self.sweep_is_late(now);
        let lanes = &mut self.lanes;
        let key = if prefer_due {
            lanes
                .iter_mut()
                .find_map(|lane| take_due(lane, self.calendar, now))
        } else {
            None
        };
        self.turn_of_sweep = !prefer_due;
        key.or_else(|| {
            lanes
                .iter_mut()
                .find_map(|lane| take_fresh(lane).or_else(|| take_due(lane, self.calendar, now)))
        })
    }

    /// Whether keys that were announced before have waited so long that new ones, however many,
    /// must share the walks with them.
    fn sweep_is_late(&self, now: Stamp) -> bool {
        let swept = |lane: &Lane| lane.swept(self.calendar, now).map(|(_, moment)| moment);
        let oldest = self.lanes.iter().filter_map(swept).min();
        oldest.is_some_and(|oldest| now.since(oldest) >= self.calendar.recent)
    }

    fn failed_in_row(&mut self, now: Stamp) {
        self.failures_in_row = self.failures_in_row.saturating_add(1);
        let limit = self.max_in_flight.saturating_mul(FAILURE_ROUNDS);
        if let Some(excess) = self.failures_in_row.checked_sub(limit) {
            let rounds = excess / self.max_in_flight;
            let pause = backoff(
                PAUSE_MIN,
                PAUSE_MAX,
                u32::try_from(rounds).unwrap_or(u32::MAX),
            );
            self.paused_until = self.paused_until.max(now.plus(pause));
        }
    }
}

/// `min`, doubled for each of `rounds`, up to `max`.
fn backoff(min: Duration, max: Duration, rounds: u32) -> Duration {
    2u32.checked_pow(rounds)
        .map_or(max, |factor| min.saturating_mul(factor).min(max))
}

fn take_fresh(lane: &mut Lane) -> Option<AnnounceKey> {
    let (key, _) = lane.fresh.pop_front()?;
    walk(lane, key)
}

/// A failed key whose wait is over, else the key at the cursor.
fn take_due(lane: &mut Lane, calendar: Calendar, now: Stamp) -> Option<AnnounceKey> {
    if let Some((key, at)) = lane.retried(now) {
        lane.retry.remove(&(at, key));
        return walk(lane, key);
    }
    let (key, _) = lane.swept(calendar, now)?;
    walk(lane, key)
}

fn walk(lane: &mut Lane, key: AnnounceKey) -> Option<AnnounceKey> {
    lane.keys.get_mut(&key)?.place = Place::Walking;
    Some(key)
}

#[cfg(test)]
mod tests;
