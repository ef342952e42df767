//! Finding peers for one fetch, without asking the whole world.
//!
//! Named are: the peers that the caller or the configuration names, those on the local network,
//! those in the DHT, those that sources name, and those that ask this node for the same model. What
//! is wanted is never sent to any other peer (threat 24: who asks what). When each of them is tried is
//! decided by the state machine of the fetch.

use std::time::Duration;

use hubless_content::FileHash;
use hubless_fetch::{Target, WalkEnded};
use hubless_network::{AnnounceKey, Multiaddr, Network, PeerId, peer_of};
use hubless_wire::PeerAddresses;
use tokio::sync::mpsc;

use crate::fetches::Fetches;

/// How long to wait for a first peer before the DHT is walked all the same: long enough for a
/// handshake over a slow line and for an answer on the local network.
const JOIN_PATIENCE: Duration = Duration::from_secs(4);

/// How often the number of known nodes is read: a tenth of a handshake over a slow line.
const JOIN_POLL_EVERY: Duration = Duration::from_millis(50);

/// A peer that may have what is wanted.
pub(super) type Candidate = hubless_fetch::Candidate<PeerId, Multiaddr>;

/// From an address that ends in a peer id.
pub(super) fn from_address(address: &Multiaddr) -> Option<Candidate> {
    Some(Candidate {
        peer: peer_of(address)?,
        addresses: vec![address.clone()],
        file: None,
    })
}

/// From what a source sent; `None` if it names no peer at all.
pub(super) fn from_exchange(named: &PeerAddresses) -> Option<Candidate> {
    let parse = |bytes: &bytes::Bytes| Multiaddr::try_from(bytes.to_vec()).ok();
    Some(Candidate {
        peer: PeerId::from_bytes(&named.id).ok()?,
        addresses: named.addresses.iter().filter_map(parse).collect(),
        file: None,
    })
}

/// What the holders of a target announce.
pub(super) fn key_of(target: &Target) -> AnnounceKey {
    match target {
        Target::Model(model) => AnnounceKey::from(*model),
        Target::File(file) => AnnounceKey::from(file.hash),
    }
}

/// Searches the DHT for providers and names each, for `file` if that is what they announce.
pub(super) async fn walk(
    network: Network,
    key: AnnounceKey,
    file: Option<FileHash>,
    names: mpsc::Sender<Candidate>,
) -> WalkEnded {
    let among_others = network.status().await.dht.routing_peers > 0;
    let mut found = network.find_providers(key).await;
    let mut providers = 0;
    while let Some(provider) = found.recv().await {
        providers += u32::from(provider.peer_id != network.peer_id());
        let candidate = Candidate {
            peer: provider.peer_id,
            addresses: provider.addresses,
            file,
        };
        if names.send(candidate).await.is_err() {
            break;
        }
    }
    WalkEnded {
        providers,
        among_others,
    }
}

/// Waits until the DHT has a node to ask; false if that takes too long.
pub async fn join(network: &Network) -> bool {
    let joined = async {
        while network.status().await.dht.routing_peers == 0 {
            tokio::time::sleep(JOIN_POLL_EVERY).await;
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
        .filter_map(from_address);
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
