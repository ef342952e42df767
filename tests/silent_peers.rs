//! Crowds on the peer port that speak no protocol, or are idle after the handshake: they lock no peer
//! out.
//!
//! The crowd comes from the same address as the honest peer, which is the worst case: other prefixes
//! have shares of their own.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use hubless_network::{
    Exchange, ExchangeService, Identity, MemoryDb, Multiaddr, Network, NetworkConfig, PeerId,
    Protocol, Reply,
};
use hubless_testkit::{
    model,
    process::{Lab, Node, number, until},
};
use hubless_wire::{Request, Response};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Runtime,
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

const SILENT: usize = 2000;
const HALF_HELLOS: usize = 512;
const MADE_UP_IDS: usize = 384;

/// Delay before a closed socket of the crowd connects again.
const RENEWED_AFTER: Duration = Duration::from_secs(4);

/// Attempts of each invented identity that is refused, and how many of them connect at once.
const TRIES: usize = 3;
const TRYING: usize = 16;

/// Additional time until an honest peer has its first chunk. Without a crowd that takes 0.2 s, or more
/// on a busy machine.
const SERVED_WITHIN: Duration = Duration::from_secs(2);

/// Time until all resources are released after the crowd left.
const BACK_WITHIN: Duration = Duration::from_secs(10);

const RSS_MAX: u64 = 250_000_000;

/// Honest fetches beside each crowd, of which the median counts.
const FETCHES: usize = 5;

/// The first bytes of a TLS hello, which never ends.
const HALF_HELLO: [u8; 11] = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];

/// Raises the limit of this process: the test needs more sockets than a shell's default.
fn allow_many_sockets() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).expect("a limit up to the hard one");
}

/// The port of a node.
fn socket(node: &Node) -> SocketAddr {
    let address: Multiaddr = node.address().parse().expect("an address");
    let port = address.iter().find_map(|part| match part {
        Protocol::Tcp(port) => Some(port),
        _ => None,
    });
    SocketAddr::from(([127, 0, 0, 1], port.expect("it listens on TCP")))
}

/// Sockets that send these bytes and nothing more, and connect again whenever they are closed.
fn sockets(count: usize, bytes: &'static [u8], target: SocketAddr) -> JoinSet<()> {
    let mut crowd = JoinSet::new();
    for _ in 0..count {
        crowd.spawn(async move {
            loop {
                if let Ok(mut socket) = TcpStream::connect(target).await
                    && socket.write_all(bytes).await.is_ok()
                {
                    // Ends when the node closes it.
                    let _ = socket.read(&mut [0; 256]).await;
                }
                tokio::time::sleep(RENEWED_AFTER).await;
            }
        });
    }
    crowd
}

/// A service without content.
struct Nothing;

impl ExchangeService for Nothing {
    fn respond(&self, _: PeerId, _: Request, reply: Reply) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            // The requester may have left.
            let _ = reply.send(Response::NotHere, Bytes::new()).await;
        })
    }
}

/// A peer with an identity of its own and an exchange stream without requests; `None` if it was
/// refused each time.
async fn idle_peer(address: Multiaddr) -> Option<(Network, Exchange)> {
    let config = NetworkConfig {
        listen: Vec::new(),
        mdns: false,
        upnp: false,
        ..NetworkConfig::default()
    };
    let records = Arc::new(MemoryDb::default());
    let network = Network::start(config, Identity::generate(), records, Arc::new(Nothing));
    let network = network.await.expect("a node that does not listen");
    let peer = hubless_network::peer_of(&address).expect("it ends in a peer id");
    for _ in 0..TRIES {
        if let Ok(exchange) = network.open(peer, vec![address.clone()]).await {
            return Some((network, exchange));
        }
    }
    None
}

/// Peers that stay until their stream gives way to newer ones: a whole node would reconnect at once,
/// for its DHT, and this machine would spend its time on handshakes. Returns when each was admitted or
/// refused, with the number of admitted peers.
async fn idle_peers(count: usize, address: Multiaddr) -> (JoinSet<()>, usize) {
    let mut crowd = JoinSet::new();
    let trying = Arc::new(Semaphore::new(TRYING));
    let (admitted, mut outcomes) = mpsc::channel(count);
    for _ in 0..count {
        let (address, trying, admitted) = (address.clone(), Arc::clone(&trying), admitted.clone());
        crowd.spawn(async move {
            let permit = trying.acquire().await;
            let peer = idle_peer(address).await;
            drop(permit);
            let _ = admitted.send(peer.is_some()).await;
            if let Some((network, mut exchange)) = peer {
                while let Some(Ok(_)) = exchange.responses.recv().await {}
                network.stop().await;
            }
        });
    }
    let mut inside = 0;
    for _ in 0..count {
        inside += usize::from(outcomes.recv().await.unwrap_or(false));
    }
    (crowd, inside)
}

