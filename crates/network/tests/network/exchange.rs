//! Requests and responses between two nodes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use hubless_content::ChunkIndex;
use hubless_network::{
    ConnectError, ExchangeService, NetworkEvent, OpenError, PeerId, Reply, ResponseFrame,
};
use hubless_wire::{REQUESTS_PER_STREAM_MAX, Request, Response, Scope};
use tokio::sync::{Notify, Semaphore};

use crate::common::*;

#[tokio::test]
async fn frames_travel_both_ways() {
    let (alice, bob) = (start(config()).await, start(config()).await);
    let mut to_bob = open(&alice, &bob).await;
    let mut to_alice = open(&bob, &alice).await;
    for exchange in [&mut to_bob, &mut to_alice] {
        exchange.requests.send(1, chunks(5, 3)).await.unwrap();
        exchange
            .requests
            .send(2, Request::Availability(Scope::File(FILE)))
            .await
            .unwrap();
        let mut answers = Vec::new();
        for _ in 0..4 {
            answers.push(within(exchange.responses.recv()).await.unwrap().unwrap());
        }
        answers.sort_by_key(|answer| answer.id);
        for (answer, index) in answers[..3].iter().zip(5..) {
            let (id, payload) = (1, chunk(index));
            let expected = ResponseFrame {
                id,
                response: Response::Chunk(ChunkIndex(index)),
                payload,
            };
            assert_eq!(*answer, expected);
        }
        let not_here = ResponseFrame {
            id: 2,
            response: Response::NotHere,
            payload: Bytes::new(),
        };
        assert_eq!(answers[3], not_here);
    }
    let expected = 3 * chunk(0).len() as u64;
    for node in [&alice, &bob] {
        assert_eq!(node.counters().received.total(), expected);
        assert_eq!(node.counters().sent.total(), expected);
    }
    assert_eq!(bob.peers().await[0].peer_id, alice.peer_id());
}

#[tokio::test]
async fn quic_and_a_peer_that_is_connected_already() {
    let quic = "/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap();
    let bob = start(hubless_network::NetworkConfig {
        listen: vec![quic],
        ..config()
    })
    .await;
    let alice = start(config()).await;
    let mut exchange = open(&alice, &bob).await;
    exchange.requests.send(1, chunks(0, 1)).await.unwrap();
    let answer = within(exchange.responses.recv()).await.unwrap().unwrap();
    assert_eq!(answer.payload, chunk(0));
    let again = within(alice.open(bob.peer_id(), Vec::new())).await;
    assert!(
        again.is_ok(),
        "no address is needed for a peer that is connected"
    );
}

/// Asks for chunks of one stream that a service has at once.
const AT_ONCE: usize = 16;

