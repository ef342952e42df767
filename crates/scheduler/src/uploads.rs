//! Chooses which waiting peer is sent its chunk next. Pure, and independent of [`Scheduler`]: a node
//! has one [`Uploads`] for all content that it serves.
//!
//! Chunks that were sent the fewest times go first; otherwise peers take turns. Fetchers that choose
//! at random sometimes choose the same chunk, and a chunk that the only complete node of a swarm
//! sends twice is time lost for all. The copies of a young chunk double with each upload, so its
//! holder sends it before chunks that many peers can send.
//!
//! [`Scheduler`]: crate::Scheduler

use std::collections::{BTreeMap, VecDeque};

/// Copies of a chunk that are counted. This many peers spread a chunk without further copies from
/// this node; simulated swarms are slowest with 1 and without a limit, and equal between 4 and 8.
const COPIES_MAX: u8 = 4;

/// Rounds of turns after which a peer is served whichever chunk it requested. See
/// `docs/decisions/0007-what-simulated-swarms-taught.md`.
const ROUNDS_PASSED_OVER_MAX: usize = 6;

/// Turns compared for the best one: a choice among more costs time and gains nothing.
const TURNS_COMPARED_MAX: usize = 64;

/// Chunks whose copies are counted: 64 GiB of chunks. Beyond it all counts are dropped.
const CHUNKS_COUNTED_MAX: usize = 256 * 1024;

/// Requests for chunks that wait to be served, of peers `P` for chunks `C`.
#[derive(Debug)]
pub struct Uploads<P, C> {
    /// Waiting peers, the next one first.
    turns: VecDeque<Turn<P, C>>,
    copies_sent: BTreeMap<C, u8>,
}

#[derive(Debug)]
struct Turn<P, C> {
    peer: P,
    /// How often another peer was served instead since its last turn.
    passed_over: usize,
    /// Its requests in order of arrival, never empty.
    waiting: VecDeque<Waiting<C>>,
}

#[derive(Debug)]
struct Waiting<C> {
    chunk: C,
    /// Copies of the chunk sent so far, up to [`COPIES_MAX`].
    copies_sent: u8,
}

impl<P, C> Default for Uploads<P, C> {
    fn default() -> Self {
        Self {
            turns: VecDeque::new(),
            copies_sent: BTreeMap::new(),
        }
    }
}

impl<P: Copy + Eq, C: Copy + Ord> Uploads<P, C> {
    /// Adds a peer's request for a chunk. The caller bounds the number of waiting requests.
    pub fn request(&mut self, peer: P, chunk: C) {
        let copies_sent = self.sendings(chunk);
        let waiting = Waiting { chunk, copies_sent };
        match self.turns.iter_mut().find(|turn| turn.peer == peer) {
            Some(turn) => turn.waiting.push_back(waiting),
            None => self.turns.push_back(Turn {
                peer,
                passed_over: 0,
                waiting: VecDeque::from([waiting]),
            }),
        }
    }

    /// Removes a peer's request for a chunk; one of them, if the peer sent several.
    pub fn cancel(&mut self, peer: P, chunk: C) {
        let Some(index) = self.turns.iter().position(|turn| turn.peer == peer) else {
            return;
        };
        let waiting = &mut self.turns[index].waiting;
        if let Some(at) = waiting.iter().position(|request| request.chunk == chunk) {
            waiting.remove(at);
        }
        if waiting.is_empty() {
            self.turns.remove(index);
        }
    }

    /// Removes all requests of a peer.
    pub fn forget(&mut self, peer: P) {
        self.turns.retain(|turn| turn.peer != peer);
    }

    /// Number of peers with waiting requests.
    pub fn peers(&self) -> usize {
        self.turns.len()
    }

    /// How often a chunk was sent, up to `COPIES_MAX`, as far as it is counted.
    pub fn sendings(&self, chunk: C) -> u8 {
        self.copies_sent.get(&chunk).copied().unwrap_or(0)
    }

    /// Removes the request to serve now, and counts its chunk as sent. Only peers that `may_be_sent`
    /// accepts are served; the others keep their turns.
    pub fn take_next(&mut self, may_be_sent: impl Fn(P) -> bool) -> Option<(P, C)> {
        let index = self.best_turn(&may_be_sent)?;
        self.turns
            .iter_mut()
            .take(index)
            .filter(|turn| may_be_sent(turn.peer))
            .for_each(|turn| turn.passed_over += 1);
        let mut turn = self.turns.remove(index)?;
        let least = (0..turn.waiting.len()).min_by_key(|&at| turn.waiting[at].copies_sent)?;
        let chunk = turn.waiting.remove(least)?.chunk;
        let peer = turn.peer;
        if !turn.waiting.is_empty() {
            turn.passed_over = 0;
            self.turns.push_back(turn);
        }
        self.count(chunk);
        Some((peer, chunk))
    }

