//! How fast chunks travel; run by hand: `cargo test --release -p hubless-network -- --ignored`.

use std::time::Instant;

use bytes::Bytes;
use futures::future::BoxFuture;
use hubless_content::ChunkIndex;
use hubless_network::{ExchangeService, NetworkConfig, PeerId, Reply};
use hubless_wire::{Answer, Ask};

use crate::common::*;

/// Gives the same chunk again and again, from memory.
struct OneChunk(Bytes);

impl ExchangeService for OneChunk {
    fn answer(&self, _: PeerId, ask: Ask, reply: Reply) -> BoxFuture<'static, ()> {
        let chunk = self.0.clone();
        Box::pin(async move {
            let Ask::Chunks { first, count, .. } = ask else {
                return;
            };
            for index in first.0..first.0 + count {
                if reply
                    .send(Answer::Chunk(ChunkIndex(index)), chunk.clone())
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
    let asks = exchange.asks.clone();
    for number in 0..WINDOW {
        asks.send(u64::from(number) + 1, chunks(number, 1))
            .await
            .unwrap();
    }
    let started = Instant::now();
    let mut bytes = 0;
    for number in 0..count {
        let answer = exchange.answers.recv().await.unwrap().unwrap();
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures, tests nothing"]
async fn of_one_peer() {
    for _ in 0..3 {
        measure("/ip4/127.0.0.1/tcp/0", 16 * 1024).await;
    }
    measure("/ip4/127.0.0.1/udp/0/quic-v1", 8 * 1024).await;
}