/// Answers chunks as permits come, and counts the futures that are dropped before their end.
#[derive(Clone)]
struct Slow {
    permits: Arc<Semaphore>,
    begun: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

impl Slow {
    fn new() -> Self {
        let permits = Arc::new(Semaphore::new(0));
        Self {
            permits,
            begun: Arc::default(),
            dropped: Arc::default(),
        }
    }
}

struct CountDrop(Arc<AtomicUsize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl ExchangeService for Slow {
    fn respond(&self, _: PeerId, request: Request, reply: Reply) -> BoxFuture<'static, ()> {
        let this = self.clone();
        Box::pin(async move {
            this.begun.fetch_add(1, Ordering::SeqCst);
            let on_drop = CountDrop(this.dropped.clone());
            this.permits.acquire().await.unwrap().forget();
            std::mem::forget(on_drop);
            if let Request::Chunks { first, .. } = request {
                reply
                    .send(Response::Chunk(first), chunk(first.0))
                    .await
                    .unwrap();
            }
        })
    }
}

#[tokio::test]
async fn a_cancel_ends_the_work_and_frees_its_place() {
    let service = Slow::new();
    let (alice, bob) = (
        start(config()).await,
        start_with(config(), service.clone()).await,
    );
    let mut exchange = open(&alice, &bob).await;
    let asked = 2 * AT_ONCE as u64;
    for id in 1..=asked {
        exchange
            .requests
            .send(id, chunks(id as u32, 1))
            .await
            .unwrap();
    }
    until(async || service.begun.load(Ordering::SeqCst) == AT_ONCE).await;
    // Half are in work, half wait. Two of each are cancelled.
    for id in [1, 3, asked - 3, asked - 1] {
        exchange.requests.send(id, Request::Cancel).await.unwrap();
    }
    until(async || service.dropped.load(Ordering::SeqCst) == 2).await;
    service.permits.add_permits(100);
    let mut answered = Vec::new();
    while answered.len() < asked as usize - 4 {
        answered.push(within(exchange.responses.recv()).await.unwrap().unwrap().id);
    }
    assert!(
        [1, 3, asked - 3, asked - 1]
            .iter()
            .all(|cancelled| !answered.contains(cancelled))
    );
    // The id of a cancelled ask is free again.
    exchange.requests.send(1, chunks(9, 1)).await.unwrap();
    let answer = within(exchange.responses.recv()).await.unwrap().unwrap();
    assert_eq!((answer.id, answer.payload), (1, chunk(9)));
}

#[tokio::test]
async fn a_stream_that_is_dropped_in_mid_chunk_ends_the_work_on_the_other_side() {
    let service = Slow::new();
    let (alice, bob) = (
        start(config()).await,
        start_with(config(), service.clone()).await,
    );
    let mut exchange = open(&alice, &bob).await;
    exchange.requests.send(1, chunks(1, 1)).await.unwrap();
    exchange.requests.send(2, chunks(2, 1)).await.unwrap();
    until(async || service.begun.load(Ordering::SeqCst) == 2).await;
    service.permits.add_permits(1);
    // Reads a part of the first answer, perhaps; the reader keeps what it has.
    let early = tokio::time::timeout(Duration::from_micros(500), exchange.responses.recv()).await;
    drop((early, exchange));
    until(async || service.dropped.load(Ordering::SeqCst) == 1).await;
    // The connection serves the next stream.
    service.permits.add_permits(1);
    let mut exchange = open(&alice, &bob).await;
    exchange.requests.send(1, chunks(3, 1)).await.unwrap();
    assert_eq!(
        within(exchange.responses.recv())
            .await
            .unwrap()
            .unwrap()
            .payload,
        chunk(3)
    );
}

#[tokio::test]
async fn receiving_can_be_interrupted_anywhere() {
    let (alice, bob) = (start(config()).await, start(config()).await);
    let mut exchange = open(&alice, &bob).await;
    for id in 1..=4 {
        exchange
            .requests
            .send(id, chunks(16 * id as u32, 16))
            .await
            .unwrap();
    }
    let mut received = 0;
    within(async {
        while received < 64 {
            tokio::select! {
                biased;
                answer = exchange.responses.recv() => {
                    let ResponseFrame { response, payload, .. } = answer.unwrap().unwrap();
                    let Response::Chunk(index) = response else { panic!("{response:?}") };
                    assert_eq!(payload, chunk(index.0));
                    received += 1;
                }
                () = tokio::task::yield_now() => {}
            }
        }
    })
    .await;
}

#[tokio::test]
async fn too_many_requests_get_busy() {
    let service = Slow::new();
    let (alice, bob) = (
        start(config()).await,
        start_with(config(), service.clone()).await,
    );
    let mut exchange = open(&alice, &bob).await;
    for id in 1..=REQUESTS_PER_STREAM_MAX as u64 + 1 {
        exchange.requests.send(id, chunks(0, 1)).await.unwrap();
    }
    let answer = within(exchange.responses.recv()).await.unwrap().unwrap();
    assert_eq!(answer.id, REQUESTS_PER_STREAM_MAX as u64 + 1);
    assert!(matches!(answer.response, Response::Busy(_)));
    assert_eq!(
        service.begun.load(Ordering::SeqCst),
        AT_ONCE,
        "the others wait without costing a chunk"
    );
}

#[tokio::test]
async fn one_stream_too_many_is_refused() {
    let (alice, bob) = (start(config()).await, start(config()).await);
    let mut streams = Vec::new();
    for _ in 0..12 {
        streams.push(open(&alice, &bob).await);
    }
    let refused = within(alice.open(bob.peer_id(), Vec::new())).await;
    assert!(
        matches!(refused, Err(OpenError::Refused { .. })),
        "{refused:?}"
    );
    streams.pop();
    until(async || alice.open(bob.peer_id(), Vec::new()).await.is_ok()).await;
}

/// Panics on its first ask.
struct Panicking(AtomicUsize);

impl ExchangeService for Panicking {
    fn respond(&self, peer: PeerId, request: Request, reply: Reply) -> BoxFuture<'static, ()> {
        if self.0.fetch_add(1, Ordering::SeqCst) == 0 {
            return Box::pin(async { panic!("this panic is part of a test") });
        }
        Chunks.respond(peer, request, reply)
    }
}

#[tokio::test]
async fn a_panic_in_the_service_is_an_answer_to_come_back_later() {
    let service = Panicking(AtomicUsize::new(0));
    let (alice, bob) = (start(config()).await, start_with(config(), service).await);
    let mut exchange = open(&alice, &bob).await;
    exchange.requests.send(1, chunks(0, 1)).await.unwrap();
    let answer = within(exchange.responses.recv()).await.unwrap().unwrap();
    assert!(matches!(answer.response, Response::Busy(_)), "{answer:?}");
    exchange.requests.send(2, chunks(0, 1)).await.unwrap();
    assert_eq!(
        within(exchange.responses.recv())
            .await
            .unwrap()
            .unwrap()
            .payload,
        chunk(0)
    );
}

