//! One simulated peer: its fetch, its store, and both ends of its connections.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use hubless_content::{CHUNK_SIZE, ChunkSet, FileHash, Manifest, ModelChunk};
use hubless_fetch::{Fetch, FetchArgs, FetchRequest, FileNumber, Planned, ReadRequest, SourceId};
use hubless_scheduler::Uploads;

use super::{PeerIndex, PeerSpec, Purpose, holdings::Holdings};

/// How long simulated fetches wait without progress: as long as `get` does.
const PATIENCE: Duration = Duration::from_secs(60);

/// Chunks that a reader requests ahead of what it reads: 8 MiB.
const READ_AHEAD: u32 = 32;

/// The fetch of a simulated peer; peers have numbers, and need no addresses.
pub(super) type PeerFetch = Fetch<PeerIndex, ()>;

/// One connection, by the peer that dialled it and the number that its fetch gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Link {
    pub(super) from: PeerIndex,
    pub(super) source: SourceId,
}

pub(super) struct Peer {
    pub(super) spec: PeerSpec,
    /// Peers that others name to it.
    pub(super) neighbours: BTreeSet<PeerIndex>,
    pub(super) fetch: Option<PeerFetch>,
    pub(super) reader: Option<Reader>,
    /// When it is to be woken.
    pub(super) wake_at: Option<Duration>,
    pub(super) holdings: Holdings,
    /// Connections that it dialled, and to which peer each leads.
    pub(super) dialled: BTreeMap<SourceId, PeerIndex>,
    pub(super) serving: Serving,
    /// When all that is under way to this peer has passed its download link.
    pub(super) download_free: Duration,
    pub(super) gone: bool,
}

/// The side of a peer that answers.
#[derive(Default)]
pub(super) struct Serving {
    /// Connections that others dialled; true for those that are kept informed of new chunks.
    pub(super) accepted: BTreeMap<Link, bool>,
    /// Peers whose connections are refused.
    pub(super) banned: BTreeSet<PeerIndex>,
    /// Chunks that others wait for.
    pub(super) uploads: Uploads<Link, ModelChunk>,
    /// Whether a chunk is being sent.
    pub(super) is_sending: bool,
    /// Chunks gained since the last announcement.
    pub(super) to_announce: Vec<ModelChunk>,
}

impl Serving {
    /// Connections that are kept informed of new chunks, but for one.
    pub(super) fn informed(&self, but: Option<Link>) -> Vec<Link> {
        let informed = self.accepted.iter().filter(|(_, informed)| **informed);
        let links = informed.map(|(link, _)| *link);
        links.filter(|link| Some(*link) != but).collect()
    }

    pub(super) fn forget(&mut self, link: Link) {
        self.accepted.remove(&link);
        self.uploads.forget(link);
    }
}

/// A reader that reads from the beginning.
pub(super) struct Reader {
    next: ModelChunk,
    asked: ModelChunk,
}

impl Default for Reader {
    fn default() -> Self {
        let (next, asked) = (ModelChunk(0), ModelChunk(0));
        Self { next, asked }
    }
}

impl Reader {
    /// What it requests, now that these chunks are held; `None` if it has enough to read.
    pub(super) fn read(
        &mut self,
        holdings: &Holdings,
        end: ModelChunk,
    ) -> Option<Range<ModelChunk>> {
        while self.next < end && holdings.holds(self.next) {
            self.next = self.next.plus(1);
        }
        let wants_more = self.next.plus(READ_AHEAD / 2) >= self.asked && self.asked < end;
        wants_more.then(|| {
            self.asked = end.min(self.next.plus(READ_AHEAD));
            self.next..self.asked
        })
    }

    pub(super) fn is_at_end(&self, end: ModelChunk) -> bool {
        self.next >= end
    }
}

/// The model of a run: one file.
pub(super) struct Model {
    pub(super) manifest: Arc<Manifest>,
    pub(super) chunks: u32,
    pub(super) file: FileHash,
}

impl Model {
    /// The end of its chunks.
    pub(super) fn end(&self) -> ModelChunk {
        ModelChunk(self.chunks)
    }

    /// A read of these chunks.
    pub(super) fn read(&self, chunks: &Range<ModelChunk>) -> ReadRequest {
        let at = |chunk: ModelChunk| u64::from(chunk.0) * CHUNK_SIZE as u64;
        ReadRequest {
            file: self.file,
            bytes: at(chunks.start)..at(chunks.end),
            next: at(chunks.start)..at(chunks.start.plus(1)),
        }
    }
}

impl Peer {
    pub(super) fn new(own: PeerIndex, spec: PeerSpec, model: &Model, seed: u64) -> Self {
        let content = model.manifest.content_hash();
        let request = match spec.purpose {
            Purpose::Files => FetchRequest::Files {
                model: content,
                chosen: Box::new(|_| true),
            },
            Purpose::File => FetchRequest::File(model.manifest.entries()[0].clone()),
            Purpose::Reader => FetchRequest::Shared { model: content },
        };
        let fetch = (!spec.complete).then(|| {
            Fetch::new(FetchArgs {
                own,
                request,
                patience: PATIENCE,
                expects_peers: true,
                seed,
            })
        });
        Self {
            fetch,
            reader: (spec.purpose == Purpose::Reader).then(Reader::default),
            holdings: Holdings::new(&spec, model.chunks),
            spec,
            neighbours: BTreeSet::new(),
            wake_at: None,
            dialled: BTreeMap::new(),
            serving: Serving::default(),
            download_free: Duration::ZERO,
            gone: false,
        }
    }

    /// What the store lacks of these chunks.
    pub(super) fn plan(&self, chunks: Range<ModelChunk>, model: &Model) -> Planned {
        let mut missing = ChunkSet::empty(model.chunks);
        for chunk in ModelChunk::each(chunks).filter(|chunk| !self.holdings.holds(*chunk)) {
            missing.insert(chunk.0);
        }
        let has_list = self.holdings.has_list;
        Planned {
            wanted_now: if has_list {
                missing.clone()
            } else {
                ChunkSet::empty(model.chunks)
            },
            lists: if has_list || missing.is_empty() {
                Vec::new()
            } else {
                vec![FileNumber(0)]
            },
            missing,
        }
    }
}