    /// The first turn with a chunk that was sent the fewest times, unless the first of all turns was
    /// passed over for too long.
    fn best_turn(&self, may_be_sent: impl Fn(P) -> bool) -> Option<usize> {
        let patience = ROUNDS_PASSED_OVER_MAX * self.turns.len();
        let turns = self.turns.iter().enumerate();
        let mut turns = turns
            .filter(|(_, turn)| may_be_sent(turn.peer))
            .take(TURNS_COMPARED_MAX)
            .peekable();
        let &(first, turn) = turns.peek()?;
        if turn.passed_over >= patience {
            return Some(first);
        }
        let least =
            |turn: &Turn<P, C>| turn.waiting.iter().map(|request| request.copies_sent).min();
        let best = turns.min_by_key(|(_, turn)| least(turn));
        best.map(|(index, _)| index)
    }

    fn count(&mut self, chunk: C) {
        if self.copies_sent.len() >= CHUNKS_COUNTED_MAX {
            self.copies_sent.clear();
        }
        let copies_sent = self.copies_sent.entry(chunk).or_insert(0);
        if *copies_sent == COPIES_MAX {
            return;
        }
        *copies_sent += 1;
        let requests = self.turns.iter_mut().flat_map(|turn| &mut turn.waiting);
        requests
            .filter(|request| request.chunk == chunk)
            .for_each(|request| request.copies_sent = request.copies_sent.max(*copies_sent));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(uploads: &mut Uploads<char, u32>) -> Vec<(char, u32)> {
        std::iter::from_fn(|| uploads.take_next(|_| true)).collect()
    }

    #[test]
    fn peers_take_turns_whatever_they_ask_for_at_once() {
        let mut uploads = Uploads::default();
        (0..3).for_each(|chunk| uploads.request('a', chunk));
        (10..12).for_each(|chunk| uploads.request('b', chunk));
        assert_eq!(
            served(&mut uploads),
            [('a', 0), ('b', 10), ('a', 1), ('b', 11), ('a', 2)]
        );
    }

    #[test]
    fn the_chunk_that_was_sent_the_fewest_times_goes_first() {
        let mut uploads = Uploads::default();
        uploads.request('a', 7);
        assert_eq!(uploads.take_next(|_| true), Some(('a', 7)));
        uploads.request('b', 7);
        uploads.request('c', 7);
        uploads.request('c', 8);
        assert_eq!(
            served(&mut uploads),
            [('c', 8), ('b', 7), ('c', 7)],
            "8 was not sent before"
        );
    }

    #[test]
    fn a_sent_chunk_counts_for_other_peers_that_wait_for_it() {
        let mut uploads = Uploads::default();
        uploads.request('a', 7);
        uploads.request('b', 7);
        uploads.request('c', 8);
        assert_eq!(served(&mut uploads), [('a', 7), ('c', 8), ('b', 7)]);
    }

    #[test]
    fn no_peer_is_passed_over_for_ever() {
        let mut uploads = Uploads::default();
        uploads.request('a', 0);
        uploads.take_next(|_| true);
        uploads.request('b', 0);
        (0..100).for_each(|chunk| uploads.request('c', 1 + chunk));
        let turn = served(&mut uploads)
            .iter()
            .position(|&(peer, _)| peer == 'b');
        assert_eq!(turn, Some(ROUNDS_PASSED_OVER_MAX * 2));
    }

    #[test]
    fn a_peer_that_cannot_be_sent_more_now_keeps_its_turn() {
        let mut uploads = Uploads::default();
        (0..2).for_each(|chunk| uploads.request('a', chunk));
        uploads.request('b', 5);
        assert_eq!(uploads.take_next(|peer| peer != 'a'), Some(('b', 5)));
        assert_eq!(uploads.take_next(|peer| peer != 'a'), None);
        assert_eq!(served(&mut uploads), [('a', 0), ('a', 1)]);
    }

    #[test]
    fn a_peer_that_cancels_or_leaves_is_not_served() {
        let mut uploads = Uploads::default();
        (0..2).for_each(|chunk| uploads.request('a', chunk));
        (0..2).for_each(|chunk| uploads.request('b', chunk));
        uploads.cancel('a', 0);
        uploads.cancel('a', 5);
        uploads.forget('b');
        assert_eq!(served(&mut uploads), [('a', 1)]);
        assert_eq!(uploads.take_next(|_| true), None);
    }

    #[test]
    fn the_table_of_sent_copies_is_bounded() {
        let mut uploads = Uploads::default();
        for chunk in 0..CHUNKS_COUNTED_MAX as u32 + 10 {
            uploads.request('a', chunk);
            uploads.take_next(|_| true);
        }
        assert!(uploads.copies_sent.len() <= CHUNKS_COUNTED_MAX);
    }
}
