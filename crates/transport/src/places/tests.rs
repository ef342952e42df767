use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use super::*;

const CONFIG: PlacesConfig = PlacesConfig {
    total: 6,
    share_per_prefix: 3,
    share_loopback: 5,
    reserve: 0,
};

/// A table and a clock that moves with each step.
struct Room {
    places: Places,
    now: Instant,
}

impl Room {
    fn new(config: PlacesConfig) -> Self {
        Self {
            places: Places::new(config),
            now: Instant::now(),
        }
    }

    fn step(&mut self) -> Instant {
        self.now += Duration::from_secs(1);
        self.now
    }

    fn enter(&mut self, from: &str) -> Entry {
        let (now, ip) = (self.step(), from.parse::<IpAddr>().unwrap());
        self.places.enter(now, ip)
    }

    /// Enters where there is room.
    fn admitted(&mut self, from: &str) -> PlaceId {
        match self.enter(from) {
            Entry::Admitted(id) => id,
            other => panic!("{other:?}"),
        }
    }

    /// Enters, and returns the connection that gave way.
    fn gave_way(&mut self, from: &str) -> PlaceId {
        match self.enter(from) {
            Entry::AdmittedInsteadOf(_, old) => old,
            other => panic!("{other:?}"),
        }
    }

    fn idle(&mut self, id: PlaceId) {
        let now = self.step();
        self.places.idle(id, now);
    }
}

#[test]
fn above_its_share_a_prefix_competes_with_itself() {
    let mut room = Room::new(CONFIG);
    let other = room.admitted("82.0.0.1");
    let own: Vec<_> = (1..=3)
        .map(|n| room.admitted(&format!("81.2.3.{n}")))
        .collect();
    assert_eq!(room.gave_way("81.2.3.9"), own[0]);
    assert_eq!(room.gave_way("81.2.3.9"), own[1]);
    assert_eq!(room.places.len(), 4);
    assert!(room.places.busy(other), "others lose nothing");
}

#[test]
fn loopback_has_a_larger_share() {
    let mut room = Room::new(CONFIG);
    let first = room.admitted("127.0.0.1");
    for _ in 1..5 {
        room.admitted("::1");
    }
    assert_eq!(room.gave_way("127.0.0.2"), first);
    room.admitted("81.2.3.1");
}

#[test]
fn the_longest_idle_gives_way_and_activity_counts() {
    let mut room = Room::new(CONFIG);
    let own: Vec<_> = (0..3).map(|_| room.admitted("81.2.3.4")).collect();
    room.idle(own[0]);
    assert_eq!(room.gave_way("81.2.3.4"), own[1]);
    room.places.busy(own[2]);
    room.idle(own[2]);
    assert_eq!(room.gave_way("81.2.3.4"), own[0]);
}

#[test]
fn the_busy_never_give_way() {
    let mut room = Room::new(CONFIG);
    let own: Vec<_> = (0..3).map(|_| room.admitted("81.2.3.4")).collect();
    assert!(own.iter().all(|id| room.places.busy(*id)));
    assert!(room.places.busy(own[0]), "still");
    assert_eq!(room.enter("81.2.3.5"), Entry::Refused);
    room.idle(own[1]);
    assert_eq!(room.gave_way("81.2.3.5"), own[1]);
}

#[test]
fn when_all_places_are_taken_the_prefix_with_the_most_pays() {
    let mut room = Room::new(CONFIG);
    let small = room.admitted("83.0.0.1");
    let large: Vec<_> = (0..3).map(|_| room.admitted("81.2.3.4")).collect();
    for _ in 0..2 {
        room.admitted("82.0.0.1");
    }
    assert_eq!(
        room.gave_way("84.0.0.1"),
        large[0],
        "not the longest idle of all"
    );
    // 83: 1, 81: 2, 82: 2, 84: 1. The busy of the largest leave only the next one to pay.
    room.places.busy(large[1]);
    room.places.busy(large[2]);
    assert_ne!(room.gave_way("85.0.0.1"), small);
    assert_eq!(room.places.len(), CONFIG.total);
}

#[test]
fn a_prefix_does_not_grow_at_the_cost_of_one_that_holds_as_few() {
    let config = PlacesConfig { total: 2, ..CONFIG };
    let mut room = Room::new(config);
    room.admitted("82.0.0.1");
    let own = room.admitted("81.2.3.4");
    assert_eq!(room.gave_way("81.2.3.5"), own);
    let mut room = Room::new(config);
    room.admitted("82.0.0.1");
    let own = room.admitted("81.2.3.4");
    room.places.busy(own);
    assert_eq!(room.enter("81.2.3.5"), Entry::Refused);
    assert!(matches!(
        room.enter("83.0.0.1"),
        Entry::AdmittedInsteadOf(..)
    ));
}

#[test]
fn the_reserve_is_not_for_the_busy() {
    let mut room = Room::new(PlacesConfig {
        reserve: 1,
        ..CONFIG
    });
    let own: Vec<_> = (0..3).map(|_| room.admitted("81.2.3.4")).collect();
    assert!(room.places.busy(own[0]) && room.places.busy(own[1]));
    assert!(!room.places.busy(own[2]), "the share's reserve");
    assert_eq!(room.gave_way("81.2.3.4"), own[2]);
    let others: Vec<_> = (0..3).map(|_| room.admitted("82.0.0.1")).collect();
    assert!(room.places.busy(others[0]) && room.places.busy(others[1]));
    let last = room.gave_way("83.0.0.1");
    assert!(!others[..2].contains(&last) && !own[..2].contains(&last));
    room.places.leave(others[0]);
    assert!(room.places.busy(others[1]), "it is already");
}

