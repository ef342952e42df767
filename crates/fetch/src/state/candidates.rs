//! The peers that were named: which one to connect to next, and when to try one again.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use hubless_content::FileHash;

use crate::types::{Candidate, Dial};

/// Peers remembered for one fetch. A liar in the DHT or among the sources can name no more.
const CANDIDATES_MAX: usize = 2000;

/// Addresses kept of one candidate.
const ADDRESSES_MAX: usize = 16;

/// The first wait after a peer failed; doubled each time.
const RETRY_FIRST: Duration = Duration::from_millis(500);

/// The longest wait after a peer failed.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Peers that never worked are given up after so many tries.
const TRIES_MAX: u32 = 8;

/// What is known of one candidate.
#[derive(Debug)]
struct Known<A> {
    addresses: Vec<A>,
    files: Vec<FileHash>,
    tries: u32,
    /// When it may be tried; `None` while it is in use or given up.
    next_try: Option<Duration>,
}

/// The peers that were named.
#[derive(Debug)]
pub(crate) struct Candidates<P, A> {
    own: P,
    known: BTreeMap<P, Known<A>>,
    /// Those that may be tried, by the time of their next try.
    waiting: BTreeSet<(Duration, P)>,
}

impl<P: Copy + Ord, A: Clone + PartialEq> Candidates<P, A> {
    pub(crate) fn new(own: P) -> Self {
        Self {
            own,
            known: BTreeMap::new(),
            waiting: BTreeSet::new(),
        }
    }

    /// A peer was named, perhaps again with other addresses.
    pub(crate) fn add(&mut self, candidate: Candidate<P, A>, now: Duration) {
        let Candidate {
            peer,
            addresses,
            file,
        } = candidate;
        let is_full = self.known.len() >= CANDIDATES_MAX;
        if peer == self.own || (is_full && !self.known.contains_key(&peer)) {
            return;
        }
        let waiting = &mut self.waiting;
        let known = self.known.entry(peer).or_insert_with(|| {
            waiting.insert((now, peer));
            Known {
                addresses: Vec::new(),
                files: Vec::new(),
                tries: 0,
                next_try: Some(now),
            }
        });
        for address in addresses {
            if known.addresses.len() < ADDRESSES_MAX && !known.addresses.contains(&address) {
                known.addresses.push(address);
            }
        }
        if let Some(file) = file.filter(|file| !known.files.contains(file)) {
            known.files.push(file);
        }
    }

    /// The next peer to try now. It is in use until [`Candidates::failed`] or
    /// [`Candidates::give_up`].
    pub(crate) fn take(&mut self, now: Duration) -> Option<Dial<P, A>> {
        let &(_, peer) = self.waiting.first().filter(|(at, _)| *at <= now)?;
        self.schedule(peer, None);
        Some(self.dial(peer))
    }

    /// What is known of a peer.
    pub(crate) fn dial(&self, peer: P) -> Dial<P, A> {
        let known = self.known.get(&peer);
        Dial {
            peer,
            addresses: known.map_or_else(Vec::new, |known| known.addresses.clone()),
            files: known.map_or_else(Vec::new, |known| known.files.clone()),
        }
    }

    /// When [`Candidates::take`] has the next one.
    pub(crate) fn next_try(&self) -> Option<Duration> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// A peer could not be reached, left, or has nothing: it is tried again later. `useful` if it
    /// gave something before.
    pub(crate) fn failed(&mut self, peer: P, useful: bool, now: Duration) {
        let Some(known) = self.known.get_mut(&peer) else {
            return;
        };
        known.tries = if useful { 0 } else { known.tries + 1 };
        let wait = RETRY_FIRST
            .saturating_mul(1 << known.tries.min(8))
            .min(RETRY_MAX);
        let next_try = (known.tries < TRIES_MAX).then_some(now + wait);
        self.schedule(peer, next_try);
    }

    /// A peer is not to be tried again.
    pub(crate) fn give_up(&mut self, peer: P) {
        self.schedule(peer, None);
    }

    /// Peers that were named so far.
    pub(crate) fn named(&self) -> usize {
        self.known.len()
    }

    fn schedule(&mut self, peer: P, next_try: Option<Duration>) {
        let Some(known) = self.known.get_mut(&peer) else {
            return;
        };
        if let Some(before) = std::mem::replace(&mut known.next_try, next_try) {
            self.waiting.remove(&(before, peer));
        }
        if let Some(at) = next_try {
            self.waiting.insert((at, peer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u32 = 0;

    fn candidate(peer: u32) -> Candidate<u32, u32> {
        Candidate {
            peer,
            addresses: vec![1],
            file: None,
        }
    }

    #[test]
    fn a_peer_that_fails_is_tried_later_and_at_last_given_up() {
        let mut candidates = Candidates::new(OWN);
        let mut now = Duration::ZERO;
        candidates.add(candidate(OWN), now);
        assert!(candidates.take(now).is_none(), "never this node itself");
        candidates.add(candidate(7), now);
        let mut tries = 0;
        while let Some(dial) = candidates.take(now) {
            assert_eq!(dial.peer, 7);
            assert!(candidates.take(now).is_none(), "in use");
            tries += 1;
            candidates.failed(7, false, now);
            assert!(candidates.take(now).is_none(), "waits");
            now = candidates.next_try().unwrap_or(now);
        }
        assert_eq!(tries, TRIES_MAX);
    }

    #[test]
    fn a_peer_that_was_useful_is_tried_again_soon() {
        let mut candidates = Candidates::new(OWN);
        let mut now = Duration::ZERO;
        candidates.add(candidate(7), now);
        for _ in 0..2 * TRIES_MAX {
            assert!(candidates.take(now).is_some());
            candidates.failed(7, true, now);
            assert_eq!(candidates.next_try(), Some(now + RETRY_FIRST));
            now += RETRY_FIRST;
        }
    }

    #[test]
    fn a_peer_that_was_given_up_stays_out_when_it_is_named_again() {
        let mut candidates = Candidates::new(OWN);
        candidates.add(candidate(7), Duration::ZERO);
        candidates.give_up(7);
        candidates.add(candidate(7), Duration::ZERO);
        assert!(candidates.take(Duration::MAX).is_none());
        assert_eq!(candidates.next_try(), None);
    }

    #[test]
    fn named_peers_cannot_fill_the_memory() {
        let mut candidates = Candidates::new(OWN);
        for peer in 1..=CANDIDATES_MAX as u32 + 10 {
            candidates.add(candidate(peer), Duration::ZERO);
        }
        assert_eq!(candidates.named(), CANDIDATES_MAX);
        for address in 0..100 {
            candidates.add(
                Candidate {
                    peer: 1,
                    addresses: vec![address],
                    file: None,
                },
                Duration::ZERO,
            );
        }
        assert_eq!(candidates.dial(1).addresses.len(), ADDRESSES_MAX);
    }
}
