//! The members of each swarm that this node knows, sent to other members, so that they find each
//! other without the DHT.

mod table;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hubless_content::ContentHash;
use hubless_network::{Network, PeerId};
use hubless_sync::lock;
use hubless_wire::{ADDRESSES_PER_PEER_MAX, PEERS_PER_RESPONSE_MAX, PeerAddresses};
use tokio::sync::broadcast;

use self::table::Table;

/// Queue of new members for a fetch. A fetch that misses some learns of them from other peers.
const ASKERS_MAX: usize = 256;

/// The members of the swarms. Cloning is cheap.
#[derive(Clone)]
pub struct Swarms {
    members: Arc<Mutex<Table>>,
    askers: broadcast::Sender<(ContentHash, PeerId)>,
    network: Arc<Mutex<Option<Network>>>,
}

impl Default for Swarms {
    fn default() -> Self {
        Self {
            members: Arc::default(),
            askers: broadcast::Sender::new(ASKERS_MAX),
            network: Arc::default(),
        }
    }
}

impl Swarms {
    /// Subscribes to peers that request this node's availability of a model. They have some of it,
    /// or soon will, so a fetch of the same model can use them as sources.
    pub fn askers(&self) -> broadcast::Receiver<(ContentHash, PeerId)> {
        self.askers.subscribe()
    }

    /// The source of members' addresses: `None` before the network has started, because it needs
    /// the service first, and before it stops, because the two hold each other.
    pub fn set_network(&self, network: Option<Network>) {
        *lock(&self.network) = network;
    }

    /// The peers that requested it before.
    pub fn known(&self, content: ContentHash) -> Vec<PeerId> {
        lock(&self.members).members(content).collect()
    }

    /// A peer wants, or has, this model.
    pub fn note(&self, content: ContentHash, peer: PeerId) {
        lock(&self.members).note(content, peer);
        // Fails if no fetch has subscribed.
        let _ = self.askers.send((content, peer));
    }

    /// Connected members of a swarm, without the requester.
    pub async fn members(&self, content: ContentHash, asker: PeerId) -> Vec<PeerAddresses> {
        let mut members = self.known(content);
        members.retain(|member| *member != asker);
        let network = lock(&self.network).clone();
        let Some(network) = network.filter(|_| !members.is_empty()) else {
            return Vec::new();
        };
        let connected = network.peers().await;
        let connected = connected
            .into_iter()
            .filter(|peer| members.contains(&peer.peer_id));
        let known = connected.filter(|peer| !peer.listen_addresses.is_empty());
        known
            .map(|peer| PeerAddresses {
                id: Bytes::from(peer.peer_id.to_bytes()),
                addresses: peer
                    .listen_addresses
                    .iter()
                    .take(ADDRESSES_PER_PEER_MAX)
                    .map(|address| Bytes::from(address.to_vec()))
                    .collect(),
            })
            .take(PEERS_PER_RESPONSE_MAX)
            .collect()
    }
}
