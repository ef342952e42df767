use proptest::prelude::*;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A store under test, with its clock.
struct World {
    db: Arc<MemoryDb>,
    config: RecordsConfig,
    now: SystemTime,
    records: Records,
}

impl World {
    fn new(change: impl FnOnce(&mut RecordsConfig)) -> Self {
        let db = Arc::new(MemoryDb::default());
        let mut config = RecordsConfig::new(42);
        change(&mut config);
        let now = SystemTime::UNIX_EPOCH + 20_000 * DAY;
        let records = Records::new(peer(LOCAL), db.clone(), config.clone(), now);
        Self {
            db,
            config,
            now,
            records,
        }
    }

    fn later(&mut self, time: Duration) {
        self.now += time;
        self.records.tick(self.now);
    }

    fn restart(&mut self) {
        self.records.flush();
        let config = self.config.clone();
        self.records = Records::new(peer(LOCAL), self.db.clone(), config, self.now);
    }

    /// A record arrives from `peer` at an IPv4 address.
    fn receive(&mut self, number: u32, id: u32, ip: [u8; 4]) -> Result<(), Refused> {
        let address = at(ip);
        let record = record(number, id, vec![address.clone()]);
        self.records.accept(&record, Some(&address), Duration::MAX)
    }

    fn providers(&self, number: u32) -> Vec<PeerId> {
        let records = self.records.providers(key(number));
        records.into_iter().map(|record| record.provider).collect()
    }

    fn has(&self, key: u32, id: u32) -> bool {
        self.providers(key).contains(&peer(id))
    }
}

const LOCAL: u32 = u32::MAX;

/// A peer by number. Its bytes are a hash's, as real ones are.
fn peer(id: u32) -> PeerId {
    let mut bytes = [7; 34];
    bytes[..2].copy_from_slice(&[0x12, 0x20]);
    bytes[2..6].copy_from_slice(&id.to_be_bytes());
    PeerId::from_bytes(&bytes).unwrap()
}

