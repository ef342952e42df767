//! The world of one run: its peers, its time, and what their fetches decide.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, VecDeque},
    sync::Arc,
    time::Duration,
};

use hubless_content::{CHUNK_SIZE, FileHash, Manifest, ManifestEntry, ModelChunk};
use hubless_fetch::{Input, Output, WalkEnded, WalkKey};

use super::{
    Happened, Leave, LeaveWhen, PeerIndex, PeerSpec, Run, Swarm, What,
    connections::{Answer, Request, candidate},
    holdings::Token,
    peer::{Link, Model, Peer},
};

/// Virtual time after which a run ends, finished or not.
const TIME_MAX: Duration = Duration::from_secs(3600);

/// How long a walk through the DHT takes.
const WALK_TIME: Duration = Duration::from_millis(500);

/// What is due at some time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Request {
        link: Link,
        to: PeerIndex,
        request: Request,
    },
    Answer {
        link: Link,
        answer: Answer,
    },
    /// New chunks of a peer, or chunks that a complete one sends for the first time.
    Inform {
        links: Vec<Link>,
        by: PeerIndex,
        chunks: Vec<ModelChunk>,
        on_the_way: bool,
    },
    Started {
        link: Link,
        chunk: ModelChunk,
    },
    Chunk {
        link: Link,
        chunk: ModelChunk,
        token: Token,
    },
    /// A peer sent the last byte of a chunk.
    SentAll {
        by: PeerIndex,
    },
    Announce {
        by: PeerIndex,
    },
    /// A walk of a peer ends, and names the complete peers if it was for the model.
    Walked {
        peer: PeerIndex,
        finds: bool,
    },
    Wake {
        peer: PeerIndex,
        at: Duration,
    },
    Leave {
        peer: PeerIndex,
    },
}

/// The running swarm.
pub(super) struct World {
    pub(super) swarm: Swarm,
    pub(super) model: Model,
    pub(super) now: Duration,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    scheduled: u64,
    pub(super) peers: Vec<Peer>,
    /// Peers that are to finish and have not.
    unfinished: BTreeSet<PeerIndex>,
    history: Vec<Happened>,
    /// Whether a peer leaves when the last one holds some share.
    leaves_by_share: bool,
}

impl World {
    pub(super) fn new(swarm: Swarm) -> Self {
        let mut chance = Chance(swarm.seed.0);
        let model = model(swarm.chunks);
        let specs = swarm.complete.iter().chain(&swarm.fetching).copied();
        let mut peers: Vec<Peer> = specs
            .enumerate()
            .map(|(own, spec)| Peer::new(own, spec, &model, chance.next()))
            .collect();
        connect(&mut peers, swarm.neighbours, &mut chance);
        let is_honest = |spec: &PeerSpec| !spec.lies && !spec.forges;
        let stays = |spec: &PeerSpec| !spec.complete && spec.leaves.is_none() && is_honest(spec);
        let unfinished = (0..peers.len())
            .filter(|&peer| stays(&peers[peer].spec))
            .collect();
        let by_share = |peer: &Peer| {
            let leave = peer.spec.leaves.map(|leave| leave.when);
            matches!(leave, Some(LeaveWhen::LastPeerHolds(_)))
        };
        let leaves_by_share = peers.iter().any(by_share);
        Self {
            leaves_by_share,
            swarm,
            model,
            now: Duration::ZERO,
            events: BinaryHeap::new(),
            scheduled: 0,
            peers,
            unfinished,
            history: Vec::new(),
        }
    }

