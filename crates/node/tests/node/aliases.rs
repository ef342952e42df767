//! Files are found by their aliases.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use hubless_content::{Alias, ContentHash, FileHash, hash_reader};
use hubless_network::{
    AnnounceKey, ExchangeService, Identity, MemoryDb, Multiaddr, Network, NetworkConfig, PeerId,
    Priority, Reply as NetworkReply,
};
use hubless_node::{
    Node,
    api::{Gc, Remove},
    config::{AnnouncePolicy, Config},
};
use hubless_store::{Digests, ImportOptions, Store, StoreOptions};
use hubless_wire::{Request as PeerRequest, Response};

use crate::common::*;

/// Slightly more than two chunks.
const SIZE: usize = 600_000;

/// A file of a model, and its aliases.
struct File {
    model: ContentHash,
    hash: FileHash,
    digests: Digests,
}

impl File {
    fn sha256(&self) -> Alias {
        self.digests.sha256.into()
    }
}

/// Puts a model of one file and its digests into the store of a node that does not run yet.
fn import(home: &Path, fill: u8) -> File {
    let source = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..SIZE).map(|at| at as u8 ^ fill).collect();
    std::fs::write(source.path().join("weights.bin"), &bytes).unwrap();
    let store = Store::open(home, StoreOptions::default()).unwrap();
    let added = store.import(source.path(), &ImportOptions::default(), &());
    let model = added.unwrap().hash;
    let hash = hash_reader(&bytes[..]).unwrap().file();
    let digests = store.compute_digests(hash, &()).unwrap();
    store.close().unwrap();
    File {
        model,
        hash,
        digests,
    }
}

/// Waits until so many keys of a node are announced and no more are due.
async fn announced(node: &Node, keys: u64) {
    until("all keys are announced", async || {
        let dht = status(node).await.dht;
        (dht.announced == keys && dht.backlog == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_is_found_by_sha256_through_the_dht_until_it_removes_the_file() {
    let (middle, holder, seeker) = (home(), home(), home());
    let file = import(holder.path(), 0);
    let middle = node(&middle, config(&[])).await;
    let bootstrap = middle.addresses();
    let holder = node(&holder, config(&bootstrap)).await;
    let seeker = node(&seeker, config(&bootstrap)).await;
    // The content hash, the file hash and the alias.
    announced(&holder, 3).await;

    let found = until("the holder is found", async || {
        claims(&seeker, file.sha256(), &[]).await.pop()
    })
    .await;
    assert_eq!((found.hash, found.size), (file.hash, SIZE as u64));
    assert_eq!(found.peers, [holder.peer_id()]);

    // The same file by its git id: not announced, but sent on request.
    let git = Alias::from(file.digests.git_blob);
    let asked = claims(&seeker, git, &holder.addresses()).await;
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].hash, file.hash);

    let hash = file.model;
    call(&holder, Remove { hash }).await;
    call(&holder, Gc {}).await;
    announced(&holder, 0).await;
    // Records at other nodes expire by themselves, but a node that follows them learns that it is
    // gone.
    assert_eq!(
        claims(&seeker, file.sha256(), &holder.addresses())
            .await
            .len(),
        0
    );
    for node in [seeker, holder, middle] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_peer_is_asked_that_announces_no_files() {
    let (holder, seeker) = (home(), home());
    let file = import(holder.path(), 0);
    let roots = Config {
        announce: AnnouncePolicy::Roots,
        ..config(&[])
    };
    let holder = node(&holder, roots).await;
    let seeker = node(
        &seeker,
        Config {
            peers: holder.addresses(),
            ..config(&[])
        },
    )
    .await;
    announced(&holder, 1).await;
    let found = claims(&seeker, file.sha256(), &[]).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].hash, file.hash);
    for node in [seeker, holder] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_announced_or_claimed_of_a_file_that_is_not_whole() {
    let holder = home();
    let bytes = vec![7; SIZE];
    let digests = Digests::of(&bytes);
    let list = hash_reader(&bytes[..]).unwrap();
    let store = Store::open(holder.path(), StoreOptions::default()).unwrap();
    store.put_chunk_list(&list).unwrap();
    let chunk = Bytes::copy_from_slice(&bytes[..hubless_content::CHUNK_SIZE]);
    let chunk = list.verify(hubless_content::ChunkIndex(0), chunk).unwrap();
    store.put(&chunk).unwrap();
    store.flush().unwrap();
    store.put_digests(list.file(), digests).unwrap_err();
    store.close().unwrap();

    let holder = node(&holder, config(&[])).await;
    let seeker_home = home();
    let seeker = node(&seeker_home, config(&holder.addresses())).await;
    announced(&holder, 1).await; // the file hash alone
    let alias = digests.sha256.into();
    assert_eq!(claims(&seeker, alias, &holder.addresses()).await.len(), 0);
    for node in [seeker, holder] {
        node.stop().await;
    }
}

/// Claims this file for every alias.
struct Liar(FileHash);

impl ExchangeService for Liar {
    fn respond(&self, _: PeerId, ask: PeerRequest, reply: NetworkReply) -> BoxFuture<'static, ()> {
        let answer = match ask {
            PeerRequest::Alias(_) => Response::Alias {
                file: self.0,
                size: SIZE as u64,
            },
            _ => Response::NotHere,
        };
        async move {
            let _ = reply.send(answer, Bytes::new()).await;
        }
        .boxed()
    }
}

async fn liar(file: FileHash, bootstrap: &[Multiaddr]) -> Network {
    let config = NetworkConfig {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        bootstrap: bootstrap.to_vec(),
        mdns: false,
        upnp: false,
        ..NetworkConfig::default()
    };
    let records = Arc::new(MemoryDb::default());
    let service = Arc::new(Liar(file));
    Network::start(config, Identity::generate(), records, service)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_are_claims_beside_others_and_believed_by_nobody() {
    let (middle, holder, seeker) = (home(), home(), home());
    let file = import(holder.path(), 0);
    let middle = node(&middle, config(&[])).await;
    let bootstrap = middle.addresses();
    let holder = node(&holder, config(&bootstrap)).await;
    let seeker = node(&seeker, config(&bootstrap)).await;
    announced(&holder, 3).await;
    let lie = FileHash::new([9; 32]);
    let mut liars = Vec::new();
    for _ in 0..2 {
        let liar = liar(lie, &bootstrap).await;
        let key = AnnounceKey::from(file.sha256());
        liar.announce(vec![(key, Priority::File)]).await;
        liars.push(liar);
    }
    let found = until("all three are found", async || {
        let found = claims(&seeker, file.sha256(), &[]).await;
        let peers: usize = found.iter().map(|claim| claim.peers.len()).sum();
        (peers == 3).then_some(found)
    })
    .await;
    let said: Vec<_> = found
        .iter()
        .map(|claim| (claim.hash, claim.peers.len()))
        .collect();
    assert_eq!(said, [(lie, 2), (file.hash, 1)]);
    // A claim has no effect: the seeker holds nothing, and announces nothing.
    let now = status(&seeker).await;
    assert_eq!((now.store.bytes, now.dht.announced), (0, 0));
    for liar in liars {
        liar.stop().await;
    }
    for node in [seeker, holder, middle] {
        node.stop().await;
    }
}
