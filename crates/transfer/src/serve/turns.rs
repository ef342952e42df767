//! Whose chunk is read and sent next.
//!
//! Chunks are sent a few at a time, in the order of [`Uploads`]: what is being sent cannot be taken
//! back, and of many at once each arrives late. While all that is asked for is sent at once, nobody
//! waits and there is nothing to choose.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use hubless_content::{ChunkIndex, FileHash};
use hubless_network::PeerId;
use hubless_scheduler::Uploads;
use tokio::sync::oneshot;

/// Chunks on their way to a peer that is the only one: read, waiting for its stream, being written.
/// Several peers share this number, and each may have one at any time, so that none can hold up
/// another by reading slowly.
const SENDING_TO_ONE_MAX: usize = 8;

/// Chunks on their way to all peers: one for each connection that there may be, inbound or
/// outbound, or those who read slowly could hold up the others. That many slow ones take 192 MiB.
const SENDING_MAX: usize = 768;

/// Which chunk, for the order. Two files whose hashes begin alike would share a place in it.
type Place = (u64, ChunkIndex);

/// The turns of all peers. Cloning is cheap.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    uploads: Uploads<PeerId, Place>,
    /// Who waits for what; bounded by the asks that the network lets through.
    waiting: HashMap<(PeerId, Place), VecDeque<Waiter>>,
    waiters: u64,
    /// Chunks on their way, by peer and in all.
    sending: HashMap<PeerId, usize>,
    sending_all: usize,
}

struct Waiter {
    number: u64,
    turn: oneshot::Sender<Sending>,
}

/// Who is sent its chunk now.
struct Next {
    peer: PeerId,
    waiter: Waiter,
    is_first: bool,
}

impl Turns {
    /// Waits until this chunk is to be sent to this peer. Dropping the future gives the turn up.
    pub(super) async fn wait(&self, peer: PeerId, file: FileHash, index: ChunkIndex) -> Sending {
        let place = (beginning(file), index);
        let mut waiting = self.ask(peer, place);
        self.give();
        match (&mut waiting.turn).await {
            Ok(sending) => sending,
            // Cannot be: who is not given a turn is not forgotten either.
            Err(_) => std::future::pending().await,
        }
    }

    fn ask(&self, peer: PeerId, place: Place) -> Waiting {
        let (given, turn) = oneshot::channel();
        let mut state = self.state();
        state.waiters += 1;
        let number = state.waiters;
        state.uploads.ask(peer, place);
        let waiter = Waiter {
            number,
            turn: given,
        };
        let waiters = state.waiting.entry((peer, place)).or_default();
        waiters.push_back(waiter);
        Waiting {
            turns: self.clone(),
            peer,
            place,
            number,
            turn,
        }
    }

    /// Gives turns as long as there is room for more.
    fn give(&self) {
        loop {
            // The lock is not held when a turn is given: one that nobody takes comes back here.
            let Some(next) = self.state().next() else {
                return;
            };
            let sending = Sending {
                turns: self.clone(),
                peer: next.peer,
                is_first: next.is_first,
            };
            drop(next.waiter.turn.send(sending));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> Option<Next> {
        if self.sending_all >= SENDING_MAX {
            return None;
        }
        let sending = &self.sending;
        let peers = self.uploads.peers().max(sending.len()).max(1);
        let share = (SENDING_TO_ONE_MAX / peers).max(1);
        let has_room = |peer| sending.get(&peer).copied().unwrap_or(0) < share;
        let (peer, place) = self.uploads.take_next(has_room)?;
        let waiter = self.take_waiter(peer, place, |_| true)?;
        *self.sending.entry(peer).or_default() += 1;
        self.sending_all += 1;
        let is_first = self.uploads.sendings(place) == 1;
        Some(Next {
            peer,
            waiter,
            is_first,
        })
    }

    fn take_waiter(
        &mut self,
        peer: PeerId,
        place: Place,
        which: impl Fn(&Waiter) -> bool,
    ) -> Option<Waiter> {
        let waiters = self.waiting.get_mut(&(peer, place))?;
        let waiter = waiters.remove(waiters.iter().position(which)?);
        if waiters.is_empty() {
            self.waiting.remove(&(peer, place));
        }
        waiter
    }
}

/// One who waits.
struct Waiting {
    turns: Turns,
    peer: PeerId,
    place: Place,
    number: u64,
    turn: oneshot::Receiver<Sending>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        let number = self.number;
        let own = state.take_waiter(self.peer, self.place, |waiter| waiter.number == number);
        if own.is_some() {
            state.uploads.cancel(self.peer, self.place);
        }
    }
}

/// A chunk on its way. It is there when this is dropped.
pub(super) struct Sending {
    turns: Turns,
    peer: PeerId,
    is_first: bool,
}

impl Sending {
    /// Whether the chunk was sent to nobody before, as far as is remembered.
    pub(super) fn is_first(&self) -> bool {
        self.is_first
    }

