//! The world of one run: its peers, its time, and what happens between them.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    time::Duration,
};

use hubless_content::{CHUNK_SIZE, ChunkSet};
use hubless_scheduler::{Input, Output, Scheduler, SchedulerConfig, SourceId};

use super::{
    Happened, Leave, LeaveWhen, PeerIndex, PeerSpec, Run, Swarm, What,
    peer::{Peer, Token, is_right},
};

/// Virtual time after which a run ends, finished or not.
const TIME_MAX: Duration = Duration::from_secs(3600);

/// What is due at some time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A neighbour's hello with what it holds.
    Hello {
        to: PeerIndex,
        from: PeerIndex,
        held: Vec<u32>,
    },
    /// News for neighbours that hear it at the same time, one after the other: most events of a
    /// large swarm would be of this kind if each had its own.
    Gained {
        to: Vec<PeerIndex>,
        from: PeerIndex,
        chunks: Vec<u32>,
    },
    /// A complete peer sends a chunk to somebody else for the first time; told as [`Event::Gained`].
    OnTheWay {
        to: Vec<PeerIndex>,
        from: PeerIndex,
        chunk: u32,
    },
    Ask {
        to: PeerIndex,
        from: PeerIndex,
        chunk: u32,
    },
    Cancel {
        to: PeerIndex,
        from: PeerIndex,
        chunk: u32,
    },
    /// The stream to a neighbour closed.
    Closed {
        to: PeerIndex,
        from: PeerIndex,
    },
    Started {
        to: PeerIndex,
        from: PeerIndex,
        chunk: u32,
    },
    Answer {
        to: PeerIndex,
        from: PeerIndex,
        chunk: u32,
        token: Token,
    },
    NotHere {
        to: PeerIndex,
        from: PeerIndex,
        chunk: u32,
    },
    /// A peer sent the last byte of a chunk.
    SentAll {
        by: PeerIndex,
    },
    Announce {
        by: PeerIndex,
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
    swarm: Swarm,
    now: Duration,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    scheduled: u64,
    peers: Vec<Peer>,
    /// Peers that are to finish and have not.
    unfinished: BTreeSet<PeerIndex>,
    history: Vec<Happened>,
    /// Whether somebody leaves when the last peer holds some share.
    leaves_by_share: bool,
}

