use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use hubless_address::Protocol;
use hubless_content::{
    CLOCK_AHEAD_MAX_MS, Chain, DocumentHash, Head, Identity, PublicKey, RepoKind, SecretKey,
    SignedIdentity, Subject,
};

use super::*;
use crate::records::{MemoryDb, RecordDb as _, Records, RecordsConfig};

const HOUR: Duration = Duration::from_secs(3600);

/// A node under test, with its clock.
struct World {
    db: Arc<MemoryDb>,
    config: RecordsConfig,
    now: SystemTime,
    records: Records,
}

impl World {
    fn new(change: impl FnOnce(&mut ValuesConfig)) -> Self {
        let mut config = RecordsConfig::new(42);
        change(&mut config.values);
        let (db, now) = (
            Arc::new(MemoryDb::default()),
            SystemTime::UNIX_EPOCH + 480_000 * HOUR,
        );
        let records = Records::new(peer(0), db.clone(), config.clone(), now);
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
        self.records = Records::new(peer(0), self.db.clone(), config, self.now);
    }

    fn values(&self) -> &Values {
        self.records.values()
    }

    /// A peer at an IPv4 address puts a record.
    fn put(&mut self, record: &[u8], ip: [u8; 4]) -> Result<(), ValueRefused> {
        let key = HeadRecord::decode(record).map(|record| key_of(record.head()));
        let key = key.unwrap_or(AnnounceKey::new([0; 32]));
        self.put_at(key, record, ip)
    }

    fn put_at(&mut self, key: AnnounceKey, record: &[u8], ip: [u8; 4]) -> Result<(), ValueRefused> {
        let address = Multiaddr::from(Ipv4Addr::from(ip)).with(Protocol::Tcp(4001));
        let id = peer(u32::from_be_bytes(ip));
        let values = self.records.values_mut();
        values.put(key, record, (&id, Some(&address)), Duration::MAX)
    }

    /// Puts many heads without coming upon the limits of rates.
    fn put_all(
        &mut self,
        heads: impl IntoIterator<Item = VerifiedHead>,
        ip: impl Fn(u32) -> [u8; 4],
    ) -> u32 {
        let mut taken = 0;
        for (number, head) in (0..).zip(heads) {
            if number % 20 == 0 {
                self.later(Duration::from_secs(1));
            }
            taken += u32::from(self.put(head.record(), ip(number)).is_ok());
        }
        self.values().foreign.check();
        taken
    }

    fn has(&self, head: &VerifiedHead) -> bool {
        self.values().get(key_of(head.head())) == Some(head.record())
    }

    fn milliseconds(&self) -> u64 {
        Stamp::from(self.now).milliseconds()
    }
}

fn peer(id: u32) -> PeerId {
    let mut bytes = [7; 34];
    bytes[..2].copy_from_slice(&[0x12, 0x20]);
    bytes[30..].copy_from_slice(&id.to_be_bytes());
    PeerId::from_bytes(&bytes).unwrap()
}

fn key_of(head: &Head) -> AnnounceKey {
    head.subject.key().into()
}

/// An address in a network of its own.
fn network_of(number: u32) -> [u8; 4] {
    let [.., a, b] = number.to_be_bytes();
    [81, a, b, 1]
}

/// A publisher with one root key and one signer.
struct Alice {
    root: SecretKey,
    device: SecretKey,
    chain: Chain,
}

impl Alice {
    fn new(seed: u8) -> Self {
        let (root, device) = (SecretKey::new(&[seed; 32]), SecretKey::new(&[100; 32]));
        let identity = Identity::first(vec![root.public()], 1, vec![device.public()], [seed; 16]);
        let chain = Chain::new(vec![SignedIdentity::unsigned(identity).unwrap()]).unwrap();
        Self {
            root,
            device,
            chain,
        }
    }

    /// A new document with these root keys; `signers` stay.
    fn rotate(&self, keys: Vec<PublicKey>, own: &[&SecretKey]) -> Self {
        let (root, hash) = self.chain.root();
        let identity = Identity {
            number: self.chain.current().number + 1,
            root: Some(hash),
            keys,
            salt: None,
            ..self.chain.current().clone()
        };
        let mut signed = SignedIdentity::unsigned(identity).unwrap();
        for key in [&self.root].into_iter().chain(own.iter().copied()) {
            signed.sign(root, key);
        }
        Self {
            root: own.first().map_or(&self.root, |key| *key).clone(),
            device: self.device.clone(),
            chain: self.chain.with(signed).unwrap(),
        }
    }

