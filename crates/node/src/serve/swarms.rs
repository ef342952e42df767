//! Who takes part in which swarm, as far as this node saw: told to others, so that members find
//! each other without the DHT.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use hubless_content::ContentHash;
use hubless_network::{Network, PeerId};
use hubless_wire::{ADDRESSES_PER_PEER_MAX, PEERS_PER_ANSWER_MAX, PeerAddresses};

/// Swarms remembered: those asked for last. A stranger can fill them only with its own asks.
const SWARMS_MAX: usize = 1024;

/// Members remembered of each.
const MEMBERS_MAX: usize = 64;

/// The members of the swarms. Cloning is cheap.
#[derive(Clone, Default)]
pub(crate) struct Swarms {
    members: Arc<Mutex<HashMap<ContentHash, VecDeque<PeerId>>>>,
    network: Arc<Mutex<Option<Network>>>,
}

impl Swarms {
    /// Where the addresses of members come from: `None` before the network has started, because it
    /// needs the service first, and when it is to stop, because the two hold each other.
    pub(crate) fn set_network(&self, network: Option<Network>) {
        *lock(&self.network) = network;
    }

    /// A peer wants, or has, this model.
    pub(crate) fn note(&self, content: ContentHash, peer: PeerId) {
        let mut swarms = lock(&self.members);
        if swarms.len() >= SWARMS_MAX
            && !swarms.contains_key(&content)
            && let Some(any) = swarms.keys().next().copied()
        {
            swarms.remove(&any);
        }
        let members = swarms.entry(content).or_default();
        members.retain(|member| *member != peer);
        members.push_front(peer);
        members.truncate(MEMBERS_MAX);
    }

    /// Members of a swarm that are connected now, but for the one that asks.
    pub(crate) async fn members(&self, content: ContentHash, asker: PeerId) -> Vec<PeerAddresses> {
        let members: Vec<PeerId> = {
            let swarms = lock(&self.members);
            let members = swarms.get(&content).into_iter().flatten().copied();
            members.filter(|member| *member != asker).collect()
        };
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
