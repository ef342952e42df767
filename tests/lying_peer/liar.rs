//! A provider inside the test that speaks the protocol for real, and lies.

use std::{
    collections::HashMap,
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use hubless_content::{
    ChunkIndex, ChunkList, FileHash, Manifest, ManifestEntry, ModelPath, chunk_len, chunk_offset,
    hash_reader,
};
use hubless_network::{ExchangeService, Identity, MemoryDb, Network, NetworkConfig, PeerId, Reply};
use hubless_testkit::model;
use hubless_wire::{PAYLOAD_BYTES_MAX, Request, Response};
use tokio::runtime::Runtime;

/// The misbehaviour of a liar; it answers all other requests truthfully.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// One bit of each chunk is wrong.
    WrongBytes,
    /// One chaining value of each list is wrong.
    WrongChunkList,
    /// The manifest is that of other files.
    WrongManifest,
    /// Requests for chunks are never answered.
    Stall,
}

/// Bytes of a chaining value.
const CV_BYTES: usize = 32;

/// Chaining values in one response.
const CVS_PER_PAGE: usize = PAYLOAD_BYTES_MAX / CV_BYTES;

/// The true model, the lie, and the number of requests for chunks.
struct Service {
    lie: Lie,
    manifest: Manifest,
    files: HashMap<FileHash, (PathBuf, ChunkList)>,
    asked_for_chunks: AtomicU64,
}

impl Service {
    fn of(source: &Path, lie: Lie) -> Self {
        let mut files = HashMap::new();
        let mut entries = Vec::new();
        for name in model::tree(source).into_keys() {
            let path = source.join(&name);
            let list = hash_reader(File::open(&path).expect("open")).expect("read");
            let path_in_model = ModelPath::new(&name).expect("a fine name");
            entries.push(ManifestEntry {
                path: path_in_model,
                size: list.size(),
                hash: list.file(),
            });
            files.insert(list.file(), (path, list));
        }
        let manifest = Manifest::new(entries).expect("a fine manifest");
        Self {
            lie,
            manifest,
            files,
            asked_for_chunks: AtomicU64::new(0),
        }
    }

    /// The responses to a request; `None` if it is never answered.
    fn answers(&self, request: Request) -> Vec<(Response, Bytes)> {
        match request {
            Request::Manifest { offset, .. } => vec![self.manifest_page(offset as usize)],
            Request::ChunkList { file, first, .. } => {
                vec![self.chunk_list_page(file, first as usize)]
            }
            Request::Availability(_) => {
                let total = u32::try_from(self.manifest.chunks()).expect("a small model");
                vec![(
                    Response::Availability {
                        first: 0,
                        total,
                        complete: true,
                    },
                    Bytes::new(),
                )]
            }
            Request::Chunks {
                file, first, count, ..
            } => {
                self.asked_for_chunks.fetch_add(1, Ordering::Relaxed);
                if self.lie == Lie::Stall {
                    return Vec::new();
                }
                (first.0..first.0 + count)
                    .map(|index| self.chunk(file, index))
                    .collect()
            }
            Request::Peers(_) => vec![(Response::Peers(Vec::new()), Bytes::new())],
            Request::Cancel => Vec::new(),
            // As a node of a version that does not know the request.
            _ => vec![not_here()],
        }
    }

    fn manifest_page(&self, offset: usize) -> (Response, Bytes) {
        let mut bytes = self.manifest.encode();
        if self.lie == Lie::WrongManifest {
            let last = bytes.len() - 1; // of the last file's hash
            bytes[last] ^= 1;
        }
        let total = u32::try_from(bytes.len()).expect("a small model");
        let page = &bytes[offset..bytes.len().min(offset + PAYLOAD_BYTES_MAX)];
        (Response::Manifest { total }, Bytes::copy_from_slice(page))
    }

    fn chunk_list_page(&self, file: FileHash, first: usize) -> (Response, Bytes) {
        let Some((_, list)) = self.files.get(&file) else {
            return not_here();
        };
        let page = list.cvs().iter().skip(first).take(CVS_PER_PAGE);
        let mut bytes: Vec<u8> = page.flat_map(|cv| *cv.as_bytes()).collect();
        if let (Lie::WrongChunkList, Some(last)) = (self.lie, bytes.last_mut()) {
            *last ^= 1;
        }
        (Response::ChunkList, bytes.into())
    }

    fn chunk(&self, file: FileHash, index: u32) -> (Response, Bytes) {
        let index = ChunkIndex(index);
        let Some((path, list)) = self.files.get(&file) else {
            return not_here();
        };
        let Some(bytes) = chunk_len(list.size(), index) else {
            return not_here();
        };
        let mut chunk = vec![0; bytes];
        let source = File::open(path).expect("open");
        source
            .read_exact_at(&mut chunk, chunk_offset(index))
            .expect("read");
        if let (Lie::WrongBytes, Some(last)) = (self.lie, chunk.last_mut()) {
            *last ^= 1;
        }
        (Response::Chunk(index), chunk.into())
    }
}

fn not_here() -> (Response, Bytes) {
    (Response::NotHere, Bytes::new())
}

impl ExchangeService for Service {
    fn respond(&self, _: PeerId, request: Request, reply: Reply) -> BoxFuture<'static, ()> {
        let ends = !matches!(request, Request::Availability(_));
        let answers = self.answers(request);
        async move {
            let stalls = answers.is_empty();
            for (answer, payload) in answers {
                if reply.send(answer, payload).await.is_err() {
                    return;
                }
            }
            if stalls || !ends {
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }
}

/// A running liar; ends when dropped.
pub(crate) struct Liar {
    service: Arc<Service>,
    address: String,
    peer_id: String,
    _network: Network,
    _runtime: Runtime,
}

impl Liar {
    /// Starts a liar that offers `source`.
    pub(crate) fn start(source: &Path, lie: Lie) -> Self {
        let service = Arc::new(Service::of(source, lie));
        let runtime = Runtime::new().expect("a runtime");
        let config = NetworkConfig {
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")],
            mdns: false,
            upnp: false,
            ..NetworkConfig::default()
        };
        let records = Arc::new(MemoryDb::default());
        let start = Network::start(config, Identity::generate(), records, service.clone());
        let network = runtime.block_on(start).expect("it listens on a free port");
        let address = network
            .listen_addresses()
            .first()
            .expect("an address")
            .to_string();
        let peer_id = network.peer_id().to_string();
        assert!(address.ends_with(&peer_id), "an address to dial: {address}");
        Self {
            service,
            address,
            peer_id,
            _network: network,
            _runtime: runtime,
        }
    }

    /// The address on which it can be dialled.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Its peer id.
    pub(crate) fn peer_id(&self) -> &str {
        &self.peer_id
    }

    /// The number of requests for chunks that it received.
    pub(crate) fn asked_for_chunks(&self) -> u64 {
        self.service.asked_for_chunks.load(Ordering::Relaxed)
    }
}
