//! What a simulated peer sends next.

use std::collections::{BTreeMap, VecDeque};

use super::PeerIndex;

/// To which of the neighbours that wait a peer sends next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadOrder {
    /// Neighbours take turns; each gets first what it asked for first.
    Turns,
    /// Chunks that this peer never sent go first; for all else neighbours take turns. Neighbours
    /// that choose at random choose the same chunk now and then, and a chunk sent twice by the only
    /// one that has everything is time lost for all. Nobody is passed over for longer than
    /// [`ROUNDS_PASSED_OVER_MAX`] rounds.
    UnsentFirst,
}

/// Rounds of turns after which a neighbour is served whatever it asked for.
pub const ROUNDS_PASSED_OVER_MAX: usize = 2;

/// A chunk that goes out.
pub(super) struct Sent {
    pub(super) to: PeerIndex,
    pub(super) chunk: u32,
}

pub(super) struct Uploads {
    order: UploadOrder,
    /// Neighbours that wait, the next one first, and how often another was served instead.
    turns: VecDeque<(PeerIndex, usize)>,
    waiting: BTreeMap<PeerIndex, Vec<u32>>,
    sent: Vec<bool>,
    sending: bool,
}

impl Uploads {
    pub(super) fn new(chunks: u32, order: UploadOrder) -> Self {
        Self {
            order,
            turns: VecDeque::new(),
            waiting: BTreeMap::new(),
            sent: vec![false; chunks as usize],
            sending: false,
        }
    }

    pub(super) fn ask(&mut self, from: PeerIndex, chunk: u32) {
        let waiting = self.waiting.entry(from).or_default();
        if waiting.is_empty() {
            self.turns.push_back((from, 0));
        }
        waiting.push(chunk);
    }

    pub(super) fn cancel(&mut self, from: PeerIndex, chunk: u32) {
        if let Some(waiting) = self.waiting.get_mut(&from) {
            waiting.retain(|&other| other != chunk);
            if waiting.is_empty() {
                self.forget(from);
            }
        }
    }

    pub(super) fn forget(&mut self, from: PeerIndex) {
        self.waiting.remove(&from);
        self.turns.retain(|&(other, _)| other != from);
    }

    /// The next chunk to send, unless one is being sent.
    pub(super) fn next(&mut self) -> Option<Sent> {
        if self.sending {
            return None;
        }
        let turn = match self.order {
            UploadOrder::Turns => 0,
            UploadOrder::UnsentFirst => self.turn_of_unsent(),
        };
        self.turns
            .iter_mut()
            .take(turn)
            .for_each(|(_, passed_over)| *passed_over += 1);
        let (to, _) = self.turns.remove(turn)?;
        let waiting = self.waiting.get_mut(&to)?;
        let unsent = waiting.iter().position(|&chunk| !self.sent[chunk as usize]);
        let at = unsent
            .filter(|_| self.order == UploadOrder::UnsentFirst)
            .unwrap_or(0);
        let chunk = waiting.remove(at);
        if waiting.is_empty() {
            self.waiting.remove(&to);
        } else {
            self.turns.push_back((to, 0));
        }
        self.sent[chunk as usize] = true;
        self.sending = true;
        Some(Sent { to, chunk })
    }

    /// The turn of the next neighbour that waits for a chunk never sent, or the next turn.
    fn turn_of_unsent(&self) -> usize {
        let patient = |&(_, passed_over): &(PeerIndex, usize)| {
            passed_over < ROUNDS_PASSED_OVER_MAX * self.turns.len()
        };
        let unsent = |&chunk: &u32| !self.sent[chunk as usize];
        let waits_for_unsent = |(peer, _): &(PeerIndex, usize)| {
            self.waiting
                .get(peer)
                .is_some_and(|waiting| waiting.iter().any(unsent))
        };
        let found = self.turns.iter().position(waits_for_unsent);
        found
            .filter(|_| self.turns.front().is_some_and(patient))
            .unwrap_or(0)
    }

    pub(super) fn sent_all(&mut self) {
        self.sending = false;
    }
}
