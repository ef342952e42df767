//! Nodes for tests: on this machine, each with its own identity.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::BoxFuture;
use hubless_content::{CHUNK_SIZE, ChunkIndex, FileHash};
use hubless_network::{
    Exchange, ExchangeService, Identity, MemoryDb, Multiaddr, Network, NetworkConfig, PeerId, Reply,
};
use hubless_wire::{Request, Response};

/// What every wait in these tests is bounded by. They wait for conditions, never for time.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub const FILE: FileHash = FileHash::new([7; 32]);

pub fn config() -> NetworkConfig {
    NetworkConfig {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        mdns: false,
        upnp: false,
        ..NetworkConfig::default()
    }
}

pub async fn start(config: NetworkConfig) -> Network {
    start_with(config, Chunks).await
}

pub async fn start_with(config: NetworkConfig, service: impl ExchangeService) -> Network {
    let records = Arc::new(MemoryDb::default());
    Network::start(config, Identity::generate(), records, Arc::new(service))
        .await
        .unwrap()
}

pub async fn open(from: &Network, to: &Network) -> Exchange {
    within(from.open(to.peer_id(), to.listen_addresses()))
        .await
        .unwrap()
}

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("this should not take so long")
}

/// Waits until something holds, asking now and then.
pub async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    within(async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

pub fn chunks(first: u32, count: u32) -> Request {
    Request::Chunks {
        file: FILE,
        size: u64::MAX >> 16,
        first: ChunkIndex(first),
        count,
    }
}

/// The payload of a chunk: its number, over and over.
pub fn chunk(index: u32) -> Bytes {
    index.to_le_bytes().repeat(CHUNK_SIZE / 4).into()
}

/// Has every chunk of every file, and nothing else.
pub struct Chunks;

impl ExchangeService for Chunks {
    fn respond(&self, _: PeerId, request: Request, reply: Reply) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let Request::Chunks { first, count, .. } = request else {
                let _ = reply.send(Response::NotHere, Bytes::new()).await;
                return;
            };
            for index in first.0..first.0 + count {
                if reply
                    .send(Response::Chunk(ChunkIndex(index)), chunk(index))
                    .await
                    .is_err()
                {
                    return;
                }
            }
        })
    }
}

pub fn only_address(network: &Network) -> Multiaddr {
    network
        .listen_addresses()
        .into_iter()
        .next()
        .expect("it listens")
}
