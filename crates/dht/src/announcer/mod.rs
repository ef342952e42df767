//! When which of our keys is announced: a pure state machine that paces walks through the DHT.
//!
//! A provider record lives 48 hours, so each key must be announced again and again, and one walk
//! queries some thirty nodes. kad's own job takes a copy of all keys twice a day and walks as fast as
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
//! [`behind`](Announcer::behind) reports how late.
//!
//! # Callers
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

mod keys;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::{Duration, SystemTime},
};

use hubless_address::PeerId;

use self::keys::{Calendar, Cursor, Keys, NEVER, Place, State};
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

/// The longest pause: the longest that a key waits once the network is back.
const PAUSE_MAX: Duration = Duration::from_secs(600);

/// Lateness below this is not reported: a burst of new keys, a few retries.
const BEHIND_MIN: Duration = Duration::from_secs(600);

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

/// Paces the announcement of own keys: new ones at once, then each at its own moment of every
/// interval. The head of this module explains how.
pub struct Announcer {
    max_in_flight: usize,
    ttl: Duration,
    calendar: Calendar,
    by_priority: [Keys; 3],
    in_flight: HashSet<AnnounceKey>,
    /// Persisted times of keys that were not added yet.
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
            by_priority: Default::default(),
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
        for keys in &mut self.by_priority {
            keys.states.retain(|key, state| {
                let stays = state.mark == self.mark;
                if !stays {
                    self.announced -= u64::from(state.announced != NEVER);
                    self.dirty.insert(*key);
                }
                stays
            });
            keys.forget_removed();
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
            let old = self.priority_of(&key);
            if let Some(known) = old.filter(|known| *known <= priority) {
                if let Some(state) = self.by_priority[known as usize].states.get_mut(&key) {
                    state.mark = self.mark;
                }
                continue;
            }
            let last = match old {
                Some(lower) => {
                    raised = true;
                    let state = self.by_priority[lower as usize].states.remove(&key);
                    self.announced -= u64::from(state.is_some_and(|s| s.announced != NEVER));
                    state.map(|state| state.announced)
                }
                None => self.remembered.remove(&key),
            };
            self.insert(key, priority, last.unwrap_or(NEVER), now);
        }
        if raised {
            self.by_priority.iter_mut().for_each(Keys::forget_removed);
        }
    }

    /// Announces these keys no longer; returns how many there were. Records in the DHT run out by
    /// themselves.
    pub fn remove(&mut self, keys: impl IntoIterator<Item = AnnounceKey>) -> usize {
        let mut removed = 0;
        for key in keys {
            let persisted = self.remembered.remove(&key).is_some();
            let state = self
                .priority_of(&key)
                .and_then(|p| self.by_priority[p as usize].states.remove(&key));
            if let Some(state) = state {
                removed += 1;
                self.announced -= u64::from(state.announced != NEVER);
            }
            if persisted || state.is_some() {
                self.dirty.insert(key);
            }
        }
        if removed > 0 {
            self.by_priority.iter_mut().for_each(Keys::forget_removed);
        }
        removed
    }

    /// The next key to walk for, now; `None` if nothing is due or enough is in flight. Each key
    /// given out must come back by [`finished`](Self::finished).
    pub fn poll(&mut self, now: SystemTime) -> Option<AnnounceKey> {
        let now = Stamp::from(now);
        for keys in &mut self.by_priority {
            keys.advance(self.calendar, now);
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
        let Some(priority) = self.priority_of(&key) else {
            return;
        };
        let keys = &mut self.by_priority[priority as usize];
        let Some(state) = keys
            .states
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
        keys.retry
            .insert((if self.suspended { now } else { now.plus(wait) }, key));
    }

    /// Starts no more walks, for as long as the DHT has no node to query. Failures meanwhile do not count.
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
        let at = self.by_priority.iter().filter_map(|keys| {
            let fresh = keys.fresh.front().map(|_| u64::from(now.0));
            let retry = keys.retry.first().map(|(at, _)| u64::from(at.0));
            [fresh, retry, keys.next_moment(self.calendar)]
                .into_iter()
                .flatten()
                .min()
        });
        let at = at.min()?.max(self.paused_until.0.into());
        Some(Duration::from_secs(at.saturating_sub(now.0.into())))
    }

    /// How many keys there are.
    pub fn len(&self) -> u64 {
        self.by_priority
            .iter()
            .map(|keys| keys.states.len() as u64)
            .sum()
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

    /// How many keys should be announced by now and are not, without those in flight. Costs a check
    /// at each of them.
    pub fn backlog(&self, now: SystemTime) -> u64 {
        let now = Stamp::from(now);
        self.by_priority
            .iter()
            .map(|keys| keys.backlog(self.calendar, now) as u64)
            .sum()
    }

    /// How long the most overdue key has been waiting, if it is worth a word. With more than some
    /// hours, records begin to run out before they are renewed.
    pub fn behind(&self, now: SystemTime) -> Option<Duration> {
        let now = Stamp::from(now);
        let since = |keys: &Keys| keys.waiting_since(self.calendar, now);
        let late = now.since(self.by_priority.iter().filter_map(since).min()?);
        (late >= BEHIND_MIN).then_some(late)
    }

    /// What has changed since the last call, for the [`RecordDb`](crate::records::RecordDb).
    pub fn take_dirty(&mut self) -> RecordBatch {
        let dirty = std::mem::take(&mut self.dirty);
        let entry = |key: AnnounceKey| {
            let state = self
                .priority_of(&key)
                .and_then(|p| self.by_priority[p as usize].states.get(&key));
            let announced = state.map(|state| state.announced).filter(|at| *at != NEVER);
            (
                EntryKey::Announced(key).encode(),
                announced.map(announced_value),
            )
        };
        dirty.into_iter().map(entry).collect()
    }

    /// The priority of a key that is announced.
    pub fn priority_of(&self, key: &AnnounceKey) -> Option<Priority> {
        Priority::ALL
            .into_iter()
            .find(|p| self.by_priority[*p as usize].states.contains_key(key))
    }

    /// A key that has no priority yet, with its last success.
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
        let keys = &mut self.by_priority[priority as usize];
        match place {
            Place::Fresh => keys.fresh.push_back((key, now)),
            // The cursor may have passed its moment already: it starts anew, one interval back.
            _ => keys.cursor = Cursor::default(),
        }
        self.announced += u64::from(announced != NEVER);
        keys.states.insert(
            key,
            State {
                announced,
                failures: 0,
                place,
                mark: self.mark,
            },
        );
    }

    /// Takes the next key out of its queue.
    fn next(&mut self, now: Stamp) -> Option<AnnounceKey> {
        let prefer_due = self.turn_of_sweep && self.sweep_is_late(now);
        let all = &mut self.by_priority;
        let key = if prefer_due {
            all.iter_mut()
                .find_map(|keys| keys.take_due(self.calendar, now))
        } else {
            None
        };
        self.turn_of_sweep = !prefer_due;
        key.or_else(|| {
            all.iter_mut().find_map(|keys| {
                keys.take_fresh()
                    .or_else(|| keys.take_due(self.calendar, now))
            })
        })
    }

    /// Whether keys that were announced before have waited so long that new ones, however many,
    /// must share the walks with them.
    fn sweep_is_late(&self, now: Stamp) -> bool {
        let swept = |keys: &Keys| keys.swept(self.calendar, now).map(|(_, moment)| moment);
        let oldest = self.by_priority.iter().filter_map(swept).min();
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

#[cfg(test)]
mod tests;
