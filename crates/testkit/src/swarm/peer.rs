//! One simulated peer: its fetch, its store, and both ends of its connections.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use hubless_content::{CHUNK_SIZE, ChunkSet, FileHash, Manifest};
use hubless_fetch::{Fetch, FetchArgs, FetchRequest, Planned, ReadRequest, SourceId};
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
    pub(super) uploads: Uploads<Link, u32>,
    /// Whether a chunk is being sent.
    pub(super) is_sending: bool,
    /// Chunks gained since the last announcement.
    pub(super) to_announce: Vec<u32>,
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
#[derive(Default)]
pub(super) struct Reader {
    next: u32,
    asked: u32,
}

impl Reader {
    /// What it requests, now that these chunks are held; `None` if it has enough to read.
    pub(super) fn read(&mut self, holdings: &Holdings, chunks: u32) -> Option<Range<u32>> {
        while self.next < chunks && holdings.holds(self.next) {
            self.next += 1;
        }
        let wants_more = self.next + READ_AHEAD / 2 >= self.asked && self.asked < chunks;
        wants_more.then(|| {
            self.asked = chunks.min(self.next + READ_AHEAD);
            self.next..self.asked
        })
    }

    pub(super) fn is_at_end(&self, chunks: u32) -> bool {
        self.next >= chunks
    }
}

/// The model of a run: one file.
pub(super) struct Model {
    pub(super) manifest: Arc<Manifest>,
    pub(super) chunks: u32,
    pub(super) file: FileHash,
}

impl Model {
    /// A read of these chunks.
    pub(super) fn read(&self, chunks: &Range<u32>) -> ReadRequest {
        let at = |chunk: u32| u64::from(chunk) * CHUNK_SIZE as u64;
        ReadRequest {
            file: self.file,
            bytes: at(chunks.start)..at(chunks.end),
            next: at(chunks.start)..at(chunks.start + 1),
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
    pub(super) fn plan(&self, chunks: Range<u32>, model: &Model) -> Planned {
        let mut missing = ChunkSet::empty(model.chunks);
        for chunk in chunks.filter(|chunk| !self.holdings.holds(*chunk)) {
            missing.insert(chunk);
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
                vec![0]
            },
            missing,
        }
    }
}
