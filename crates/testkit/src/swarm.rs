//! A swarm in virtual time: the real fetch in every peer, links with rates and latencies
//! between them, and peers that are slow, leave or lie.
//!
//! One seed gives one history, so a failure replays from the seed that it prints:
//! ```
//! use hubless_testkit::swarm::{Seed, swarm};
//!
//! let run = swarm(Seed(42)).peers(4).chunks(16).run();
//! assert_eq!(run.finished(), 4);
//! assert_eq!(run.history(), swarm(Seed(42)).peers(4).chunks(16).run().history());
//! ```
//!
//! # What is simulated
//! Each fetching peer runs a whole [`Fetch`]: it is named peers, dials them, requests the manifest and the
//! chunk list, and then for chunks. Each peer sends one chunk at a time at its upload rate; the real
//! [`Uploads`] choose which. A chunk then passes the latency and the receiver's download rate.
//! Messages without a chunk take the latency and no room. A cancel takes back what waits, not what is
//! being sent. Bytes are a number for each chunk, which receivers check; the store is a list of them.
//!
//! At first a fetching peer knows the complete peers: its caller named them, and walks of the DHT name
//! them again. Sources name the others, and a peer that is asked for the model learns which peer requests it.
//!
//! [`Fetch`]: hubless_fetch::Fetch
//! [`Uploads`]: hubless_scheduler::Uploads

mod connections;
mod holdings;
mod peer;
mod world;

use std::time::Duration;

use hubless_content::{CHUNK_SIZE, ModelChunk};

use self::world::World;

/// Where all chance of a run comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

/// A peer of a run, counted from 0: the complete ones first, in the order they were given.
pub type PeerIndex = usize;

/// How a peer behaves and how it is connected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PeerSpec {
    /// Bytes per second that it sends at most.
    pub upload: f64,
    /// Bytes per second that it receives at most.
    pub download: f64,
    /// One way from it to its neighbours and back, added to theirs.
    pub latency: Duration,
    /// Whether it has all chunks at the start, and fetches nothing.
    pub complete: bool,
    /// What it fetches for.
    pub purpose: Purpose,
    /// Whether all chunks that it sends are wrong.
    pub lies: bool,
    /// Whether the manifests and chunk lists that it sends are wrong.
    pub forges: bool,
    /// When it goes, if it does.
    pub leaves: Option<Leave>,
}

/// What a peer fetches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// All files of the model, as `get` does: the rarest chunks first.
    Files,
    /// One file, as the gateway does: in order.
    File,
    /// A reader that reads all bytes from the beginning, some ahead, as fast as they come.
    Reader,
}

/// When and how a peer goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leave {
    /// When.
    pub when: LeaveWhen,
    /// Whether its neighbours notice nothing: no stream closes, nothing comes any more.
    pub silent: bool,
}

/// When a peer goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LeaveWhen {
    /// At this time.
    At(Duration),
    /// When the last peer (the fetcher, if there is one) holds this share of all chunks.
    LastPeerHolds(f64),
}

impl Default for PeerSpec {
    /// 40 Mbit/s up, 400 Mbit/s down, 10 ms from its neighbours.
    fn default() -> Self {
        Self {
            upload: 5e6,
            download: 50e6,
            latency: Duration::from_millis(5),
            complete: false,
            purpose: Purpose::Files,
            lies: false,
            forges: false,
            leaves: None,
        }
    }
}

/// What happened in a run, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Happened {
    /// Since the start.
    pub at: Duration,
    /// To which peer.
    pub peer: PeerIndex,
    /// What.
    pub what: What,
}

/// See [`Happened`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    /// A chunk came from another peer and was kept.
    Kept(ModelChunk, PeerIndex),
    /// A chunk came that was here already.
    Wasted(ModelChunk, PeerIndex),
    /// A wrong chunk came.
    Wrong(ModelChunk, PeerIndex),
    /// Another peer was banned.
    Banned(PeerIndex),
    /// Nothing came for long.
    Stalled,
    /// It left.
    Left,
    /// It has all chunks.
    Finished,
    /// It gave up.
    Failed,
}

/// A swarm to be: see [`swarm`].
#[derive(Clone, Debug)]
pub struct Swarm {
    seed: Seed,
    chunks: u32,
    neighbours: usize,
    announce_every: Duration,
    complete: Vec<PeerSpec>,
    fetching: Vec<PeerSpec>,
}

/// A swarm of one complete peer and 30 that fetch 64 chunks, all honest, to be changed as a test
/// needs it.
pub fn swarm(seed: Seed) -> Swarm {
    Swarm {
        seed,
        chunks: 64,
        neighbours: 32,
        announce_every: Duration::from_millis(10),
        complete: vec![PeerSpec {
            complete: true,
            ..PeerSpec::default()
        }],
        fetching: vec![PeerSpec::default(); 30],
    }
}

