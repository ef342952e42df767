//! The state that all fetches of a node share.

use std::sync::Arc;

use hubless_content::{ContentHash, FileHash};
use hubless_network::{Multiaddr, PeerId};
use hubless_store::{Damaged, Digests, StoreError};
use hubless_wire::{FileDigests, PeerAddresses};
use tokio::sync::Semaphore;

use crate::{
    claimed::{Claimed, Made},
    context::Context,
    damage,
    error::TransferError,
    locks::Locks,
    news::{Gains, News},
    shared_fetches::SharedFetches,
    swarms::Swarms,
    transfers::Transfers,
};

/// Chunks that are read ahead for all readers of files together: 32 MiB. If stalled readers occupy
/// all of it, other readers work without read-ahead, only slower.
const READ_AHEAD_CHUNKS: usize = 128;

/// The peers that the configuration names.
#[derive(Debug, Clone, Default)]
pub struct KnownPeers {
    /// Addresses of peers that are connected first.
    pub peers: Vec<Multiaddr>,
    /// Whether there are peers through which the DHT is joined.
    pub has_bootstrap: bool,
    /// Whether the network is private: all connected peers are members then.
    pub is_private: bool,
}

impl KnownPeers {
    /// Whether the configuration names any peer.
    pub fn any(&self) -> bool {
        self.has_bootstrap || !self.peers.is_empty()
    }
}

/// The fetches of a node, and their shared state.
pub struct Fetches {
    /// The node's context.
    pub cx: Arc<Context>,
    /// The peers that the configuration names.
    pub known_peers: KnownPeers,
    /// Room for chunks that are read ahead.
    pub(crate) read_ahead: Arc<Semaphore>,
    /// News of verified chunks, for peers that requested this node's availability.
    pub(crate) gains: Gains,
    /// Reports of stored chunks that were found to be wrong.
    pub damage: News<Damaged>,
    /// The members of swarms.
    pub swarms: Swarms,
    /// Locks of models that are being fetched completely.
    pub models: Locks<ContentHash>,
    /// Claims of peers about the aliases of files that are not held.
    pub claimed: Arc<Claimed>,
    /// Locks of aliases for which peers are being asked.
    pub(crate) claims: Locks<PeerId>,
    pub(crate) shared: SharedFetches,
    /// The fetches that are listed in `status` and on the web pages.
    pub transfers: Transfers,
}

impl Fetches {
    /// The fetches of a node; none runs yet.
    pub fn new(cx: Arc<Context>, known_peers: KnownPeers) -> Arc<Self> {
        Arc::new(Self {
            known_peers,
            read_ahead: Arc::new(Semaphore::new(READ_AHEAD_CHUNKS)),
            gains: Gains::default(),
            damage: damage::reports(&cx.store),
            swarms: Swarms::default(),
            models: Locks::default(),
            claimed: Arc::default(),
            claims: Locks::default(),
            shared: SharedFetches::default(),
            transfers: Transfers::default(),
            cx,
        })
    }

    /// Whether there is a connected peer, or soon may be.
    pub async fn has_peers(&self) -> bool {
        match self.cx.network() {
            Ok(network) => self.known_peers.any() || !network.peers().await.is_empty(),
            Err(_) => false,
        }
    }

    /// Other members of a swarm that are connected now.
    pub(crate) async fn swarm_members(&self, content: ContentHash) -> Vec<PeerAddresses> {
        self.swarms.members(content, self.cx.own_id).await
    }

    /// Records a peer's claims about files; returns whether one of them is certainly wrong.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn claim_digests(
        &self,
        peer: PeerId,
        claims: Vec<(FileHash, FileDigests)>,
    ) -> Result<bool, TransferError> {
        let (store, claimed) = (self.cx.store.clone(), self.claimed.clone());
        let make_all = move || {
            let mut wrong = false;
            for (file, digests) in claims {
                wrong |= claimed.make(&store, file, digests, peer)? == Made::Wrong;
            }
            Ok::<_, StoreError>(wrong)
        };
        Ok(self.cx.blocking.run(make_all).await??)
    }

    /// Compares a peer's claim about a file with the computed digests. A wrong claim is a lie,
    /// since damage causes none: the peer is banned.
    pub async fn prove_digests(&self, file: FileHash, digests: Digests) {
        if let Some(peer) = self.claimed.prove(file, digests) {
            tracing::warn!(%peer, %file, "a peer claimed a wrong SHA-256 or git id for a file");
            self.cx.counters.rejected.count();
            self.cx.reject(peer).await;
        }
    }
}
