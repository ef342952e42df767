//! The keys of one priority: which are new, which have failed, and how far the sweep over the others
//! has come.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
    time::Duration,
};

use super::AnnouncerConfig;
use crate::records::{AnnounceKey, Stamp};

/// The cursor passes over keys announced within this part of an interval.
pub(super) const RECENT_PART: u32 = 4;

/// Where a key is. Only the last two are elsewhere than in the sorted map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
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
pub(super) struct State {
    /// [`NEVER`], or the last success.
    pub(super) announced: Stamp,
    /// Failures since then.
    pub(super) failures: u8,
    pub(super) place: Place,
    /// Whether the last `set` named the key; alternates between calls.
    pub(super) mark: bool,
}

/// The time of the last success of a key that had none.
pub(super) const NEVER: Stamp = Stamp(0);

/// Where a sweep stands: all keys of cycle `cycle` up to `passed` have been visited.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor {
    cycle: u64,
    passed: Option<AnnounceKey>,
}

/// The division of time into cycles, and of a cycle among keys. All times in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calendar {
    interval: u64,
    offset: u64,
    pub(super) recent: Duration,
}

impl Calendar {
    pub(super) fn new(config: &AnnouncerConfig) -> Self {
        let interval = config.interval.as_secs().max(1);
        let offset = config.offset.as_secs() % interval;
        Self {
            interval,
            offset,
            recent: Duration::from_secs(interval) / RECENT_PART,
        }
    }

    pub(super) fn cycle(&self, now: Stamp) -> u64 {
        u64::from(now.0).saturating_sub(self.offset) / self.interval
    }

    fn start(&self, cycle: u64) -> u64 {
        cycle
            .saturating_mul(self.interval)
            .saturating_add(self.offset)
    }

    /// The key's moment in a cycle.
    pub(super) fn moment(&self, cycle: u64, key: &AnnounceKey) -> u64 {
        let part = u128::from(key.position()) * u128::from(self.interval);
        self.start(cycle).saturating_add((part >> 64) as u64)
    }

    /// The key's last moment up to `now`.
    pub(super) fn last_moment(&self, key: &AnnounceKey, now: Stamp) -> Option<u64> {
        let cycle = self.cycle(now);
        let moments = [Some(cycle), cycle.checked_sub(1)].into_iter().flatten();
        moments
            .map(|cycle| self.moment(cycle, key))
            .find(|moment| *moment <= now.0.into())
    }

    /// Whether the cursor that comes to a key at its moment must have it announced. What is due at
    /// one moment and not announced is due at the next.
    pub(super) fn is_due(&self, state: &State, moment: u64) -> bool {
        let announced = u64::from(state.announced.0);
        let is_recent = announced + self.recent.as_secs() > moment;
        // The cursor is never two intervals late: such a time comes from a clock that was wrong.
        let is_future = announced > moment.saturating_add(2 * self.interval);
        state.place == Place::Resting && (!is_recent || is_future)
    }
}

/// The keys of one priority.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) states: BTreeMap<AnnounceKey, State>,
    /// New keys and since when they wait.
    pub(super) fresh: VecDeque<(AnnounceKey, Stamp)>,
    /// Failed keys by the time of the next try.
    pub(super) retry: BTreeSet<(Stamp, AnnounceKey)>,
    pub(super) cursor: Cursor,
}

impl Keys {
    /// The keys the cursor has before it, with their moments, to the end of the current cycle.
    fn ahead(&self, calendar: Calendar) -> impl Iterator<Item = (&AnnounceKey, &State, u64)> {
        let from = self.cursor.passed.map_or(Bound::Unbounded, Bound::Excluded);
        let cycle = self.cursor.cycle;
        self.states
            .range((from, Bound::Unbounded))
            .map(move |(key, state)| (key, state, calendar.moment(cycle, key)))
    }

    /// Moves the cursor up to the first key that is due, at most to `now`.
    pub(super) fn advance(&mut self, calendar: Calendar, now: Stamp) {
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
    pub(super) fn swept(&self, calendar: Calendar, now: Stamp) -> Option<(AnnounceKey, Stamp)> {
        let (key, state, moment) = self.ahead(calendar).next()?;
        let due = moment <= u64::from(now.0) && calendar.is_due(state, moment);
        due.then_some((*key, Stamp(u32::try_from(moment).unwrap_or(u32::MAX))))
    }

    /// The first failed key that has waited long enough.
    pub(super) fn retried(&self, now: Stamp) -> Option<(AnnounceKey, Stamp)> {
        let (at, key) = self.retry.first().copied()?;
        (at <= now).then_some((key, at))
    }

    /// The moment at which the cursor moves next.
    pub(super) fn next_moment(&self, calendar: Calendar) -> Option<u64> {
        let rest = self.ahead(calendar).next().map(|(.., moment)| moment);
        rest.or_else(|| {
            let first = self.states.keys().next()?;
            Some(calendar.moment(self.cursor.cycle.saturating_add(1), first))
        })
    }

    /// How many keys wait for a walk.
    pub(super) fn backlog(&self, calendar: Calendar, now: Stamp) -> usize {
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
            self.states
                .iter()
                .filter(|(key, state)| is_due(key, state))
                .count()
        };
        let retry = self.retry.iter().take_while(|(at, _)| *at <= now).count();
        self.fresh.len() + retry + swept
    }

    /// Since when the longest waiting key waits.
    pub(super) fn waiting_since(&self, calendar: Calendar, now: Stamp) -> Option<Stamp> {
        let fresh = self.fresh.front().map(|(_, since)| *since);
        let retry = self.retried(now).map(|(_, at)| at);
        let swept = self.swept(calendar, now).map(|(_, moment)| moment);
        [fresh, retry, swept].into_iter().flatten().min()
    }

    /// Takes keys out of the queues that are no longer in the map.
    pub(super) fn forget_removed(&mut self) {
        let states = &self.states;
        self.fresh.retain(|(key, _)| states.contains_key(key));
        self.retry.retain(|(_, key)| states.contains_key(key));
    }

    /// Takes the first new key for a walk.
    pub(super) fn take_fresh(&mut self) -> Option<AnnounceKey> {
        let (key, _) = self.fresh.pop_front()?;
        self.walk(key)
    }

    /// Takes a failed key that has waited long enough for a walk, else the key at the cursor.
    pub(super) fn take_due(&mut self, calendar: Calendar, now: Stamp) -> Option<AnnounceKey> {
        if let Some((key, at)) = self.retried(now) {
            self.retry.remove(&(at, key));
            return self.walk(key);
        }
        let (key, _) = self.swept(calendar, now)?;
        self.walk(key)
    }

    fn walk(&mut self, key: AnnounceKey) -> Option<AnnounceKey> {
        self.states.get_mut(&key)?.place = Place::Walking;
        Some(key)
    }
}