    fn draft(&self, name: &str, seq: u64) -> Head {
        Head {
            subject: Subject::repo(self.chain.publisher(), RepoKind::Model, name).unwrap(),
            number: self.chain.current().number,
            seq,
            state: DocumentHash::new([seq as u8; 32]),
            previous: (seq > 1).then(|| DocumentHash::new([200; 32])),
            summary: None,
            time: 1_700_000_000_000,
        }
    }

    fn sign(&self, head: &Head) -> VerifiedHead {
        HeadRecord::sign(head, &self.chain, &self.device).unwrap()
    }

    fn head(&self, name: &str, seq: u64) -> VerifiedHead {
        self.sign(&self.draft(name, seq))
    }

    fn heads(&self, numbers: std::ops::Range<u32>) -> Vec<VerifiedHead> {
        numbers
            .map(|number| self.head(&format!("m{number:05}"), 1))
            .collect()
    }
}

const BOB: [u8; 4] = [81, 2, 3, 4];

#[test]
fn a_head_that_was_put_is_served_until_it_expires() {
    let (mut world, head) = (World::new(|_| {}), Alice::new(1).head("m", 1));
    assert_eq!(world.put(head.record(), BOB), Ok(()));
    assert!(world.has(&head));
    world.later(48 * HOUR - Duration::from_secs(1));
    assert!(world.has(&head));
    world.later(Duration::from_secs(1));
    assert!(!world.has(&head));
    world.later(HOUR);
    assert_eq!(world.values().foreign(), 0);
    world.records.flush();
    assert_eq!(world.db.load(), []);
}

#[test]
fn a_peer_may_shorten_the_life_of_what_it_puts() {
    let (mut world, head) = (World::new(|_| {}), Alice::new(1).head("m", 1));
    let key = key_of(head.head());
    let put = |world: &mut World, ttl| {
        let values = world.records.values_mut();
        values.put(key, head.record(), (&peer(1), None), ttl)
    };
    assert_eq!(put(&mut world, Duration::ZERO), Err(ValueRefused::Expired));
    assert_eq!(put(&mut world, HOUR), Ok(()));
    world.later(HOUR);
    assert!(!world.has(&head));
}

#[test]
fn what_is_no_head_of_the_key_is_refused() {
    let (mut world, alice) = (World::new(|_| {}), Alice::new(1));
    let head = alice.head("m", 1);
    let key = key_of(head.head());
    let bytes = head.record();
    let mut forged = bytes.to_vec();
    let signature = bytes
        .windows(64)
        .position(|window| {
            window
                == alice
                    .device
                    .sign(
                        hubless_content::Context::Head,
                        &head.head().encode().unwrap(),
                    )
                    .as_bytes()
        })
        .unwrap();
    forged[signature + 40] ^= 1;
    assert_eq!(
        world.put_at(key, &forged, BOB),
        Err(HeadError::Signature.into())
    );
    let large = vec![0; 4_097];
    assert_eq!(
        world.put_at(key, &large, BOB),
        Err(HeadError::TooLarge(4_097).into())
    );
    let cut = &bytes[..bytes.len() - 1];
    assert!(matches!(
        world.put_at(key, cut, BOB),
        Err(ValueRefused::Head(_))
    ));
    let other = key_of(alice.head("other", 1).head());
    assert_eq!(world.put_at(other, bytes, BOB), Err(ValueRefused::OtherKey));
    let late = Head {
        time: world.milliseconds() + CLOCK_AHEAD_MAX_MS + 1,
        ..alice.draft("m", 1)
    };
    assert_eq!(
        world.put(alice.sign(&late).record(), BOB),
        Err(HeadError::Future(CLOCK_AHEAD_MAX_MS + 1).into())
    );
    assert_eq!(
        (world.values().get(key), world.values().get(other)),
        (None, None)
    );
}

#[test]
fn of_all_heads_of_a_key_the_greatest_stays_in_whatever_order_they_come() {
    let alice = Alice::new(1);
    let confirmed = Head {
        time: alice.draft("m", 2).time + 1,
        ..alice.draft("m", 2)
    };
    let rising = [
        alice.head("m", 1),
        alice.head("m", 2),
        alice.sign(&confirmed),
    ];
    let mut world = World::new(|_| {});
    for head in &rising {
        assert_eq!(world.put(head.record(), BOB), Ok(()));
        assert!(world.has(head));
    }
    for head in &rising[..2] {
        assert_eq!(world.put(head.record(), BOB), Err(ValueRefused::Older));
        assert!(world.has(&rising[2]));
    }
    assert_eq!(world.values().foreign(), 1);
}

