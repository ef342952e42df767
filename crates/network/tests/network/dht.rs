//! A network of nodes that each know one other.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use hubless_content::ContentHash;
use hubless_network::{AnnounceKey, Network, NetworkConfig, Priority, Provider};

use crate::common::*;

const NODES: usize = 24;

/// Starts nodes that each know the one before.
async fn chain(length: usize) -> Vec<Network> {
    let mut nodes: Vec<Network> = Vec::new();
    for _ in 0..length {
        let bootstrap = nodes
            .last()
            .map(Network::listen_addresses)
            .unwrap_or_default();
        nodes.push(
            start(NetworkConfig {
                bootstrap,
                ..config()
            })
            .await,
        );
    }
    nodes
}

async fn find(node: &Network, key: AnnounceKey) -> Vec<Provider> {
    let mut providers = node.find_providers(key).await;
    let mut found = Vec::new();
    while let Some(provider) = within(providers.recv()).await {
        found.push(provider);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_announces_all_others_find() {
    let nodes = chain(NODES).await;
    for node in &nodes {
        until(async || node.status().await.dht.routing_peers > 0).await;
    }
    let key = AnnounceKey::from(ContentHash::new([0xab; 32]));
    let providers = [&nodes[3], &nodes[NODES - 2]];
    for provider in providers {
        provider.set_announced(vec![(key, Priority::Root)]).await;
        until(async || provider.status().await.dht.announced == 1).await;
    }
    let expected: HashSet<_> = providers
        .iter()
        .map(|provider| provider.peer_id())
        .collect();
    for node in &nodes {
        until(async || {
            let found = find(node, key).await;
            let ids: HashSet<_> = found.iter().map(|provider| provider.peer_id).collect();
            assert_eq!(ids.len(), found.len(), "each provider once");
            assert!(!ids.contains(&node.peer_id()), "without the node itself");
            let others: HashSet<_> = expected
                .iter()
                .filter(|id| **id != node.peer_id())
                .collect();
            others.iter().all(|id| ids.contains(id))
                && found.iter().all(|provider| !provider.addresses.is_empty())
        })
        .await;
    }
    // The addresses that came with the providers lead to them.
    until(async || {
        let Some(found) = find(&nodes[10], key).await.pop() else {
            return false;
        };
        let opened = nodes[10].open(found.peer_id, found.addresses).await;
        opened.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_node_announces_is_not_found() {
    let nodes = chain(4).await;
    until(async || nodes[3].status().await.dht.routing_peers > 0).await;
    let key = AnnounceKey::new([1; 32]);
    assert!(find(&nodes[3], key).await.is_empty());
    // Alone, a walk ends at once.
    assert!(find(&start(config()).await, key).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_key_is_no_longer_provided_by_its_node() {
    let nodes = chain(2).await;
    let key = AnnounceKey::new([2; 32]);
    nodes[1].announce(vec![(key, Priority::Root)]).await;
    until(async || nodes[1].status().await.dht.announced == 1).await;
    until(async || !find(&nodes[0], key).await.is_empty()).await;
    until(async || nodes[0].status().await.dht.records == 1).await;
    nodes[1].withdraw(vec![key]).await;
    until(async || nodes[1].status().await.dht.keys == 0).await;
    assert_eq!(
        nodes[0].status().await.dht.records,
        1,
        "the record runs out by itself"
    );
}

/// Peers of the open Internet cannot be had in a test; that such a node dials no local address that
/// a stranger named is tested where it is decided. Here: what its owner names is dialled.
#[tokio::test]
async fn local_addresses_that_the_owner_names_are_dialled() {
    let (alice, bob) = (start(config()).await, start(config()).await);
    assert!(
        alice.believable(bob.listen_addresses()).is_empty(),
        "it has met no peer nearby"
    );
    within(alice.connect(bob.peer_id(), bob.listen_addresses()))
        .await
        .unwrap();
    assert_eq!(
        alice.believable(bob.listen_addresses()),
        bob.listen_addresses()
    );
}

/// Through a DHT of two a walk takes a millisecond: unpaced, these would all be made at once.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_new_keys_a_hundred_are_announced_each_second() {
    let nodes = chain(2).await;
    until(async || nodes[1].status().await.dht.routing_peers > 0).await;
    // One first: from then on nothing waits for the DHT.
    let first = AnnounceKey::new([255; 32]);
    nodes[1].announce(vec![(first, Priority::Root)]).await;
    until(async || nodes[1].status().await.dht.announced == 1).await;
    let keys = (0..=250).map(|n| (AnnounceKey::new([n; 32]), Priority::File));
    let began = Instant::now();
    nodes[1].announce(keys.collect()).await;
    until(async || nodes[1].status().await.dht.announced == 252).await;
    // Two ticks at least, the first of them perhaps at once.
    assert!(began.elapsed() > Duration::from_millis(900));
}
