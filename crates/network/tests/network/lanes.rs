//! Exchanges on TLS connections of their own: when there are some, and which peers get none.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, future::BoxFuture};
use futures_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};
use hubless_network::{
    Exchange, Multiaddr, Network, NetworkConfig, NetworkKey, PeerId, Protocol, peer_of,
};
use libp2p::identity::Keypair;
use rustls::pki_types::ServerName;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

use crate::{common::*, hostile::hello, mallory::Mallory};

const LANE_PROTOCOL: &str = "/hubless/lane/1";
const ALPN: &[u8] = b"hubless-lane/1";

/// What a node gives one that dials a lane for its handshake, and a pass to be used.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);
const PASS_TIME_MAX: Duration = Duration::from_secs(5);

async fn lanes(of: &Network, with: PeerId) -> usize {
    let peers = of.peers().await;
    let peer = peers.iter().find(|peer| peer.peer_id == with);
    peer.map_or(0, |peer| peer.lanes)
}

/// Gets a chunk over an exchange.
pub async fn works(exchange: &mut Exchange) {
    exchange.requests.send(1, chunks(5, 1)).await.unwrap();
    let answer = within(exchange.responses.recv()).await.unwrap().unwrap();
    assert_eq!(answer.payload, chunk(5));
}

pub fn socket(address: &Multiaddr) -> SocketAddr {
    let port = address.iter().find_map(|part| match part {
        Protocol::Tcp(port) => Some(port),
        _ => None,
    });
    SocketAddr::from(([127, 0, 0, 1], port.unwrap()))
}

#[tokio::test]
async fn nodes_that_reach_each_other_use_a_lane_until_they_are_done() {
    let (alice, bob) = (start(config()).await, start(config()).await);
    let mut exchange = open(&alice, &bob).await;
    works(&mut exchange).await;
    assert_eq!(lanes(&alice, bob.peer_id()).await, 1);
    assert_eq!(lanes(&bob, alice.peer_id()).await, 1);
    let second = open(&alice, &bob).await;
    assert_eq!(lanes(&bob, alice.peer_id()).await, 2);
    // The dialled peer does not know where to dial, and opens a stream.
    works(&mut open(&bob, &alice).await).await;
    assert_eq!(lanes(&bob, alice.peer_id()).await, 2);
    drop((exchange, second));
    until(async || lanes(&bob, alice.peer_id()).await == 0).await;
    assert_eq!(lanes(&alice, bob.peer_id()).await, 0);
    assert_eq!(bob.peers().await.len(), 1, "the connection stays");
}

#[tokio::test]
async fn a_lane_ends_with_a_ban_and_with_its_connection() {
    let (alice, bob) = (start(config()).await, start(config()).await);
    for ban in [false, true] {
        let mut exchange = open(&alice, &bob).await;
        assert_eq!(lanes(&bob, alice.peer_id()).await, 1);
        if ban {
            bob.ban(alice.peer_id(), PATIENCE).await;
        } else {
            bob.disconnect(alice.peer_id()).await;
        }
        let end = within(exchange.responses.recv()).await;
        assert!(!matches!(end, Some(Ok(_))), "{end:?}");
        until(async || bob.peers().await.is_empty() && alice.peers().await.is_empty()).await;
    }
    let opened = within(alice.open(bob.peer_id(), bob.listen_addresses())).await;
    assert!(opened.is_err(), "banned");
}

#[tokio::test]
async fn a_stopped_node_leaves_no_lane_behind() {
    let (alice, bob) = (start(config()).await, start(config()).await);
    let mut exchange = open(&alice, &bob).await;
    let address = socket(&only_address(&bob));
    let mut half_open = TcpStream::connect(address).await.unwrap();
    half_open
        .write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])
        .await
        .unwrap();
    within(bob.stop()).await;
    assert!(!matches!(
        within(exchange.responses.recv()).await,
        Some(Ok(_))
    ));
    within(bob.ports_free()).await;
    until(async || TcpListener::bind(address).await.is_ok()).await;
    assert_eq!(answered(&mut half_open).await, 0);
}

