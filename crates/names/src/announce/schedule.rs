//! When which head is put to the DHT. Pure: times are arguments, in milliseconds since 1970.
//!
//! - A **changed** head of an own repo waits two seconds for the next change of the repo, and at most ten
//!   after the first: a client that uploads commits step by step.
//! - A head that is **due for refreshing** has a place in the row at once. Its moment, the same in every 22
//!   hours, is that at which the network announces that this node has the repo.
//! - A put that reached no node is **tried again**, later each time. After some hours it is given up until
//!   the next refresh.
//!
//! Few are put at once, with a pause between two: a DHT node proves twenty heads of one network a second.

use std::collections::{BTreeSet, HashMap};

use hubless_content::SubjectKey;

/// How long a repo must rest after a change.
const SETTLE_MS: u64 = 2_000;

/// The longest that a change waits while others follow it.
const CHANGE_WAIT_MAX_MS: u64 = 10_000;

/// Puts at once. Each is a walk that keeps about ten requests open.
const IN_FLIGHT_MAX: usize = 4;

/// Time between two puts: half as many as a DHT node would prove.
const PAUSE_MS: u64 = 100;

/// Wait after the first failure; doubled with each more, up to [`RETRY_MAX_MS`].
const RETRY_MIN_MS: u64 = 60_000;

/// The longest wait after a failure.
const RETRY_MAX_MS: u64 = 3_600_000;

/// Failures after which a head waits for its next refresh: seven hours or more.
const FAILURES_MAX: u32 = 12;

/// Heads that wait for a put. Further ones wait for their next refresh.
const WAITING_MAX: usize = 100_000;

/// A head that waits.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    due: u64,
    /// When the first change came that was not put yet.
    changed: Option<u64>,
    failures: u32,
}

/// Which heads wait for a put, and which are being put.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    waiting: HashMap<SubjectKey, Waiting>,
    by_due: BTreeSet<(u64, SubjectKey)>,
    /// With the failures before.
    in_flight: HashMap<SubjectKey, u32>,
    paused_until: u64,
}

impl Schedule {
    /// An own repo has another state.
    pub(super) fn changed(&mut self, key: SubjectKey, now: u64) {
        let waiting = self.waiting.get(&key);
        let changed = waiting.and_then(|waiting| waiting.changed).unwrap_or(now);
        let due = (now + SETTLE_MS).min(changed + CHANGE_WAIT_MAX_MS);
        // What waits for a refresh now is not put twice.
        let due = waiting
            .filter(|waiting| waiting.changed.is_none())
            .map_or(due, |waiting| waiting.due.min(due));
        self.wait(
            key,
            Waiting {
                due,
                changed: Some(changed),
                failures: 0,
            },
        );
    }

    /// The moment of a head has come.
    pub(super) fn refresh(&mut self, key: SubjectKey, now: u64) {
        if !self.waiting.contains_key(&key) {
            self.wait(
                key,
                Waiting {
                    due: now,
                    changed: None,
                    failures: 0,
                },
            );
        }
    }

    /// The next head to be put; it must come back by [`finished`](Self::finished).
    pub(super) fn poll(&mut self, now: u64) -> Option<SubjectKey> {
        if now < self.paused_until || self.in_flight.len() >= IN_FLIGHT_MAX {
            return None;
        }
        let due = self.by_due.range(..=(now, SubjectKey::new([0xff; 32])));
        // One that changed while it is being put waits for the end of that.
        let (_, key) = due
            .into_iter()
            .find(|(_, key)| !self.in_flight.contains_key(key))
            .copied()?;
        let waiting = self.waiting.remove(&key)?;
        self.by_due.remove(&(waiting.due, key));
        self.in_flight.insert(key, waiting.failures);
        self.paused_until = now + PAUSE_MS;
        Some(key)
    }

    /// The put of a head is over; `ok` if a node has it. `chance` decides how much of the wait before
    /// another try passes: half of it for zero, all of it for the highest number.
    pub(super) fn finished(&mut self, key: SubjectKey, ok: bool, now: u64, chance: u32) {
        let Some(failures) = self.in_flight.remove(&key) else {
            return;
        };
        let failures = failures + 1;
        if ok || failures >= FAILURES_MAX || self.waiting.contains_key(&key) {
            return;
        }
        let wait = (RETRY_MIN_MS << (failures - 1).min(16)).min(RETRY_MAX_MS);
        let part = (wait / 2 * u64::from(chance)) >> u32::BITS;
        let due = now + wait / 2 + part;
        self.wait(
            key,
            Waiting {
                due,
                changed: None,
                failures,
            },
        );
    }

    /// The moment of the next [`poll`](Self::poll) that may give a head, unless another call comes before.
    pub(super) fn next_wake(&self) -> Option<u64> {
        if self.in_flight.len() >= IN_FLIGHT_MAX {
            return None;
        }
        let mut free = self
            .by_due
            .iter()
            .filter(|(_, key)| !self.in_flight.contains_key(key));
        free.next().map(|(due, _)| (*due).max(self.paused_until))
    }

