//! Gives new requests to sources that have room.

use std::time::Duration;

use super::Scheduler;
use crate::{choose, types::SourceId};

/// Interval at which duplicate requests are considered while the last chunks are requested: a dead
/// source is noticed when its request is overdue, which is before it is late.
const END_GAME_TICK: Duration = Duration::from_millis(100);

/// Budget for duplicate requests, in chunks received or requested twice: one in this many wanted, or
/// [`DUPLICATES_MIN`] if that is more.
const CHUNKS_PER_DUPLICATE: u32 = 32;

/// See [`CHUNKS_PER_DUPLICATE`]: the end of a small model must not wait either.
const DUPLICATES_MIN: usize = 4;

impl Scheduler {
    /// Gives requests to all sources for which something changed.
    pub(super) fn fill(&mut self) {
        if self.pool.missing().count() == 0 {
            self.turns.clear();
            return;
        }
        self.feed_hungry();
        let end_game = self.pool.free().count() == 0;
        if self.turns.take_all(end_game) {
            let mut ids: Vec<SourceId> = self.with_room().collect();
            // The limit of all requests must not favour the sources with the lowest numbers.
            let start = self.rng.below(ids.len());
            ids.rotate_left(start);
            ids.into_iter()
                .for_each(|id| self.fill_source(id, usize::MAX));
        }
        // A request that moves from one source to another gives the first one room again. This ends:
        // each step requests a free chunk or a late one, or moves a request to a source that had
        // none.
        while let Some(id) = self.turns.next_source() {
            self.fill_source(id, usize::MAX);
        }
        if self.pool.free().count() == 0 && self.requests.open() > 0 {
            self.outbox.wake_by(self.now.saturating_add(END_GAME_TICK));
        }
    }

    pub(super) fn with_room(&self) -> impl Iterator<Item = SourceId> + '_ {
        self.sources
            .iter()
            .filter(|(_, source)| source.has_room(self.now))
            .map(|(&id, _)| id)
    }

    /// Requests of one source if all sources had the same number.
    pub(super) fn fair_share(&self) -> usize {
        (self.config.requests_max() / self.sources.len().max(1)).max(1)
    }

    /// Room under the limit of all requests goes first to sources that got none when it was reached.
    pub(super) fn feed_hungry(&mut self) {
        let share = self.fair_share();
        while self.requests.open() < self.config.requests_max() {
            let Some(id) = self.turns.next_hungry() else {
                break;
            };
            if let Some(source) = self.sources.get_mut(&id) {
                source.hungry = false;
                self.fill_source(id, share);
            }
        }
    }

    pub(super) fn fill_source(&mut self, id: SourceId, open_max: usize) {
        while self
            .sources
            .get(&id)
            .is_some_and(|source| source.open.len() < open_max)
            && self.request_one_more(id)
        {}
    }

    /// Requests one more chunk from this source; false if there is none.
    pub(super) fn request_one_more(&mut self, id: SourceId) -> bool {
        let share = self.fair_share();
        let Some(source) = self.sources.get_mut(&id) else {
            return false;
        };
        if !source.has_room(self.now) {
            return false;
        }
        let room = self.requests.open() < self.config.requests_max();
        // Late chunks first: readers and the end of the fetch wait for them longest. Without room,
        // the late request is replaced.
        if let Some((chunk, instead_of)) = choose::late_chunk(&self.requests, id, source) {
            let instead_of = instead_of.or_else(|| {
                self.requests
                    .of(chunk)
                    .first()
                    .filter(|_| !room)
                    .map(|request| request.source)
            });
            if let Some(other) = instead_of {
                self.cancel(other, chunk);
            }
            self.request(id, chunk, false);
            return true;
        }
        if !room {
            // Sources with their share already would take the next room from those without.
            if !source.hungry && source.open.len() < share {
                source.hungry = true;
                self.turns.add_hungry(id);
            }
            return false;
        }
        let order = self.config.order;
        let free = choose::free_chunk(&mut self.pool, source, &self.urgent, order, &mut self.rng);
        if let Some(chunk) = free {
            self.request(id, chunk, false);
            return true;
        }
        self.request_instead(id)
    }

    /// For a source that has no free chunk: takes a request over from another source, or duplicates
    /// one at the end of the fetch.
    pub(super) fn request_instead(&mut self, id: SourceId) -> bool {
        let spent = self.duplicates_spent();
        let Some(source) = self.sources.get(&id) else {
            return false;
        };
        // A late source would only add to what is late. A taken-over request costs budget too: its
        // cancel may come too late.
        if source.late > 0 || spent >= self.duplicates_max() {
            return false;
        }
        // Only once every chunk is requested: before, another free chunk is worth more.
        if self.pool.free().count() == 0 {
            let duplicate =
                choose::duplicate_chunk(&mut self.requests, &self.sources, id, source, self.now);
            duplicate
                .inspect(|&chunk| self.request(id, chunk, true))
                .is_some()
        } else if source.open.is_empty() {
            let (requests, sources) = (&self.requests, &self.sources);
            let moved = choose::movable_chunk(requests, sources, id, source, self.now);
            moved
                .inspect(|&(chunk, other)| {
                    self.cancel(other, chunk);
                    self.request(id, chunk, false);
                })
                .is_some()
        } else {
            false
        }
    }

    /// Chunks that were received twice, and that may still be.
    fn duplicates_spent(&self) -> u64 {
        let twice = self.received.chunks_wasted;
        twice + self.cancelled.expected(twice) + self.requests.duplicates() as u64
    }

    pub(super) fn duplicates_max(&self) -> u64 {
        let share = (self.pool.wanted() / CHUNKS_PER_DUPLICATE) as usize;
        share.max(DUPLICATES_MIN) as u64
    }
}