impl Swarm {
    /// So many peers fetch.
    pub fn peers(self, count: usize) -> Self {
        self.fetching(vec![PeerSpec::default(); count])
    }

    /// These peers fetch.
    pub fn fetching(mut self, peers: Vec<PeerSpec>) -> Self {
        self.fetching = peers;
        self
    }

    /// These peers have everything at the start.
    pub fn complete(mut self, peers: Vec<PeerSpec>) -> Self {
        self.complete = peers
            .into_iter()
            .map(|peer| PeerSpec {
                complete: true,
                ..peer
            })
            .collect();
        self
    }

    /// The model has so many chunks.
    pub fn chunks(mut self, chunks: u32) -> Self {
        self.chunks = chunks;
        self
    }

    /// Each fetching peer knows about so many others, and every complete one.
    pub fn neighbours(mut self, count: usize) -> Self {
        self.neighbours = count;
        self
    }

    /// Chunks that a peer gains are announced at most so often.
    pub fn announce_every(mut self, every: Duration) -> Self {
        self.announce_every = every;
        self
    }

    /// Changes `count` of the fetching peers, beginning with the one after `from` others.
    pub fn change(mut self, from: usize, count: usize, change: impl Fn(&mut PeerSpec)) -> Self {
        self.fetching
            .iter_mut()
            .skip(from)
            .take(count)
            .for_each(change);
        self
    }

    /// Runs until every honest peer that stays has finished, or nothing happens any more.
    pub fn run(self) -> Run {
        World::new(self).run()
    }
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Run {
    seed: Seed,
    chunks: u32,
    specs: Vec<PeerSpec>,
    history: Vec<Happened>,
    poisoned: usize,
}

impl Run {
    /// The seed, for messages of failing tests.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// All that happened.
    pub fn history(&self) -> &[Happened] {
        &self.history
    }

    /// How many peers gave up.
    pub fn failed(&self) -> usize {
        self.count(|what| what == What::Failed)
    }

    /// How many peers finished.
    pub fn finished(&self) -> usize {
        self.count(|what| what == What::Finished)
    }

    /// When a peer finished.
    pub fn finished_at(&self, peer: PeerIndex) -> Option<Duration> {
        let of_peer =
            |happened: &&Happened| happened.peer == peer && happened.what == What::Finished;
        self.history
            .iter()
            .find(of_peer)
            .map(|happened| happened.at)
    }

    /// When the last peer finished.
    pub fn last_finished_at(&self) -> Option<Duration> {
        let finished = |happened: &&Happened| happened.what == What::Finished;
        self.history
            .iter()
            .rev()
            .find(finished)
            .map(|happened| happened.at)
    }

    /// When the last of the peers that `wanted` accepts finished.
    pub fn last_finished_of(&self, wanted: impl Fn(&PeerSpec) -> bool) -> Option<Duration> {
        let counts = |happened: &&Happened| {
            happened.what == What::Finished && wanted(&self.specs[happened.peer])
        };
        self.history
            .iter()
            .rev()
            .find(counts)
            .map(|happened| happened.at)
    }

    /// Wrong chunks that some peer holds.
    pub fn poisoned(&self) -> usize {
        self.poisoned
    }

    /// Chunks that came a second time or were wrong, as a share of those that were kept.
    pub fn wasted_ratio(&self) -> f64 {
        let kept = self.count(|what| matches!(what, What::Kept(..))).max(1);
        let wasted = |what| matches!(what, What::Wasted(..) | What::Wrong(..));
        self.count(wasted) as f64 / kept as f64
    }

    /// How often a peer was banned.
    pub fn bans(&self) -> usize {
        self.count(|what| matches!(what, What::Banned(..)))
    }

    /// The longest time that a peer waited for its next chunk, from its first to its last one.
    pub fn longest_stall(&self, peer: PeerIndex) -> Duration {
        let mut last = None;
        let mut longest = Duration::ZERO;
        for happened in self.history.iter().filter(|happened| happened.peer == peer) {
            if matches!(happened.what, What::Kept(..)) {
                longest = longest.max(happened.at - last.unwrap_or(happened.at));
                last = Some(happened.at);
            }
        }
        longest
    }

    /// The time of a model at this upload rate, `F/C`.
    pub fn upload_time(&self, rate: f64) -> Duration {
        Duration::from_secs_f64(f64::from(self.chunks) * CHUNK_SIZE as f64 / rate)
    }

    fn count(&self, counts: impl Fn(What) -> bool) -> usize {
        self.history
            .iter()
            .filter(|happened| counts(happened.what))
            .count()
    }
}
