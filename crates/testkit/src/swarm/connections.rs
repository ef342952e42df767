//! What peers send each other over their connections, and what each side makes of it.

use std::time::Duration;

use hubless_content::{CHUNK_SIZE, ChunkSet, ModelChunk};
use hubless_fetch::{Candidate, End, FileNumber, Input, PeerCommand};
use hubless_scheduler::{Input as ChunkInput, Refusal};

use super::{
    PeerIndex, What,
    holdings::{Token, is_right},
    peer::Link,
    world::{Event, World},
};

/// How long a dial of a peer that left without a word is tried.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// What the peer that dialled sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Request {
    Open,
    Manifest,
    /// What the peer has, from now on, and which others there are.
    Availability,
    List(FileNumber),
    Chunk(ModelChunk),
    Cancel(ModelChunk),
    Close,
}

/// What the dialled peer sends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    Opened,
    Manifest,
    Holds(Vec<ModelChunk>),
    Peers(Vec<PeerIndex>),
    List(FileNumber),
    NoList(FileNumber),
    NoChunk(ModelChunk),
    /// The connection ends.
    End(Ending),
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    Unreachable,
    Nothing,
    Gone,
    Misbehaved,
}

impl From<Ending> for End {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Unreachable => Self::Unreachable,
            Ending::Nothing => Self::Nothing,
            Ending::Gone => Self::Gone,
            Ending::Misbehaved => Self::Misbehaved,
        }
    }
}

impl World {
    // The peer that dialled.

    pub(super) fn dial(&mut self, link: Link, to: PeerIndex) {
        self.peers[link.from].dialled.insert(link.source, to);
        if self.peers[to].gone {
            let is_silent = self.peers[to].spec.leaves.is_some_and(|leave| leave.silent);
            let after = if is_silent {
                DIAL_TIMEOUT
            } else {
                2 * self.latency(link.from, to)
            };
            let answer = Answer::End(Ending::Unreachable);
            self.schedule(self.now + after, Event::Answer { link, answer });
        } else {
            self.request(link, Request::Open);
        }
    }

    pub(super) fn command(&mut self, link: Link, command: &PeerCommand) {
        let request = match command {
            PeerCommand::AskManifest => Request::Manifest,
            PeerCommand::Begin(_) => Request::Availability,
            PeerCommand::Request(chunk) => Request::Chunk(*chunk),
            PeerCommand::Cancel(chunk) => Request::Cancel(*chunk),
            PeerCommand::RequestList(file) => Request::List(*file),
            // The answer comes all the same, and is as good as any other.
            PeerCommand::CancelList(_) => return,
        };
        self.request(link, request);
    }

    /// Sends a request, if the connection still is one.
    pub(super) fn request(&mut self, link: Link, request: Request) {
        if let Some(&to) = self.peers[link.from].dialled.get(&link.source) {
            self.send(link.from, to, Event::Request { link, to, request });
        }
    }

    pub(super) fn close(&mut self, link: Link) {
        self.request(link, Request::Close);
        self.peers[link.from].dialled.remove(&link.source);
    }

    pub(super) fn answered(&mut self, link: Link, answer: Answer) {
        let Link { from: peer, source } = link;
        if !self.peers[peer].dialled.contains_key(&source) {
            return;
        }
        let input = match answer {
            Answer::Opened => Input::Connected(source),
            Answer::Manifest => Input::Manifest(Ok(self.model.manifest.clone())),
            Answer::Holds(held) if held.len() == self.model.chunks as usize => {
                Input::Chunks(ChunkInput::SourceComplete(source))
            }
            Answer::Holds(held) => {
                let mut set = ChunkSet::empty(self.model.chunks);
                held.iter().for_each(|&chunk| {
                    set.insert(chunk.0);
                });
                Input::Chunks(ChunkInput::SourceHas(source, set))
            }
            Answer::Peers(peers) => {
                let named = peers.into_iter().map(candidate);
                return named.for_each(|peer_named| {
                    self.handle(peer, Input::PeerNamed(peer_named));
                });
            }
            Answer::List(file) => {
                self.peers[peer].holdings.has_list = true;
                self.handle(peer, Input::ListPage(source, file));
                Input::ListStored(file)
            }
            Answer::NoList(file) => Input::ListRefused(source, file),
            Answer::NoChunk(chunk) => Input::Chunks(ChunkInput::Refused {
                source,
                chunk,
                refusal: Refusal::NotHere,
            }),
            Answer::End(ending) => {
                self.peers[peer].dialled.remove(&source);
                Input::Ended(source, ending.into())
            }
        };
        self.handle(peer, input);
    }

