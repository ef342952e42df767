//! A node with many peers: its memory, and that peers which read nothing delay no other peer.

use std::{fs::File, sync::Arc};

use bytes::Bytes;
use futures::{
    StreamExt as _,
    future::{BoxFuture, FutureExt as _},
    stream,
};
use hubless_content::{CHUNK_SIZE, ChunkIndex, ChunkList, hash_reader};
use hubless_network::{
    Exchange, ExchangeService, Identity, MemoryDb, Multiaddr, Network, NetworkConfig, PeerId,
    Reply, peer_of,
};
use hubless_testkit::{
    model,
    process::{LIMIT, Lab, Node, until},
};
use hubless_wire::{CHUNKS_PER_REQUEST_MAX, Request, Response, Scope};
use tokio::runtime::Runtime;

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

const SIZE: u64 = 1024 * model::CHUNK;

/// Peers of the seeder and of the getter; each is connected to both.
const PEERS: usize = 200;

/// Peers that fetch as fast as they can. All others send requests too, but read nothing, so that
/// the responses to them fill every buffer.
const READERS: usize = 16;

/// Chunks that each reader receives.
const READ: u32 = 128;

/// Requests of each peer: 64 MiB are requested at a time.
const ASKS: u32 = 16;

/// Bound of a seeder's memory, whatever its peers do.
const SEEDER_RSS_MAX: u64 = 400_000_000;

/// Bound of a getter's memory.
const GETTER_RSS_MAX: u64 = 200_000_000;

/// Peers that join at a time: fewer than handshakes may be pending.
const JOINING: usize = 32;

/// Many peers in one process, with an identity and connections each.
struct Crowd {
    runtime: Runtime,
    peers: Vec<Network>,
}

impl Crowd {
    fn new() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        Self {
            runtime,
            peers: Vec::new(),
        }
    }

    /// Adds so many peers and connects each to all of `nodes`.
    fn join(&mut self, count: usize, nodes: &[&Node]) {
        let nodes: Vec<Multiaddr> = nodes.iter().map(|node| address(node)).collect();
        let joining = stream::iter((0..count).map(|_| join(&nodes))).buffer_unordered(JOINING);
        let joined: Vec<Network> = self.runtime.block_on(joining.collect());
        self.peers.extend(joined);
    }

    /// All peers request a node's file.
    fn ask(&self, node: &Node, list: &ChunkList) -> Vec<Exchange> {
        let asks = self.peers.iter().map(|peer| ask(peer, address(node), list));
        let asking = stream::iter(asks).buffer_unordered(JOINING);
        self.runtime.block_on(asking.collect())
    }
}

fn address(node: &Node) -> Multiaddr {
    node.address().parse().expect("an address")
}

/// A peer that cannot be dialled, like most peers behind NAT.
async fn join(nodes: &[Multiaddr]) -> Network {
    let config = NetworkConfig {
        listen: Vec::new(),
        mdns: false,
        upnp: false,
        ..NetworkConfig::default()
    };
    let records = Arc::new(MemoryDb::default());
    let network = Network::start(config, Identity::generate(), records, Arc::new(Nothing));
    let network = network.await.expect("nothing can fail");
    for node in nodes {
        let connected = network.connect_to(node.clone()).await;
        connected.expect("the node has room");
    }
    network
}

async fn ask(peer: &Network, node: Multiaddr, list: &ChunkList) -> Exchange {
    let id = peer_of(&node).expect("an address with a peer id");
    let exchange = peer.open(id, vec![node]).await.expect("there is room");
    for number in 0..ASKS {
        let request = Request::Chunks {
            file: list.file(),
            size: list.size(),
            first: ChunkIndex(number * CHUNKS_PER_REQUEST_MAX),
            count: CHUNKS_PER_REQUEST_MAX,
        };
        let sent = exchange.requests.send(u64::from(number) + 1, request).await;
        sent.expect("the stream is open");
    }
    exchange
}

/// Receives so many chunks.
async fn read(exchange: &mut Exchange, chunks: u32) {
    for _ in 0..chunks {
        let answer = exchange.responses.recv().await.expect("it goes on");
        let answer = answer.expect("an answer");
        assert!(matches!(answer.response, Response::Chunk(_)), "{answer:?}");
        assert_eq!(answer.payload.len(), CHUNK_SIZE);
    }
}

/// The service of the crowd's peers.
struct Nothing;

