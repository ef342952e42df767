//! What peers say about a file that is known by another hub's name for it.
//!
//! "This SHA-256 is that file hash" is a claim: a lie costs nothing, and only the bytes of the whole
//! file prove it. Callers must treat it as unproven until then.
//!
//! Asked are the peers that the caller or the configuration names, those on the local network,
//! those that the DHT names, and in a private network the members that are connected. No
//! other peer learns of the search.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use hubless_content::{Alias, FileHash};
use hubless_network::{AnnounceKey, Multiaddr, Network, PeerId};
use hubless_wire::{Request, Response};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use super::{
    connection::only_answer,
    discovery::{self, Candidate},
};
use crate::{error::TransferError, fetches::Fetches};

/// Peers asked in one search: more than a fetch has sources. Liars in the
/// DHT can waste no more requests.
const PEERS_ASKED_MAX: usize = 64;

/// Peers asked at once: some do not answer, and the others must not wait for them.
const ASKED_AT_ONCE_MAX: usize = 8;

/// How long one peer may take, the connection included: a few round trips over the worst link.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// Providers from the DHT that wait to be asked.
const FOUND_MAX: usize = 16;

/// What is searched.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What another hub calls the file.
    pub alias: Alias,
    /// Bytes of the file, if they are known: what has another size is not it.
    pub size: Option<u64>,
    /// Peers that the caller names.
    pub named: Vec<Multiaddr>,
    /// How long the search may take.
    pub within: Duration,
}

/// One peer holds this file, and says that it is the wanted one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The peer that says so.
    pub peer: PeerId,
    /// Where it can be dialled.
    pub addresses: Vec<Multiaddr>,
    /// The file that it holds.
    pub file: FileHash,
    /// Its bytes.
    pub size: u64,
}

/// What a search comes upon.
#[derive(Debug)]
pub enum Found {
    /// A peer claims to hold the file.
    Claim(Claim),
    /// All peers that are known without the DHT have answered, or there are none.
    NearbyAnswered,
}

/// Searches for peers that claim to hold a file. Claims come as they are made, one of each peer at
/// most; the channel ends when all were asked, or with the time. Dropping it ends the search.
///
/// # Errors
/// If this process has no network.
pub fn search(
    fetches: &Arc<Fetches>,
    wanted: Wanted,
) -> Result<mpsc::Receiver<Found>, TransferError> {
    let network = fetches.cx.network()?.clone();
    // Room for all claims, so that no search waits for a slow reader.
    let (found, claims) = mpsc::channel(PEERS_ASKED_MAX + 1);
    let search = Search {
        fetches: fetches.clone(),
        network,
        wanted: wanted.clone(),
        seen: HashSet::new(),
        nearby: HashSet::new(),
        waiting: VecDeque::new(),
        asking: JoinSet::new(),
        found,
    };
    let work = timeout(wanted.within, search.run());
    let work = fetches.cx.cancel.clone().run_until_cancelled_owned(work);
    fetches.cx.tasks.spawn(work);
    Ok(claims)
}

struct Search {
    fetches: Arc<Fetches>,
    network: Network,
    wanted: Wanted,
    seen: HashSet<PeerId>,
    /// Those of them that are known without the DHT and have not answered yet.
    nearby: HashSet<PeerId>,
    waiting: VecDeque<Candidate>,
    asking: JoinSet<(PeerId, Option<Claim>)>,
    found: mpsc::Sender<Found>,
}

impl Search {
    async fn run(mut self) {
        let (candidates, mut walked) = mpsc::channel(FOUND_MAX);
        let mut walking = JoinSet::new();
        walking.spawn(walk(self.network.clone(), self.wanted.alias, candidates));
        for candidate in self.nearby().await {
            self.add(candidate);
        }
        self.nearby = self.seen.clone();
        if self.nearby.is_empty() {
            self.report(Found::NearbyAnswered);
        }
        let mut walks = true;
        loop {
            self.ask_more();
            if !walks && self.asking.is_empty() {
                return;
            }
            tokio::select! {
                candidate = walked.recv(), if walks => match candidate {
                    Some(candidate) => self.add(candidate),
                    None => walks = false,
                },
                Some(asked) = self.asking.join_next() => {
                    if let Ok((peer, claim)) = asked {
                        self.on_answer(peer, claim);
                    }
                }
                () = self.found.closed() => return,
            }
        }
    }