    /// New chunks of a source, or those that it sends to others.
    pub(super) fn informed(
        &mut self,
        links: &[Link],
        by: PeerIndex,
        chunks: &[ModelChunk],
        on_the_way: bool,
    ) {
        let ranges: Vec<_> = chunks.iter().map(|&chunk| chunk..chunk.plus(1)).collect();
        for link in links {
            if self.peers[link.from].dialled.get(&link.source) != Some(&by) {
                continue;
            }
            let input = if on_the_way {
                ChunkInput::OnTheWay(ranges.clone())
            } else {
                ChunkInput::SourceGained(link.source, ranges.clone())
            };
            self.handle(link.from, Input::Chunks(input));
        }
    }

    pub(super) fn started(&mut self, link: Link, chunk: ModelChunk) {
        let Link { from: peer, source } = link;
        if let Some(&from) = self.peers[peer].dialled.get(&source)
            && !self.peers[from].gone
        {
            let started = ChunkInput::Started { source, chunk };
            self.handle(peer, Input::Chunks(started));
        }
    }

    pub(super) fn chunk_came(&mut self, link: Link, chunk: ModelChunk, token: Token) {
        let Link { from: peer, source } = link;
        let Some(&from) = self.peers[peer].dialled.get(&source) else {
            return;
        };
        // What a peer was sending when it left never arrives.
        if self.peers[from].gone || self.peers[peer].gone {
            return;
        }
        if !is_right(chunk, token) {
            self.note(peer, What::Wrong(chunk, from));
            let wrong = ChunkInput::Wrong { source, chunk };
            return self.handle(peer, Input::Chunks(wrong));
        }
        if self.peers[peer].holdings.keep(chunk, token) {
            self.note(peer, What::Kept(chunk, from));
            let to_announce = &mut self.peers[peer].serving.to_announce;
            to_announce.push(chunk);
            if to_announce.len() == 1 {
                let at = self.now + self.swarm.announce_every;
                self.schedule(at, Event::Announce { by: peer });
            }
            self.leave_if_due();
        } else {
            self.note(peer, What::Wasted(chunk, from));
        }
        let bytes = CHUNK_SIZE as u32;
        let received = ChunkInput::Received {
            source,
            chunk,
            bytes,
        };
        self.handle(peer, Input::Chunks(received));
        self.read(peer);
    }

    // The dialled peer.

    pub(super) fn requested(&mut self, link: Link, to: PeerIndex, request: Request) {
        if self.peers[to].gone {
            return;
        }
        let is_open = self.peers[to].serving.accepted.contains_key(&link);
        match request {
            Request::Open if self.peers[to].serving.banned.contains(&link.from) => {
                self.answer(to, link, Answer::End(Ending::Unreachable));
            }
            Request::Open => {
                self.peers[to].serving.accepted.insert(link, false);
                self.answer(to, link, Answer::Opened);
            }
            _ if !is_open => {}
            Request::Manifest => {
                let peer = &self.peers[to];
                let answer = if peer.spec.forges {
                    Answer::End(Ending::Misbehaved)
                } else if peer.holdings.has_manifest {
                    Answer::Manifest
                } else {
                    Answer::End(Ending::Nothing)
                };
                self.answer(to, link, answer);
            }
            Request::Availability => self.availability_requested(link, to),
            Request::List(file) => {
                let peer = &self.peers[to];
                let answer = if peer.spec.forges {
                    Answer::End(Ending::Misbehaved)
                } else if peer.holdings.has_list {
                    Answer::List(file)
                } else {
                    Answer::NoList(file)
                };
                self.answer(to, link, answer);
            }
            Request::Chunk(chunk) if self.peers[to].holdings.token(chunk).is_none() => {
                self.answer(to, link, Answer::NoChunk(chunk));
            }
            Request::Chunk(chunk) => {
                self.peers[to].serving.uploads.request(link, chunk);
                self.send_next(to);
            }
            Request::Cancel(chunk) => self.peers[to].serving.uploads.cancel(link, chunk),
            Request::Close => self.peers[to].serving.forget(link),
        }
    }

