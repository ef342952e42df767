//! Who is asked for one more, and for what.

use std::time::Duration;

use super::Scheduler;
use crate::{choose, types::SourceId};

/// While the last chunks are open, how often it is looked whether a second source should be asked:
/// a dead source is noticed when it is overdue, which is sooner than late.
const END_GAME_TICK: Duration = Duration::from_millis(100);

/// Chunks that insurance may cost, received twice or asked twice: one in this many wanted, or
/// [`SPARE_ASKS_MIN`] if that is more.
const CHUNKS_PER_SPARE_ASK: u32 = 32;

/// See [`CHUNKS_PER_SPARE_ASK`]: a small model must not wait either.
const SPARE_ASKS_MIN: usize = 4;

impl Scheduler {
    /// Gives asks to all sources for which something changed.
    pub(super) fn fill(&mut self) {
        if self.pool.missing().count() == 0 {
            self.to_fill.clear();
            self.fill_all = false;
            return;
        }
        self.feed_hungry();
        let end_game = self.pool.free().count() == 0;
        if std::mem::take(&mut self.fill_all) || end_game {
            self.to_fill.clear();
            let mut ids: Vec<SourceId> = self.with_room().collect();
            let start = self.rng.below(ids.len());
            ids.rotate_left(start);
            ids.into_iter()
                .for_each(|id| self.fill_source(id, usize::MAX));
        }
        // An ask that moves from one source to another gives the first one room again. This ends:
        // each step gives out a free chunk, takes one from those that are late, or moves one to a
        // source that had none.
        while let Some(id) = self.to_fill.pop() {
            self.fill_source(id, usize::MAX);
        }
        if self.pool.free().count() == 0 && self.requests.open() > 0 {
            self.wake_by(self.now.saturating_add(END_GAME_TICK));
        }
    }

    pub(super) fn with_room(&self) -> impl Iterator<Item = SourceId> + '_ {
        self.sources
            .iter()
            .filter(|(_, source)| source.has_room(self.now))
            .map(|(&id, _)| id)
    }

    /// Asks of one source if all had the same number.
    pub(super) fn fair_share(&self) -> usize {
        (self.asks_max / self.sources.len().max(1)).max(1)
    }

    /// Room under the limit of all asks goes first to those that got none when there was none.
    pub(super) fn feed_hungry(&mut self) {
        let share = self.fair_share();
        while self.requests.open() < self.asks_max {
            let Some(id) = self.hungry.pop_front() else {
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
            && self.ask_for_one_more(id)
        {}
    }

    /// Finds one more chunk to ask this source for; false if there is none.
    pub(super) fn ask_for_one_more(&mut self, id: SourceId) -> bool {
        let share = self.fair_share();
        let Some(source) = self.sources.get_mut(&id) else {
            return false;
        };
        if !source.has_room(self.now) {
            return false;
        }
        let room = self.requests.open() < self.asks_max;
        if let Some((chunk, instead_of)) = choose::late_chunk(&self.requests, id, source) {
            let instead_of = instead_of.or_else(|| {
                self.requests
                    .of(chunk)
                    .first()
                    .filter(|_| !room)
                    .map(|ask| ask.source)
            });
            if let Some(other) = instead_of {
                self.cancel(other, chunk);
            }
            self.ask(id, chunk, false);
            return true;
        }
        if !room {
            if !source.hungry && source.open.len() < share {
                source.hungry = true;
                self.hungry.push_back(id);
            }
            return false;
        }
        let order = self.config.order;
        let free = choose::free_chunk(&mut self.pool, source, &self.urgent, order, &mut self.rng);
        if let Some(chunk) = free {
            self.ask(id, chunk, false);
            return true;
        }
        self.ask_instead(id)
    }

    /// Nothing that this source has is free: takes an ask over from another source, or insures
    /// one at the end.
    pub(super) fn ask_instead(&mut self, id: SourceId) -> bool {
        let spent = self.insurance_spent();
        let Some(source) = self.sources.get(&id) else {
            return false;
        };
        if source.late > 0 || spent >= self.spare_asks_max() {
            return false;
        }
        if self.pool.free().count() == 0 {
            let spare =
                choose::spare_chunk(&mut self.requests, &self.sources, id, source, self.now);
            spare.inspect(|&chunk| self.ask(id, chunk, true)).is_some()
        } else if source.open.is_empty() {
            let (requests, sources) = (&self.requests, &self.sources);
            let moved = choose::movable_chunk(requests, sources, id, source, self.now);
            moved
                .inspect(|&(chunk, other)| {
                    self.cancel(other, chunk);
                    self.ask(id, chunk, false);
                })
                .is_some()
        } else {
            false
        }
    }

    /// Chunks that were received twice, and that may be.
    fn insurance_spent(&self) -> u64 {
        let twice = self.chunks_wasted;
        twice + self.doubts.expected(twice) + self.requests.spare() as u64
    }

    pub(super) fn spare_asks_max(&self) -> u64 {
        let share = (self.pool.wanted() / CHUNKS_PER_SPARE_ASK) as usize;
        share.max(SPARE_ASKS_MIN) as u64
    }
}
