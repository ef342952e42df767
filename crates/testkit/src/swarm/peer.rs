//! One simulated peer: what it holds, its scheduler, its links.

use std::{collections::BTreeSet, time::Duration};

use hubless_scheduler::{Scheduler, Uploads};

use super::{PeerIndex, PeerSpec};

/// The bytes of a chunk, as a number.
pub(super) type Token = u64;

/// Whether these are the bytes of the chunk.
pub(super) fn is_right(chunk: u32, token: Token) -> bool {
    token == right(chunk)
}

fn right(chunk: u32) -> Token {
    u64::from(chunk).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

pub(super) struct Peer {
    pub(super) spec: PeerSpec,
    pub(super) neighbours: BTreeSet<PeerIndex>,
    pub(super) scheduler: Option<Scheduler>,
    pub(super) wake_at: Option<Duration>,
    /// Chunks that neighbours wait for.
    pub(super) uploads: Uploads<PeerIndex, u32>,
    /// A chunk is being sent.
    pub(super) sending: bool,
    /// When all that is under way to this peer has passed its download link.
    pub(super) download_free: Duration,
    /// Chunks gained since the last announcement.
    pub(super) to_announce: Vec<u32>,
    pub(super) gone: bool,
    tokens: Vec<Option<Token>>,
    held: u32,
}

impl Peer {
    pub(super) fn new(spec: PeerSpec, chunks: u32, scheduler: Option<Scheduler>) -> Self {
        let complete = spec.complete;
        Self {
            spec,
            neighbours: BTreeSet::new(),
            scheduler,
            wake_at: None,
            uploads: Uploads::default(),
            sending: false,
            download_free: Duration::ZERO,
            to_announce: Vec::new(),
            gone: false,
            tokens: (0..chunks)
                .map(|chunk| complete.then(|| right(chunk)))
                .collect(),
            held: if complete { chunks } else { 0 },
        }
    }

    /// What this peer sends for a chunk, if it holds it.
    pub(super) fn token(&self, chunk: u32) -> Option<Token> {
        let wrong = u64::from(self.spec.lies) << 63;
        // A liar claims what it does not have.
        let held = self.tokens.get(chunk as usize).copied().flatten();
        held.or_else(|| self.spec.lies.then(|| right(chunk)))
            .map(|token| token ^ wrong)
    }

    /// What it says that it holds.
    pub(super) fn held(&self) -> Vec<u32> {
        (0..self.tokens.len() as u32)
            .filter(|&chunk| self.token(chunk).is_some())
            .collect()
    }

    pub(super) fn held_count(&self) -> u32 {
        self.held
    }

    /// Keeps a chunk; false if it was here.
    pub(super) fn keep(&mut self, chunk: u32, token: Token) -> bool {
        let new = self.tokens[chunk as usize].is_none();
        if new {
            self.tokens[chunk as usize] = Some(token);
            self.held += 1;
            self.to_announce.push(chunk);
        }
        new
    }

    /// Wrong chunks that it keeps.
    pub(super) fn poisoned(&self) -> usize {
        let wrong = |(chunk, token): (usize, &Option<Token>)| {
            token.is_some_and(|token| !is_right(chunk as u32, token))
        };
        self.tokens
            .iter()
            .enumerate()
            .filter(|&pair| wrong(pair))
            .count()
    }
}