    /// The chunk's bytes. When they are dropped, which is when the last of them is written or
    /// nobody wants them any more, the next chunk may be sent.
    pub(super) fn with(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(OnTheWay {
            bytes,
            _sending: self,
        })
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        state.sending_all -= 1;
        if let Some(sending) = state.sending.get_mut(&self.peer) {
            *sending -= 1;
            if *sending == 0 {
                state.sending.remove(&self.peer);
            }
        }
        drop(state);
        self.turns.give();
    }
}

struct OnTheWay {
    bytes: Bytes,
    _sending: Sending,
}

impl AsRef<[u8]> for OnTheWay {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn beginning(file: FileHash) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *file.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, future::BoxFuture};

    use super::*;

    const FILE: FileHash = FileHash::new([7; 32]);

    /// One who waits for a turn; polled, so that it is known.
    fn waits(turns: &Turns, peer: PeerId, chunk: u32) -> BoxFuture<'static, Sending> {
        let turns = turns.clone();
        let mut turn = async move { turns.wait(peer, FILE, ChunkIndex(chunk)).await }.boxed();
        assert!((&mut turn).now_or_never().is_none(), "there is no room");
        turn
    }

    fn at_once(turns: &Turns, peer: PeerId, chunk: u32) -> Sending {
        let turn = turns.wait(peer, FILE, ChunkIndex(chunk)).now_or_never();
        turn.expect("there is room")
    }

    #[test]
    fn a_peer_alone_is_sent_several_at_once_and_then_waits() {
        let (turns, peer) = (Turns::default(), PeerId::random());
        let chunks = 0..SENDING_TO_ONE_MAX as u32;
        let mut sending: Vec<Sending> = chunks.map(|chunk| at_once(&turns, peer, chunk)).collect();
        let waiting = waits(&turns, peer, 100);
        sending.pop();
        assert!(waiting.now_or_never().is_some());
    }

    #[test]
    fn who_is_sent_little_need_not_wait_for_who_is_sent_much() {
        let (turns, greedy) = (Turns::default(), PeerId::random());
        let _sending: Vec<Sending> = (0..SENDING_TO_ONE_MAX as u32)
            .map(|chunk| at_once(&turns, greedy, chunk))
            .collect();
        let _waiting = waits(&turns, greedy, 100);
        at_once(&turns, PeerId::random(), 0);
    }

    #[test]
    fn there_is_a_turn_for_each_connection() {
        let limits = hubless_network::ConnectionLimits::default();
        assert_eq!(SENDING_MAX as u32, limits.inbound + limits.outbound);
    }

    #[test]
    fn what_was_sent_to_nobody_yet_is_sent_first() {
        let turns = Turns::default();
        drop(at_once(&turns, PeerId::random(), 1));
        let peer = PeerId::random();
        let mut sending: Vec<Sending> = (10..10 + SENDING_TO_ONE_MAX as u32)
            .map(|chunk| at_once(&turns, peer, chunk))
            .collect();
        let (mut old, young) = (waits(&turns, peer, 1), waits(&turns, peer, 2));
        sending.pop();
        let young = young.now_or_never();
        assert!(young.is_some() && (&mut old).now_or_never().is_none());
        drop(young);
        assert!(old.now_or_never().is_some());
    }

    #[test]
    fn a_chunk_is_on_its_way_until_its_bytes_are_dropped() {
        let (turns, peer) = (Turns::default(), PeerId::random());
        let sending: Vec<Bytes> = (0..SENDING_TO_ONE_MAX as u32)
            .map(|chunk| at_once(&turns, peer, chunk).with(Bytes::from_static(b"bytes")))
            .collect();
        let waiting = waits(&turns, peer, 100);
        assert_eq!(sending[0], "bytes");
        drop(sending);
        assert!(waiting.now_or_never().is_some());
    }

    #[test]
    fn who_stops_waiting_leaves_nothing_behind() {
        let (turns, peer) = (Turns::default(), PeerId::random());
        let sending: Vec<Sending> = (0..SENDING_TO_ONE_MAX as u32)
            .map(|chunk| at_once(&turns, peer, chunk))
            .collect();
        let twice = [waits(&turns, peer, 100), waits(&turns, peer, 100)];
        let [first, second] = twice;
        drop(first);
        drop(sending);
        // Given a turn, which it never takes.
        drop(second);
        let state = turns.state();
        assert!(state.waiting.is_empty() && state.sending.is_empty());
        assert_eq!((state.sending_all, state.uploads.peers()), (0, 0));
    }
}