    pub(super) fn run(mut self) -> Run {
        for peer in 0..self.peers.len() {
            self.begin(peer);
        }
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            if at > TIME_MAX || self.unfinished.is_empty() {
                break;
            }
            self.now = at;
            self.happen(event);
        }
        let poisoned = self.peers.iter().map(|peer| peer.holdings.poisoned()).sum();
        let specs = self.peers.iter().map(|peer| peer.spec).collect();
        let Swarm { seed, chunks, .. } = self.swarm;
        Run {
            seed,
            chunks,
            specs,
            history: self.history,
            poisoned,
        }
    }

    /// A peer begins: its caller names the complete ones.
    fn begin(&mut self, peer: PeerIndex) {
        if let Some(Leave {
            when: LeaveWhen::At(at),
            ..
        }) = self.peers[peer].spec.leaves
        {
            self.schedule(at, Event::Leave { peer });
        }
        self.execute_all(peer);
        for complete in 0..self.swarm.complete.len() {
            self.handle(peer, Input::PeerNamed(candidate(complete)));
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Request { link, to, request } => self.requested(link, to, request),
            Event::Answer { link, answer } => self.answered(link, answer),
            Event::Inform {
                links,
                by,
                chunks,
                on_the_way,
            } => self.informed(&links, by, &chunks, on_the_way),
            Event::Started { link, chunk } => self.started(link, chunk),
            Event::Chunk { link, chunk, token } => self.chunk_came(link, chunk, token),
            Event::SentAll { by } => {
                self.peers[by].serving.is_sending = false;
                self.send_next(by);
            }
            Event::Announce { by } => self.announce(by),
            Event::Walked { peer, finds } => self.walked(peer, finds),
            Event::Wake { peer, at } => {
                if self.peers[peer].wake_at == Some(at) {
                    self.peers[peer].wake_at = None;
                    self.handle(peer, Input::Tick);
                }
            }
            Event::Leave { peer } => self.leave(peer),
        }
    }

    fn walked(&mut self, peer: PeerIndex, finds: bool) {
        let found = if finds { self.swarm.complete.len() } else { 0 };
        for complete in 0..found {
            self.handle(peer, Input::PeerNamed(candidate(complete)));
        }
        let ended = WalkEnded {
            providers: found as u32,
            among_others: true,
        };
        self.handle(peer, Input::WalkEnded(ended));
    }

    // The fetch of a peer.

    /// Reports to the fetch of a peer what happened, and does what it decides.
    pub(super) fn handle(&mut self, peer: PeerIndex, input: Input<PeerIndex, ()>) {
        let now = self.now;
        let Peer { fetch, gone, .. } = &mut self.peers[peer];
        if let Some(fetch) = fetch.as_mut().filter(|_| !*gone) {
            fetch.handle(now, input);
            self.execute_all(peer);
        }
    }

    fn execute_all(&mut self, peer: PeerIndex) {
        let Some(fetch) = &mut self.peers[peer].fetch else {
            return;
        };
        let outputs: Vec<_> = std::iter::from_fn(|| fetch.poll_output()).collect();
        let mut inputs = VecDeque::new();
        for output in outputs {
            self.execute(peer, output, &mut inputs);
        }
        inputs
            .into_iter()
            .for_each(|input| self.handle(peer, input));
        self.wake(peer);
    }

    fn execute(
        &mut self,
        peer: PeerIndex,
        output: Output<PeerIndex, ()>,
        inputs: &mut VecDeque<Input<PeerIndex, ()>>,
    ) {
        let link = |source| Link { from: peer, source };
        match output {
            Output::Join => inputs.push_back(Input::Joined(true)),
            Output::Walk(key) => {
                let finds = key == WalkKey::Target;
                self.schedule(self.now + WALK_TIME, Event::Walked { peer, finds });
            }
            Output::Connect(source, dial) => self.dial(link(source), dial.peer),
            Output::Close(source) => self.close(link(source)),
            Output::Send(source, command) => self.command(link(source), &command),
            Output::StoreManifest(_) => {}
            Output::Plan(_) => {
                self.peers[peer].holdings.has_manifest = true;
                let start = ModelChunk(0);
                let chunks = match &self.peers[peer].reader {
                    None => start..self.model.end(),
                    Some(_) => start..start,
                };
                let planned = self.peers[peer].plan(chunks, &self.model);
                inputs.push_back(Input::Planned(planned));
                inputs.extend(self.first_read(peer));
            }
            Output::PlanRead { file, request } => {
                let at = |bytes: u64| ModelChunk((bytes / CHUNK_SIZE as u64) as u32);
                let chunks = at(request.bytes.start)..at(request.bytes.end);
                inputs.push_back(Input::ReadPlanned {
                    file,
                    next: request.next,
                    planned: self.peers[peer].plan(chunks, &self.model),
                });
            }
            Output::Ban(other) => self.ban(peer, other),
            Output::Stalled => self.note(peer, What::Stalled),
            Output::Finish(result) => {
                let what = match result {
                    Ok(_) => What::Finished,
                    Err(_) => What::Failed,
                };
                self.note(peer, what);
                self.unfinished.remove(&peer);
                self.peers[peer].fetch = None;
                let dialled: Vec<_> = self.peers[peer].dialled.keys().copied().collect();
                dialled
                    .into_iter()
                    .for_each(|source| self.close(link(source)));
            }
        }
    }

    /// Has a peer woken when its fetch wants to be.
    fn wake(&mut self, peer: PeerIndex) {
        let Some(fetch) = &self.peers[peer].fetch else {
            return;
        };
        let at = fetch.next_wake().max(self.now);
        // A wake that comes too early does no harm; a new event for each later one would.
        if self.peers[peer].wake_at.is_none_or(|wake_at| at < wake_at) {
            self.peers[peer].wake_at = Some(at);
            self.schedule(at, Event::Wake { peer, at });
        }
    }

    fn ban(&mut self, peer: PeerIndex, other: PeerIndex) {
        self.note(peer, What::Banned(other));
        let serving = &mut self.peers[peer].serving;
        serving.banned.insert(other);
        let accepted = serving.accepted.keys().copied();
        let of_other: Vec<Link> = accepted.filter(|link| link.from == other).collect();
        of_other
            .into_iter()
            .for_each(|link| self.hang_up(peer, link));
    }

    // Readers.

    fn first_read(&mut self, peer: PeerIndex) -> Option<Input<PeerIndex, ()>> {
        let Peer {
            reader, holdings, ..
        } = &mut self.peers[peer];
        let chunks = reader.as_mut()?.read(holdings, self.model.end())?;
        Some(Input::ReadWanted(self.model.read(&chunks)))
    }

    /// The reader of a peer goes on with what came.
    pub(super) fn read(&mut self, peer: PeerIndex) {
        if let Some(input) = self.first_read(peer) {
            self.handle(peer, input);
        }
        let end = self.model.end();
        let is_at_end = |reader: &super::peer::Reader| reader.is_at_end(end);
        if self.peers[peer].reader.as_ref().is_some_and(is_at_end) {
            self.handle(peer, Input::ReadersLeft);
        }
    }

    // Peers that leave.

    fn leave(&mut self, peer: PeerIndex) {
        if self.peers[peer].gone {
            return;
        }
        self.note(peer, What::Left);
        let leaves = self.peers[peer].spec.leaves;
        if !leaves.is_some_and(|leave| leave.silent) {
            let dialled: Vec<_> = self.peers[peer].dialled.keys().copied().collect();
            for source in dialled {
                self.close(Link { from: peer, source });
            }
            let accepted: Vec<Link> = self.peers[peer].serving.accepted.keys().copied().collect();
            for link in accepted {
                self.hang_up(peer, link);
            }
        }
        self.peers[peer].gone = true;
    }

    pub(super) fn leave_if_due(&mut self) {
        if !self.leaves_by_share {
            return;
        }
        let Some(last) = self.peers.last() else {
            return;
        };
        let share = f64::from(last.holdings.count()) / f64::from(self.swarm.chunks.max(1));
        let due = |peer: &Peer| {
            let leave = peer.spec.leaves.map(|leave| leave.when);
            matches!(leave, Some(LeaveWhen::LastPeerHolds(least)) if share >= least) && !peer.gone
        };
        let leaving: Vec<PeerIndex> = (0..self.peers.len())
            .filter(|&peer| due(&self.peers[peer]))
            .collect();
        leaving.into_iter().for_each(|peer| self.leave(peer));
    }

    // Time and links.

    pub(super) fn latency(&self, from: PeerIndex, to: PeerIndex) -> Duration {
        self.peers[from].spec.latency + self.peers[to].spec.latency
    }

    pub(super) fn send(&mut self, from: PeerIndex, to: PeerIndex, event: Event) {
        if !self.peers[from].gone {
            self.schedule(self.now + self.latency(from, to), event);
        }
    }

    pub(super) fn schedule(&mut self, at: Duration, event: Event) {
        self.scheduled += 1;
        self.events
            .push(Reverse((at.max(self.now), self.scheduled, event)));
    }

    pub(super) fn note(&mut self, peer: PeerIndex, what: What) {
        self.history.push(Happened {
            at: self.now,
            peer,
            what,
        });
    }
}

