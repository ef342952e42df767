//! Two nodes talk.

mod common;

use bytes::Bytes;
use common::*;
use hubless_content::ChunkIndex;
use hubless_network::{AnswerFrame, NetworkConfig};
use hubless_wire::{Answer, Ask, Scope};

#[tokio::test]
async fn frames_travel_both_ways() {
    let (alice, bob) = (start(config()).await, start(config()).await);
    let mut to_bob = open(&alice, &bob).await;
    let mut to_alice = open(&bob, &alice).await;
    for exchange in [&mut to_bob, &mut to_alice] {
        exchange.asks.send(1, chunks(5, 3)).await.unwrap();
        exchange
            .asks
            .send(2, Ask::Availability(Scope::File(FILE)))
            .await
            .unwrap();
        let mut answers = Vec::new();
        for _ in 0..4 {
            answers.push(within(exchange.answers.recv()).await.unwrap().unwrap());
        }
        answers.sort_by_key(|answer| answer.id);
        for (answer, index) in answers[..3].iter().zip(5..) {
            let (id, payload) = (1, chunk(index));
            let expected = AnswerFrame {
                id,
                answer: Answer::Chunk(ChunkIndex(index)),
                payload,
            };
            assert_eq!(*answer, expected);
        }
        let not_here = AnswerFrame {
            id: 2,
            answer: Answer::NotHere,
            payload: Bytes::new(),
        };
        assert_eq!(answers[3], not_here);
    }
    let expected = 3 * chunk(0).len() as u64;
    for node in [&alice, &bob] {
        assert_eq!(node.counters().bytes_received, expected);
        assert_eq!(node.counters().bytes_sent, expected);
    }
    assert_eq!(bob.peers().await[0].peer_id, alice.peer_id());
}