/// A node beside crowds.
struct Besieged {
    lab: Lab,
    node: Node,
    fetches: usize,
    /// Time from the start of a fetch to its first chunk, without a crowd.
    alone: Duration,
}

impl Besieged {
    /// `descriptors`: the limit of open files and sockets of its process.
    fn new(descriptors: Option<u32>) -> Self {
        let lab = Lab::new(HUBLESS);
        let source = lab.path("model");
        model::write_file(&source.join("weights.bin"), 1 << 20, 1);
        let machine = match descriptors {
            None => lab.machine("node"),
            Some(descriptors) => {
                let script = lab.path("hubless-with-limit");
                let text = format!("#!/bin/sh\nulimit -n {descriptors}\nexec '{HUBLESS}' \"$@\"\n");
                fs::write(&script, text).expect("write");
                fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).expect("chmod");
                let limited = Lab::new(script.to_str().expect("text"));
                limited.machine_in(lab.path("node"))
            }
        };
        let node = machine.seed(&source, &[]);
        let mut besieged = Self {
            lab,
            node,
            fetches: 0,
            alone: Duration::ZERO,
        };
        besieged.alone = besieged.fetch_some();
        println!("alone: first chunks after {:?}", besieged.alone);
        besieged
    }

    /// Time from the start of a `get` to its first chunk.
    fn fetch(&mut self) -> Duration {
        self.fetches += 1;
        let getter = self.lab.machine(&format!("getter-{}", self.fetches));
        let began = Instant::now();
        let mut get = getter.start_get(&[self.node.hash(), "--peer", self.node.address()]);
        // A short fetch is done before it reports progress.
        get.event(|event| event["event"] == "done" || event["bytes_verified"].as_u64() >= Some(1));
        let took = began.elapsed();
        get.wait(Duration::from_secs(30)).ok();
        took
    }

    /// The median of several fetches.
    fn fetch_some(&mut self) -> Duration {
        let mut took: Vec<Duration> = (0..FETCHES).map(|_| self.fetch()).collect();
        took.sort();
        took[FETCHES / 2]
    }

    /// Honest peers are served, and memory is bounded.
    fn holds(&mut self, crowd: &str) {
        let took = self.fetch_some();
        let rss = self.node.process.usage().rss_peak;
        println!("beside {crowd}: first chunks after {took:?}, {rss} bytes at most");
        assert!(
            took < self.alone + SERVED_WITHIN,
            "beside {crowd}: {took:?}"
        );
        assert!(rss < RSS_MAX, "beside {crowd}: {rss} bytes");
    }

    /// All resources are released, and peers are served as before.
    fn is_back(&mut self) {
        until("the crowd is gone", BACK_WITHIN, || {
            let peers = number(&self.node.status(), "peers");
            // The node may not have noticed yet that the honest peers left.
            if peers <= FETCHES as u64 {
                Ok(())
            } else {
                Err(format!("{peers} peers"))
            }
        });
        let took = self.fetch_some();
        assert!(took < self.alone + SERVED_WITHIN, "afterwards: {took:?}");
    }
}

/// Sockets that never send an identity.
fn withstands_sockets(node: &mut Besieged, runtime: &Runtime) {
    let target = socket(&node.node);
    let _in_runtime = runtime.enter();
    let silent = sockets(SILENT, &[], target);
    node.holds("silent sockets");
    drop(silent);
    let half = sockets(HALF_HELLOS, &HALF_HELLO, target);
    node.holds("half hellos");
    drop(half);
}

#[test]
fn crowds_that_send_nothing_lock_no_peer_out() {
    allow_many_sockets();
    let mut node = Besieged::new(None);
    let runtime = Runtime::new().expect("a runtime");
    withstands_sockets(&mut node, &runtime);
    let address: Multiaddr = node.node.address().parse().expect("an address");
    let (crowd, inside) = runtime.block_on(idle_peers(MADE_UP_IDS, address));
    println!("{inside} of {MADE_UP_IDS} made-up ids had an exchange stream");
    assert!(inside > MADE_UP_IDS / 4, "a crowd: {inside}");
    node.holds("made-up ids");
    drop(crowd);
    node.is_back();
}

#[test]
fn nor_do_they_where_a_process_may_open_few_files() {
    allow_many_sockets();
    let runtime = Runtime::new().expect("a runtime");
    for descriptors in [256, 1024] {
        let mut node = Besieged::new(Some(descriptors));
        withstands_sockets(&mut node, &runtime);
        node.is_back();
    }
}