fn key(number: u32) -> AnnounceKey {
    let mut bytes = [9; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    AnnounceKey::new(bytes)
}

fn record(number: u32, id: u32, addresses: Vec<Multiaddr>) -> ProviderRecord {
    ProviderRecord {
        key: key(number),
        provider: peer(id),
        addresses,
    }
}

fn at(ip: [u8; 4]) -> Multiaddr {
    Multiaddr::from(std::net::Ipv4Addr::from(ip)).with(hubless_address::Protocol::Tcp(4001))
}

/// An address in a network of its own.
fn network(number: u32) -> [u8; 4] {
    let [.., a, b] = number.to_be_bytes();
    [81, a, b, 1]
}

#[test]
fn a_flood_of_foreign_keys_leaves_room_for_own_ones() {
    let mut world = World::new(|config| config.foreign_records_max = 5_000);
    for number in 0..10_000 {
        let record = record(number, 1, vec![at([81, 0, 0, 1])]);
        let _ = world.records.accept(&record, None, Duration::MAX);
    }
    assert_eq!(world.records.foreign_records(), 5_000);
    for number in 20_000..40_000 {
        world
            .records
            .provide([key(number)])
            .expect("own keys have their own quota");
    }
    assert_eq!(world.records.own_keys(), 20_000);
    assert_eq!(world.records.provided().count(), 20_000);
    assert!(world.has(20_000, LOCAL));
    world.records.remove(key(20_000), &peer(LOCAL));
    assert!(!world.has(20_000, LOCAL));
}

#[test]
fn own_keys_have_a_quota_too() {
    let mut world = World::new(|config| config.own_keys_max = 2);
    assert!(world.records.provide([key(1), key(2), key(1)]).is_ok());
    assert!(world.records.provide([key(3)]).is_err());
    world.records.unprovide([key(1)]);
    assert!(world.records.provide([key(3)]).is_ok());
}

#[test]
fn twenty_sybils_of_one_network_make_room_for_honest_providers() {
    let mut world = World::new(|_| {});
    for sybil in 0..20 {
        world.receive(1, sybil, [66, 6, 6, sybil as u8]).unwrap();
    }
    for honest in 100..110 {
        world
            .receive(1, honest, network(honest))
            .expect("another network has a claim");
    }
    // The sybils come back with as many peer ids as they like, and win nothing.
    for sybil in 1_000..2_000 {
        let _ = world.receive(1, sybil, [66, 6, 6, sybil as u8]);
    }
    assert!((100..110).all(|honest| world.has(1, honest)));
    assert_eq!(world.providers(1).len(), 20);
}

#[test]
fn twenty_sybils_of_twenty_networks_cannot_lock_a_key() {
    let mut world = World::new(|_| {});
    let mut came_in = 0;
    for key in 0..100 {
        for sybil in 0..20 {
            world.receive(key, sybil, network(sybil)).unwrap();
        }
        came_in += u32::from(world.receive(key, 100, network(100)).is_ok());
    }
    assert!(
        (85..100).contains(&came_in),
        "20 of 21 expected, {came_in} of 100 came in"
    );
    // A provider that got no place today may get one another day, however often the others refresh.
    let left_out: Vec<u32> = (0..100).filter(|key| !world.has(*key, 100)).collect();
    for _ in 0..3 {
        world.later(DAY);
        for key in &left_out {
            for sybil in 0..20 {
                let _ = world.receive(*key, sybil, network(sybil));
            }
            let _ = world.receive(*key, 100, network(100));
        }
    }
    assert!(left_out.iter().all(|key| world.has(*key, 100)));
}

#[test]
fn trying_again_does_not_help() {
    let mut world = World::new(|_| {});
    for id in 0..20 {
        world.receive(1, id, network(id)).unwrap();
    }
    let before = world.providers(1);
    let stubborn = (100..200)
        .find(|id| world.receive(1, *id, network(*id)).is_err())
        .unwrap();
    for attempt in 0..1_000 {
        assert_eq!(
            world.receive(1, stubborn, network(stubborn)),
            Err(Refused::KeyFull)
        );
        // Another peer id of the same network draws the same number.
        assert_eq!(
            world.receive(1, 1_000 + attempt, network(stubborn)),
            Err(Refused::KeyFull)
        );
    }
    assert_eq!(before.len(), world.providers(1).len());
}

#[test]
fn luck_does_not_make_a_network_larger_than_others() {
    let mut world = World::new(|_| {});
    for id in 0..20 {
        world.receive(1, id, network(id)).unwrap();
    }
    for id in 100..1_000 {
        let _ = world.receive(1, id, [66, 6, 6, 6]);
    }
    let intruders = (100..1_000).filter(|id| world.has(1, *id)).count();
    assert!(intruders <= 1, "{intruders} places for one network");
}

#[test]
fn machines_of_a_private_network_are_not_crowded_out() {
    let mut world = World::new(|_| {});
    for id in 0..20 {
        world.receive(1, id, [10, 0, 0, id as u8]).unwrap();
    }
    let came_in = (20..60)
        .filter(|id| world.receive(1, *id, [10, 0, 0, *id as u8]).is_ok())
        .count();
    assert!(
        (5..35).contains(&came_in),
        "a draw decides: {came_in} of 40"
    );
}

#[test]
fn unreachable_and_stale_providers_give_way() {
    let mut world = World::new(|_| {});
    for id in 0..20 {
        world.receive(1, id, network(id)).unwrap();
    }
    for id in [3, 4, 5] {
        world.records.mark_unreachable(&peer(id));
    }
    world.records.mark_reachable(&peer(4));
    assert_eq!(
        &world.providers(1)[18..],
        [peer(3), peer(5)],
        "reachable ones come first"
    );
    for newcomer in [100, 101] {
        world.receive(1, newcomer, network(newcomer)).unwrap();
    }
    assert!(!world.has(1, 3) && world.has(1, 4) && !world.has(1, 5));

    // All but one republish within the first half of a record's life.
    world.later(20 * HOUR);
    for id in world.providers(1) {
        if id != peer(7) {
            let record = ProviderRecord {
                key: key(1),
                provider: id,
                addresses: Vec::new(),
            };
            world.records.accept(&record, None, Duration::MAX).unwrap();
        }
    }
    world.later(5 * HOUR);
    // Without addresses all of them count as one network: the newcomer is of it too.
    let newcomer = record(1, 200, Vec::new());
    world
        .records
        .accept(&newcomer, None, Duration::MAX)
        .unwrap();
    assert!(!world.has(1, 7) && world.has(1, 200));
}

#[test]
fn an_unreachable_newcomer_takes_no_place() {
    let mut world = World::new(|_| {});
    for id in 0..20 {
        world.receive(1, id, [66, 6, 6, id as u8]).unwrap();
    }
    world.receive(2, 100, network(100)).unwrap();
    world.records.mark_unreachable(&peer(100));
    assert_eq!(world.receive(1, 100, network(100)), Err(Refused::KeyFull));
    world.later(3 * HOUR);
    assert_eq!(
        world.receive(1, 100, network(100)),
        Ok(()),
        "the mark wears off"
    );
}

#[test]
fn a_peer_has_a_quota() {
    let mut world = World::new(|config| config.records_per_peer_max = 3);
    for number in 0..3 {
        world.receive(number, 1, network(1)).unwrap();
    }
    assert_eq!(world.receive(3, 1, network(1)), Err(Refused::PeerQuota));
    assert_eq!(
        world.receive(2, 1, network(1)),
        Ok(()),
        "refreshing is no new record"
    );
    assert_eq!(world.receive(3, 2, network(1)), Ok(()));
    world.later(49 * HOUR);
    assert_eq!(world.receive(3, 1, network(1)), Ok(()));
}

#[test]
fn in_a_full_table_the_largest_network_pays() {
    let mut world = World::new(|config| config.foreign_records_max = 1_000);
    for number in 0..3_000 {
        // A hundred peer ids, one network.
        let _ = world.receive(number, number % 100, [66, 6, 6, 6]);
    }
    assert_eq!(world.records.foreign_records(), 1_000);
    for number in 5_000..5_400 {
        world
            .receive(number, number, network(number % 40))
            .expect("others are entitled to a share");
    }
    assert!((5_000..5_400).all(|number| world.has(number, number)));
    assert_eq!(world.records.foreign_records(), 1_000);
    assert_eq!(
        world.receive(9_999, 1, [66, 6, 6, 6]),
        Err(Refused::TableFull)
    );
    world.records.foreign.check();
}

#[test]
fn peer_ids_are_bounded_and_the_largest_network_pays() {
    let mut world = World::new(|config| config.providers_max = 100);
    for id in 0..1_000 {
        let _ = world.receive(1_000 + id, id, [66, 6, 6, 6]);
    }
    assert_eq!(world.records.foreign_providers(), 100);
    for id in 2_000..2_040 {
        world.receive(id, id, network(id)).unwrap();
    }
    assert!((2_000..2_040).all(|id| world.has(id, id)));
    assert_eq!(world.records.foreign_providers(), 100);
    world.records.foreign.check();
}

#[test]
fn addresses_of_a_provider_are_its_latest_and_within_bounds() {
    let mut world = World::new(|config| config.keep_local_addresses = false);
    for number in 1..3 {
        world.receive(number, 1, [81, 0, 0, number as u8]).unwrap();
    }
    let addresses =
        |world: &World, number| world.records.providers(key(number))[0].addresses.clone();
    assert_eq!(addresses(&world, 1), [at([81, 0, 0, 2])]);
    world.receive(1, 1, [10, 0, 0, 1]).unwrap();
    assert_eq!(addresses(&world, 1), []);
    world.records.keep_local_addresses(true);
    world.receive(1, 1, [10, 0, 0, 1]).unwrap();
    assert_eq!(addresses(&world, 1), [at([10, 0, 0, 1])]);
}

#[test]
fn a_response_fits_into_a_packet() {
    let mut world = World::new(|_| {});
    for id in 0..20u32 {
        let name = |n: usize| {
            format!("/dns/{}/tcp/{}", "a".repeat(n), id + 1)
                .parse()
                .unwrap()
        };
        let addresses = (1..200).map(name).collect();
        let record = record(1, id, addresses);
        world
            .records
            .accept(&record, Some(&at(network(id))), Duration::MAX)
            .unwrap();
    }
    let response = world.records.providers(key(1));
    // Peer id, addresses, and generously what protobuf adds.
    let bytes = |record: &ProviderRecord| {
        let addresses = record
            .addresses
            .iter()
            .map(|address| address.len() + 4)
            .sum::<usize>();
        record.provider.to_bytes().len() + addresses + 16
    };
    let total: usize = response.iter().map(bytes).sum();
    assert_eq!(response.len(), 20);
    assert!(total < 8 * 1024, "{total} bytes");
}

#[test]
fn expired_records_vanish_before_they_are_swept() {
    let mut world = World::new(|_| {});
    world.receive(1, 1, network(1)).unwrap();
    world.later(48 * HOUR - Duration::from_secs(1));
    assert!(world.has(1, 1));
    world.later(Duration::from_secs(1));
    assert!(!world.has(1, 1));
    world.later(HOUR);
    assert_eq!(
        (
            world.records.foreign_records(),
            world.records.foreign_providers()
        ),
        (0, 0)
    );
    world.records.flush();
    assert_eq!(world.db.load(), []);
}

#[test]
fn kad_may_shorten_a_records_life_but_not_lengthen_it() {
    let mut world = World::new(|_| {});
    let short = record(1, 1, Vec::new());
    world.records.accept(&short, None, HOUR).unwrap();
    let long = record(2, 1, Vec::new());
    world.records.accept(&long, None, 1_000 * HOUR).unwrap();
    assert_eq!(
        world.records.accept(&long, None, Duration::ZERO),
        Err(Refused::Expired)
    );
    world.later(2 * HOUR);
    assert!(!world.has(1, 1) && world.has(2, 1));
    world.later(46 * HOUR);
    assert!(!world.has(2, 1));
}

#[test]
fn a_restart_keeps_what_is_valid() {
    let mut world = World::new(|_| {});
    world.receive(1, 1, network(1)).unwrap();
    world.later(DAY);
    world.receive(1, 2, network(2)).unwrap();
    world.receive(2, 3, network(3)).unwrap();
    world.restart();
    assert_eq!(world.providers(1), [peer(1), peer(2)]);
    assert_eq!(
        world.records.providers(key(2))[0].addresses,
        [at(network(3))]
    );
    assert!(world.records.take_batch().is_empty(), "nothing has changed");
    world.records.flush();
    world.now += 24 * HOUR;
    world.restart();
    assert_eq!(world.providers(1), [peer(2)]);
    world.restart();
    assert_eq!(world.db.load().len(), 4, "two records, two providers");
    world.records.foreign.check();
}

#[test]
fn a_record_that_comes_back_after_it_was_found_expired_stays() {
    let mut world = World::new(|_| {});
    world.receive(1, 1, network(1)).unwrap();
    world.records.flush();
    world.now += 3 * DAY;
    world.restart();
    assert!(!world.has(1, 1));
    world.receive(1, 1, network(1)).unwrap();
    world.restart();
    assert!(world.has(1, 1));
}

#[test]
fn smaller_quotas_hold_after_a_restart() {
    let mut world = World::new(|_| {});
    for number in 0..100 {
        world.receive(number / 20, number, network(number)).unwrap();
    }
    world.config.foreign_records_max = 50;
    world.config.providers_max = 90;
    world.config.providers_per_key_max = 12;
    world.restart();
    world.records.foreign.check();
    assert_eq!(world.records.foreign_records(), 50);
    let kept: Vec<_> = (0..5).map(|key| world.providers(key)).collect();
    world.restart();
    assert_eq!(
        (0..5).map(|key| world.providers(key)).collect::<Vec<_>>(),
        kept
    );
    let entries = world.records.foreign_records() + world.records.foreign_providers();
    assert_eq!(world.db.load().len(), entries, "nothing is left behind");
}

#[test]
fn damaged_entries_are_dropped_and_unknown_ones_left_alone() {
    let mut world = World::new(|_| {});
    world.receive(1, 1, network(1)).unwrap();
    world.records.flush();
    let record = EntryKey::Record(key(2), peer(2)).encode();
    let orphan = EntryKey::Record(key(3), peer(3)).encode();
    let rubbish = vec![
        (record, Some(vec![1, 2, 3])),
        (
            orphan,
            Some(format::record_value(Stamp(u32::MAX), Stamp(0))),
        ),
        (EntryKey::Provider(peer(4)).encode(), Some(vec![1, 99])),
        (EntryKey::Announced(key(5)).encode(), Some(vec![9; 5])),
        (vec![1], Some(vec![])),
        (vec![2, 0xff], Some(vec![1])),
        (vec![200, 1, 2], Some(vec![1])),
        (vec![], Some(vec![])),
    ];
    world.db.write(rubbish);
    world.restart();
    assert!(world.has(1, 1) && world.records.foreign_records() == 1);
    world.restart();
    let left: Vec<_> = world.db.load().into_iter().map(|(key, _)| key).collect();
    let mine = [
        EntryKey::Record(key(1), peer(1)),
        EntryKey::Provider(peer(1)),
    ];
    let [mine_1, mine_2] = mine.map(|key| key.encode());
    assert_eq!(left, [vec![], mine_1, mine_2, vec![200, 1, 2]]);
}

#[test]
fn a_wrong_clock_does_not_keep_records_for_years() {
    let mut world = World::new(|_| {});
    world.now += 3_000 * DAY;
    world.records.tick(world.now);
    world.receive(1, 1, network(1)).unwrap();
    world.now -= 3_000 * DAY;
    world.restart();
    assert!(world.has(1, 1));
    world.later(49 * HOUR);
    assert!(!world.has(1, 1));
}

#[test]
fn announce_times_are_handed_to_the_announcer() {
    let mut world = World::new(|_| {});
    let at = SystemTime::from(Stamp(1_700_000_000));
    let entry = (
        EntryKey::Announced(key(1)).encode(),
        Some(announced_value(at.into())),
    );
    world.db.write(vec![entry]);
    world.restart();
    assert_eq!(world.records.take_announced(), [(key(1), at)]);
    assert_eq!(world.records.take_announced(), []);
}

#[test]
fn changes_do_not_pile_up() {
    let mut world = World::new(|config| config.foreign_records_max = 10);
    for number in 0..CHANGES_MAX as u32 {
        let _ = world.receive(number, number, network(number));
    }
    assert!(world.records.foreign.dirty_len() <= CHANGES_MAX);
    assert!(!world.db.load().is_empty());
}

#[test]
fn memory_for_each_key_is_small() {
    // Trees are at least half full, about two thirds on average.
    const { assert!(size_of::<AnnounceKey>() == 32) };
    const { assert!(Table::RECORD_BYTES <= 120) };
    let own = OWN_KEYS_MAX * size_of::<AnnounceKey>() * 2;
    assert!(own <= 320 << 20, "{own} bytes of own keys at worst");
    let foreign = FOREIGN_RECORDS_MAX * Table::RECORD_BYTES * 2;
    assert!(
        foreign <= 120 << 20,
        "{foreign} bytes of foreign records at worst"
    );
}

#[derive(Debug, Clone)]
enum Step {
    Receive { key: u32, id: u32, net: u8 },
    Forget { key: u32, id: u32 },
    Reach { id: u32, ok: bool },
    Wait { minutes: u64 },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..8u32, 0..12u32, 0..6u8).prop_map(|(key, id, net)| Step::Receive { key, id, net }),
        1 => (0..8u32, 0..12u32).prop_map(|(key, id)| Step::Forget { key, id }),
        1 => (0..12u32, any::<bool>()).prop_map(|(id, ok)| Step::Reach { id, ok }),
        2 => (0..1_000u64).prop_map(|minutes| Step::Wait { minutes }),
        1 => Just(Step::Restart),
    ]
}

