//! Start, stop, and who may join.

use std::{error::Error as _, sync::Arc};

use hubless_network::{
    ConnectionLimits, Identity, MemoryDb, Multiaddr, Network, NetworkConfig, NetworkEvent,
    NetworkKey, Protocol, StartError,
};

use crate::common::*;

fn at(address: Multiaddr) -> NetworkConfig {
    let bare = address
        .iter()
        .filter(|part| !matches!(part, Protocol::P2p(_)))
        .collect();
    NetworkConfig {
        listen: vec![bare],
        ..config()
    }
}

async fn try_start(config: NetworkConfig) -> Result<Network, StartError> {
    let records = Arc::new(MemoryDb::default());
    Network::start(config, Identity::generate(), records, Arc::new(Chunks)).await
}

#[tokio::test]
async fn a_port_in_use_is_told_from_other_errors() {
    for listen in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"] {
        let first = start(at(listen.parse().unwrap())).await;
        let error = try_start(at(only_address(&first))).await.unwrap_err();
        assert!(error.is_address_in_use(), "{error}: {:?}", error.source());
    }
    let error = try_start(at("/ip4/192.0.2.1/tcp/4001".parse().unwrap()))
        .await
        .unwrap_err();
    assert!(
        matches!(error, StartError::Listen { .. }) && !error.is_address_in_use(),
        "{error}"
    );
    let error = try_start(at("/ip4/127.0.0.1/sctp/1".parse().unwrap()))
        .await
        .unwrap_err();
    assert!(
        matches!(error, StartError::Listen { .. }) && !error.is_address_in_use(),
        "{error}"
    );
}

#[tokio::test]
async fn the_ports_of_a_stopped_node_become_free_while_peers_are_connected() {
    for listen in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"] {
        let bob = start(at(listen.parse().unwrap())).await;
        let alice = start(config()).await;
        let exchange = open(&alice, &bob).await;
        exchange.asks.send(1, chunks(0, 16)).await.unwrap();
        let address = only_address(&bob);
        within(bob.stop()).await;
        // Waits some seconds at most, and meanwhile another process may take the port.
        until(async || {
            bob.ports_free().await;
            try_start(at(address.clone())).await.is_ok()
        })
        .await;
    }
}

#[tokio::test]
async fn dropping_the_last_handle_stops_the_node() {
    let (alice, bob) = (start(config()).await, start(config()).await);
    let mut events = alice.events();
    let exchange = open(&alice, &bob).await;
    let peer = bob.peer_id();
    drop(bob);
    within(async {
        while !matches!(events.recv().await.unwrap(),
            NetworkEvent::Disconnected { peer: gone, .. } if gone == peer)
        {}
    })
    .await;
    drop(exchange);
}

#[tokio::test]
async fn a_stopped_node_answers_at_once() {
    let node = start(config()).await;
    within(node.stop()).await;
    assert!(within(node.peers()).await.is_empty());
    assert!(within(node.open(node.peer_id(), Vec::new())).await.is_err());
    assert!(
        within(within(node.find_providers(FILE.into())).await.recv())
            .await
            .is_none()
    );
    within(node.stop()).await;
}

#[tokio::test]
async fn who_comes_when_all_places_are_taken_is_refused_until_one_is_free() {
    const PLACES: usize = 4;
    let limits = ConnectionLimits {
        inbound: PLACES as u32,
        ..ConnectionLimits::default()
    };
    let bob = start(NetworkConfig { limits, ..config() }).await;
    let mut guests = Vec::new();
    for _ in 0..PLACES {
        let guest = start(config()).await;
        let exchange = open(&guest, &bob).await;
        guests.push((guest, exchange));
    }
    let late = start(config()).await;
    let enter = || late.open(bob.peer_id(), bob.listen_addresses());
    for _ in 0..3 {
        assert!(within(enter()).await.is_err());
        assert_eq!(bob.peers().await.len(), PLACES);
    }
    // Nobody who was there loses anything by it.
    for (_, exchange) in &mut guests {
        exchange.asks.send(1, chunks(0, 1)).await.unwrap();
        within(exchange.answers.recv()).await.unwrap().unwrap();
    }
    guests.pop();
    until(async || enter().await.is_ok()).await;
}

#[tokio::test]
async fn only_nodes_with_the_same_network_key_can_connect() {
    let (ours, theirs) = (NetworkKey::generate(), NetworkKey::generate());
    let with = |key| NetworkConfig {
        network_key: key,
        ..config()
    };
    let alice = start(with(Some(ours))).await;
    let friend = start(with(Some(ours))).await;
    let mut exchange = open(&alice, &friend).await;
    exchange.asks.send(1, chunks(0, 1)).await.unwrap();
    assert_eq!(
        within(exchange.answers.recv())
            .await
            .unwrap()
            .unwrap()
            .payload,
        chunk(0)
    );
    // A stranger's bytes are noise, and noise looks like the begin of a long message: these dials
    // end when their time is over, so they are made at once.
    let (enemy, outsider) = (start(with(Some(theirs))).await, start(with(None)).await);
    let dial = async |from: &Network, to: &Network| {
        within(from.open(to.peer_id(), to.listen_addresses()))
            .await
            .is_ok()
    };
    let reached = tokio::join!(
        dial(&enemy, &alice),
        dial(&alice, &enemy),
        dial(&outsider, &alice),
        dial(&alice, &outsider),
    );
    assert_eq!(reached, (false, false, false, false));
    for stranger in [enemy, outsider] {
        assert!(stranger.peers().await.is_empty());
    }
    assert_eq!(alice.peers().await.len(), 1);
}

#[tokio::test]
async fn a_private_network_listens_on_no_quic() {
    let listen = ["/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"];
    let listen = listen
        .iter()
        .map(|address| address.parse().unwrap())
        .collect();
    let network_key = Some(NetworkKey::generate());
    let node = start(NetworkConfig {
        listen,
        network_key,
        ..config()
    })
    .await;
    let addresses = node.listen_addresses();
    assert_eq!(addresses.len(), 1);
    assert!(
        addresses[0]
            .iter()
            .any(|part| matches!(part, Protocol::Tcp(_)))
    );
}

#[tokio::test]
async fn static_peers_are_connected_and_connected_again() {
    let bob = start(config()).await;
    let nameless = NetworkConfig {
        static_peers: at(only_address(&bob)).listen,
        ..config()
    };
    assert!(matches!(
        try_start(nameless).await,
        Err(StartError::StaticPeer { .. })
    ));
    let alice = start(NetworkConfig {
        static_peers: bob.listen_addresses(),
        ..config()
    })
    .await;
    until(async || alice.peers().await.len() == 1).await;
    let mut events = alice.events();
    alice.disconnect(bob.peer_id()).await;
    within(async { while !matches!(events.recv().await, Ok(NetworkEvent::Connected { .. })) {} })
        .await;
}

#[tokio::test]
async fn peers_tell_who_they_are() {
    let (alice, bob) = (start(config()).await, start(config()).await);
    within(alice.connect(bob.peer_id(), bob.listen_addresses()))
        .await
        .unwrap();
    until(async || {
        let peers = alice.peers().await;
        peers[0]
            .agent
            .as_deref()
            .is_some_and(|agent| agent.starts_with("hubless/"))
            && peers[0].round_trip.is_some()
            && peers[0]
                .protocols
                .iter()
                .any(|name| name == hubless_wire::EXCHANGE_PROTOCOL)
    })
    .await;
    let status = alice.status().await;
    assert_eq!(
        (status.peers, status.addresses),
        (1, alice.listen_addresses())
    );
}
