//! Crowds that hold places and do nothing with them.

use hubless_network::{ConnectionLimits, Network, NetworkConfig};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{
    common::*,
    lanes::{socket, works},
};

/// More than all handshakes that a node takes at once.
const CROWD: usize = 200;

#[tokio::test]
async fn sockets_that_stop_half_way_keep_no_peer_away() {
    let half_tls = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    for begin in [&b""[..], b"\x13/multistream/1.0.0\n", &half_tls] {
        let (alice, bob) = (start(config()).await, start(config()).await);
        let address = socket(&only_address(&bob));
        let mut crowd = Vec::new();
        for _ in 0..CROWD {
            let mut socket = TcpStream::connect(address).await.unwrap();
            // Some have given way already.
            let _ = socket.write_all(begin).await;
            crowd.push(socket);
        }
        works(&mut open(&alice, &bob).await).await;
    }
}

#[tokio::test]
async fn the_stream_that_rested_longest_gives_way_when_all_are_taken() {
    // Three are for this machine.
    let limits = ConnectionLimits {
        streams: 4,
        ..ConnectionLimits::default()
    };
    let bob = start(NetworkConfig { limits, ..config() }).await;
    let mut guests = Vec::new();
    for _ in 0..3 {
        let guest: Network = start(config()).await;
        let mut exchange = open(&guest, &bob).await;
        works(&mut exchange).await;
        guests.push((guest, exchange));
    }
    works(&mut guests[0].1).await;
    let late = start(config()).await;
    works(&mut open(&late, &bob).await).await;
    let end = within(guests[1].1.responses.recv()).await;
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
    works(&mut guests[0].1).await;
    works(&mut guests[2].1).await;
    assert_eq!(bob.peers().await.len(), 4, "their connections stay");
}
