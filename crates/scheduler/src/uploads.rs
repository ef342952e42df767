//! Which of the peers that wait is sent its chunk next. Pure, and apart from [`Scheduler`]: one node
//! has one of it for all that it serves.
//!
//! Chunks that were sent the fewest times go first; for all else peers take turns. Fetchers that
//! choose at random choose the same chunk now and then, and a chunk that the only complete node of
//! a swarm sends twice is time lost for all; and the copies of a young chunk double with each
//! sending, so that who holds it spreads it before what everybody can give.
//!
//! [`Scheduler`]: crate::Scheduler

use std::collections::{BTreeMap, VecDeque};

/// Sendings of a chunk that are told apart. Those of this many neighbours spread a chunk without
/// us; simulated swarms are slowest with 1 and with no end, and the same between 4 and 8.
const SENDINGS_MAX: u8 = 4;

/// Rounds of turns after which a peer is served whatever it asked for. See
/// `docs/decisions/0007-what-simulated-swarms-taught.md`.
const ROUNDS_PASSED_OVER_MAX: usize = 6;

/// Turns looked at for the best one: a choice among more costs time and gains nothing.
const LOOKS_MAX: usize = 64;

/// Chunks whose sendings are remembered: 64 GiB of chunks. Beyond it all are forgotten.
const REMEMBERED_MAX: usize = 256 * 1024;

/// Asks for chunks that wait to be served, of peers `P` for chunks `C`.
#[derive(Debug)]
pub struct Uploads<P, C> {
    /// Peers that wait, the next one first.
    turns: VecDeque<Turn<P, C>>,
    sendings: BTreeMap<C, u8>,
}

#[derive(Debug)]
struct Turn<P, C> {
    peer: P,
    /// How often another was served instead since its last turn.
    passed_over: usize,
    /// What it waits for, in the order of its asks, never empty.
    waiting: VecDeque<Waiting<C>>,
}

#[derive(Debug)]
struct Waiting<C> {
    chunk: C,
    /// Sendings of the chunk so far, up to [`SENDINGS_MAX`].
    sendings: u8,
}

impl<P, C> Default for Uploads<P, C> {
    fn default() -> Self {
        Self {
            turns: VecDeque::new(),
            sendings: BTreeMap::new(),
        }
    }
}

impl<P: Copy + Eq, C: Copy + Ord> Uploads<P, C> {
    /// A peer asks for a chunk. How many may wait is the caller's to bound.
    pub fn ask(&mut self, peer: P, chunk: C) {
        let sendings = self.sendings(chunk);
        let waiting = Waiting { chunk, sendings };
        match self.turns.iter_mut().find(|turn| turn.peer == peer) {
            Some(turn) => turn.waiting.push_back(waiting),
            None => self.turns.push_back(Turn {
                peer,
                passed_over: 0,
                waiting: VecDeque::from([waiting]),
            }),
        }
    }

    /// A peer does not wait for a chunk any more. One ask of those that are the same ends.
    pub fn cancel(&mut self, peer: P, chunk: C) {
        let Some(index) = self.turns.iter().position(|turn| turn.peer == peer) else {
            return;
        };
        let waiting = &mut self.turns[index].waiting;
        if let Some(at) = waiting.iter().position(|ask| ask.chunk == chunk) {
            waiting.remove(at);
        }
        if waiting.is_empty() {
            self.turns.remove(index);
        }
    }

    /// A peer waits for nothing any more.
    pub fn forget(&mut self, peer: P) {
        self.turns.retain(|turn| turn.peer != peer);
    }

    /// Peers that wait for something.
    pub fn peers(&self) -> usize {
        self.turns.len()
    }

    /// How often a chunk was sent, up to a few times, as far as is remembered.
    pub fn sendings(&self, chunk: C) -> u8 {
        self.sendings.get(&chunk).copied().unwrap_or(0)
    }

    /// Takes out the ask to serve now, and counts it as sent. Only peers that `may_be_sent` accepts
    /// are served; the others keep their turns.
    pub fn take_next(&mut self, may_be_sent: impl Fn(P) -> bool) -> Option<(P, C)> {
        let index = self.best_turn(&may_be_sent)?;
        self.turns
            .iter_mut()
            .take(index)
            .filter(|turn| may_be_sent(turn.peer))
            .for_each(|turn| turn.passed_over += 1);
        let mut turn = self.turns.remove(index)?;
        let least = (0..turn.waiting.len()).min_by_key(|&at| turn.waiting[at].sendings)?;
        let chunk = turn.waiting.remove(least)?.chunk;
        let peer = turn.peer;
        if !turn.waiting.is_empty() {
            turn.passed_over = 0;
            self.turns.push_back(turn);
        }
        self.count(chunk);
        Some((peer, chunk))
    }