/// Networks of the steps: two public ones with many peers, and a local one.
fn ip(net: u8, id: u32) -> [u8; 4] {
    let id = id as u8;
    [
        [81, 0, 0, id],
        [82, 0, 0, id],
        [83, 0, id, 0],
        [10, 0, 0, id],
    ][usize::from(net) % 4]
}

impl World {
    /// Runs a step; true if it was a record that came in.
    fn run(&mut self, step: &Step) -> bool {
        match *step {
            Step::Receive { key, id, net } => return self.receive(key, id, ip(net, id)).is_ok(),
            Step::Forget { key: number, id } => self.records.remove(key(number), &peer(id)),
            Step::Reach { id, ok: true } => self.records.mark_reachable(&peer(id)),
            Step::Reach { id, ok: false } => self.records.mark_unreachable(&peer(id)),
            Step::Wait { minutes } => self.later(Duration::from_secs(60 * minutes)),
            Step::Restart => self.restart(),
        }
        false
    }
}

proptest! {
    /// With room for all, the store is a map from key and peer to a time.
    #[test]
    fn with_room_for_all_it_is_a_map(steps in proptest::collection::vec(step(), 0..80)) {
        let mut world = World::new(|_| {});
        let mut model = std::collections::BTreeMap::new();
        for step in &steps {
            world.run(step);
            match *step {
                Step::Receive { key, id, .. } => {
                    model.insert((key, id), world.now + PROVIDER_TTL);
                }
                Step::Forget { key, id } => {
                    model.remove(&(key, id));
                }
                _ => {}
            }
            let now = world.now;
            model.retain(|_, expires| *expires > now);
            for key in 0..8 {
                let mut found = world.providers(key);
                found.sort();
                let expected = model.keys().filter(|(k, _)| *k == key).map(|(_, id)| peer(*id));
                prop_assert_eq!(found, expected.collect::<Vec<_>>());
            }
            world.records.foreign.check();
        }
    }

    /// Without room, all sets agree, the quotas hold, every accepted provider is in, and a restart
    /// changes nothing.
    #[test]
    fn without_room_quotas_hold(steps in proptest::collection::vec(step(), 0..80)) {
        let mut world = World::new(|config| {
            config.providers_per_key_max = 3;
            config.foreign_records_max = 10;
            config.records_per_peer_max = 4;
            config.providers_max = 6;
        });
        for step in &steps {
            let came_in = world.run(step);
            if let Step::Receive { key, id, .. } = step {
                prop_assert_eq!(world.has(*key, *id), came_in);
            }
            world.records.foreign.check();
        }
        let sorted = |world: &World| -> Vec<Vec<PeerId>> {
            (0..8).map(|key| { let mut p = world.providers(key); p.sort(); p }).collect()
        };
        let before = sorted(&world);
        world.restart();
        prop_assert_eq!(sorted(&world), before);
    }
}