#[test]
fn the_reserve_of_all_places_is_not_for_the_busy() {
    let config = PlacesConfig {
        total: 3,
        reserve: 1,
        ..CONFIG
    };
    let mut room = Room::new(config);
    let ids: Vec<_> = (1..=3)
        .map(|n| room.admitted(&format!("8{n}.0.0.1")))
        .collect();
    assert!(room.places.busy(ids[0]) && room.places.busy(ids[1]));
    assert!(!room.places.busy(ids[2]));
    assert_eq!(room.gave_way("85.0.0.1"), ids[2]);
}

#[test]
fn what_left_is_forgotten() {
    let mut room = Room::new(CONFIG);
    let id = room.admitted("81.2.3.4");
    room.places.busy(id);
    room.places.leave(id);
    room.places.leave(id);
    room.idle(id);
    assert!(!room.places.busy(id));
    assert!(room.places.is_empty() && room.places.groups.is_empty());
    assert_eq!(room.places.busy, 0);
}

#[test]
fn whatever_happens_the_counts_are_those_of_the_places() {
    use proptest::prelude::*;

    let steps = proptest::collection::vec((0u8..4, 0u8..8, any::<prop::sample::Index>()), 0..200);
    proptest!(|(steps in steps, reserve in 0usize..3)| {
        let mut room = Room::new(PlacesConfig { reserve, ..CONFIG });
        let mut ids: Vec<PlaceId> = Vec::new();
        for (what, from, which) in steps {
            let id = (!ids.is_empty()).then(|| ids[which.index(ids.len())]);
            match (what, id) {
                (0, _) | (_, None) => match room.enter(&format!("81.0.{}.1", from / 2)) {
                    Entry::Admitted(id) => ids.push(id),
                    Entry::AdmittedInsteadOf(id, old) => {
                        prop_assert!(ids.contains(&old));
                        ids.retain(|id| *id != old);
                        ids.push(id);
                    }
                    Entry::Refused => {}
                },
                (1, Some(id)) => { room.places.busy(id); }
                (2, Some(id)) => room.idle(id),
                (_, Some(id)) => {
                    room.places.leave(id);
                    ids.retain(|other| *other != id);
                }
            }
            let places = &room.places;
            prop_assert_eq!(places.len(), ids.len());
            prop_assert!(ids.len() <= CONFIG.total);
            let groups = places.groups.values();
            prop_assert_eq!(groups.clone().map(|group| group.held).sum::<usize>(), ids.len());
            prop_assert_eq!(groups.map(Group::busy).sum::<usize>(), places.busy);
            prop_assert!(places.groups.values().all(|group| group.held <= 3));
            prop_assert!(places.busy <= CONFIG.total - reserve);
        }
    });
}

#[test]
fn prefixes_of_addresses() {
    let of = |ip: &str| Prefix::from(ip.parse::<IpAddr>().unwrap());
    assert_eq!(of("127.9.0.1"), Prefix::Loopback);
    assert_eq!(of("::ffff:127.0.0.1"), Prefix::Loopback);
    assert_eq!(of("81.2.3.4"), of("::ffff:81.2.3.99"));
    assert_eq!(of("2002:5102:304::1"), Prefix::V4([81, 2, 3]), "6to4");
    assert_eq!(of("2a00:1:2:3::4"), of("2a00:1:2:ffff::1"));
    assert_ne!(of("2a00:1:2:3::4"), of("2a00:1:3:3::4"));
    assert_ne!(
        of("192.168.0.1"),
        of("192.168.0.2"),
        "machines of one local network"
    );
    let remote = |address: &str| Prefix::of_remote(&address.parse().unwrap());
    assert_eq!(remote("/ip4/81.2.3.4/tcp/5"), Prefix::V4([81, 2, 3]));
    let peer = libp2p::PeerId::random();
    assert_eq!(
        remote(&format!(
            "/ip4/81.2.3.4/tcp/5/p2p/{peer}/p2p-circuit/p2p/{peer}"
        )),
        Prefix::Unknown
    );
}

#[tokio::test]
async fn a_shared_place_reports_its_loss_and_is_left_when_dropped() {
    let shared = SharedPlaces::new(PlacesConfig {
        total: 2,
        share_per_prefix: 2,
        ..CONFIG
    });
    let ip: IpAddr = "81.2.3.4".parse().unwrap();
    let (first, second) = (shared.enter(ip).unwrap(), shared.enter(ip).unwrap());
    assert!(second.busy());
    let third = shared.enter(ip).unwrap();
    first.lost().cancelled().await;
    drop(first);
    assert_eq!(shared.taken(), 2, "dropping what was lost frees nothing");
    assert!(third.busy() && !third.lost().is_cancelled());
    assert!(shared.enter(ip).is_none());
    drop(third);
    assert!(shared.enter(ip).is_some());
}
