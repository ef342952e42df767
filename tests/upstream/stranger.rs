//! A peer inside the test that speaks the real protocol: it makes any claim, and sends requests that
//! no node would.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use hubless_content::{ChunkIndex, ChunkList, chunk_len, chunk_offset, hash_reader};
use hubless_network::{
    ExchangeService, Identity, MemoryDb, Multiaddr, Network, NetworkConfig, PeerId, Reply, peer_of,
};
use hubless_wire::{Request, Response, Scope};
use tokio::{runtime::Runtime, time::timeout};

/// Claims that every alias is its one file, which it has.
struct Service {
    list: ChunkList,
    bytes: Vec<u8>,
    asked_for_aliases: AtomicUsize,
}

impl Service {
    fn answer(&self, request: Request) -> (Response, Bytes) {
        let (own, size) = (self.list.file(), self.list.size());
        match request {
            Request::Alias(_) => {
                self.asked_for_aliases.fetch_add(1, Ordering::Relaxed);
                (Response::Alias { file: own, size }, Bytes::new())
            }
            Request::Availability(Scope::File(file)) if file == own => {
                let total = u32::try_from(self.list.cvs().len().max(1)).expect("a small file");
                let complete = Response::Availability {
                    first: 0,
                    total,
                    complete: true,
                };
                (complete, Bytes::new())
            }
            Request::ChunkList { file, .. } if file == own => {
                let cvs = self.list.cvs().iter().flat_map(|cv| *cv.as_bytes());
                (Response::ChunkList, cvs.collect())
            }
            Request::Chunks { file, first, .. } if file == own => self.chunk(first, size),
            _ => (Response::NotHere, Bytes::new()),
        }
    }

    fn chunk(&self, index: ChunkIndex, size: u64) -> (Response, Bytes) {
        let start = usize::try_from(chunk_offset(index)).expect("a small file");
        let len = chunk_len(size, index).expect("a chunk of the file");
        let bytes = Bytes::copy_from_slice(&self.bytes[start..start + len]);
        (Response::Chunk(index), bytes)
    }
}

impl ExchangeService for Service {
    fn respond(&self, _: PeerId, request: Request, reply: Reply) -> BoxFuture<'static, ()> {
        let stays = matches!(request, Request::Availability(_));
        let (answer, payload) = Self::answer(self, request);
        async move {
            let _ = reply.send(answer, payload).await;
            if stays {
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }
}

/// A running stranger; ends when dropped.
pub(crate) struct Stranger {
    service: Arc<Service>,
    pub(crate) address: String,
    network: Network,
    runtime: Runtime,
}

impl Stranger {
    /// A stranger that claims this file for every alias.
    pub(crate) fn start(bytes: Vec<u8>) -> Self {
        let service = Arc::new(Service {
            list: hash_reader(&bytes[..]).expect("bytes in memory"),
            bytes,
            asked_for_aliases: AtomicUsize::new(0),
        });
        let runtime = Runtime::new().expect("a runtime");
        let config = NetworkConfig {
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")],
            mdns: false,
            upnp: false,
            ..NetworkConfig::default()
        };
        let records = Arc::new(MemoryDb::default());
        let start = Network::start(config, Identity::generate(), records, service.clone());
        let network = runtime.block_on(start).expect("it listens on a free port");
        let listens = network.listen_addresses();
        Self {
            service,
            address: listens.first().expect("an address").to_string(),
            network,
            runtime,
        }
    }

    pub(crate) fn peer_id(&self) -> String {
        self.network.peer_id().to_string()
    }

    /// The number of requests for an alias that it received.
    pub(crate) fn asked_for_aliases(&self) -> usize {
        self.service.asked_for_aliases.load(Ordering::Relaxed)
    }

    /// The first response of a node to a request.
    pub(crate) fn ask(&self, address: &str, request: Request) -> Response {
        let address: Multiaddr = address.parse().expect("an address");
        let peer = peer_of(&address).expect("an address of a peer");
        let asked = async {
            let mut exchange = self.network.open(peer, vec![address]).await.expect("open");
            exchange.requests.send(1, request).await.expect("it reads");
            let answer = exchange.responses.recv().await.expect("an answer");
            answer.expect("no violation").response
        };
        let in_time = async { timeout(Duration::from_secs(60), asked).await };
        let asked = self.runtime.block_on(in_time);
        asked.expect("an answer in time")
    }
}
