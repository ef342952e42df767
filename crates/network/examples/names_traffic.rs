//! Bytes that heads in the DHT cost: `scripts/names-traffic`, which runs this in a network namespace of its
//! own, so that the counters of its loopback interface count nothing else.

// It shares the helpers of the tests, not all of them.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

#[path = "../tests/network/common.rs"]
mod common;

use std::time::{Duration, Instant};

use hubless_content::{
    Chain, DocumentHash, Head, HeadRecord, Identity, RepoKind, SecretKey, SignedIdentity, Subject,
    VerifiedHead,
};
use hubless_network::{AnnounceKey, Network, NetworkConfig, NetworkEvent, Priority};

use common::*;

const NODES: usize = 50;

/// Nodes that act, one after the other.
const ACTORS: usize = 10;

/// Time between two refreshes of a head.
const REFRESH_SECONDS: u64 = 22 * 3_600;

/// Longer than unused connections are kept.
const COLD: Duration = Duration::from_secs(70);

/// How long an idle network is watched.
const IDLE: Duration = Duration::from_secs(30);

/// A head of one person with one device.
fn head(name: &str) -> VerifiedHead {
    let [root, key] = [[1; 32], [2; 32]].map(|seed| SecretKey::new(&seed));
    let first = Identity::first(vec![root.public()], 1, vec![key.public()], [3; 16]);
    let chain = Chain::new(vec![SignedIdentity::unsigned(first).unwrap()]).unwrap();
    let head = Head {
        subject: Subject::repo(chain.publisher(), RepoKind::Model, name).unwrap(),
        number: 0,
        seq: 1,
        state: DocumentHash::new([7; 32]),
        previous: None,
        summary: None,
        time: 1_700_000_000_000,
    };
    HeadRecord::sign(&head, &chain, &key).unwrap()
}

/// Bytes that have passed through the loopback interface, with all headers.
fn bytes() -> u64 {
    let devices = std::fs::read_to_string("/proc/net/dev").unwrap();
    let line = devices
        .lines()
        .find_map(|line| line.trim().strip_prefix("lo:"));
    line.unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

async fn node(bootstrap: Vec<hubless_network::Multiaddr>) -> Network {
    // Four addresses, as peers name on average.
    let listen = [
        "/ip4/127.0.0.1/tcp/0",
        "/ip4/127.0.0.1/udp/0/quic-v1",
        "/ip6/::1/tcp/0",
        "/ip6/::1/udp/0/quic-v1",
    ];
    let listen = listen.map(|address| address.parse().unwrap()).to_vec();
    start(NetworkConfig {
        listen,
        bootstrap,
        ..config()
    })
    .await
}

async fn walk(node: &Network, head: &VerifiedHead) {
    let mut walk = node.find_values(head.head().subject.key()).await;
    while walk.recv().await.is_some() {}
}

async fn announce(node: &Network, head: &VerifiedHead) {
    let mut events = node.events();
    let key = AnnounceKey::from(head.head().subject.key());
    node.announce(vec![(key, Priority::Root)]).await;
    while !matches!(events.recv().await, Ok(NetworkEvent::Announced { .. })) {}
}

/// Runs an action on each actor; prints and returns what one cost.
async fn measure(
    what: &str,
    idle: f64,
    nodes: &[Network],
    act: impl AsyncFn(&Network, VerifiedHead) -> usize,
) -> f64 {
    let (before, began) = (bytes(), Instant::now());
    let mut nodes_asked = 0;
    for (number, node) in nodes[1..=ACTORS].iter().enumerate() {
        nodes_asked += act(node, head(&format!("m{number}"))).await;
    }
    let background = idle * began.elapsed().as_secs_f64();
    let each = ((bytes() - before) as f64 - background) / ACTORS as f64;
    println!(
        "| {what} | {} | {:.1} kB |",
        nodes_asked / ACTORS,
        each / 1e3
    );
    each
}

/// Proves a record of one signature again and again; microseconds for each.
fn proof_time() -> f64 {
    const PROOFS: u32 = 2_000;
    let head = head("m");
    let began = Instant::now();
    for _ in 0..PROOFS {
        let record = HeadRecord::decode(head.record()).unwrap();
        record.verify(u64::MAX).unwrap();
    }
    began.elapsed().as_secs_f64() * 1e6 / f64::from(PROOFS)
}

#[tokio::main]
async fn main() {
    println!("proof of a record of one signature: {:.0} us", proof_time());
    let first = node(Vec::new()).await;
    let mut nodes = vec![first];
    while nodes.len() < NODES {
        let bootstrap = nodes[0].listen_addresses();
        nodes.push(node(bootstrap).await);
    }
    tokio::time::sleep(COLD).await;
    let (before, began) = (bytes(), Instant::now());
    tokio::time::sleep(IDLE).await;
    let idle = (bytes() - before) as f64 / began.elapsed().as_secs_f64();
    println!("{NODES} nodes, idle: {:.0} B/s each", idle / NODES as f64);
    println!("| event | nodes connected | in and out |");
    println!("|---|---|---|");
    measure("walk, not connected", idle, &nodes, async |node, head| {
        walk(node, &head).await;
        node.peers().await.len()
    })
    .await;
    measure("walk, connected", idle, &nodes, async |node, head| {
        walk(node, &head).await;
        node.peers().await.len()
    })
    .await;
    measure("first put, connected", idle, &nodes, async |node, head| {
        assert!(node.put_value(&head).await.took > 0);
        node.peers().await.len()
    })
    .await;
    measure("put again, connected", idle, &nodes, async |node, head| {
        assert!(node.put_value(&head).await.had > 0);
        node.peers().await.len()
    })
    .await;
    tokio::time::sleep(COLD).await;
    let announced = measure(
        "announcement, not connected",
        idle,
        &nodes,
        async |node, head| {
            announce(node, &head).await;
            node.peers().await.len()
        },
    )
    .await;
    let refreshed = measure(
        "refresh right after it",
        idle,
        &nodes,
        async |node, head| {
            assert!(node.put_value(&head).await.had > 0);
            node.peers().await.len()
        },
    )
    .await;
    let each = (announced + refreshed) / REFRESH_SECONDS as f64;
    println!(
        "1,000 repos: {:.0} B/s, of which heads {:.0} B/s",
        1e3 * each,
        1e3 * refreshed / REFRESH_SECONDS as f64
    );
}
