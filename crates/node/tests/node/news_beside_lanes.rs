//! News of a source travels beside its lane, not behind the chunk in transit there.

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _};
use hubless_content::{
    CHUNK_SIZE, ChunkIndex, ChunkList, Manifest, ManifestEntry, chunk_len, hash_reader,
};
use hubless_network::{ExchangeService, PeerId, Reply};
use hubless_node::api::Get;
use hubless_wire::{Request as PeerRequest, Response};
use tokio::sync::watch;

use crate::common::*;

/// Two chunks.
const SIZE: usize = 2 * CHUNK_SIZE;

/// Bytes that the source sends per second: the first chunk takes 13 s.
const UPLOAD: u64 = 20_000;

/// Its phases, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Begins,
    /// The first chunk is in transit, and the source gains the second.
    FirstOnItsWay,
    /// The first chunk was sent.
    FirstSent,
    /// The second was requested from it, after its news.
    SecondAsked {
        first_was_sent: bool,
    },
}

/// Holds the first chunk of the model, and gains the second while the first is in transit.
#[derive(Clone)]
struct Source {
    stage: watch::Sender<Stage>,
}

impl Source {
    async fn answer(self, ask: PeerRequest, reply: Reply) {
        let (answer, payload) = match ask {
            PeerRequest::Manifest { .. } => {
                let bytes = manifest().encode();
                let total = bytes.len() as u32;
                (Response::Manifest { total }, bytes.into())
            }
            PeerRequest::ChunkList { .. } => {
                let cvs = list().cvs().iter().flat_map(|cv| *cv.as_bytes()).collect();
                (Response::ChunkList, cvs)
            }
            PeerRequest::Availability(_) => return self.availability(reply).await,
            PeerRequest::Chunks { first, .. } => return self.chunk(first, reply).await,
            _ => (Response::NotHere, Bytes::new()),
        };
        reply.send(answer, payload).await.unwrap();
    }

    async fn availability(self, reply: Reply) {
        let first = Response::Availability {
            first: 0,
            total: 2,
            complete: false,
        };
        let has_first = Bytes::from_static(&[0b01]);
        reply.send(first, has_first).await.unwrap();
        let mut stage = self.stage.subscribe();
        stage
            .wait_for(|stage| *stage > Stage::Begins)
            .await
            .unwrap();
        let gained = Response::Have(std::iter::once(1..2).collect());
        reply.send(gained, Bytes::new()).await.unwrap();
    }

    async fn chunk(self, index: ChunkIndex, reply: Reply) {
        let bytes = vec![7; chunk_len(SIZE as u64, index).unwrap()];
        if index.0 == 1 {
            self.stage.send_modify(|stage| {
                let first_was_sent = *stage >= Stage::FirstSent;
                *stage = Stage::SecondAsked { first_was_sent };
            });
            return reply
                .send(Response::Chunk(index), bytes.into())
                .await
                .unwrap();
        }
        let stage = self.stage.clone();
        let bytes = Bytes::from_owner(TellsItsEnd { bytes, stage });
        reply.send(Response::Chunk(index), bytes).await.unwrap();
        self.stage
            .send_modify(|stage| *stage = Stage::FirstOnItsWay.max(*stage));
    }
}

impl ExchangeService for Source {
    fn respond(&self, _: PeerId, ask: PeerRequest, reply: Reply) -> BoxFuture<'static, ()> {
        self.clone().answer(ask, reply).boxed()
    }
}

/// A chunk that signals when it is written.
struct TellsItsEnd {
    bytes: Vec<u8>,
    stage: watch::Sender<Stage>,
}

impl AsRef<[u8]> for TellsItsEnd {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for TellsItsEnd {
    fn drop(&mut self) {
        self.stage
            .send_modify(|stage| *stage = Stage::FirstSent.max(*stage));
    }
}

fn list() -> ChunkList {
    hash_reader(&[7; SIZE][..]).unwrap()
}

fn manifest() -> Manifest {
    let entry = ManifestEntry {
        path: "weights".parse().unwrap(),
        size: SIZE as u64,
        hash: list().file(),
    };
    Manifest::new(vec![entry]).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gained_is_told_while_a_chunk_is_on_the_lane() {
    let stage = watch::Sender::new(Stage::Begins);
    let mut asked = stage.subscribe();
    let source = source(Source { stage }, UPLOAD).await;
    let home = home();
    let node = node(&home, config(&[])).await;
    let get = Get {
        hash: manifest().content_hash(),
        peers: source.listen_addresses(),
        output: None,
        include: Vec::new(),
        exclude: Vec::new(),
        dry_run: false,
        timeout_s: 60,
        verify: false,
        force: false,
    };
    let second_asked = async {
        let is_asked = |stage: &Stage| matches!(stage, Stage::SecondAsked { .. });
        let stage = *asked.wait_for(is_asked).await.unwrap();
        let peers = source.peers().await;
        assert!(peers.iter().any(|peer| peer.lanes > 0), "there is a lane");
        source.set_limits(None, None);
        stage
    };
    let (_, stage) = tokio::join!(call(&node, get), second_asked);
    let first_was_sent = false;
    assert_eq!(stage, Stage::SecondAsked { first_was_sent });
    node.stop().await;
}
