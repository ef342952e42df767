use std::{
    collections::{BTreeMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
};

use proptest::prelude::*;

use super::{keys::RECENT_PART, *};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A key by number, somewhere on the ring.
fn key(number: u64) -> AnnounceKey {
    let mut hasher = DefaultHasher::new();
    number.hash(&mut hasher);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&hasher.finish().to_be_bytes());
    bytes[8..16].copy_from_slice(&number.to_be_bytes());
    AnnounceKey::new(bytes)
}

fn files(numbers: impl IntoIterator<Item = u64>) -> Vec<(AnnounceKey, Priority)> {
    numbers
        .into_iter()
        .map(|number| (key(number), Priority::File))
        .collect()
}

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + 20_000 * DAY
}

fn config() -> AnnouncerConfig {
    AnnouncerConfig {
        interval: INTERVAL,
        ttl: PROVIDER_TTL,
        max_in_flight: IN_FLIGHT_MAX,
        offset: 5 * HOUR,
    }
}

fn announcer() -> Announcer {
    Announcer::new(config(), [])
}

/// A driver with a clock: walks take some time, and fail or not.
struct World {
    announcer: Announcer,
    now: SystemTime,
    walk: Duration,
    in_flight: VecDeque<(SystemTime, AnnounceKey)>,
    online: bool,
    /// Every successful walk.
    log: Vec<(SystemTime, AnnounceKey)>,
    walks: usize,
    db: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl World {
    fn new(announcer: Announcer) -> Self {
        Self {
            announcer,
            now: start(),
            walk: 5 * SECOND,
            in_flight: VecDeque::new(),
            online: true,
            log: Vec::new(),
            walks: 0,
            db: BTreeMap::new(),
        }
    }

    fn set(&mut self, keys: Vec<(AnnounceKey, Priority)>) {
        self.announcer.set(keys, self.now);
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            while let Some(key) = self.announcer.poll(self.now) {
                self.walks += 1;
                self.in_flight.push_back((self.now + self.walk, key));
            }
            let wake = self
                .announcer
                .next_wake(self.now)
                .map(|wait| self.now + wait);
            if let Some(at) = wake {
                assert!(
                    at > self.now,
                    "a driver that follows the contract must not spin"
                );
            }
            let done = self.in_flight.front().map(|(at, _)| *at);
            let Some(next) = [wake, done]
                .into_iter()
                .flatten()
                .min()
                .filter(|at| *at < end)
            else {
                self.now = end;
                return;
            };
            self.now = next;
            while self.in_flight.front().is_some_and(|(at, _)| *at <= next) {
                let Some((_, key)) = self.in_flight.pop_front() else {
                    break;
                };
                self.announcer.finished(key, self.online, self.now);
                if self.online {
                    self.log.push((self.now, key));
                }
            }
        }
    }

    /// Stops, and starts again after `down`; walks in flight are lost.
    fn restart(&mut self, down: Duration, keys: Vec<(AnnounceKey, Priority)>) {
        self.flush();
        let persisted: Vec<_> = self
            .db
            .iter()
            .map(
                |(key, value)| match crate::records::decode_announced(key, value) {
                    Some((key, at)) => (key, at.into()),
                    None => panic!("an entry that cannot be read: {key:?}"),
                },
            )
            .collect();
        self.announcer = Announcer::new(config(), persisted);
        self.in_flight.clear();
        self.now += down;
        self.set(keys);
    }

    fn flush(&mut self) {
        for (key, value) in self.announcer.take_dirty() {
            match value {
                Some(value) => self.db.insert(key, value),
                None => self.db.remove(&key),
            };
        }
    }