    fn availability_requested(&mut self, link: Link, to: PeerIndex) {
        let peer = &mut self.peers[to];
        if !peer.holdings.has_manifest {
            return self.answer(to, link, Answer::End(Ending::Nothing));
        }
        peer.serving.accepted.insert(link, true);
        let claimed: Vec<ModelChunk> = peer.holdings.claimed().collect();
        let others = self.peers[link.from].neighbours.iter().copied();
        let others = others.filter(|other| *other != to).collect();
        self.answer(to, link, Answer::Holds(claimed));
        self.answer(to, link, Answer::Peers(others));
        self.handle(to, Input::PeerAsked(link.from));
    }

    fn answer(&mut self, by: PeerIndex, link: Link, answer: Answer) {
        if matches!(answer, Answer::End(_)) {
            self.peers[by].serving.forget(link);
        }
        self.send(by, link.from, Event::Answer { link, answer });
    }

    /// Ends a connection that another peer dialled.
    pub(super) fn hang_up(&mut self, by: PeerIndex, link: Link) {
        self.answer(by, link, Answer::End(Ending::Gone));
    }

    pub(super) fn announce(&mut self, by: PeerIndex) {
        let serving = &mut self.peers[by].serving;
        let chunks = std::mem::take(&mut serving.to_announce);
        let links = serving.informed(None);
        self.inform(by, &links, &chunks, false);
    }

    /// Sends the same to many, as one event for all that receive it at the same time: most events of
    /// a large swarm would be of this kind if each had its own.
    fn inform(&mut self, by: PeerIndex, links: &[Link], chunks: &[ModelChunk], on_the_way: bool) {
        let mut rest = links;
        while let Some(&next) = rest.first() {
            let latency = self.latency(by, next.from);
            let is_same = |link: &&Link| self.latency(by, link.from) == latency;
            let (same, others) = rest.split_at(rest.iter().take_while(is_same).count());
            rest = others;
            let event = Event::Inform {
                links: same.to_vec(),
                by,
                chunks: chunks.to_vec(),
                on_the_way,
            };
            self.send(by, next.from, event);
        }
    }

    /// Begins to send the next chunk, if none is being sent.
    pub(super) fn send_next(&mut self, by: PeerIndex) {
        let peer = &mut self.peers[by];
        if peer.gone || peer.serving.is_sending {
            return;
        }
        let Some((link, chunk)) = peer.serving.uploads.take_next(|_| true) else {
            return;
        };
        peer.serving.is_sending = true;
        if peer.spec.complete && peer.serving.uploads.sendings(chunk) == 1 {
            let others = peer.serving.informed(Some(link));
            self.inform(by, &others, &[chunk], true);
        }
        let peer = &self.peers[by];
        let token = peer.holdings.token(chunk).unwrap_or_default();
        let sending = Duration::from_secs_f64(CHUNK_SIZE as f64 / peer.spec.upload);
        let latency = self.latency(by, link.from);
        let (sent_at, arrives) = (self.now + sending, self.now + latency);
        let receiver = &mut self.peers[link.from];
        let receiving = Duration::from_secs_f64(CHUNK_SIZE as f64 / receiver.spec.download);
        let begins = receiver.download_free.max(arrives);
        receiver.download_free = begins + receiving;
        let here = receiver.download_free.max(sent_at + latency);
        self.schedule(sent_at, Event::SentAll { by });
        self.schedule(begins, Event::Started { link, chunk });
        self.schedule(here, Event::Chunk { link, chunk, token });
    }
}

pub(super) fn candidate(peer: PeerIndex) -> Candidate<PeerIndex, ()> {
    Candidate {
        peer,
        addresses: Vec::new(),
        file: None,
    }
}
