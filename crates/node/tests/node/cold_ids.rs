//! Ids of files that are not held: the claims of their holders, until the bytes prove them.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use hubless_content::{
    ChunkIndex, ChunkList, ContentHash, FileHash, GitBlobId, Manifest, ManifestEntry, RefName,
    RepoId, Sha256, chunk_len, chunk_offset, hash_reader,
};
use hubless_network::{ExchangeService, PeerId, Reply as NetworkReply};
use hubless_node::{
    Node,
    api::{Add, Multiaddr, NameSet, NodeId},
    config::Config,
    repos::{Caller, FileIds, RepoError, RepoFile, Repos, Resolved},
};
use hubless_store::Digests;
use hubless_wire::{FileDigests, Request as PeerRequest, Response};

use crate::common::*;

/// Several chunks of binary content.
const WEIGHTS: usize = 3_000_000;

fn files() -> BTreeMap<&'static str, Vec<u8>> {
    let weights = (0..WEIGHTS).map(|at| (at / 3) as u8).collect();
    BTreeMap::from([
        ("config.json", b"{\"hidden_size\": 8}\n".to_vec()),
        ("looks-like-text", vec![0xff; 2000]),
        ("model.safetensors", weights),
    ])
}

/// The ids that a hub uses for these files.
fn expected(path: &str, bytes: &[u8]) -> String {
    let Digests { sha256, git_blob } = Digests::of(bytes);
    match path {
        "config.json" => git_blob.to_string(),
        _ => sha256.to_string(),
    }
}