    /// The longest time that any of these keys went without a walk, from `since` to now.
    fn longest_gap(&self, numbers: impl IntoIterator<Item = u64>, since: SystemTime) -> Duration {
        let mut last: HashMap<AnnounceKey, SystemTime> = numbers
            .into_iter()
            .map(|number| (key(number), since))
            .collect();
        let mut longest = Duration::ZERO;
        let end: Vec<_> = last.keys().map(|key| (self.now, *key)).collect();
        for (at, key) in self.log.iter().chain(&end) {
            if let Some(last) = last.get_mut(key) {
                longest = longest.max(at.duration_since(*last).unwrap_or_default());
                *last = *at;
            }
        }
        longest
    }
}

#[test]
fn new_keys_go_at_once_models_first_and_in_order() {
    let mut announcer = announcer();
    let mixed = [Priority::Chunk, Priority::File, Priority::Root];
    announcer.set((0..6).map(|n| (key(n), mixed[n as usize % 3])), start());
    assert_eq!(announcer.next_wake(start()), Some(Duration::ZERO));
    let order: Vec<_> = std::iter::from_fn(|| announcer.poll(start())).collect();
    assert_eq!(order, [2, 5, 1, 4, 0, 3].map(key));
    assert_eq!((announcer.announced(), announcer.in_flight()), (0, 6));
    for number in 0..6 {
        announcer.finished(key(number), true, start());
    }
    assert_eq!(
        (
            announcer.announced(),
            announcer.in_flight(),
            announcer.len()
        ),
        (6, 0, 6)
    );
    assert_eq!(announcer.poll(start()), None);
}

#[test]
fn walks_in_flight_are_bounded() {
    let mut announcer = announcer();
    announcer.set(files(0..100), start());
    for _ in 0..IN_FLIGHT_MAX {
        assert!(announcer.poll(start()).is_some());
    }
    assert_eq!(announcer.poll(start()), None);
    assert_eq!(
        announcer.next_wake(start()),
        None,
        "only `finished` can change anything"
    );
    announcer.finished(key(99), true, start());
    assert_eq!(announcer.poll(start()), None, "that one was not in flight");
    announcer.finished(key(0), true, start());
    assert_eq!(announcer.poll(start()), Some(key(16)));
    assert_eq!(announcer.backlog(start()), 83);
}

#[test]
fn a_burst_is_spread_over_the_interval() {
    let mut world = World::new(announcer());
    world.set(files(0..2_200));
    world.run(HOUR);
    assert_eq!(world.log.len(), 2_200, "all are new: at once");
    world.run(7 * DAY);
    let limit = INTERVAL + INTERVAL / RECENT_PART + MINUTE;
    assert!(world.longest_gap(0..2_200, start()) <= limit);
    // From the second day on, each hour has its share of walks: 100.
    let mut hours = vec![0; 7 * 24 + 1];
    for (at, _) in &world.log {
        hours[at.duration_since(start()).unwrap().as_secs() as usize / 3600] += 1;
    }
    for (hour, walks) in hours.iter().enumerate().take(7 * 24).skip(28) {
        assert!((60..150).contains(walks), "{walks} walks in hour {hour}");
    }
    // No more walks than one for each key and interval.
    let intervals = 7.0 * 24.0 / 22.0;
    assert!(
        world.walks as f64 <= 2_200.0 * (1.0 + intervals + 0.1),
        "{} walks",
        world.walks
    );
    assert_eq!(world.announcer.behind(world.now), None);
}

#[test]
fn moments_of_two_nodes_differ() {
    let config = |id: u8| {
        AnnouncerConfig::new(&PeerId::from_bytes(&[&[0x12, 0x20][..], &[id; 32]].concat()).unwrap())
    };
    assert_ne!(config(1).offset, config(2).offset);
    assert!(config(200).offset < INTERVAL);
}

#[test]
fn a_restart_makes_no_storm() {
    let mut world = World::new(announcer());
    world.set(files(0..1_000));
    world.run(30 * HOUR);
    let before = world.walks;
    for _ in 0..20 {
        world.restart(10 * SECOND, files(0..1_000));
        assert_eq!(world.announcer.announced(), 1_000);
        world.run(MINUTE);
    }
    let walks = world.walks - before;
    assert!(
        walks < 100,
        "{walks} walks in the 23 minutes of 20 restarts"
    );
    world.run(2 * DAY);
    assert!(world.longest_gap(0..1_000, start()) <= INTERVAL + INTERVAL / RECENT_PART + MINUTE);
}