#[test]
fn a_head_that_is_not_proven_displaces_none() {
    let (mut world, alice) = (World::new(|_| {}), Alice::new(1));
    let head = alice.head("m", 1);
    world.put(head.record(), BOB).unwrap();
    // The same identity with another device's signature.
    let thief = Alice {
        device: SecretKey::new(&[66; 32]),
        ..Alice::new(1)
    };
    let signer_of = |bytes: &[u8], from: &[u8], to: &[u8]| {
        let at = bytes
            .windows(32)
            .rposition(|window| window == from)
            .unwrap();
        [&bytes[..at], to, &bytes[at + 32..]].concat()
    };
    let newer = alice.head("m", 9);
    let forged = signer_of(
        newer.record(),
        newer.signer().as_bytes(),
        thief.device.public().as_bytes(),
    );
    assert!(matches!(
        world.put_at(key_of(head.head()), &forged, BOB),
        Err(ValueRefused::Head(_))
    ));
    assert!(world.has(&head));
}

#[test]
fn keys_that_contradict_the_known_ones_are_refused_whatever_their_number() {
    let (mut world, alice) = (World::new(|_| {}), Alice::new(1));
    let (new, stolen) = (SecretKey::new(&[20; 32]), SecretKey::new(&[21; 32]));
    let rotated = alice.rotate(vec![new.public()], &[&new]);
    // A thief of the first root key makes another chain, twice as long.
    let contradicting = alice.rotate(vec![stolen.public()], &[&stolen]);
    let contradicting = contradicting.rotate(vec![new.public()], &[&new]);
    for head in [alice.head("m", 1), rotated.head("m", 2)] {
        assert_eq!(world.put(head.record(), BOB), Ok(()));
    }
    assert_eq!(
        world.put(contradicting.head("m", 3).record(), BOB),
        Err(ValueRefused::Contradicts)
    );
    assert!(world.has(&rotated.head("m", 2)));
}

#[test]
fn the_same_bytes_again_only_move_the_expiry() {
    let (mut world, head) = (World::new(|_| {}), Alice::new(1).head("m", 1));
    world.put(head.record(), BOB).unwrap();
    world.later(40 * HOUR);
    // More often than anything could be verified.
    for _ in 0..10_000 {
        assert_eq!(world.put(head.record(), BOB), Ok(()));
    }
    world.later(47 * HOUR);
    assert!(world.has(&head));
    // A peer cannot shorten the life of a head.
    let values = world.records.values_mut();
    let (id, second) = (peer(1), Duration::from_secs(1));
    assert_eq!(
        values.put(key_of(head.head()), head.record(), (&id, None), second),
        Ok(())
    );
    world.later(Duration::from_secs(2));
    assert!(world.has(&head));
}

#[test]
fn what_cannot_outrank_the_kept_head_costs_no_verification() {
    let (mut world, alice) = (World::new(|_| {}), Alice::new(1));
    world.put(alice.head("m", 9).record(), BOB).unwrap();
    let old = alice.head("m", 1);
    for _ in 0..10_000 {
        assert_eq!(world.put(old.record(), BOB), Err(ValueRefused::Older));
    }
    assert_eq!(world.put(alice.head("other", 1).record(), BOB), Ok(()));
}

#[test]
fn one_network_has_so_many_heads_proven_and_others_still_get_in() {
    let mut world = World::new(|_| {});
    let flood = Alice::new(1).heads(0..2_000);
    let proven = (0..).zip(&flood).filter(|(number, head)| {
        // As many peer ids as they like.
        world.put(head.record(), [66, 6, 6, *number as u8]).is_ok()
    });
    assert_eq!(proven.count(), 240, "a burst");
    assert_eq!(
        world.put(flood[1_999].record(), [66, 6, 6, 1]),
        Err(ValueRefused::TooOften)
    );
    assert_eq!(world.put(flood[1_999].record(), BOB), Ok(()));
    world.later(Duration::from_secs(1));
    let again = flood[500..600]
        .iter()
        .filter(|head| world.put(head.record(), [66, 6, 6, 1]).is_ok());
    assert_eq!(again.count(), 20, "and twenty a second");
}

#[test]
fn all_networks_together_have_so_many_signatures_proven() {
    let mut world = World::new(|_| {});
    let flood = Alice::new(1).heads(0..3_000);
    let proven = (0..)
        .zip(&flood)
        .filter(|(number, head)| world.put(head.record(), network_of(*number)).is_ok());
    assert_eq!(proven.count(), 2_000);
    assert_eq!(
        world.put(flood[2_999].record(), network_of(9_999)),
        Err(ValueRefused::Busy)
    );
    world.later(Duration::from_secs(1));
    assert_eq!(world.put(flood[2_999].record(), network_of(9_999)), Ok(()));
}