/// Passes the first connection on to `node`, and handles the others as `then` says. Returns the
/// address to dial instead, and how many connections there were.
async fn proxy(
    node: &Multiaddr,
    later: impl Fn(TcpStream) -> BoxFuture<'static, ()> + Send + 'static,
) -> (Multiaddr, Arc<AtomicUsize>) {
    let (target, peer) = (socket(node), peer_of(node).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                let mut far = TcpStream::connect(target).await.unwrap();
                tokio::spawn(async move {
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            } else {
                tokio::spawn(later(near));
            }
        }
    });
    let address = format!("/ip4/127.0.0.1/tcp/{port}/p2p/{peer}");
    (address.parse().unwrap(), count)
}

#[tokio::test]
async fn a_lane_that_is_refused_costs_one_try_and_nothing_else() {
    let (alice, bob) = (start(config()).await, start(config()).await);
    let close = |socket| -> BoxFuture<'static, ()> { Box::pin(async move { drop(socket) }) };
    let (address, connections) = proxy(&only_address(&bob), close).await;
    for _ in 0..2 {
        let opened = within(alice.open(bob.peer_id(), vec![address.clone()])).await;
        works(&mut opened.unwrap()).await;
        assert_eq!(lanes(&alice, bob.peer_id()).await, 0);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

/// Speaks TLS with the identity of another peer, and sends a hello.
fn pose(socket: TcpStream) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let mut server = libp2p_tls::make_server_config(&Keypair::generate_ed25519()).unwrap();
        server.alpn_protocols = vec![ALPN.to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let mut lane = acceptor.accept(socket.compat()).await.unwrap();
        let _ = lane.write_all(&hello()).await;
        let _ = lane.read_to_end(&mut Vec::new()).await;
    })
}

