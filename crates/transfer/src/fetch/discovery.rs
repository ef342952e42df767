//! Finding peers for one fetch, without asking the whole world.
//!
//! Asked are: the peers that the caller or the configuration names, those on the local network,
//! those that the DHT names, those that sources name, and those that ask us for the same model. A
//! want is never told to anyone else (threat 24: who asks what).

use std::{collections::HashMap, time::Duration};

use hubless_content::{ChunkSet, FileHash};
use hubless_network::{AnnounceKey, Multiaddr, Network, PeerId, peer_of};
use hubless_wire::PeerAddresses;
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use super::{layout::Layout, target::Target};
use crate::fetches::Fetches;

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

/// Somebody who may have what is wanted.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) peer: PeerId,
    pub(super) addresses: Vec<Multiaddr>,
    /// The file it was named for, if not for the whole model.
    pub(super) file: Option<FileHash>,
}

impl Candidate {
    /// From an address that ends in a peer id.
    pub(super) fn from_address(address: &Multiaddr) -> Option<Self> {
        let peer = peer_of(address)?;
        Some(Self {
            peer,
            addresses: vec![address.clone()],
            file: None,
        })
    }

    /// From what a source said; `None` if it is no peer at all.
    pub(super) fn from_exchange(named: &PeerAddresses) -> Option<Self> {
        let peer = PeerId::from_bytes(&named.id).ok()?;
        let parse = |bytes: &bytes::Bytes| Multiaddr::try_from(bytes.to_vec()).ok();
        Some(Self {
            peer,
            addresses: named.addresses.iter().filter_map(parse).collect(),
            file: None,
        })
    }
}

/// What is known of one candidate.
#[derive(Debug)]
struct State {
    addresses: Vec<Multiaddr>,
    files: Vec<FileHash>,
    tries: u32,
    /// When it may be tried; `None` while it is in use or given up.
    next_try: Option<Instant>,
}

/// Whom to try, and when.
#[derive(Debug)]
pub(super) struct Candidates {
    own: PeerId,
    known: HashMap<PeerId, State>,
}

impl Candidates {
    pub(super) fn new(own: PeerId) -> Self {
        Self {
            own,
            known: HashMap::new(),
        }
    }

    /// Somebody was named.
    pub(super) fn add(&mut self, candidate: Candidate, now: Instant) {
        let full = self.known.len() >= CANDIDATES_MAX;
        if candidate.peer == self.own || (full && !self.known.contains_key(&candidate.peer)) {
            return;
        }
        let fresh = || State {
            addresses: Vec::new(),
            files: Vec::new(),
            tries: 0,
            next_try: Some(now),
        };
        let state = self.known.entry(candidate.peer).or_insert_with(fresh);
        for address in candidate.addresses {
            if state.addresses.len() < ADDRESSES_MAX && !state.addresses.contains(&address) {
                state.addresses.push(address);
            }
        }
        if let Some(file) = candidate.file.filter(|file| !state.files.contains(file)) {
            state.files.push(file);
        }
    }

    /// The next peer to try now, with its addresses and the files it was named for. It is in use
    /// until [`Candidates::failed`] or [`Candidates::drop_peer`].
    pub(super) fn take(&mut self, now: Instant) -> Option<(PeerId, Vec<Multiaddr>, Vec<FileHash>)> {
        let due = |state: &State| state.next_try.filter(|at| *at <= now);
        let due = self
            .known
            .iter()
            .filter_map(|(peer, state)| Some((due(state)?, *peer)));
        let (_, peer) = due.min()?;
        let state = self.known.get_mut(&peer)?;
        state.next_try = None;
        let (addresses, files) = self.named_for(&peer);
        Some((peer, addresses, files))
    }

    /// The addresses of a peer, and the files it was named for.
    pub(super) fn named_for(&self, peer: &PeerId) -> (Vec<Multiaddr>, Vec<FileHash>) {
        let state = self.known.get(peer);
        state.map_or_else(Default::default, |state| {
            (state.addresses.clone(), state.files.clone())
        })
    }

    /// When [`Candidates::take`] has somebody next.
    pub(super) fn next_try(&self) -> Option<Instant> {
        self.known.values().filter_map(|state| state.next_try).min()
    }

    /// A peer could not be reached, left, or has nothing: try it again later. `useful` if it gave
    /// something before.
    pub(super) fn failed(&mut self, peer: PeerId, useful: bool, now: Instant) {
        if let Some(state) = self.known.get_mut(&peer) {
            state.tries = if useful { 0 } else { state.tries + 1 };
            let wait = RETRY_FIRST
                .saturating_mul(1 << state.tries.min(8))
                .min(RETRY_MAX);
            state.next_try = (state.tries < TRIES_MAX).then_some(now + wait);
        }
    }