#[test]
fn what_was_missed_while_down_is_made_up_for() {
    let mut world = World::new(announcer());
    world.set(files(0..1_000));
    world.run(30 * HOUR);
    let before = world.walks;
    world.restart(10 * HOUR, files(0..1_000));
    world.run(HOUR);
    let walks = world.walks - before;
    assert!(
        (400..600).contains(&walks),
        "10 and 1 of 22 hours were missed: {walks} of 1,000"
    );
    // Keys that are named only after the cursor has passed are not forgotten either.
    world.restart(10 * HOUR, files(0..10));
    world.run(HOUR);
    let before = world.walks;
    world.flush();
    world.announcer.add(files(10..1_000), world.now);
    assert_eq!(
        world.announcer.backlog(world.now),
        990,
        "their times were dropped by `set`"
    );
    world.run(HOUR);
    assert!(world.walks - before >= 990);
}

#[test]
fn keys_added_in_portions_before_set_keep_their_times() {
    let mut world = World::new(announcer());
    world.set(files(0..1_000));
    world.run(30 * HOUR);
    world.flush();
    let persisted = world.db.iter().filter_map(|(key, value)| {
        let (key, at) = crate::records::decode_announced(key, value)?;
        Some((key, at.into()))
    });
    world.announcer = Announcer::new(config(), persisted.collect::<Vec<_>>());
    world.in_flight.clear();
    let before = world.walks;
    for portion in 0..10 {
        let numbers = 100 * portion..100 * portion + 100;
        world.announcer.add(files(numbers), world.now);
        world.run(MINUTE);
    }
    let walks = world.walks - before;
    assert!(walks < 50, "{walks} walks");
    assert_eq!(world.announcer.announced(), 1_000);
    world.run(2 * DAY);
    assert!(world.longest_gap(0..1_000, start()) <= INTERVAL + INTERVAL / RECENT_PART + MINUTE);
}

#[test]
fn after_a_week_all_keys_are_new_again() {
    let mut world = World::new(announcer());
    let mut keys = files(0..100);
    keys.push((key(500), Priority::Root));
    world.set(keys.clone());
    world.run(HOUR);
    world.restart(7 * DAY, keys);
    assert_eq!(
        (
            world.announcer.announced(),
            world.announcer.backlog(world.now)
        ),
        (0, 101)
    );
    assert_eq!(
        world.announcer.poll(world.now),
        Some(key(500)),
        "models first"
    );
    assert_eq!(
        world.announcer.poll(world.now),
        Some(key(0)),
        "then files in order"
    );
}