#[tokio::test]
async fn a_banned_peer_is_cut_off_in_both_directions() {
    let (alice, bob) = (start(config()).await, start(config()).await);
    let mut exchange = open(&alice, &bob).await;
    let mut events = alice.events();
    alice.ban(bob.peer_id(), Duration::from_secs(3600)).await;
    assert!(alice.is_banned(&bob.peer_id()));
    assert_eq!(alice.banned()[0].0, bob.peer_id());
    assert!(!matches!(
        within(exchange.responses.recv()).await,
        Some(Ok(_))
    ));
    within(async {
        while !matches!(events.recv().await.unwrap(), NetworkEvent::Disconnected { peer, .. }
            if peer == bob.peer_id())
        {}
    })
    .await;
    let outbound = within(alice.open(bob.peer_id(), bob.listen_addresses())).await;
    assert!(
        matches!(outbound, Err(OpenError::Connect(ConnectError::Banned(_)))),
        "{outbound:?}"
    );
    let inbound = within(bob.open(alice.peer_id(), alice.listen_addresses())).await;
    assert!(
        inbound.is_err(),
        "a connection that the other side closes at once is none"
    );
    assert!(alice.peers().await.is_empty());
}

#[tokio::test]
async fn a_ban_ends() {
    let (alice, bob) = (start(config()).await, start(config()).await);
    alice.ban(bob.peer_id(), Duration::from_millis(50)).await;
    until(async || {
        alice
            .open(bob.peer_id(), bob.listen_addresses())
            .await
            .is_ok()
    })
    .await;
}

#[tokio::test]
async fn unreachable_peers_are_an_error_at_once() {
    let (alice, gone) = (start(config()).await, start(config()).await);
    let (peer, addresses) = (gone.peer_id(), gone.listen_addresses());
    gone.stop().await;
    let error = within(alice.open(peer, addresses)).await.unwrap_err();
    assert!(
        matches!(error, OpenError::Connect(ConnectError::Unreachable { .. })),
        "{error:?}"
    );
    let nowhere = within(alice.open(PeerId::random(), Vec::new())).await;
    assert!(matches!(
        nowhere,
        Err(OpenError::Connect(ConnectError::Unreachable { .. }))
    ));
}

#[tokio::test]
async fn another_peer_at_the_address_is_refused() {
    let (alice, bob) = (start(config()).await, start(config()).await);
    let bare = hubless_network::Multiaddr::from_iter(
        only_address(&bob)
            .iter()
            .filter(|part| !matches!(part, hubless_network::Protocol::P2p(_))),
    );
    let error = within(alice.connect(PeerId::random(), vec![bare.clone()]))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ConnectError::Unreachable { .. }),
        "{error:?}"
    );
    assert_eq!(within(alice.connect_to(bare)).await.unwrap(), bob.peer_id());
}

#[tokio::test]
async fn limits_hold() {
    let up = hubless_network::NetworkConfig {
        limit_up: Some(4_000_000),
        ..config()
    };
    let (alice, bob) = (start(config()).await, start(up).await);
    let mut exchange = open(&alice, &bob).await;
    assert_eq!(alice.peers().await[0].lanes, 1, "limits hold on a lane");
    let started = tokio::time::Instant::now();
    exchange.requests.send(1, chunks(0, 16)).await.unwrap();
    for _ in 0..16 {
        within(exchange.responses.recv()).await.unwrap().unwrap();
    }
    // 4 MiB at 4 MB/s, less what passes at once.
    assert!(
        started.elapsed() > Duration::from_millis(900),
        "{:?}",
        started.elapsed()
    );
    bob.set_limits(None, None);
    alice.set_limits(None, Some(8_000_000));
    let started = tokio::time::Instant::now();
    exchange.requests.send(2, chunks(0, 16)).await.unwrap();
    for _ in 0..16 {
        within(exchange.responses.recv()).await.unwrap().unwrap();
    }
    assert!(
        started.elapsed() > Duration::from_millis(400),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn lifting_a_limit_frees_waiting_peers() {
    let up = hubless_network::NetworkConfig {
        limit_up: Some(1),
        ..config()
    };
    let (alice, bob) = (start(config()).await, start(up).await);
    let mut exchange = open(&alice, &bob).await;
    exchange.requests.send(1, chunks(0, 1)).await.unwrap();
    // A few bytes pass at once; the others would take days.
    until(async || bob.counters().sent.total() > 0).await;
    bob.set_limits(None, None);
    within(exchange.responses.recv()).await.unwrap().unwrap();
}

/// Responds without end, and reports when a response has ended all the same.
struct Endless(Arc<Notify>);

struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl ExchangeService for Endless {
    fn respond(&self, _: PeerId, _: Request, reply: Reply) -> BoxFuture<'static, ()> {
        let ended = NotifyOnDrop(self.0.clone());
        Box::pin(async move {
            let _ended = ended;
            let again = || reply.send(Response::Chunk(ChunkIndex(0)), chunk(0));
            while again().await.is_ok() {}
        })
    }
}

#[tokio::test]
async fn a_reader_that_leaves_ends_an_endless_answer() {
    let ended = Arc::new(Notify::new());
    let bob = start_with(config(), Endless(ended.clone())).await;
    let alice = start(config()).await;
    let exchange = open(&alice, &bob).await;
    exchange.requests.send(1, chunks(0, 1)).await.unwrap();
    until(async || bob.counters().sent.total() > 1 << 16).await;
    alice.stop().await;
    within(ended.notified()).await;
    assert!(exchange.requests.send(2, chunks(0, 1)).await.is_err());
}