/// One file of so many chunks.
fn model(chunks: u32) -> Model {
    let file = FileHash::new([7; 32]);
    let entry = ManifestEntry {
        path: "model.bin".parse().expect("a path"),
        size: u64::from(chunks) * CHUNK_SIZE as u64,
        hash: file,
    };
    let manifest = Manifest::new(vec![entry]).expect("a manifest");
    Model {
        manifest: Arc::new(manifest),
        chunks,
        file,
    }
}

/// Makes neighbours of each fetching peer and the one before it (so that the graph is one), and
/// random others until it chose half of `neighbours`: the other half chose it. All know the complete
/// ones.
fn connect(peers: &mut [Peer], neighbours: usize, chance: &mut Chance) {
    let complete = peers.iter().filter(|peer| peer.spec.complete).count();
    let fetching = peers.len() - complete;
    for peer in complete..peers.len() {
        (0..complete).for_each(|other| link(peers, peer, other));
        if fetching <= neighbours + 1 {
            (complete..peer).for_each(|other| link(peers, peer, other));
        } else {
            link(peers, peer, peer.max(complete + 1) - 1);
            (1..neighbours.div_ceil(2))
                .for_each(|_| link(peers, peer, complete + chance.below(fetching)));
        }
    }
}

fn link(peers: &mut [Peer], a: PeerIndex, b: PeerIndex) {
    if a != b {
        peers[a].neighbours.insert(b);
        peers[b].neighbours.insert(a);
    }
}

/// Seeded chance (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}