    /// How many peers were named so far.
    pub(super) fn named(&self) -> usize {
        self.known.len()
    }

    /// A peer is not to be tried again.
    pub(super) fn drop_peer(&mut self, peer: PeerId) {
        if let Some(state) = self.known.get_mut(&peer) {
            state.next_try = None;
        }
    }
}

/// Time between the first and the second walk; doubled each time.
const WALK_AGAIN_FIRST: Duration = Duration::from_secs(1);

/// The longest time between two walks.
const WALK_AGAIN_MAX: Duration = Duration::from_secs(60);

/// No more walks while there are this many sources.
const SOURCES_ENOUGH: usize = 8;

/// How long to wait for a first peer before the DHT is walked all the same: long enough for a
/// handshake over a slow line and for an answer on the local network.
const JOIN_PATIENCE: Duration = Duration::from_secs(4);

/// How often it is looked whether there is somebody to ask: a tenth of a handshake over a slow line.
const JOIN_LOOK_EVERY: Duration = Duration::from_millis(50);

/// Walks without a result after which nobody is expected to have it: later ones find what was
/// announced while the first was on its way.
const FRUITLESS_WALKS: u32 = 3;

/// The largest missing files, which are looked for by their own hashes when the model's has too few
/// providers: another model may share them.
const FILES_WALKED_MAX: usize = 4;

/// The DHT walks of one fetch.
pub(super) struct Search {
    network: Network,
    target: Target,
    found: mpsc::Sender<Candidate>,
    walking: JoinSet<Walked>,
    joined: bool,
    walks: u32,
    /// Walks that began when there was a node to ask.
    walks_among_others: u32,
    providers: u32,
    next: Option<Instant>,
}

/// What came of a walk.
#[derive(Debug, Clone, Copy, Default)]
struct Walked {
    providers: u32,
    /// Whether there was a node to ask when it began.
    among_others: bool,
}

impl Search {
    pub(super) fn new(network: Network, target: Target, found: mpsc::Sender<Candidate>) -> Self {
        let mut walking = JoinSet::new();
        let joining = network.clone();
        // Not a walk yet: waits until there is somebody to ask.
        walking.spawn(async move {
            Walked {
                providers: 0,
                among_others: join(&joining).await,
            }
        });
        Self {
            network,
            target,
            found,
            walking,
            joined: false,
            walks: 0,
            walks_among_others: 0,
            providers: 0,
            next: None,
        }
    }

    /// Starts a walk if it is time and there are too few sources.
    pub(super) fn step(&mut self, sources: usize, layout: Option<&Layout>, missing: &ChunkSet) {
        let due = self.next.is_some_and(|at| at <= Instant::now());
        if !due || !self.walking.is_empty() {
            return;
        }
        if sources >= SOURCES_ENOUGH {
            self.next = Some(Instant::now() + WALK_AGAIN_MAX);
            return;
        }
        self.next = None;
        self.walk(self.target.key(), None);
        if self.walks > 1 && self.target.model().is_some() {
            for file in layout
                .map(|layout| largest(layout, missing))
                .unwrap_or_default()
            {
                self.walk(AnnounceKey::from(file), Some(file));
            }
        }
        self.walks += 1;
    }

    fn walk(&mut self, key: AnnounceKey, file: Option<FileHash>) {
        let (network, found) = (self.network.clone(), self.found.clone());
        self.walking.spawn(async move {
            let among_others = network.status().await.dht.routing_peers > 0;
            let mut providers = network.find_providers(key).await;
            let mut count = 0;
            while let Some(provider) = providers.recv().await {
                let peer = provider.peer_id;
                count += u32::from(peer != network.peer_id());
                let candidate = Candidate {
                    peer,
                    addresses: provider.addresses,
                    file,
                };
                if found.send(candidate).await.is_err() {
                    break;
                }
            }
            Walked {
                providers: count,
                among_others,
            }
        });
    }

    /// Ends when a walk has ended.
    pub(super) async fn ended(&mut self) {
        let Some(ended) = self.walking.join_next().await else {
            return std::future::pending().await;
        };
        let ended = ended.unwrap_or_default();
        self.joined |= ended.among_others;
        if self.walks == 0 {
            self.next = Some(Instant::now());
        } else {
            self.walks_among_others += u32::from(ended.among_others);
            self.providers = self.providers.saturating_add(ended.providers);
            let wait = WALK_AGAIN_FIRST.saturating_mul(1 << (self.walks - 1).min(8));
            self.next = Some(Instant::now() + wait.min(WALK_AGAIN_MAX));
        }
    }

