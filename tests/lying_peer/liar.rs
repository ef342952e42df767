//! A provider inside the test that speaks the protocol for real, and lies.

use std::{
    collections::HashMap,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use hubless_content::{
    CHUNK_SIZE, ChunkIndex, ChunkList, FileHash, Manifest, ManifestEntry, ModelPath, hash_reader,
};
use hubless_network::{ExchangeService, PeerId, Reply};
use hubless_testkit::model;
use hubless_wire::{Answer, Ask, PAYLOAD_BYTES_MAX};

/// What a liar does; everything else it answers truly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// One bit of each chunk is wrong.
    WrongBytes,
    /// One chaining value of each list is wrong.
    WrongChunkList,
    /// The manifest is that of other files.
    WrongManifest,
    /// Asks for chunks are never answered.
    Stall,
}

/// Bytes of a chaining value.
const CV_BYTES: usize = 32;

/// Values in one answer.
const CVS_PER_PAGE: usize = PAYLOAD_BYTES_MAX / CV_BYTES;

/// The model as it is, the lie, and how often chunks were asked for.
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

    /// The answers to an ask; none if there never are any.
    fn answers(&self, ask: Ask) -> Vec<(Answer, Bytes)> {
        match ask {
            Ask::Manifest { offset, .. } => vec![self.manifest_page(offset as usize)],
            Ask::ChunkList { file, first, .. } => vec![self.chunk_list_page(file, first as usize)],
            Ask::Availability(_) => {
                let total = u32::try_from(self.manifest.chunks()).expect("a small model");
                vec![(
                    Answer::Availability {
                        first: 0,
                        total,
                        complete: true,
                    },
                    Bytes::new(),
                )]
            }
            Ask::Chunks {
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
            Ask::Peers(_) => vec![(Answer::Peers(Vec::new()), Bytes::new())],
            Ask::Cancel => Vec::new(),
        }
    }

    fn manifest_page(&self, offset: usize) -> (Answer, Bytes) {
        let mut bytes = self.manifest.encode();
        if self.lie == Lie::WrongManifest {
            let last = bytes.len() - 1; // of the last file's hash
            bytes[last] ^= 1;
        }
        let total = u32::try_from(bytes.len()).expect("a small model");
        let page = &bytes[offset..bytes.len().min(offset + PAYLOAD_BYTES_MAX)];
        (Answer::Manifest { total }, Bytes::copy_from_slice(page))
    }

    fn chunk_list_page(&self, file: FileHash, first: usize) -> (Answer, Bytes) {
        let Some((_, list)) = self.files.get(&file) else {
            return not_here();
        };
        let page = list.cvs().iter().skip(first).take(CVS_PER_PAGE);
        let mut bytes: Vec<u8> = page.flat_map(|cv| *cv).collect();
        if let (Lie::WrongChunkList, Some(last)) = (self.lie, bytes.last_mut()) {
            *last ^= 1;
        }
        (Answer::ChunkList, bytes.into())
    }

    fn chunk(&self, file: FileHash, index: u32) -> (Answer, Bytes) {
        let Some((path, _)) = self.files.get(&file) else {
            return not_here();
        };
        let bytes = fs::read(path).expect("read");
        let chunk = bytes
            .chunks(CHUNK_SIZE)
            .nth(index as usize)
            .unwrap_or_default();
        let mut chunk = chunk.to_vec();
        if let (Lie::WrongBytes, Some(last)) = (self.lie, chunk.last_mut()) {
            *last ^= 1;
        }
        (Answer::Chunk(ChunkIndex(index)), chunk.into())
    }
}

fn not_here() -> (Answer, Bytes) {
    (Answer::NotHere, Bytes::new())
}

/// A service as the network takes it.
struct Shared(Arc<Service>);

impl ExchangeService for Shared {
    fn answer(&self, _: PeerId, ask: Ask, reply: Reply) -> BoxFuture<'static, ()> {
        let open = matches!(ask, Ask::Availability(_));
        let answers = self.0.answers(ask);
        async move {
            let stalls = answers.is_empty();
            for (answer, payload) in answers {
                if reply.send(answer, payload).await.is_err() {
                    return;
                }
            }
            if open || stalls {
                std::future::pending().await
            }
        }
        .boxed()
    }
}
