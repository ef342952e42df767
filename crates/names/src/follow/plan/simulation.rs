//! How news spreads through many followers: hops, duplicates, and how long it takes.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::*;

const FOLLOWERS: u32 = 1_000;

/// The signer.
const SIGNER: u32 = 0;

/// Watches of one publisher that a holder gives.
const PLACES: usize = 64;

/// Holders that a search in the DHT finds.
const FOUND: usize = 20;

/// From one node to another and back: the report, and the state and history that are fetched.
const HOP: Duration = Duration::from_millis(200);

/// Followers that join one after the other: each finds the signer and some of those before it.
struct World {
    random: SmallRng,
    plans: BTreeMap<u32, Plan<u32>>,
    /// The followers that watch a holder.
    watchers: BTreeMap<u32, BTreeSet<u32>>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            random: SmallRng::seed_from_u64(seed),
            plans: BTreeMap::new(),
            watchers: BTreeMap::new(),
        };
        for follower in 1..=FOLLOWERS {
            world.join(follower);
        }
        world
    }

    fn join(&mut self, follower: u32) {
        let of = PublisherId::new([1; 32]);
        let mut plan = Plan::new(follower.into());
        plan.handle(Duration::ZERO, Input::Following(vec![of]));
        // The profile names the signer's peer; the DHT names others in no order.
        let mut holders = vec![SIGNER];
        for _ in 0..FOUND {
            let other = self.random.random_range(0..follower);
            if !holders.contains(&other) {
                holders.push(other);
            }
        }
        plan.handle(Duration::ZERO, Input::Found(of, holders));
        while let Some(output) = plan.poll_output() {
            let Output::Watch(holder, _) = output else {
                continue;
            };
            let watchers = self.watchers.entry(holder).or_default();
            if watchers.len() < PLACES {
                watchers.insert(follower);
            } else {
                plan.handle(Duration::ZERO, Input::Ended(holder, of, End::Refused));
            }
        }
        self.plans.insert(follower, plan);
    }

    /// One head from the signer: of each follower, the hops that it came by and the copies that came.
    fn publish(&self) -> BTreeMap<u32, (u32, u32)> {
        let mut reached: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
        let mut queue = BinaryHeap::from([std::cmp::Reverse((0, SIGNER))]);
        let mut sent = BTreeSet::new();
        while let Some(std::cmp::Reverse((hops, node))) = queue.pop() {
            if !sent.insert(node) {
                continue;
            }
            for watcher in self.watchers.get(&node).into_iter().flatten() {
                let (_, copies) = reached.entry(*watcher).or_insert((hops + 1, 0));
                *copies += 1;
                queue.push(std::cmp::Reverse((hops + 1, *watcher)));
            }
        }
        reached
    }
}

#[test]
fn news_reaches_a_thousand_followers_in_a_few_hops() {
    let world = World::new(42);
    let reached = world.publish();
    let mut hops: Vec<u32> = reached.values().map(|(hops, _)| *hops).collect();
    hops.sort_unstable();
    let copies: u32 = reached.values().map(|(_, copies)| copies).sum();
    let at = |share: usize| hops[(hops.len() * share / 100).min(hops.len() - 1)];
    let (p50, p95, max) = (at(50), at(95), hops[hops.len() - 1]);
    let each = f64::from(copies) / f64::from(FOLLOWERS);
    println!(
        "{FOLLOWERS} followers: hops p50 {p50}, p95 {p95}, max {max} ({:?} at {HOP:?} a hop); \
         {each:.2} copies each",
        HOP * max
    );
    assert_eq!(reached.len() as u32, FOLLOWERS, "no follower is cut off");
    assert!(max <= 6, "hops: {max}");
    assert!(each <= WATCHES_OF_ONE as f64, "copies: {each}");
    assert!(
        world
            .watchers
            .values()
            .all(|watchers| watchers.len() <= PLACES)
    );
}

#[test]
fn one_seed_gives_one_spread() {
    assert_eq!(World::new(3).publish(), World::new(3).publish());
}