    /// More sources are needed now.
    pub(super) fn hurry(&mut self) {
        let soon = Instant::now() + WALK_AGAIN_FIRST;
        self.next = self.next.map(|next| next.min(soon));
    }

    /// When [`Search::step`] has something to do.
    pub(super) fn next_step(&self) -> Option<Instant> {
        self.next.filter(|_| self.walking.is_empty())
    }

    /// Whether enough walks ended without naming a provider. For a caller that may wait for
    /// neighbours, which are found later, one without a node to ask does not count.
    pub(super) fn is_fruitless(&self, may_wait: bool) -> bool {
        let walks = if may_wait {
            self.walks_among_others
        } else {
            self.walks
        };
        walks >= FRUITLESS_WALKS && self.walking.is_empty() && self.providers == 0
    }

    /// Whether there was a node to ask.
    pub(super) fn has_joined(&self) -> bool {
        self.joined
    }

    /// Walks that have ended.
    pub(super) fn ended_walks(&self) -> u32 {
        match self.walking.is_empty() {
            true => self.walks,
            false => self.walks.saturating_sub(1),
        }
    }
}

fn largest(layout: &Layout, missing: &ChunkSet) -> Vec<FileHash> {
    let incomplete = |file: &usize| layout.range(*file).any(|chunk| missing.contains(chunk));
    let mut files: Vec<_> = layout.wanted().filter(incomplete).collect();
    files.sort_by_key(|file| std::cmp::Reverse(layout.entry(*file).size));
    files
        .into_iter()
        .take(FILES_WALKED_MAX)
        .map(|file| layout.entry(file).hash)
        .collect()
}

/// Waits until the DHT has somebody to ask; false if that takes too long.
pub async fn join(network: &Network) -> bool {
    let joined = async {
        while network.status().await.dht.routing_peers == 0 {
            tokio::time::sleep(JOIN_LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(JOIN_PATIENCE, joined).await.is_ok()
}

/// The peers to ask before the DHT: those that were named, those that the configuration names, and
/// those on the local network.
pub(super) async fn nearby(
    fetches: &Fetches,
    network: &Network,
    named: &[Multiaddr],
) -> Vec<Candidate> {
    let named = named
        .iter()
        .chain(&fetches.known_peers.peers)
        .filter_map(Candidate::from_address);
    let local = network
        .peers()
        .await
        .into_iter()
        .filter(|peer| peer.is_local);
    let local = local.map(|peer| Candidate {
        peer: peer.peer_id,
        addresses: peer.listen_addresses,
        file: None,
    });
    named.chain(local).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(peer: PeerId) -> Candidate {
        Candidate {
            peer,
            addresses: vec!["/ip4/127.0.0.1/tcp/1".parse().unwrap()],
            file: None,
        }
    }

    #[tokio::test]
    async fn a_peer_that_fails_is_tried_later_and_at_last_given_up() {
        let (own, peer) = (PeerId::random(), PeerId::random());
        let mut candidates = Candidates::new(own);
        let mut now = Instant::now();
        candidates.add(candidate(own), now);
        assert!(candidates.take(now).is_none(), "never ourselves");
        candidates.add(candidate(peer), now);
        let mut tries = 0;
        while let Some((taken, ..)) = candidates.take(now) {
            assert_eq!(taken, peer);
            assert!(candidates.take(now).is_none(), "in use");
            tries += 1;
            candidates.failed(peer, false, now);
            assert!(candidates.take(now).is_none(), "waits");
            now = candidates.next_try().unwrap_or(now);
        }
        assert_eq!(tries, TRIES_MAX);
    }

    #[tokio::test]
    async fn strangers_cannot_fill_the_memory() {
        let mut candidates = Candidates::new(PeerId::random());
        let now = Instant::now();
        for _ in 0..CANDIDATES_MAX + 10 {
            candidates.add(candidate(PeerId::random()), now);
        }
        assert_eq!(candidates.known.len(), CANDIDATES_MAX);
        let (peer, ..) = candidates.take(now).unwrap();
        for port in 0..100 {
            let addresses = vec![format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()];
            candidates.add(
                Candidate {
                    peer,
                    addresses,
                    file: None,
                },
                now,
            );
        }
        assert_eq!(candidates.known[&peer].addresses.len(), ADDRESSES_MAX);
    }
}