#[test]
fn a_failed_key_waits_longer_each_time() {
    let mut announcer = announcer();
    let mut now = start();
    announcer.set(files([1]), now);
    assert_eq!(announcer.poll(now), Some(key(1)));
    let mut waits = Vec::new();
    for _ in 0..9 {
        announcer.finished(key(1), false, now);
        let failed = now;
        while announcer.poll(now).is_none() {
            now += announcer.next_wake(now).unwrap();
        }
        waits.push(now.duration_since(failed).unwrap().as_secs() / 60);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    announcer.finished(key(1), true, now);
    assert_eq!(announcer.announced(), 1);
}

#[test]
fn without_a_network_the_announcer_hardly_walks() {
    let mut world = World::new(announcer());
    world.walk = Duration::ZERO;
    world.online = false;
    world.set(files(0..100_000));
    world.run(DAY);
    assert!(
        world.walks < 3_000,
        "{} walks in a day without network",
        world.walks
    );
    let late = world.announcer.behind(world.now).unwrap();
    assert!(late >= 23 * HOUR, "{late:?}");
    world.online = true;
    world.walk = SECOND;
    world.run(4 * HOUR);
    assert_eq!(world.announcer.announced(), 100_000);
}

#[test]
fn a_suspended_announcer_does_nothing_and_forgets_nothing() {
    let mut announcer = announcer();
    announcer.set(files(0..100), start());
    let first = announcer.poll(start()).unwrap();
    announcer.suspend();
    announcer.finished(first, false, start());
    assert_eq!(
        (announcer.poll(start()), announcer.next_wake(start())),
        (None, None)
    );
    assert_eq!(announcer.backlog(start()), 100);
    announcer.resume();
}

#[test]
fn a_failure_while_suspended_is_not_the_keys() {
    let mut announcer = announcer();
    announcer.set(files([1]), start());
    assert_eq!(announcer.poll(start()), Some(key(1)));
    announcer.suspend();
    announcer.finished(key(1), false, start());
    announcer.resume();
    assert_eq!(announcer.poll(start()), Some(key(1)), "at once");
    announcer.finished(key(1), false, start());
    assert_eq!(
        announcer.next_wake(start()),
        Some(RETRY_MIN),
        "its first wait"
    );
}

#[test]
fn all_that_waits_goes_out_after_a_suspension() {
    let mut announcer = announcer();
    announcer.set(files(0..100), start());
    announcer.suspend();
    assert_eq!(announcer.poll(start()), None);
    announcer.resume();
    let all: HashSet<_> = std::iter::from_fn(|| {
        let key = announcer.poll(start())?;
        announcer.finished(key, true, start());
        Some(key)
    })
    .collect();
    assert_eq!((all.len(), announcer.announced()), (100, 100));
}

#[test]
fn a_flood_of_new_keys_does_not_starve_old_ones() {
    let mut world = World::new(announcer());
    world.walk = 100 * SECOND; // 576 walks an hour
    world.set(files(0..2_000));
    world.run(6 * HOUR);
    // The walks of 60 hours.
    world.announcer.add(files(10_000..45_000), world.now);
    world.run(60 * HOUR);
    let gap = world.longest_gap(0..2_000, start());
    assert!(gap < PROVIDER_TTL - 6 * HOUR, "{gap:?}");
    assert!(world.announcer.behind(world.now).is_some());
}

#[test]
fn a_removed_key_is_never_announced() {
    let mut announcer = announcer();
    announcer.set(files(0..40), start());
    assert_eq!(announcer.poll(start()), Some(key(0)));
    assert_eq!(announcer.remove([key(0), key(1), key(1), key(99)]), 2);
    announcer.finished(key(0), true, start());
    assert_eq!((announcer.len(), announcer.announced()), (38, 0));
    let rest: Vec<_> = std::iter::from_fn(|| announcer.poll(start())).collect();
    assert!(!rest.contains(&key(0)) && !rest.contains(&key(1)));
    assert_eq!(rest.len(), IN_FLIGHT_MAX);
}

#[test]
fn a_key_that_comes_back_while_in_flight_is_not_walked_twice() {
    let mut announcer = announcer();
    announcer.set(files([1]), start());
    assert_eq!(announcer.poll(start()), Some(key(1)));
    announcer.remove([key(1)]);
    announcer.add(files([1]), start());
    assert_eq!(announcer.poll(start()), None);
    announcer.finished(key(1), true, start());
    assert_eq!((announcer.poll(start()), announcer.announced()), (None, 1));
}

#[test]
fn set_replaces_all() {
    let mut world = World::new(announcer());
    world.set(files(0..100));
    world.run(HOUR);
    world.flush();
    assert_eq!(world.db.len(), 100);
    world.set(files(50..120));
    assert_eq!(
        (world.announcer.len(), world.announcer.announced()),
        (70, 50)
    );
    assert_eq!(world.announcer.backlog(world.now), 20);
    world.flush();
    assert_eq!(world.db.len(), 50);
    // What was persisted and is not named after a restart is forgotten, and never announced.
    world.restart(SECOND, files(90..95));
    world.flush();
    assert_eq!((world.db.len(), world.announcer.announced()), (5, 5));
    world.run(7 * DAY);
    let others = world.log.iter().filter(|(at, _)| *at > start() + 2 * HOUR);
    assert!(others.clone().count() > 0);
    assert!(
        others
            .clone()
            .all(|(_, k)| (90..95).any(|number| key(number) == *k))
    );
}

#[test]
fn a_raised_priority_moves_a_key_up() {
    let mut announcer = announcer();
    announcer.set(files(0..3), start());
    announcer.add(
        [(key(2), Priority::Root), (key(0), Priority::Chunk)],
        start(),
    );
    assert_eq!(announcer.len(), 3);
    let order: Vec<_> = std::iter::from_fn(|| announcer.poll(start())).collect();
    assert_eq!(order, [2, 0, 1].map(key));
}

#[test]
fn a_slow_network_is_reported() {
    let mut world = World::new(announcer());
    world.set(files(0..1_000));
    world.run(HOUR);
    assert_eq!(world.announcer.behind(world.now), None);
    world.walk = HOUR; // 16 keys an hour, 45 are due
    world.run(3 * DAY);
    assert!(world.announcer.behind(world.now).unwrap() > 6 * HOUR);
    assert!(world.announcer.backlog(world.now) > 300);
    world.walk = SECOND;
    world.run(2 * HOUR);
    assert_eq!(
        (
            world.announcer.behind(world.now),
            world.announcer.backlog(world.now)
        ),
        (None, 0)
    );
}

#[test]
fn a_clock_that_was_wrong_does_not_stop_announcing() {
    let mut world = World::new(announcer());
    world.now = start() + 3_000 * DAY;
    world.set(files(0..100));
    world.run(30 * HOUR);
    world.now = start();
    world.in_flight.clear();
    world.log.clear();
    world.run(3 * DAY);
    assert!(world.longest_gap(0..100, start()) <= INTERVAL + INTERVAL / RECENT_PART + MINUTE);
    let mut world = World::new(announcer());
    world.now = SystemTime::UNIX_EPOCH;
    world.set(files(0..100));
    world.run(DAY);
    world.now = start();
    world.run(DAY);
    assert_eq!(world.announcer.announced(), 100);
}

#[test]
fn memory_for_each_key_is_small() {
    const { assert!(size_of::<(AnnounceKey, State)>() <= 44) };
}

#[derive(Debug, Clone)]
enum Step {
    Set(Vec<u64>),
    Add(Vec<u64>),
    Remove(Vec<u64>),
    Poll(usize),
    Finish { which: usize, ok: bool },
    Suspend(bool),
    Wait { minutes: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let keys = || proptest::collection::vec(0..30u64, 0..10);
    prop_oneof![
        1 => keys().prop_map(Step::Set),
        2 => keys().prop_map(Step::Add),
        2 => keys().prop_map(Step::Remove),
        4 => (1..10usize).prop_map(Step::Poll),
        6 => (0..10usize, any::<bool>()).prop_map(|(which, ok)| Step::Finish { which, ok }),
        1 => any::<bool>().prop_map(Step::Suspend),
        2 => (0..2_000u64).prop_map(|minutes| Step::Wait { minutes }),
    ]
}

/// What must be true of an announcer, in the most obvious words.
#[derive(Default)]
struct Model {
    /// Keys and whether they were announced.
    keys: BTreeMap<AnnounceKey, bool>,
    in_flight: Vec<AnnounceKey>,
}

impl Model {
    fn check(&self, announcer: &Announcer, now: SystemTime) {
        let walking = |key: &&AnnounceKey| self.in_flight.contains(key);
        assert_eq!(announcer.len(), self.keys.len() as u64);
        assert_eq!(
            announcer.announced(),
            self.keys.values().filter(|ok| **ok).count() as u64
        );
        assert_eq!(announcer.in_flight(), self.in_flight.len());
        assert!(self.in_flight.len() <= 4);
        // Each key is where its state says, and nowhere else.
        let (calendar, now) = (announcer.calendar, Stamp::from(now));
        for keys in &announcer.by_priority {
            let at = |place| {
                keys.states
                    .iter()
                    .filter(move |(_, s)| s.place == place)
                    .map(|(k, _)| *k)
            };
            let mut fresh: Vec<_> = keys.fresh.iter().map(|(key, _)| *key).collect();
            fresh.sort();
            assert_eq!(fresh, at(Place::Fresh).collect::<Vec<_>>());
            let mut retry: Vec<_> = keys.retry.iter().map(|(_, key)| *key).collect();
            retry.sort();
            assert_eq!(retry, at(Place::Retry).collect::<Vec<_>>());
            assert!(at(Place::Walking).all(|key| walking(&&key)));
            // The backlog, counted without a cursor.
            let swept = keys.states.iter().filter(|(key, state)| {
                let moment = calendar.last_moment(key, now);
                moment.is_some_and(|moment| calendar.is_due(state, moment))
            });
            let retry = keys.retry.iter().filter(|(at, _)| *at <= now);
            let backlog = fresh.len() + retry.count() + swept.count();
            assert_eq!(keys.backlog(calendar, now), backlog);
        }
    }
}

proptest! {
    #[test]
    fn any_history(steps in proptest::collection::vec(step(), 0..100)) {
        let mut announcer = Announcer::new(AnnouncerConfig { max_in_flight: 4, ..config() }, []);
        let mut model = Model::default();
        let mut now = start();
        for step in steps {
            match step {
                Step::Set(numbers) => {
                    announcer.set(files(numbers.clone()), now);
                    let known = |key: &AnnounceKey| model.keys.get(key).copied().unwrap_or(false);
                    model.keys = numbers.iter().map(|n| (key(*n), known(&key(*n)))).collect();
                }
                Step::Add(numbers) => {
                    announcer.add(files(numbers.clone()), now);
                    for number in numbers {
                        model.keys.entry(key(number)).or_default();
                    }
                }
                Step::Remove(numbers) => {
                    let removed = announcer.remove(numbers.iter().copied().map(key));
                    let gone = numbers.iter().filter(|n| model.keys.remove(&key(**n)).is_some());
                    prop_assert_eq!(removed, gone.count());
                }
                Step::Poll(times) => {
                    for _ in 0..times {
                        let Some(key) = announcer.poll(now) else { break };
                        prop_assert!(model.keys.contains_key(&key));
                        prop_assert!(!model.in_flight.contains(&key));
                        model.in_flight.push(key);
                    }
                }
                Step::Finish { which, ok } if which < model.in_flight.len() => {
                    let key = model.in_flight.remove(which);
                    announcer.finished(key, ok, now);
                    if let Some(announced) = model.keys.get_mut(&key) {
                        *announced |= ok;
                    }
                }
                Step::Finish { .. } => {}
                Step::Suspend(true) => announcer.suspend(),
                Step::Suspend(false) => announcer.resume(),
                Step::Wait { minutes } => now += MINUTE * minutes as u32,
            }
            model.check(&announcer, now);
        }
        // In the end, with a network, everything is announced.
        announcer.resume();
        for key in std::mem::take(&mut model.in_flight) {
            announcer.finished(key, false, now);
        }
        now += 2 * HOUR;
        while let Some(key) = announcer.poll(now) {
            announcer.finished(key, true, now);
        }
        prop_assert_eq!(announcer.announced(), announcer.len());
        prop_assert_eq!(announcer.backlog(now), 0);
        let persisted = announcer.take_dirty().iter().filter(|(_, value)| value.is_some()).count();
        prop_assert_eq!(persisted as u64, announcer.len());
    }
}