    /// The peers to ask before the DHT names some.
    async fn nearby(&self) -> Vec<Candidate> {
        let named = &self.wanted.named;
        let mut nearby = discovery::nearby(&self.fetches, &self.network, named).await;
        if self.fetches.known_peers.is_private {
            let members = self.network.peers().await.into_iter();
            nearby.extend(members.map(|member| Candidate {
                peer: member.peer_id,
                addresses: member.listen_addresses,
                file: None,
            }));
        }
        nearby
    }

    fn add(&mut self, candidate: Candidate) {
        let is_new = candidate.peer != self.network.peer_id()
            && self.seen.len() < PEERS_ASKED_MAX
            && self.seen.insert(candidate.peer);
        if is_new {
            self.waiting.push_back(candidate);
        }
    }

    fn on_answer(&mut self, peer: PeerId, claim: Option<Claim>) {
        if let Some(claim) = claim {
            self.report(Found::Claim(claim));
        }
        if self.nearby.remove(&peer) && self.nearby.is_empty() {
            self.report(Found::NearbyAnswered);
        }
    }

    fn report(&self, found: Found) {
        // There is room for the claims of all that are asked.
        let _ = self.found.try_send(found);
    }

    fn ask_more(&mut self) {
        while self.asking.len() < ASKED_AT_ONCE_MAX
            && let Some(candidate) = self.waiting.pop_front()
        {
            let (fetches, network) = (self.fetches.clone(), self.network.clone());
            let (alias, size) = (self.wanted.alias, self.wanted.size);
            self.asking.spawn(async move {
                let peer = candidate.peer;
                let asked = timeout(ASK_TIMEOUT, ask(&fetches, &network, alias, candidate)).await;
                let fits = |claim: &Claim| size.is_none_or(|size| size == claim.size);
                (peer, asked.ok().flatten().filter(fits))
            });
        }
    }
}

/// Asks one peer. Searches ask the same peer one after the other: it accepts few streams, and those
/// that fetch need them too.
async fn ask(
    fetches: &Fetches,
    network: &Network,
    alias: Alias,
    candidate: Candidate,
) -> Option<Claim> {
    let Candidate {
        peer, addresses, ..
    } = candidate;
    let _alone = fetches.claims.lock(peer).await;
    let mut exchange = network.open(peer, addresses.clone()).await.ok()?;
    exchange
        .requests
        .send(1, Request::Alias(alias))
        .await
        .ok()?;
    match only_answer(&mut exchange, 1, ASK_TIMEOUT).await.ok()?.0 {
        Response::Alias { file, size } => Some(Claim {
            peer,
            addresses,
            file,
            size,
        }),
        _ => None,
    }
}

/// Searches holders in the DHT, where git's ids are not announced.
async fn walk(network: Network, alias: Alias, found: mpsc::Sender<Candidate>) {
    if let Alias::GitBlob(_) = alias {
        return;
    }
    discovery::join(&network).await;
    let mut providers = network.find_providers(AnnounceKey::from(alias)).await;
    while let Some(provider) = providers.recv().await {
        let candidate = Candidate {
            peer: provider.peer_id,
            addresses: provider.addresses,
            file: None,
        };
        if found.send(candidate).await.is_err() {
            return;
        }
    }
}

/// A file that some peers claim to be the wanted one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The file that it holds.
    pub file: FileHash,
    /// Its bytes.
    pub size: u64,
    /// At least one.
    pub peers: Vec<PeerId>,
}

/// All claims of a search, those of one file together: first what most peers say. Peers cost
/// nothing, so that is an order in which to try, not a proof.
pub async fn gather(mut found: mpsc::Receiver<Found>) -> Vec<Claimed> {
    let mut gathered: Vec<Claimed> = Vec::new();
    while let Some(found) = found.recv().await {
        let Found::Claim(Claim {
            peer, file, size, ..
        }) = found
        else {
            continue;
        };
        let same = |known: &&mut Claimed| (known.file, known.size) == (file, size);
        match gathered.iter_mut().find(same) {
            Some(known) => known.peers.push(peer),
            None => gathered.push(Claimed {
                file,
                size,
                peers: vec![peer],
            }),
        }
    }
    gathered.sort_by_key(|claimed| std::cmp::Reverse(claimed.peers.len()));
    gathered
}