    /// The first turn with a chunk that was sent the fewest times, unless the first of all was
    /// passed over for too long.
    fn best_turn(&self, may_be_sent: impl Fn(P) -> bool) -> Option<usize> {
        let patience = ROUNDS_PASSED_OVER_MAX * self.turns.len();
        let turns = self.turns.iter().enumerate();
        let mut turns = turns
            .filter(|(_, turn)| may_be_sent(turn.peer))
            .take(LOOKS_MAX)
            .peekable();
        let &(first, turn) = turns.peek()?;
        if turn.passed_over >= patience {
            return Some(first);
        }
        let least = |turn: &Turn<P, C>| turn.waiting.iter().map(|ask| ask.sendings).min();
        let best = turns.min_by_key(|(_, turn)| least(turn));
        best.map(|(index, _)| index)
    }

    fn count(&mut self, chunk: C) {
        if self.sendings.len() >= REMEMBERED_MAX {
            self.sendings.clear();
        }
        let sendings = self.sendings.entry(chunk).or_insert(0);
        if *sendings == SENDINGS_MAX {
            return;
        }
        *sendings += 1;
        let asks = self.turns.iter_mut().flat_map(|turn| &mut turn.waiting);
        asks.filter(|ask| ask.chunk == chunk)
            .for_each(|ask| ask.sendings = ask.sendings.max(*sendings));
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
        (0..3).for_each(|chunk| uploads.ask('a', chunk));
        (10..12).for_each(|chunk| uploads.ask('b', chunk));
        assert_eq!(
            served(&mut uploads),
            [('a', 0), ('b', 10), ('a', 1), ('b', 11), ('a', 2)]
        );
    }

    #[test]
    fn what_was_sent_the_fewest_times_goes_first() {
        let mut uploads = Uploads::default();
        uploads.ask('a', 7);
        assert_eq!(uploads.take_next(|_| true), Some(('a', 7)));
        uploads.ask('b', 7);
        uploads.ask('c', 7);
        uploads.ask('c', 8);
        assert_eq!(
            served(&mut uploads),
            [('c', 8), ('b', 7), ('c', 7)],
            "8 was never sent"
        );
    }

    #[test]
    fn a_chunk_that_is_sent_counts_for_those_that_wait_for_it() {
        let mut uploads = Uploads::default();
        uploads.ask('a', 7);
        uploads.ask('b', 7);
        uploads.ask('c', 8);
        assert_eq!(served(&mut uploads), [('a', 7), ('c', 8), ('b', 7)]);
    }

    #[test]
    fn nobody_is_passed_over_for_ever() {
        let mut uploads = Uploads::default();
        uploads.ask('a', 0);
        uploads.take_next(|_| true);
        uploads.ask('b', 0);
        (0..100).for_each(|chunk| uploads.ask('c', 1 + chunk));
        let turn = served(&mut uploads)
            .iter()
            .position(|&(peer, _)| peer == 'b');
        assert_eq!(turn, Some(ROUNDS_PASSED_OVER_MAX * 2));
    }

    #[test]
    fn who_cannot_be_sent_more_now_keeps_its_turn() {
        let mut uploads = Uploads::default();
        (0..2).for_each(|chunk| uploads.ask('a', chunk));
        uploads.ask('b', 5);
        assert_eq!(uploads.take_next(|peer| peer != 'a'), Some(('b', 5)));
        assert_eq!(uploads.take_next(|peer| peer != 'a'), None);
        assert_eq!(served(&mut uploads), [('a', 0), ('a', 1)]);
    }

    #[test]
    fn who_cancels_or_leaves_is_not_served() {
        let mut uploads = Uploads::default();
        (0..2).for_each(|chunk| uploads.ask('a', chunk));
        (0..2).for_each(|chunk| uploads.ask('b', chunk));
        uploads.cancel('a', 0);
        uploads.cancel('a', 5);
        uploads.forget('b');
        assert_eq!(served(&mut uploads), [('a', 1)]);
        assert_eq!(uploads.take_next(|_| true), None);
    }

    #[test]
    fn memory_of_sendings_has_an_end() {
        let mut uploads = Uploads::default();
        for chunk in 0..REMEMBERED_MAX as u32 + 10 {
            uploads.ask('a', chunk);
            uploads.take_next(|_| true);
        }
        assert!(uploads.sendings.len() <= REMEMBERED_MAX);
    }
}
