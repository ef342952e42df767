//! Start, stop, and which nodes may join.

use std::{error::Error as _, sync::Arc};

use hubless_network::{
    ConnectionLimits, Identity, MemoryDb, Multiaddr, Network, NetworkConfig, NetworkEvent,
    NetworkKey, PeerId, Protocol, StartError,
};

use hubless_wire::Request;

use crate::{common::*, hostile::Silent};

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
async fn a_port_in_use_is_distinguished_from_other_errors() {
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
        exchange.requests.send(1, chunks(0, 16)).await.unwrap();
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

/// Of four places, this machine holds three at most.
fn three_places() -> NetworkConfig {
    let limits = ConnectionLimits {
        inbound: 4,
        ..ConnectionLimits::default()
    };
    NetworkConfig { limits, ..config() }
}

/// The next peer that a node loses. It may be back soon: the DHT dials those that it knows.
async fn lost(events: &mut tokio::sync::broadcast::Receiver<NetworkEvent>) -> PeerId {
    within(async {
        loop {
            if let NetworkEvent::Disconnected { peer, .. } = events.recv().await.unwrap() {
                break peer;
            }
        }
    })
    .await
}

async fn is_connected(node: &Network, peer: &Network) -> bool {
    let peers = node.peers().await;
    peers.iter().any(|info| info.peer_id == peer.peer_id())
}

#[tokio::test]
async fn when_all_places_are_taken_the_longest_idle_connection_gives_way() {
    let bob = start(three_places()).await;
    let mut guests = Vec::new();
    for _ in 0..3 {
        let guest = start(config()).await;
        let exchange = open(&guest, &bob).await;
        guests.push((guest, exchange));
    }
    // The oldest connection is the last one on which something was asked.
    let (_, exchange) = &mut guests[0];
    exchange.requests.send(1, chunks(0, 1)).await.unwrap();
    within(exchange.responses.recv()).await.unwrap().unwrap();

    let mut events = bob.events();
    let late = start(config()).await;
    let mut exchange = open(&late, &bob).await;
    assert_eq!(lost(&mut events).await, guests[1].0.peer_id());
    exchange.requests.send(1, chunks(0, 1)).await.unwrap();
    within(exchange.responses.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn connections_on_which_chunks_are_asked_for_do_not_give_way() {
    let bob = start_with(three_places(), Silent).await;
    let mut guests = Vec::new();
    for _ in 0..3 {
        let guest = start(config()).await;
        let exchange = open(&guest, &bob).await;
        exchange.requests.send(1, chunks(0, 1)).await.unwrap();
        guests.push((guest, exchange));
    }
    let late = start(config()).await;
    let enter = || late.open(bob.peer_id(), bob.listen_addresses());
    until(async || bob.peers().await.len() == 3 && enter().await.is_err()).await;
    for (guest, _) in &guests {
        assert!(is_connected(&bob, guest).await);
    }
    let (_, exchange) = &mut guests[1];
    let mut events = bob.events();
    exchange.requests.send(1, Request::Cancel).await.unwrap();
    until(async || enter().await.is_ok()).await;
    let mut gone = lost(&mut events).await;
    while gone == late.peer_id() {
        gone = lost(&mut events).await;
    }
    assert_eq!(gone, guests[1].0.peer_id());
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
    exchange.requests.send(1, chunks(0, 1)).await.unwrap();
    assert_eq!(
        within(exchange.responses.recv())
            .await
            .unwrap()
            .unwrap()
            .payload,
        chunk(0)
    );
    // A stranger's bytes are noise, and noise resembles the begin of a long message: these dials
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

/// The address of a relay that accepts connections and says nothing, so that a listener at it has
/// no address for long.
async fn silent_relay() -> (tokio::net::TcpListener, Multiaddr) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer = Identity::generate().peer_id();
    let address = format!("/ip4/127.0.0.1/tcp/{port}/p2p/{peer}/p2p-circuit");
    (listener, address.parse().unwrap())
}

#[tokio::test]
async fn what_happens_before_the_last_listener_has_an_address_is_not_lost() {
    let (_relay, address) = silent_relay().await;
    let friend = start(config()).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let late_at: Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
    let mut late = at(late_at.clone());
    late.listen.push(address);
    // Connects as soon as the first listener is there, while the start waits for the second one.
    let connects = until(async || friend.connect_to(late_at.clone()).await.is_ok());
    let (node, ()) = tokio::join!(start(late), connects);
    until(async || is_connected(&node, &friend).await).await;
}

#[tokio::test]
async fn peers_name_their_program_and_protocols() {
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