#[test]
fn of_a_known_publisher_only_the_signature_of_the_head_is_verified() {
    let alice = Alice::new(1);
    let keys: Vec<_> = (30..38).map(|seed| SecretKey::new(&[seed; 32])).collect();
    let mut public: Vec<_> = keys.iter().map(SecretKey::public).collect();
    public.sort_unstable();
    let rotated = alice.rotate(public, &keys.iter().collect::<Vec<_>>());
    let record = HeadRecord::decode(rotated.head("m", 1).record()).unwrap();
    // The head, the old root key and the new ones.
    assert_eq!(chains::signatures(&record), 10);
    let mut world = World::new(|_| {});
    let taken = rotated
        .heads(0..1_000)
        .iter()
        .filter(|head| world.put(head.record(), BOB).is_ok())
        .count();
    assert_eq!(taken, 231, "all but the first cost one of the burst of 240");
}

#[test]
fn a_network_has_a_quota() {
    let mut world = World::new(|config| config.network_bytes_max = 10_000);
    let heads = Alice::new(1).heads(0..40);
    let taken = world.put_all(heads.iter().take(39).cloned(), |number| {
        [66, 6, 6, number as u8]
    });
    assert!((10..20).contains(&taken), "{taken}");
    assert_eq!(
        world.put(heads[39].record(), [66, 6, 6, 1]),
        Err(ValueRefused::NetworkQuota)
    );
    assert_eq!(world.put(heads[39].record(), BOB), Ok(()));
}

#[test]
fn when_there_is_no_room_the_largest_network_pays() {
    let mut world = World::new(|config| config.bytes_max = 100_000);
    let flood = Alice::new(1).heads(0..1_000);
    world.put_all(flood, |number| [66, 6, 6, number as u8]);
    let full = world.values().foreign();
    assert!((150..200).contains(&full), "{full}");
    let honest = Alice::new(2).heads(0..60);
    let taken = world.put_all(honest.clone(), |number| network_of(number % 6));
    assert_eq!(taken, 60);
    assert!(honest.iter().all(|head| world.has(head)));
    let more = Alice::new(1).heads(2_000..2_100);
    world.put_all(more, |_| [66, 6, 6, 6]);
    assert!(
        honest.iter().all(|head| world.has(head)),
        "the flood pays for itself"
    );
    // A network that has no less than others gets nothing of theirs.
    let mut world = World::new(|config| config.bytes_max = 10_000);
    let even = Alice::new(3).heads(0..20);
    world.put_all(even, |number| network_of(number % 2));
    let late = Alice::new(4).heads(0..40);
    world.put_all(late[..39].to_vec(), |_| BOB);
    assert_eq!(
        world.put(late[39].record(), BOB),
        Err(ValueRefused::TableFull)
    );
}

#[test]
fn heads_that_a_flood_carried_on_do_not_pay_for_it() {
    let mut world = World::new(|config| config.bytes_max = 100_000);
    let honest = Alice::new(2).heads(0..50);
    let attacker = |_| [66, 6, 6, 6];
    // The attacker puts them first, so they count to it.
    world.put_all(honest.clone(), attacker);
    world.put_all(Alice::new(1).heads(0..1_000), attacker);
    // The publisher puts its heads again, and the attacker does too.
    world.put_all(honest.clone(), |number| network_of(number % 10));
    world.put_all(honest.clone(), attacker);
    let others = Alice::new(3).heads(0..80);
    assert_eq!(world.put_all(others, |number| network_of(100 + number)), 80);
    assert!(honest.iter().all(|head| world.has(head)));
}

#[test]
fn held_heads_stay_whatever_strangers_put() {
    let mut world = World::new(|config| config.bytes_max = 10_000);
    let (alice, held) = (Alice::new(1), Alice::new(2).head("mine", 5));
    world.records.values_mut().hold(&held).unwrap();
    world.put_all(alice.heads(0..200), network_of);
    world.later(100 * HOUR);
    assert!(world.has(&held));
    assert_eq!(
        world.put(Alice::new(2).head("mine", 4).record(), BOB),
        Err(ValueRefused::Older),
        "what was seen is not forgotten"
    );
    let newer = Alice::new(2).head("mine", 6);
    assert_eq!(world.put(newer.record(), BOB), Ok(()));
    assert!(world.has(&newer), "readers get the newest");
    world.records.values_mut().hold(&newer).unwrap();
    assert_eq!((world.values().foreign(), world.values().held()), (0, 1));
    world.records.values_mut().release(key_of(newer.head()));
    assert!(!world.has(&newer));
}