impl ExchangeService for Nothing {
    fn respond(&self, _: PeerId, _: Request, reply: Reply) -> BoxFuture<'static, ()> {
        async move {
            let _ = reply.send(Response::NotHere, Bytes::new()).await;
        }
        .boxed()
    }
}

/// Waits for the response with this id.
async fn answer_to(exchange: &mut Exchange, id: u64) -> Response {
    loop {
        let answer = exchange.responses.recv().await.expect("it goes on");
        let answer = answer.expect("an answer");
        if answer.id == id {
            return answer.response;
        }
    }
}

#[test]
fn a_first_upload_is_announced_to_other_peers_ahead_of_their_own_chunks() {
    const NEWS: u64 = 1000;
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    let weights = source.join("weights.bin");
    model::write_file(&weights, SIZE, 4);
    let list = hash_reader(File::open(&weights).expect("open")).expect("read");
    let seeder = lab.machine("seeder").seed(&source, &["--in-place"]);
    let mut crowd = Crowd::new();
    crowd.join(2, &[&seeder]);
    let [one, other] = &crowd.peers[..] else {
        panic!("two peers");
    };
    let sent_to_other = crowd.runtime.block_on(async {
        // One peer requests many chunks and reads none, but reads news on a second stream.
        let _unread = ask(one, address(&seeder), &list).await;
        let id = peer_of(&address(&seeder)).expect("an address with a peer id");
        let mut news = one.open_beside(id).await.expect("there is room");
        let wanted = Request::Availability(Scope::File(list.file()));
        news.requests.send(NEWS, wanted).await.expect("it is open");
        let availability = answer_to(&mut news, NEWS).await;
        assert!(
            matches!(availability, Response::Availability { complete: true, .. }),
            "{availability:?}"
        );
        let mut exchange = other.open(id, Vec::new()).await.expect("there is room");
        let last = ChunkIndex(SIZE as u32 / CHUNK_SIZE as u32 - 1);
        let request = Request::Chunks {
            file: list.file(),
            size: list.size(),
            first: last,
            count: 1,
        };
        exchange
            .requests
            .send(1, request)
            .await
            .expect("it is open");
        assert_eq!(answer_to(&mut exchange, 1).await, Response::Chunk(last));
        tokio::time::timeout(LIMIT, answer_to(&mut news, NEWS)).await
    });
    let last = (SIZE / model::CHUNK) as u32 - 1;
    assert_eq!(
        sent_to_other.expect("news"),
        Response::OnTheWay(std::iter::once(last..last + 1).collect())
    );
}

fn has_peers(node: &Node, count: usize) {
    until("all are connected", LIMIT, || {
        let peers = node.count("peers");
        if peers == count as u64 {
            Ok(())
        } else {
            Err(format!("{peers} peers"))
        }
    });
}

#[test]
fn alone_two_hundred_peers_take_little_memory_and_readers_are_served() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    let weights = source.join("weights.bin");
    model::write_file(&weights, SIZE, 3);
    let list = hash_reader(File::open(&weights).expect("open")).expect("read");
    let seeder = lab.machine("seeder").seed(&source, &["--in-place"]);
    let getter = lab.machine("getter").serve(&[]);

    let mut crowd = Crowd::new();
    crowd.join(PEERS, &[&seeder, &getter]);
    has_peers(&seeder, PEERS);
    has_peers(&getter, PEERS);
    let mut asked = crowd.ask(&seeder, &list);
    let mut readers: Vec<Exchange> = asked.drain(..READERS).collect();
    let reading = crowd.runtime.spawn(async move {
        let reads = readers.iter_mut().map(|reader| read(reader, READ));
        futures::future::join_all(reads).await;
    });
    let args = [seeder.hash(), "--peer", seeder.address()];
    let fetched = getter.machine.get(&args);
    // Chunks that are late beside so many peers may be requested on a second lane.
    let little_more = SIZE..=SIZE + SIZE / 20;
    assert!(little_more.contains(&fetched.bytes_fetched), "{fetched:?}");
    crowd.runtime.block_on(reading).expect("all were served");
    let [seeding, getting] = [&seeder, &getter].map(|node| node.process.usage().rss_peak);
    println!(
        "{PEERS} peers: seeder {seeding} bytes, getter {getting} bytes, {:?}",
        fetched.took
    );
    assert!(seeding < SEEDER_RSS_MAX, "{seeding}");
    assert!(getting < GETTER_RSS_MAX, "{getting}");
}
