//! Finding holders of a publisher's repos.
//!
//! Asked are peers that were named for it: by its profile, by the configuration, on the local network, in
//! the DHT, and the connected members of a private network. No other peer learns which
//! publishers are followed.

use std::time::Duration;

use hubless_content::{PublisherId, Subject};
use hubless_network::{AnnounceKey, Network, PeerId, peer_of};
use rand::seq::SliceRandom as _;
use tokio::{sync::mpsc, time::timeout};

use super::{Event, Follower, read};
use crate::ask::Source;

/// Holders that one step of a search names: some of them are full, or gone.
const FOUND_MAX: usize = 20;

/// How long the DHT is searched.
const WALK_TIME_MAX: Duration = Duration::from_secs(15);

/// Reports holders of a publisher: those that are known at once, its signers' first, then those that the
/// DHT names.
pub(super) async fn find(
    follower: &Follower,
    publisher: PublisherId,
    events: &mpsc::Sender<Event>,
) {
    let Ok(network) = follower.cx().network() else {
        return;
    };
    let profile = read(follower.cx(), move |store| store.profile(publisher)).await;
    let peers = profile.flatten().map(|profile| profile.peers);
    let signers = peers.into_iter().flatten();
    let signers = signers.filter_map(|id: Vec<u8>| PeerId::from_bytes(&id).ok());
    let mut nearby = nearby(follower, network).await;
    // Signers' peers are named without addresses, which the configuration may have.
    let signers = signers.map(|peer| {
        let known = nearby.iter().find(|other| other.peer == peer).cloned();
        known.unwrap_or(Source::from(peer))
    });
    let mut found: Vec<Source> = signers.collect();
    // Followers of one publisher do not all watch the same holders.
    nearby.shuffle(&mut rand::rng());
    found.extend(nearby);
    report(network, publisher, found, events).await;
    let mut walked = Vec::new();
    // What was found until then is used.
    let _ = timeout(WALK_TIME_MAX, walk(network, publisher, &mut walked)).await;
    walked.shuffle(&mut rand::rng());
    report(network, publisher, walked, events).await;
}

async fn report(
    network: &Network,
    publisher: PublisherId,
    mut found: Vec<Source>,
    events: &mpsc::Sender<Event>,
) {
    let own = network.peer_id();
    found.retain(|source| source.peer != own && !network.is_banned(&source.peer));
    found.truncate(FOUND_MAX);
    // Fails if the driver has ended.
    let _ = events.send(Event::Found(publisher, found)).await;
}

/// The peers that are known without the DHT.
async fn nearby(follower: &Follower, network: &Network) -> Vec<Source> {
    let known = &follower.fetches.known_peers;
    let configured = known.peers.iter().filter_map(|address| {
        Some(Source {
            peer: peer_of(address)?,
            addresses: vec![address.clone()],
        })
    });
    let connected = network.peers().await.into_iter();
    let connected = connected.filter(|peer| peer.is_local || known.is_private);
    let connected = connected.map(|peer| Source {
        peer: peer.peer_id,
        addresses: peer.listen_addresses,
    });
    configured.chain(connected).collect()
}

/// Adds those that announce that they hold the profile.
async fn walk(network: &Network, publisher: PublisherId, found: &mut Vec<Source>) {
    let key = AnnounceKey::from(Subject::profile(publisher).key());
    let mut providers = network.find_providers(key).await;
    let mut walked = 0;
    while walked < FOUND_MAX
        && let Some(provider) = providers.recv().await
    {
        walked += 1;
        found.push(Source {
            peer: provider.peer_id,
            addresses: provider.addresses,
        });
    }
}
