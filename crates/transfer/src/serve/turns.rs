//! Decides which chunk is read and sent next.
//!
//! Chunks are sent a few at a time, in the order of [`Uploads`]: a chunk in transit cannot be
//! cancelled, and of many at once each arrives late. While all requested chunks are sent at once,
//! no request waits and there is nothing to choose.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use hubless_content::{ChunkIndex, FileHash};
use hubless_network::PeerId;
use hubless_scheduler::Uploads;
use hubless_sync::lock;
use tokio::sync::oneshot;

use crate::news::Gain;

/// Chunks in transit to a single peer: read, waiting for its stream, or being written. Several
/// peers share this number, and each may have one at any time, so that a slow reader delays no
/// other.
const SENDING_TO_ONE_MAX: usize = 8;

/// Chunks in transit to all peers: one for each possible connection, inbound or outbound, or slow
/// readers could delay the others. That many slow readers take 192 MiB.
const SENDING_MAX: usize = 768;

/// The key of a chunk in the order. Two files whose hashes begin alike would share a place in it.
type Place = (u64, ChunkIndex);

/// The upload queue of all peers. Cloning is cheap.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    uploads: Uploads<PeerId, Place>,
    /// Waiting requests; bounded by the open requests that the network accepts.
    waiting: HashMap<(PeerId, Place), VecDeque<Waiter>>,
    waiters: u64,
    /// Chunks in transit, by peer and in all.
    sending: HashMap<PeerId, usize>,
    sending_all: usize,
}

struct Waiter {
    number: u64,
    turn: oneshot::Sender<Sending>,
}

/// The next upload.
struct Next {
    peer: PeerId,
    waiter: Waiter,
    is_first: bool,
}

impl Turns {
    /// Waits for the turn of this chunk for this peer. Dropping the future removes it from the
    /// queue.
    pub(super) async fn wait(&self, peer: PeerId, file: FileHash, index: ChunkIndex) -> Sending {
        let place = (beginning(file), index);
        let mut waiting = self.ask(peer, place);
        self.give();
        match (&mut waiting.turn).await {
            Ok(sending) => sending,
            // Unreachable: the sender is kept until the turn comes or this future is dropped.
            Err(_) => std::future::pending().await,
        }
    }

    fn ask(&self, peer: PeerId, place: Place) -> Waiting {
        let (given, turn) = oneshot::channel();
        let mut state = self.state();
        state.waiters += 1;
        let number = state.waiters;
        state.uploads.request(peer, place);
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

    /// Starts uploads while there is room.
    fn give(&self) {
        loop {
            // The lock is released first: `send` drops a slot whose waiter has left, which locks
            // again.
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
        lock(&self.0)
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

/// A waiting request.
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

/// A chunk that is being sent to a peer, and was sent to no peer before.
#[derive(Debug, Clone, Copy)]
pub(super) struct FirstSending {
    pub(super) to: PeerId,
    pub(super) chunk: Gain,
}

/// An upload slot; released on drop.
pub(super) struct Sending {
    turns: Turns,
    peer: PeerId,
    is_first: bool,
}

impl Sending {
    /// Whether the chunk was not sent before, as far as it is counted.
    pub(super) fn is_first(&self) -> bool {
        self.is_first
    }

    /// The chunk's bytes, which hold the slot. They are dropped when the last of them is written or
    /// the request is cancelled; then the next chunk may be sent.
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

    /// A future that waits for a turn; polled once, so that it is queued.
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
    fn a_peer_that_is_sent_little_need_not_wait_for_one_that_is_sent_much() {
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
    fn what_was_sent_to_no_peer_yet_is_sent_first() {
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
    fn a_request_that_stops_waiting_leaves_nothing_behind() {
        let (turns, peer) = (Turns::default(), PeerId::random());
        let sending: Vec<Sending> = (0..SENDING_TO_ONE_MAX as u32)
            .map(|chunk| at_once(&turns, peer, chunk))
            .collect();
        let twice = [waits(&turns, peer, 100), waits(&turns, peer, 100)];
        let [first, second] = twice;
        drop(first);
        drop(sending);
        // Its turn comes, but it is never polled again.
        drop(second);
        let state = turns.state();
        assert!(state.waiting.is_empty() && state.sending.is_empty());
        assert_eq!((state.sending_all, state.uploads.peers()), (0, 0));
    }
}