#[tokio::test]
async fn another_peer_at_the_other_end_of_a_lane_is_refused() {
    let (alice, bob) = (start(config()).await, start(config()).await);
    let (address, connections) = proxy(&only_address(&bob), pose).await;
    let opened = within(alice.open(bob.peer_id(), vec![address])).await;
    works(&mut opened.unwrap()).await;
    assert_eq!(lanes(&alice, bob.peer_id()).await, 0);
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

impl Mallory {
    async fn pass(&mut self, victim: &Network) -> String {
        let mut stream = self.stream_to(victim, LANE_PROTOCOL).await;
        let mut pass = Vec::new();
        within(stream.read_to_end(&mut pass)).await.unwrap();
        pass.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Dials a lane as `keypair` and says hello; what comes back then, if it comes to that.
async fn dial(victim: &Network, keypair: &Keypair, pass: &str, alpn: &[u8]) -> io::Result<usize> {
    let mut client = libp2p_tls::make_client_config(keypair, Some(victim.peer_id())).unwrap();
    client.alpn_protocols = vec![alpn.to_vec()];
    let socket = TcpStream::connect(socket(&only_address(victim))).await?;
    let name = ServerName::try_from(pass.to_owned()).unwrap();
    let connector = TlsConnector::from(Arc::new(client));
    let mut lane: TlsStream<Compat<TcpStream>> =
        within(connector.connect(name, socket.compat())).await?;
    lane.write_all(&hello()).await?;
    within(lane.read(&mut [0; 64])).await
}

fn is_answered(outcome: io::Result<usize>) -> bool {
    outcome.is_ok_and(|bytes| bytes > 0)
}

#[tokio::test]
async fn a_pass_is_good_for_one_lane_of_one_peer() {
    let bob = start(config()).await;
    let mut mallory = Mallory::start().await;
    let keypair = mallory.keypair.clone();
    let pass = mallory.pass(&bob).await;
    assert!(
        is_answered(dial(&bob, &keypair, &pass, ALPN).await),
        "the control"
    );
    assert!(
        !is_answered(dial(&bob, &keypair, &pass, ALPN).await),
        "used"
    );

    let pass = mallory.pass(&bob).await;
    let other = Keypair::generate_ed25519();
    assert!(
        !is_answered(dial(&bob, &other, &pass, ALPN).await),
        "of another peer"
    );
    let pass = mallory.pass(&bob).await;
    assert!(
        !is_answered(dial(&bob, &keypair, &pass, b"libp2p").await),
        "no lane"
    );
    let guess = "0123456789abcdef0123456789abcdef";
    assert!(
        !is_answered(dial(&bob, &keypair, guess, ALPN).await),
        "a guess"
    );

    let pass = mallory.pass(&bob).await;
    bob.ban(keypair.public().to_peer_id(), PATIENCE).await;
    assert!(
        !is_answered(dial(&bob, &keypair, &pass, ALPN).await),
        "banned"
    );
}

#[tokio::test]
async fn unused_passes_are_few_and_expire() {
    let bob = start(config()).await;
    let mut mallory = Mallory::start().await;
    let began = Instant::now();
    let mut given = 0;
    loop {
        match mallory.pass(&bob).await.len() {
            0 => break,
            32 => given += 1,
            other => panic!("a pass of {other} digits"),
        }
    }
    assert!(given == 4 || (given > 4 && began.elapsed() > PASS_TIME_MAX));
    within(async { while mallory.pass(&bob).await.is_empty() {} }).await;
}

#[tokio::test]
async fn a_lane_of_a_private_network_is_for_its_members() {
    let key = NetworkKey::generate();
    let private = || NetworkConfig {
        network_key: Some(key),
        ..config()
    };
    let (alice, bob) = (start(private()).await, start(private()).await);
    let mut exchange = open(&alice, &bob).await;
    works(&mut exchange).await;
    assert_eq!(lanes(&bob, alice.peer_id()).await, 1);

    let mut socket = TcpStream::connect(socket(&only_address(&bob)))
        .await
        .unwrap();
    socket.write_all(&client_hello()).await.unwrap();
    assert_eq!(answered(&mut socket).await, 0, "not even an alert");
}

/// A whole hello of TLS with a pass that was never given.
fn client_hello() -> Vec<u8> {
    let client = libp2p_tls::make_client_config(&Keypair::generate_ed25519(), None).unwrap();
    let name = ServerName::try_from("0123456789abcdef0123456789abcdef").unwrap();
    let mut client = rustls::ClientConfig::clone(&client);
    client.alpn_protocols = vec![ALPN.to_vec()];
    let mut connection = rustls::ClientConnection::new(Arc::new(client), name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    hello
}

/// How many bytes come before the socket is closed.
async fn answered(socket: &mut TcpStream) -> usize {
    let mut bytes = Vec::new();
    // Closed with bytes unread, it is reset: an end too.
    let _ = within(tokio::io::AsyncReadExt::read_to_end(socket, &mut bytes)).await;
    bytes.len()
}

#[tokio::test]
async fn hellos_that_lead_nowhere_are_bounded_and_end() {
    let (alice, bob) = (start(config()).await, start(config()).await);
    let address = socket(&only_address(&bob));
    let whole = client_hello();
    let slow = &whole[..whole.len() / 2];
    let garbage = [&whole[..11], &[0xff; 2000][..]].concat();
    for bytes in [&whole[..], &garbage] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        assert!(answered(&mut socket).await < 16, "at most an alert");
    }
    let mut ends = Vec::new();
    for _ in 0..80 {
        let began = Instant::now();
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(slow).await.unwrap();
        ends.push(async move {
            answered(&mut socket).await;
            began.elapsed()
        });
    }
    let meanwhile = async {
        works(&mut open(&alice, &bob).await).await;
        assert_eq!(
            lanes(&bob, alice.peer_id()).await,
            1,
            "they keep no lane away"
        );
    };
    let (ends, ()) = tokio::join!(futures::future::join_all(ends), meanwhile);
    // Of 64 places this machine has 48. The longest idle gave way, also to the lane.
    let at_once = |end: &&Duration| **end < HANDSHAKE_TIME_MAX;
    assert_eq!(ends.iter().filter(at_once).count(), 80 + 1 - 48, "{ends:?}");
}