impl World {
    pub(super) fn new(swarm: Swarm) -> Self {
        let mut chance = Chance(swarm.seed.0);
        let specs = swarm.complete.iter().chain(&swarm.fetching).copied();
        let mut peers: Vec<Peer> = specs
            .map(|spec| {
                let scheduler = (!spec.complete).then(|| {
                    let order = swarm.order;
                    let config = SchedulerConfig {
                        seed: chance.next(),
                        order,
                        ..SchedulerConfig::default()
                    };
                    Scheduler::new(config, &ChunkSet::full(swarm.chunks))
                });
                Peer::new(spec, swarm.chunks, scheduler)
            })
            .collect();
        connect(&mut peers, swarm.neighbours, &mut chance);
        let stays = |spec: &PeerSpec| !spec.complete && spec.leaves.is_none() && !spec.lies;
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
            self.say_hello(peer);
            if let Some(Leave {
                when: LeaveWhen::At(at),
                ..
            }) = self.peers[peer].spec.leaves
            {
                self.schedule(at, Event::Leave { peer });
            }
        }
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            if at > TIME_MAX || self.unfinished.is_empty() {
                break;
            }
            self.now = at;
            self.happen(event);
        }
        let poisoned = self.peers.iter().map(Peer::poisoned).sum();
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

    fn happen(&mut self, event: Event) {
        match event {
            Event::Hello { to, from, held } => self.hello(to, from, &held),
            Event::Gained { to, from, chunks } => {
                let ranges: Vec<_> = chunks.iter().map(|&chunk| chunk..chunk + 1).collect();
                for to in to {
                    let gained = Input::SourceGained(source(from), ranges.clone());
                    self.tell_from(to, from, gained);
                }
            }
            Event::OnTheWay { to, from, chunk } => {
                for to in to {
                    let input = Input::OnTheWay(std::iter::once(chunk..chunk + 1).collect());
                    self.tell_from(to, from, input);
                }
            }
            Event::Ask { to, from, chunk } => self.asked(to, from, chunk),
            Event::Cancel { to, from, chunk } => self.peers[to].uploads.cancel(from, chunk),
            Event::Closed { to, from } => {
                self.peers[to].uploads.forget(from);
                self.tell_from(to, from, Input::SourceGone(source(from)));
                self.peers[to].neighbours.remove(&from);
            }
            Event::Started { to, from, chunk } => {
                if !self.peers[from].gone {
                    self.tell_from(
                        to,
                        from,
                        Input::Started {
                            source: source(from),
                            chunk,
                        },
                    );
                }
            }
            Event::Answer {
                to,
                from,
                chunk,
                token,
            } => self.answered(to, from, chunk, token),
            Event::NotHere { to, from, chunk } => {
                let refusal = hubless_scheduler::Refusal::NotHere;
                let refused = Input::Refused {
                    source: source(from),
                    chunk,
                    refusal,
                };
                self.tell_from(to, from, refused);
            }
            Event::SentAll { by } => {
                self.peers[by].sending = false;
                self.send_next(by);
            }
            Event::Announce { by } => self.announce(by),
            Event::Wake { peer, at } => {
                if self.peers[peer].wake_at == Some(at) {
                    self.peers[peer].wake_at = None;
                    self.tell(peer, Input::Tick);
                }
            }
            Event::Leave { peer } => self.leave(peer),
        }
    }

    // Peers and their neighbours.

    fn say_hello(&mut self, from: PeerIndex) {
        let held = self.peers[from].held();
        for to in self.peers[from].neighbours.clone() {
            self.send(
                from,
                to,
                Event::Hello {
                    to,
                    from,
                    held: held.clone(),
                },
            );
        }
    }

    fn hello(&mut self, to: PeerIndex, from: PeerIndex, held: &[u32]) {
        let mut set = ChunkSet::empty(self.swarm.chunks);
        held.iter().for_each(|&chunk| {
            set.insert(chunk);
        });
        self.tell_from(to, from, Input::SourceJoined(source(from)));
        self.tell_from(to, from, Input::SourceHas(source(from), set));
    }

    fn announce(&mut self, by: PeerIndex) {
        let chunks = std::mem::take(&mut self.peers[by].to_announce);
        let all: Vec<PeerIndex> = self.peers[by].neighbours.iter().copied().collect();
        self.send_to_all(by, &all, |to| Event::Gained {
            to,
            from: by,
            chunks: chunks.clone(),
        });
    }

    /// Sends the same to many, as one event for all that get it at the same time.
    fn send_to_all(
        &mut self,
        by: PeerIndex,
        all: &[PeerIndex],
        event: impl Fn(Vec<PeerIndex>) -> Event,
    ) {
        let mut rest = all;
        while let Some(&next) = rest.first() {
            let latency = self.latency(by, next);
            let is_same = |&&to: &&PeerIndex| self.latency(by, to) == latency;
            let (same, others) = rest.split_at(rest.iter().take_while(is_same).count());
            rest = others;
            self.send(by, next, event(same.to_vec()));
        }
    }

    fn leave(&mut self, peer: PeerIndex) {
        if self.peers[peer].gone {
            return;
        }
        self.note(peer, What::Left);
        let silent = self.peers[peer]
            .spec
            .leaves
            .is_some_and(|leave| leave.silent);
        if !silent {
            for to in self.peers[peer].neighbours.clone() {
                self.send(peer, to, Event::Closed { to, from: peer });
            }
        }
        self.peers[peer].gone = true;
    }

    fn leave_if_due(&mut self) {
        if !self.leaves_by_share {
            return;
        }
        let Some(last) = self.peers.last() else {
            return;
        };
        let share = f64::from(last.held_count()) / f64::from(self.swarm.chunks.max(1));
        let due = |peer: &Peer| {
            let leave = peer.spec.leaves.map(|leave| leave.when);
            matches!(leave, Some(LeaveWhen::LastPeerHolds(least)) if share >= least) && !peer.gone
        };
        let leaving: Vec<PeerIndex> = (0..self.peers.len())
            .filter(|&peer| due(&self.peers[peer]))
            .collect();
        leaving.into_iter().for_each(|peer| self.leave(peer));
    }

    // Chunks.

    fn asked(&mut self, to: PeerIndex, from: PeerIndex, chunk: u32) {
        let peer = &mut self.peers[to];
        if peer.gone || !peer.neighbours.contains(&from) {
            return;
        }
        if peer.token(chunk).is_none() {
            return self.send(
                to,
                from,
                Event::NotHere {
                    to: from,
                    from: to,
                    chunk,
                },
            );
        }
        peer.uploads.ask(from, chunk);
        self.send_next(to);
    }

    /// Begins to send the next chunk, if none is being sent.
    fn send_next(&mut self, by: PeerIndex) {
        let peer = &mut self.peers[by];
        if peer.gone || peer.sending {
            return;
        }
        let Some((to, chunk)) = peer.uploads.take_next(|_| true) else {
            return;
        };
        peer.sending = true;
        if peer.spec.complete && peer.uploads.sendings(chunk) == 1 {
            let neighbours = peer.neighbours.iter().copied();
            let others: Vec<PeerIndex> = neighbours.filter(|&other| other != to).collect();
            self.send_to_all(by, &others, |to| Event::OnTheWay {
                to,
                from: by,
                chunk,
            });
        }
        let peer = &self.peers[by];
        let token = peer.token(chunk).unwrap_or_default();
        let sending = Duration::from_secs_f64(CHUNK_SIZE as f64 / peer.spec.upload);
        let latency = self.latency(by, to);
        let (sent_at, arrives) = (self.now + sending, self.now + latency);
        let receiver = &mut self.peers[to];
        let receiving = Duration::from_secs_f64(CHUNK_SIZE as f64 / receiver.spec.download);
        let begins = receiver.download_free.max(arrives);
        receiver.download_free = begins + receiving;
        let here = receiver.download_free.max(sent_at + latency);
        self.schedule(sent_at, Event::SentAll { by });
        self.schedule(
            begins,
            Event::Started {
                to,
                from: by,
                chunk,
            },
        );
        self.schedule(
            here,
            Event::Answer {
                to,
                from: by,
                chunk,
                token,
            },
        );
    }

    fn answered(&mut self, to: PeerIndex, from: PeerIndex, chunk: u32, token: Token) {
        // What a peer was sending when it left never arrives.
        if self.peers[from].gone || !self.peers[to].neighbours.contains(&from) {
            return;
        }
        let source = source(from);
        if !is_right(chunk, token) {
            return self.tell(to, Input::Wrong { source, chunk });
        }
        if self.peers[to].keep(chunk, token) {
            self.note(to, What::Kept(chunk, from));
            if self.peers[to].to_announce.len() == 1 {
                self.schedule(
                    self.now + self.swarm.announce_every,
                    Event::Announce { by: to },
                );
            }
            self.leave_if_due();
        } else {
            self.note(to, What::Wasted(chunk, from));
        }
        self.tell(
            to,
            Input::Received {
                source,
                chunk,
                bytes: CHUNK_SIZE as u32,
            },
        );
    }

    // The scheduler of a peer.

    fn tell_from(&mut self, to: PeerIndex, from: PeerIndex, input: Input) {
        if self.peers[to].neighbours.contains(&from) {
            self.tell(to, input);
        }
    }

    fn tell(&mut self, to: PeerIndex, input: Input) {
        let peer = &mut self.peers[to];
        let Some(scheduler) = peer.scheduler.as_mut().filter(|_| !peer.gone) else {
            return;
        };
        scheduler.handle(self.now, input);
        let outputs: Vec<Output> = std::iter::from_fn(|| scheduler.poll_output()).collect();
        for output in outputs {
            self.act(to, output);
        }
    }

    fn act(&mut self, peer: PeerIndex, output: Output) {
        match output {
            Output::Request(SourceId(other), chunk) => {
                let to = other as PeerIndex;
                self.send(
                    peer,
                    to,
                    Event::Ask {
                        to,
                        from: peer,
                        chunk,
                    },
                );
            }
            Output::Cancel(SourceId(other), chunk) => {
                let to = other as PeerIndex;
                self.send(
                    peer,
                    to,
                    Event::Cancel {
                        to,
                        from: peer,
                        chunk,
                    },
                );
            }
            Output::Ban(SourceId(other), reason) => {
                let to = other as PeerIndex;
                self.note(peer, What::Banned(to, reason));
                self.peers[peer].neighbours.remove(&to);
                self.peers[peer].uploads.forget(to);
                self.send(peer, to, Event::Closed { to, from: peer });
            }
            Output::WakeAt(at) => {
                self.peers[peer].wake_at = Some(at);
                self.schedule(at, Event::Wake { peer, at });
            }
            Output::Starved => self.note(peer, What::Starved),
            Output::Done => {
                self.note(peer, What::Finished);
                self.unfinished.remove(&peer);
            }
        }
    }

    // Time and links.

    fn latency(&self, from: PeerIndex, to: PeerIndex) -> Duration {
        self.peers[from].spec.latency + self.peers[to].spec.latency
    }

    fn send(&mut self, from: PeerIndex, to: PeerIndex, event: Event) {
        if !self.peers[from].gone {
            self.schedule(self.now + self.latency(from, to), event);
        }
    }

    fn schedule(&mut self, at: Duration, event: Event) {
        self.scheduled += 1;
        self.events
            .push(Reverse((at.max(self.now), self.scheduled, event)));
    }

    fn note(&mut self, peer: PeerIndex, what: What) {
        self.history.push(Happened {
            at: self.now,
            peer,
            what,
        });
    }
}

fn source(peer: PeerIndex) -> SourceId {
    SourceId(peer as u32)
}

/// Connects each fetching peer with all complete ones, with the one before it (so that the graph
/// is one), and with random others until it chose half of `neighbours`: the other half chose it.
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
