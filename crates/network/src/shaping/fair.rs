//! Which peer may pass bytes next under a limit: round robin among peers. Pure; time is an argument.
//!
//! **Drain rule:** after every `request`, call [`Fair::poll`] until it returns no [`Step::Grant`].

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use libp2p::PeerId;

use super::bucket::Bucket;

/// Peers whose own bucket is remembered while it refills. Beyond it the oldest are not forgotten
/// but the full ones, so that leaving and coming back gains nothing.
const BUCKETS_BEFORE_CLEANING: usize = 256;

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<T> {
    /// So many bytes may pass for this waiter.
    Grant(T, usize),
    /// Nothing before this time.
    WakeAt(Instant),
    /// No request waits.
    Idle,
}

struct Waiting<T> {
    peer: PeerId,
    requests: VecDeque<(T, usize)>,
}

/// A limit for all, one for each peer, and the peers that wait for their turn. How many wait is
/// bounded by the number of streams, each of which has one request open at most.
pub(crate) struct Fair<T> {
    all: Option<Bucket>,
    each: Option<u64>,
    buckets: HashMap<PeerId, Bucket>,
    turns: VecDeque<Waiting<T>>,
}

impl<T> Fair<T> {
    pub(crate) fn new() -> Self {
        Self {
            all: None,
            each: None,
            buckets: HashMap::new(),
            turns: VecDeque::new(),
        }
    }

    /// Sets the limits in bytes per second.
    pub(crate) fn set_limits(&mut self, all: Option<u64>, each: Option<u64>, now: Instant) {
        self.all = all.map(|rate| Bucket::new(rate, now));
        self.each = each;
        self.buckets.clear();
    }

    /// Whether there is a limit at all.
    pub(crate) fn is_limited(&self) -> bool {
        self.all.is_some() || self.each.is_some()
    }

    /// Queues a wish of at least one byte.
    pub(crate) fn request(&mut self, peer: PeerId, waiter: T, want: usize) {
        match self.turns.iter_mut().find(|waiting| waiting.peer == peer) {
            Some(waiting) => waiting.requests.push_back((waiter, want)),
            None => {
                let requests = VecDeque::from([(waiter, want)]);
                self.turns.push_back(Waiting { peer, requests });
            }
        }
    }

    /// The next step.
    pub(crate) fn poll(&mut self, now: Instant) -> Step<T> {
        if self.turns.is_empty() {
            return Step::Idle;
        }
        if let Some(ready_at) = self.all.as_mut().map(|all| all.ready_at(now))
            && ready_at > now
        {
            return Step::WakeAt(ready_at);
        }
        match self.next_turn(now) {
            Ok(turn) => self.grant(turn, now),
            Err(wake_at) => Step::WakeAt(wake_at),
        }
    }

    /// Gives back what was granted to a waiter that had left.
    pub(crate) fn put_back(&mut self, bytes: usize) {
        if let Some(all) = &mut self.all {
            all.put_back(bytes);
        }
    }

    /// The first peer in turn whose own limit lets something pass, or when one will.
    fn next_turn(&mut self, now: Instant) -> Result<usize, Instant> {
        let Some(rate) = self.each else { return Ok(0) };
        let mut earliest = None;
        for turn in 0..self.turns.len() {
            let peer = self.turns[turn].peer;
            let bucket = self
                .buckets
                .entry(peer)
                .or_insert_with(|| Bucket::new(rate, now));
            let ready_at = bucket.ready_at(now);
            if ready_at <= now {
                return Ok(turn);
            }
            earliest = Some(earliest.map_or(ready_at, |other: Instant| other.min(ready_at)));
        }
        Err(earliest.unwrap_or(now))
    }

    fn grant(&mut self, turn: usize, now: Instant) -> Step<T> {
        let Some(mut waiting) = self.turns.remove(turn) else {
            return Step::Idle;
        };
        let Some((waiter, mut bytes)) = waiting.requests.pop_front() else {
            return Step::Idle;
        };
        if let Some(all) = &mut self.all {
            bytes = all.quantum(bytes);
            all.take(bytes, now);
        }
        if let Some(own) = self.buckets.get_mut(&waiting.peer) {
            let quantum = own.quantum(bytes);
            if let Some(all) = &mut self.all {
                all.put_back(bytes - quantum);
            }
            bytes = quantum;
            own.take(bytes, now);
        }
        if !waiting.requests.is_empty() {
            self.turns.push_back(waiting);
        }
        if self.buckets.len() > BUCKETS_BEFORE_CLEANING {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        Step::Grant(waiter, bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Runs peers that always want more for ten seconds; returns what each of them got.
    fn run(fair: &mut Fair<usize>, peers: &[PeerId], want: &[usize]) -> Vec<usize> {
        let start = Instant::now();
        let (mut now, mut got) = (start, vec![0; peers.len()]);
        for (index, peer) in peers.iter().enumerate() {
            fair.request(*peer, index, want[index]);
        }
        while now < start + Duration::from_secs(10) {
            match fair.poll(now) {
                Step::Grant(index, bytes) => {
                    got[index] += bytes;
                    fair.request(peers[index], index, want[index]);
                }
                Step::WakeAt(at) => {
                    assert!(at > now, "a wait must be one");
                    now = at;
                }
                Step::Idle => unreachable!("all wait"),
            }
        }
        got
    }

    fn near(got: usize, expected: usize) -> bool {
        (0.97..1.03).contains(&(got as f64 / expected as f64))
    }

    #[test]
    fn peers_take_turns_and_together_stay_within_the_limit() {
        let peers: Vec<PeerId> = (0..3).map(|_| PeerId::random()).collect();
        let mut fair = Fair::new();
        fair.set_limits(Some(3_000_000), None, Instant::now());
        for got in run(&mut fair, &peers, &[262_144; 3]) {
            assert!(near(got, 10_000_000), "{got}");
        }
    }

    #[test]
    fn a_peer_with_many_streams_gets_no_more_than_one_with_one() {
        let (greedy, modest) = (PeerId::random(), PeerId::random());
        let peers = [greedy, greedy, greedy, modest];
        let mut fair = Fair::new();
        fair.set_limits(Some(1_000_000), None, Instant::now());
        let got = run(&mut fair, &peers, &[262_144; 4]);
        assert!(near(got[3], 5_000_000), "{got:?}");
    }

    #[test]
    fn each_peer_has_its_own_limit_too() {
        let peers: Vec<PeerId> = (0..2).map(|_| PeerId::random()).collect();
        let mut fair = Fair::new();
        fair.set_limits(Some(10_000_000), Some(200_000), Instant::now());
        for got in run(&mut fair, &peers, &[262_144; 2]) {
            assert!(near(got, 2_000_000), "{got}");
        }
    }

    #[test]
    fn without_a_limit_all_passes_at_once() {
        let mut fair = Fair::new();
        fair.request(PeerId::random(), 'a', 5_000_000);
        assert!(!fair.is_limited());
        assert_eq!(fair.poll(Instant::now()), Step::Grant('a', 5_000_000));
        assert_eq!(fair.poll(Instant::now()), Step::Idle);
    }
}
