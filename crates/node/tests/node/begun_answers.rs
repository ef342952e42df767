//! A response that begins cancels the duplicate request for the same chunk, long before it is
//! complete.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _};
use hubless_content::{ChunkIndex, Manifest, ManifestEntry, hash_reader};
use hubless_network::{ExchangeService, Network, PeerId, Reply};
use hubless_node::{Node, api::Get, config::Config};
use hubless_wire::{Request as PeerRequest, Response};
use tokio::sync::watch;

/// The only chunk of the model.
const CHUNK: &[u8] = &[7; 200_000];

/// Bytes that the sources send per second: the chunk takes 2.5 s.
const UPLOAD: u64 = 80_000;

fn manifest() -> Manifest {
    let list = hash_reader(CHUNK).unwrap();
    let entry = ManifestEntry {
        path: "weights".parse().unwrap(),
        size: list.size(),
        hash: list.file(),
    };
    Manifest::new(vec![entry]).unwrap()
}

/// Holds the model; the source that gets the first request for the chunk never answers.
#[derive(Clone)]
struct Source {
    somebody_was_asked: Arc<AtomicBool>,
    cancelled: watch::Sender<Option<Instant>>,
}

impl ExchangeService for Source {
    fn respond(&self, _: PeerId, ask: PeerRequest, reply: Reply) -> BoxFuture<'static, ()> {
        let source = self.clone();
        async move {
            let (answer, payload) = match ask {
                PeerRequest::Manifest { .. } => {
                    let bytes = manifest().encode();
                    let total = bytes.len() as u32;
                    (Response::Manifest { total }, bytes.into())
                }
                PeerRequest::Availability(_) => {
                    let complete = Response::Availability {
                        first: 0,
                        total: 1,
                        complete: true,
                    };
                    (complete, Bytes::new())
                }
                PeerRequest::Chunks { .. } => {
                    if !source.somebody_was_asked.swap(true, Ordering::SeqCst) {
                        let _tells_its_end = TellsItsEnd(source.cancelled);
                        return std::future::pending().await;
                    }
                    (Response::Chunk(ChunkIndex(0)), Bytes::from_static(CHUNK))
                }
                _ => (Response::NotHere, Bytes::new()),
            };
            reply.send(answer, payload).await.unwrap();
        }
        .boxed()
    }
}

struct TellsItsEnd(watch::Sender<Option<Instant>>);

impl Drop for TellsItsEnd {
    fn drop(&mut self) {
        self.0.send_replace(Some(Instant::now()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_begins_ends_the_other_ask_for_its_chunk() {
    let source = Source {
        somebody_was_asked: Arc::default(),
        cancelled: watch::Sender::new(None),
    };
    let sources = [
        crate::common::source(source.clone(), UPLOAD).await,
        crate::common::source(source.clone(), UPLOAD).await,
    ];
    let home = tempfile::tempdir().unwrap();
    let config = Config {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        mdns: false,
        upnp: false,
        ..Config::default()
    };
    let node = Node::start(home.path(), &config).await.unwrap();
    let peers = sources.iter().flat_map(Network::listen_addresses);
    let get = Get {
        hash: manifest().content_hash(),
        peers: peers.collect(),
        output: None,
        include: Vec::new(),
        exclude: Vec::new(),
        dry_run: false,
        timeout_s: 60,
        verify: false,
        force: false,
    };
    node.call(get).answer().await.unwrap();
    let done = Instant::now();
    let cancelled = source.cancelled.borrow().expect("it was taken back");
    let earlier = done.duration_since(cancelled);
    assert!(
        earlier > Duration::from_secs(1),
        "the chunk takes 2.5 s; the ask that did not begin ended {earlier:?} before it was whole"
    );
    node.stop().await;
}