fn write(directory: &Path) {
    for (path, bytes) in files() {
        std::fs::write(directory.join(path), bytes).unwrap();
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

/// A node that knows one peer, and a name for that peer's content.
async fn cold(home: &tempfile::TempDir, peers: Vec<Multiaddr>, hash: ContentHash) -> Node {
    let node = node(
        home,
        Config {
            peers,
            ..config(&[])
        },
    )
    .await;
    let name = NameSet {
        repo: "acme/model".parse().unwrap(),
        branch: RefName::main(),
        tags: Vec::new(),
        hash,
        message: None,
    };
    call(&node, name).await;
    node
}

/// The repo as a client finds it.
async fn resolve(repos: &Repos) -> (Resolved, BTreeMap<String, RepoFile>) {
    let repo: RepoId = "acme/model".parse().unwrap();
    let resolved = repos.resolve(&repo, "main", &Caller::default()).await;
    let resolved = resolved.unwrap();
    let tree = repos.tree(&resolved).await.unwrap();
    let files = tree.files().map(|file| (file.path.to_string(), file));
    let files = files.collect();
    (resolved, files)
}

async fn read(repos: &Repos, resolved: &Resolved, file: &RepoFile) -> Vec<u8> {
    let mut stream = repos.open(resolved, file, 0..file.size).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_file_is_called_what_its_holder_calls_it_and_no_byte_moves() {
    let (holder_home, cold_home, directory) = (home(), home(), home());
    write(directory.path());
    let holder = node(&holder_home, config(&[])).await;
    let hash = add(&holder, directory.path()).await;
    let cold = cold(&cold_home, holder.addresses(), hash).await;
    let repos = cold.handle().repos();
    let (resolved, tree) = resolve(&repos).await;
    let manifest = status(&cold).await.bytes_received;
    let all: Vec<RepoFile> = tree.values().cloned().collect();
    let listed = repos.ids_of(&resolved, &all).await.unwrap();
    for (file, ids) in all.iter().zip(listed) {
        let path = file.path.as_str();
        assert_eq!(
            ids.etag(),
            expected(path, &files()[path]),
            "{path} in a list"
        );
        let alone = repos.ids(&resolved, file, true).await.unwrap();
        assert_eq!(alone, ids, "{path} by itself");
    }
    let received = status(&cold).await.bytes_received;
    assert_eq!(received, manifest, "ids are no payload");

    // The bytes prove the same ids.
    for (path, file) in &tree {
        let bytes = read(&repos, &resolved, file).await;
        assert!(bytes == files()[path.as_str()]);
        let ids = repos.ids(&resolved, file, true).await.unwrap();
        assert_eq!(ids.etag(), expected(path, &bytes), "{path} when it is here");
    }
    for node in [cold, holder] {
        node.stop().await;
    }
}

/// A peer that is not a node: it sends right chunks, and claims ids for each file.
struct Peer {
    manifest: Manifest,
    files: BTreeMap<FileHash, (ChunkList, Vec<u8>)>,
    /// The claimed ids; if empty, it does not know the request.
    digests: Option<FileDigests>,
}

impl Peer {
    fn new(digests: Option<FileDigests>) -> Self {
        let mut entries = Vec::new();
        let mut held = BTreeMap::new();
        for (path, bytes) in files() {
            let list = hash_reader(&bytes[..]).unwrap();
            entries.push(ManifestEntry {
                path: path.parse().unwrap(),
                size: list.size(),
                hash: list.file(),
            });
            held.insert(list.file(), (list, bytes));
        }
        Self {
            manifest: Manifest::new(entries).unwrap(),
            files: held,
            digests,
        }
    }

    fn answer(&self, ask: PeerRequest) -> (Response, Bytes) {
        let nothing = (Response::NotHere, Bytes::new());
        match ask {
            PeerRequest::Manifest { .. } => {
                let bytes = self.manifest.encode();
                let total = bytes.len() as u32;
                (Response::Manifest { total }, bytes.into())
            }
            PeerRequest::Availability(_) => {
                let complete = Response::Availability {
                    first: 0,
                    total: self.manifest.chunks() as u32,
                    complete: true,
                };
                (complete, Bytes::new())
            }
            PeerRequest::ChunkList { file, .. } => {
                self.files.get(&file).map_or(nothing, |(list, _)| {
                    let cvs = list.cvs().iter().flat_map(|cv| *cv.as_bytes());
                    (Response::ChunkList, cvs.collect())
                })
            }
            PeerRequest::Chunks { file, first, .. } => {
                self.files.get(&file).map_or(nothing, |(list, bytes)| {
                    let start = chunk_offset(first) as usize;
                    let len = chunk_len(list.size(), first).unwrap();
                    let chunk = Bytes::copy_from_slice(&bytes[start..start + len]);
                    (Response::Chunk(ChunkIndex(first.0)), chunk)
                })
            }
            PeerRequest::Digests(files) => match self.digests {
                Some(digests) => (
                    // For one file only: the same id for two files would be refuted at once.
                    Response::Digests(
                        files
                            .iter()
                            .map(|file| self.is_weights(*file).then_some(digests))
                            .collect(),
                    ),
                    Bytes::new(),
                ),
                None => nothing,
            },
            _ => nothing,
        }
    }

    fn is_weights(&self, file: FileHash) -> bool {
        let held = self.files.get(&file);
        held.is_some_and(|(list, _)| list.size() == WEIGHTS as u64)
    }
}

impl ExchangeService for Peer {
    fn respond(&self, _: PeerId, ask: PeerRequest, reply: NetworkReply) -> BoxFuture<'static, ()> {
        let stays = matches!(ask, PeerRequest::Availability(_));
        let (answer, payload) = Peer::answer(self, ask);
        async move {
            let _ = reply.send(answer, payload).await;
            if stays {
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }
}

const FAST: u64 = 1_000_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_lies_about_an_id_is_found_by_the_bytes_and_loses() {
    let home = home();
    let lie = FileDigests {
        sha256: Sha256::new([0x66; 32]),
        git_blob: GitBlobId::new([0x66; 20]),
        binary: true,
    };
    let peer = Peer::new(Some(lie));
    let hash = peer.manifest.content_hash();
    let liar = source(peer, FAST).await;
    let liar_id = NodeId::from(liar.peer_id());
    let cold = cold(&home, liar.listen_addresses(), hash).await;
    let repos = cold.handle().repos();
    let (resolved, tree) = resolve(&repos).await;
    let weights = &tree["model.safetensors"];
    let claimed = repos.ids(&resolved, weights, true).await.unwrap();
    assert_eq!(
        claimed.etag(),
        lie.sha256.to_string(),
        "nothing refutes it yet"
    );
    assert_eq!(status(&cold).await.banned.len(), 0);

    let bytes = read(&repos, &resolved, weights).await;
    let truth = expected("model.safetensors", &bytes);
    let proven = repos.ids(&resolved, weights, true).await.unwrap();
    assert_eq!(proven.etag(), truth);
    until("the liar is banned", async || {
        let banned = status(&cold).await.banned;
        banned.contains(&liar_id).then_some(())
    })
    .await;
    liar.stop().await;
    cold.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_peer_names_is_left_out_and_small_files_are_fetched_for_it() {
    let home = home();
    let peer = Peer::new(None);
    let hash = peer.manifest.content_hash();
    let old = source(peer, FAST).await;
    let cold = cold(&home, old.listen_addresses(), hash).await;
    let repos = cold.handle().repos();
    let (resolved, tree) = resolve(&repos).await;
    let manifest = status(&cold).await.bytes_received;
    let weights = &tree["model.safetensors"];
    let unknown = repos.ids(&resolved, weights, true).await.unwrap();
    assert_eq!(unknown, FileIds::Unknown(weights.hash));
    assert_eq!(unknown.oid(), None);
    assert_eq!(unknown.etag(), weights.hash.unwrap().to_string());
    let config = repos.ids(&resolved, &tree["config.json"], true).await;
    let small = files()["config.json"].clone();
    assert_eq!(config.unwrap().etag(), expected("config.json", &small));
    let received = status(&cold).await.bytes_received - manifest;
    assert_eq!(received, small.len() as u64, "and nothing else");
    old.stop().await;
    cold.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_about_what_no_peer_has_any_more_ends_soon_and_says_what_was_tried() {
    let (holder_home, cold_home, directory) = (home(), home(), home());
    write(directory.path());
    let holder = node(&holder_home, config(&[])).await;
    let hash = add(&holder, directory.path()).await;
    let peers = holder.addresses();
    let first = cold(&cold_home, peers.clone(), hash).await;
    let repos = first.handle().repos();
    let (resolved, tree) = resolve(&repos).await;
    let weights = &tree["model.safetensors"];
    repos.ids(&resolved, weights, true).await.unwrap();
    holder.stop().await;

    let start = Instant::now();
    let asked = until("the last holder is missed", async || {
        repos.ids(&resolved, weights, true).await.err()
    })
    .await;
    let RepoError::Unavailable { cause } = asked else {
        panic!("{asked}");
    };
    assert!(cause.to_string().contains("no provider"), "{cause}");
    assert!(cause.to_string().contains("the 1 node"), "{cause}");
    assert!(start.elapsed() < Duration::from_secs(15));
    first.stop().await;
}