    fn wait(&mut self, key: SubjectKey, waiting: Waiting) {
        if let Some(old) = self.waiting.remove(&key) {
            self.by_due.remove(&(old.due, key));
        } else if self.waiting.len() >= WAITING_MAX {
            return;
        }
        self.by_due.insert((waiting.due, key));
        self.waiting.insert(key, waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn key(number: u32) -> SubjectKey {
        let mut bytes = [9; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        SubjectKey::new(bytes)
    }

    /// A schedule and its clock: runs to the next moment at which a head is given.
    struct World {
        schedule: Schedule,
        now: u64,
    }

    impl World {
        fn new() -> Self {
            Self {
                schedule: Schedule::default(),
                now: 1_800_000_000_000,
            }
        }

        /// The next head and how long it took.
        fn next(&mut self) -> Option<(SubjectKey, u64)> {
            let began = self.now;
            self.now = self.now.max(self.schedule.next_wake()?);
            let key = self.schedule.poll(self.now).expect("its moment has come");
            Some((key, self.now - began))
        }

        fn finish(&mut self, key: SubjectKey, ok: bool) {
            self.schedule.finished(key, ok, self.now, 0);
        }
    }

    #[test]
    fn a_change_is_put_when_the_repo_has_rested_for_two_seconds() {
        let mut world = World::new();
        world.schedule.changed(key(1), world.now);
        world.now += 1_500;
        world.schedule.changed(key(1), world.now);
        assert_eq!(world.next(), Some((key(1), 2_000)));
        world.finish(key(1), true);
        assert_eq!(world.next(), None);
    }

    #[test]
    fn changes_without_end_are_put_ten_seconds_after_the_first() {
        let mut world = World::new();
        let began = world.now;
        while world.schedule.poll(world.now).is_none() {
            world.schedule.changed(key(1), world.now);
            world.now += 500;
        }
        assert_eq!(world.now - began, 10_000);
        // From the first change after this put on, the same again.
        world.finish(key(1), true);
        world.schedule.changed(key(1), world.now);
        assert_eq!(world.next(), Some((key(1), 2_000)));
    }

    #[test]
    fn a_change_during_a_put_is_put_after_it() {
        let mut world = World::new();
        world.schedule.refresh(key(1), world.now);
        assert_eq!(world.next(), Some((key(1), 0)));
        world.schedule.changed(key(1), world.now);
        world.now += 5_000;
        assert_eq!(world.schedule.poll(world.now), None);
        assert_eq!(
            world.schedule.next_wake(),
            None,
            "there is nothing to wait for"
        );
        world.finish(key(1), false);
        assert_eq!(world.next(), Some((key(1), 0)));
    }

    #[test]
    fn a_head_that_is_due_twice_is_put_once() {
        let mut world = World::new();
        world.schedule.refresh(key(1), world.now);
        world.schedule.changed(key(1), world.now);
        world.schedule.refresh(key(1), world.now);
        assert_eq!(world.next(), Some((key(1), 0)));
        world.finish(key(1), true);
        assert_eq!(world.next(), None);
    }

    #[test]
    fn failures_wait_longer_each_time_and_end() {
        let mut world = World::new();
        world.schedule.refresh(key(1), world.now);
        let mut waits = Vec::new();
        while let Some((key, wait)) = world.next() {
            waits.push(wait);
            world.finish(key, false);
        }
        assert_eq!(waits[..4], [0, 30_000, 60_000, 120_000]);
        assert_eq!((waits.len(), waits.iter().max()), (12, Some(&(HOUR / 2))));
        // The next refresh begins anew.
        world.now += PAUSE_MS;
        world.schedule.refresh(key(1), world.now);
        assert_eq!(world.next(), Some((key(1), 0)));
        world.schedule.finished(key(1), false, world.now, u32::MAX);
        let (_, wait) = world.next().unwrap();
        assert!(
            (59_000..=60_000).contains(&wait),
            "{wait}: chance spreads them"
        );
    }

    #[test]
    fn few_are_put_at_once_and_ten_a_second() {
        let mut world = World::new();
        for number in 0..1_000 {
            world.schedule.refresh(key(number), world.now);
        }
        let began = world.now;
        let first: Vec<_> = std::iter::from_fn(|| Some(world.next()?.0)).collect();
        assert_eq!(first.len(), 4);
        first.into_iter().for_each(|key| world.finish(key, true));
        let mut put = 4;
        while let Some((key, _)) = world.next() {
            world.finish(key, true);
            put += 1;
        }
        assert_eq!((put, world.now - began), (1_000, 99_900));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut schedule = Schedule::default();
        for number in 0..=WAITING_MAX as u32 {
            schedule.refresh(key(number), 0);
        }
        assert_eq!(
            (schedule.waiting.len(), schedule.by_due.len()),
            (WAITING_MAX, WAITING_MAX)
        );
    }
}
