//! News for connected peers of a chunk that was lost to damage and is held again.

use std::{
    fs,
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _};
use hubless_content::{CHUNK_SIZE, ContentHash, hash_reader};
use hubless_network::{Exchange, ExchangeService, PeerId, Reply};
use hubless_node::{
    Node,
    api::{Add, Verify},
    config::Config,
};
use hubless_wire::{Request as PeerRequest, Response, Scope};

use crate::common::*;

const SIZE: usize = 3 * CHUNK_SIZE;

/// The chunk that is damaged.
const WRONG: u32 = 1;

/// A peer that holds nothing.
struct Nothing;

impl ExchangeService for Nothing {
    fn respond(&self, _: PeerId, _: PeerRequest, reply: Reply) -> BoxFuture<'static, ()> {
        async move {
            // The requester may have left.
            let _ = reply.send(Response::NotHere, Bytes::new()).await;
        }
        .boxed()
    }
}

async fn add(node: &Node, directory: &Path) -> ContentHash {
    let add = Add {
        path: directory.to_owned(),
        in_place: false,
        follow_links: false,
    };
    call(node, add).await.hash
}

/// The file in which a home directory keeps the complete model file.
fn stored(home: &Path) -> PathBuf {
    let name = hash_reader(&[7; SIZE][..]).unwrap().file().to_string();
    home.join("files").join(&name[..2]).join(name)
}

fn damage(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    let offset = u64::from(WRONG) * CHUNK_SIZE as u64;
    file.write_all_at(&[0], offset).unwrap();
}

/// A node with the model, and a holder from which it can fetch damaged chunks again.
async fn damaged_node(home: &tempfile::TempDir, holder: &Node, model: &Path) -> Node {
    let damaged = Config {
        peers: holder.addresses(),
        ..config(&[])
    };
    let damaged = node(home, damaged).await;
    add(&damaged, model).await;
    damaged
}

async fn next(exchange: &mut Exchange) -> Response {
    let answer = tokio::time::timeout(PATIENCE, exchange.responses.recv()).await;
    answer.unwrap().unwrap().unwrap().response
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_was_lost_and_is_held_again_is_announced_to_connected_peers() {
    let (holder_home, home, directory) = (home(), home(), home());
    fs::write(directory.path().join("weights"), [7; SIZE]).unwrap();
    let holder = node(&holder_home, config(&[])).await;
    let model = add(&holder, directory.path()).await;
    let damaged = damaged_node(&home, &holder, directory.path()).await;

    let peer = source(Nothing, u64::MAX).await;
    let id = damaged.peer_id().into();
    let mut exchange = peer.open(id, damaged.addresses()).await.unwrap();
    let request = PeerRequest::Availability(Scope::Content(model));
    exchange.requests.send(1, request).await.unwrap();
    let complete = Response::Availability {
        first: 0,
        total: 3,
        complete: true,
    };
    assert_eq!(next(&mut exchange).await, complete);
    // In the second round the chunk has been announced as held again before.
    for _ in 0..2 {
        until("the file is complete", async || {
            stored(home.path()).exists().then_some(())
        })
        .await;
        damage(&stored(home.path()));
        let verify = Verify { hash: Some(model) };
        call(&damaged, verify).await;
        let again = Response::Have(std::iter::once(WRONG..WRONG + 1).collect());
        assert_eq!(next(&mut exchange).await, again);
    }
    peer.stop().await;
    for node in [damaged, holder] {
        node.stop().await;
    }
}
