//! How fast chunks travel: `cargo run --release -p hubless-network --example throughput`.

// It shares the helpers of the tests, not all of them.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

#[path = "../tests/network/common.rs"]
mod common;

use std::time::Instant;

use bytes::Bytes;
use futures::future::BoxFuture;
use hubless_content::ChunkIndex;
use hubless_network::{ExchangeService, NetworkConfig, PeerId, Reply};
use hubless_wire::{Request, Response};

use common::*;

/// Gives the same chunk again and again, from memory.
struct OneChunk(Bytes);

impl ExchangeService for OneChunk {
    fn respond(&self, _: PeerId, request: Request, reply: Reply) -> BoxFuture<'static, ()> {
        let chunk = self.0.clone();
        Box::pin(async move {
            let Request::Chunks { first, count, .. } = request else {
                return;
            };
            for index in first.0..first.0 + count {
                if reply
                    .send(Response::Chunk(ChunkIndex(index)), chunk.clone())
                    .await
                    .is_err()
                {
                    return;
                }
            }
        })
    }
}

async fn measure(listen: &str, count: u32) {
    const WINDOW: u32 = 64;
    let listen = vec![listen.parse().unwrap()];
    let bob = start_with(NetworkConfig { listen, ..config() }, OneChunk(chunk(1))).await;
    let alice = start(config()).await;
    let mut exchange = open(&alice, &bob).await;
    let asks = exchange.requests.clone();
    for number in 0..WINDOW {
        asks.send(u64::from(number) + 1, chunks(number, 1))
            .await
            .unwrap();
    }
    let started = Instant::now();
    let mut bytes = 0;
    for number in 0..count {
        let answer = exchange.responses.recv().await.unwrap().unwrap();
        bytes += answer.payload.len();
        if number + WINDOW < count {
            let number = number + WINDOW;
            asks.send(u64::from(number) + 1, chunks(number, 1))
                .await
                .unwrap();
        }
    }
    let rate = bytes as f64 / started.elapsed().as_secs_f64() / 1e6;
    println!("{}: {rate:.0} MB/s", only_address(&bob));
}

#[tokio::main]
async fn main() {
    for _ in 0..3 {
        measure("/ip4/127.0.0.1/tcp/0", 16 * 1024).await;
    }
    measure("/ip4/127.0.0.1/udp/0/quic-v1", 8 * 1024).await;
}