#[test]
fn a_head_that_this_node_puts_replaces_the_foreign_one() {
    let (mut world, alice) = (World::new(|_| {}), Alice::new(1));
    let heads = [1, 2, 3].map(|seq| alice.head("m", seq));
    world.records.values_mut().learn(&heads[0]);
    assert_eq!(world.values().foreign(), 0, "none was put here");
    world.put(heads[1].record(), BOB).unwrap();
    world.records.values_mut().learn(&heads[0]);
    assert!(world.has(&heads[1]));
    world.records.values_mut().learn(&heads[2]);
    assert!(world.has(&heads[2]));
    world.values().foreign.check();
}

#[test]
fn held_heads_have_a_quota_too() {
    let mut world = World::new(|config| config.held_max = 2);
    let heads = Alice::new(1).heads(0..3);
    let values = world.records.values_mut();
    for head in &heads[..2] {
        assert_eq!(values.hold(head), Ok(()));
    }
    assert_eq!(values.hold(&heads[2]), Err(HeldFull));
    assert_eq!(values.hold(&heads[1]), Ok(()));
}

#[test]
fn peers_of_a_local_network_are_networks_of_their_own() {
    let mut world = World::new(|config| config.network_bytes_max = 1_000);
    let heads = Alice::new(1).heads(0..3);
    assert_eq!(world.put(heads[0].record(), [10, 0, 0, 1]), Ok(()));
    assert_eq!(
        world.put(heads[1].record(), [10, 0, 0, 1]),
        Err(ValueRefused::NetworkQuota)
    );
    assert_eq!(world.put(heads[1].record(), [10, 0, 0, 2]), Ok(()));
}

#[test]
fn a_restart_keeps_what_is_valid() {
    let mut world = World::new(|_| {});
    let heads = Alice::new(1).heads(0..3);
    world.put_all(heads[..2].to_vec(), network_of);
    world.later(24 * HOUR);
    world.put(heads[1].record(), [10, 0, 0, 1]).unwrap();
    world.restart();
    world.values().foreign.check();
    assert!(world.has(&heads[0]) && world.has(&heads[1]));
    assert!(world.records.take_batch().is_empty(), "nothing has changed");
    world.now += 25 * HOUR;
    world.restart();
    assert!(!world.has(&heads[0]) && world.has(&heads[1]));
    world.restart();
    assert_eq!(world.db.load().len(), 1);
}

#[test]
fn damaged_rows_are_dropped_or_lose_to_a_proven_head() {
    let (mut world, alice) = (World::new(|_| {}), Alice::new(1));
    let (head, other) = (alice.head("m", 1), alice.head("other", 1));
    world.put_all([head.clone(), other.clone()], network_of);
    world.records.flush();
    let rows = world.db.load();
    let mut wrong_key = rows[0].clone();
    wrong_key.0[5] ^= 1;
    world.db.write(vec![
        (wrong_key.0, Some(wrong_key.1)),
        (vec![4, 1], Some(vec![1])),
    ]);
    world.restart();
    assert_eq!(world.values().foreign(), 2);
    world.restart();
    assert_eq!(world.db.load(), rows);
    // A changed number of the head, the signature no longer fits.
    let draft = Head {
        seq: 77,
        ..alice.draft("m", 2)
    };
    let bytes = alice.sign(&draft).record().to_vec();
    let at = bytes
        .windows(2)
        .position(|window| window == [6 << 3, 77])
        .unwrap();
    let mut changed = bytes;
    changed[at + 1] = 78;
    let key = key_of(head.head());
    world.records.values_mut().foreign.take(key);
    let group = network(&peer(1), None);
    let expires = Stamp::from(world.now + HOUR);
    assert!(
        world
            .records
            .values_mut()
            .restore(key, &changed, (group, expires))
    );
    let (new, later) = (SecretKey::new(&[20; 32]), alice.chain.current().number + 1);
    let rotated = alice.rotate(vec![new.public()], &[&new]);
    assert_eq!(rotated.chain.current().number, later);
    assert_eq!(world.put(rotated.head("m", 1).record(), BOB), Ok(()));
    assert!(world.has(&rotated.head("m", 1)));
}

#[test]
fn memory_for_each_head_is_what_it_is_charged() {
    // Trees are two thirds full on average.
    const { assert!(Table::VALUE_BYTES * 3 / 2 <= Table::OVERHEAD) };
}
