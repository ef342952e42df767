//! Who takes part in which swarm, as far as this node saw: told to others, so that members find
//! each other without the DHT.

mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hubless_content::ContentHash;
use hubless_network::{Network, PeerId};
use hubless_wire::{ADDRESSES_PER_PEER_MAX, PEERS_PER_ANSWER_MAX, PeerAddresses};
use tokio::sync::broadcast;

use self::table::Table;

/// Members that asked and that a fetch has not heard of yet. It finds those it misses when they
/// are named by others.
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
    /// Those who ask what we have of a model from now on. They have some of it, or soon will: who
    /// fetches the same may ask them.
    pub fn askers(&self) -> broadcast::Receiver<(ContentHash, PeerId)> {
        self.askers.subscribe()
    }

    /// Where the addresses of members come from: `None` before the network has started, because it
    /// needs the service first, and when it is to stop, because the two hold each other.
    pub fn set_network(&self, network: Option<Network>) {
        *lock(&self.network) = network;
    }

    /// Those who asked before.
    pub fn known(&self, content: ContentHash) -> Vec<PeerId> {
        lock(&self.members).members(content).collect()
    }

    /// A peer wants, or has, this model.
    pub fn note(&self, content: ContentHash, peer: PeerId) {
        lock(&self.members).note(content, peer);
        // Without a fetch nobody listens.
        let _ = self.askers.send((content, peer));
    }

    /// Members of a swarm that are connected now, but for the one that asks.
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
            .take(PEERS_PER_ANSWER_MAX)
            .collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
