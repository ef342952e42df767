//! Which chunks are missing, which of them are free (without an open request), and how rare those
//! are.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
    time::Duration,
};

use hubless_content::ModelChunk;

use crate::{bits::Bits, rarity::Rarity, rng::Rng};

/// The chunks of one fetch. A missing chunk is either free or open (see `requests`).
#[derive(Debug)]
pub(crate) struct Pool {
    missing: Bits,
    free: Bits,
    /// Chunks ever wanted.
    wanted: u32,
    /// Kept only while there are partial sources: no chunk is rare among complete ones.
    rarity: Option<Rarity>,
    /// Chunks in transit to peers that have not announced them: each counts as one more holder in
    /// `rarity`, until a source announces the chunk and takes its place.
    promised: BTreeMap<ModelChunk, Duration>,
    /// When promises end, kept or not, the next one first; at most one for each chunk.
    promises: VecDeque<(Duration, ModelChunk)>,
    partials: usize,
    /// No free chunk is below it.
    lowest: ModelChunk,
    /// Counts releases. A source for which no chunk was found is not searched again before the next.
    releases: u64,
}

impl Pool {
    pub(crate) fn new(wanted: Bits) -> Self {
        Self {
            free: wanted.clone(),
            wanted: wanted.count(),
            promised: BTreeMap::new(),
            promises: VecDeque::new(),
            missing: wanted,
            rarity: None,
            partials: 0,
            lowest: ModelChunk(0),
            releases: 0,
        }
    }

    /// Chunks of the model.
    pub(crate) fn len(&self) -> u32 {
        self.missing.len()
    }

    /// Whether the model has such a chunk.
    pub(crate) fn has(&self, chunk: ModelChunk) -> bool {
        self.missing.all().contains(&chunk)
    }

    pub(crate) fn wanted(&self) -> u32 {
        self.wanted
    }

    pub(crate) fn missing(&self) -> &Bits {
        &self.missing
    }

    pub(crate) fn free(&self) -> &Bits {
        &self.free
    }

    pub(crate) fn rarity(&self) -> Option<&Rarity> {
        self.rarity.as_ref()
    }

    pub(crate) fn releases(&self) -> u64 {
        self.releases
    }

    /// The first free chunk, where a search begins.
    pub(crate) fn lowest_free(&mut self) -> Option<ModelChunk> {
        let end = self.missing.all().end;
        let found = self.free.first_in(self.lowest..end);
        self.lowest = found.unwrap_or(end);
        found
    }

    /// A request for the chunk is open: it is no longer free.
    pub(crate) fn take(&mut self, chunk: ModelChunk) {
        if self.free.remove(chunk)
            && let Some(rarity) = &mut self.rarity
        {
            rarity.take(chunk);
        }
    }

    /// The last request for the chunk ended; it is free again if it is missing.
    pub(crate) fn release(&mut self, chunk: ModelChunk) {
        if self.missing.contains(chunk) && self.free.insert(chunk) {
            self.lowest = self.lowest.min(chunk);
            self.releases += 1;
            if let Some(rarity) = &mut self.rarity {
                rarity.insert(chunk);
            }
        }
    }

    /// The chunk is held, or no longer wanted; true if it was missing.
    pub(crate) fn drop_wanted(&mut self, chunk: ModelChunk) -> bool {
        self.take(chunk);
        self.missing.remove(chunk)
    }

    /// Adds wanted chunks; true if that made a chunk missing.
    pub(crate) fn want(&mut self, range: Range<ModelChunk>) -> bool {
        let before = self.missing.count();
        for chunk in self.missing.within(range) {
            if self.missing.insert(chunk) {
                self.release(chunk);
            }
        }
        let added = self.missing.count() - before;
        self.wanted = self.wanted.saturating_add(added);
        added > 0
    }

    /// Counts a source that has a part of the model.
    pub(crate) fn partial_joined(&mut self, has: &Bits, rng: &mut Rng) {
        self.partials += 1;
        let rarity = self
            .rarity
            .get_or_insert_with(|| Rarity::new(&self.free, rng));
        has.iter().for_each(|chunk| rarity.add(chunk));
    }

    /// A partial source has one more chunk.
    pub(crate) fn partial_gained(&mut self, chunk: ModelChunk) {
        // A promise counted this holder already.
        if let Some(rarity) = &mut self.rarity
            && self.promised.remove(&chunk).is_none()
        {
            rarity.add(chunk);
        }
    }

    /// Counts a future holder of the chunk until `until`; false if one is counted already, or no
    /// rarity is kept.
    pub(crate) fn promise(&mut self, chunk: ModelChunk, until: Duration) -> bool {
        let Some(rarity) = &mut self.rarity else {
            return false;
        };
        let full = self.promises.len() >= self.missing.len() as usize;
        let new = !full && !self.promised.contains_key(&chunk);
        if new {
            rarity.add(chunk);
            self.promised.insert(chunk, until);
            self.promises.push_back((until, chunk));
        }
        new
    }

    /// Ends overdue promises: the peer that was to receive the chunk may have left.
    pub(crate) fn end_promises(&mut self, now: Duration) {
        while let Some(&(until, chunk)) = self.promises.front()
            && until <= now
        {
            self.promises.pop_front();
            // Another time: that promise was kept, and a later one of the same chunk still counts.
            if self.promised.get(&chunk) == Some(&until)
                && let Some(rarity) = &mut self.rarity
            {
                self.promised.remove(&chunk);
                rarity.remove(chunk);
            }
        }
    }

    /// A partial source has one chunk less.
    pub(crate) fn partial_lost(&mut self, chunk: ModelChunk) {
        if let Some(rarity) = &mut self.rarity {
            rarity.remove(chunk);
        }
    }

    /// A partial source left, or became complete: `has` are the chunks for which it was counted.
    pub(crate) fn partial_left(&mut self, has: &Bits, complete: bool) {
        self.partials = self.partials.saturating_sub(1);
        // The last partial source: only complete ones remain, among which no chunk is rare.
        if self.partials == 0 {
            self.rarity = None;
            self.promised.clear();
            self.promises.clear();
        } else if let Some(rarity) = &mut self.rarity {
            if complete && has.count() == has.len() {
                // The usual end of a getter: uncounted for all chunks in one step.
                rarity.forget_complete();
            } else {
                has.iter().for_each(|chunk| rarity.remove(chunk));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hubless_content::ChunkSet;

    use super::*;

    fn pool(len: u32) -> Pool {
        Pool::new(Bits::from_set(len, &ChunkSet::full(len)))
    }

    #[test]
    fn a_chunk_is_free_then_taken_then_here() {
        let mut pool = pool(3);
        pool.take(ModelChunk(0));
        assert_eq!((pool.free().count(), pool.missing().count()), (2, 3));
        assert_eq!(pool.lowest_free(), Some(ModelChunk(1)));
        pool.release(ModelChunk(0));
        assert_eq!(pool.lowest_free(), Some(ModelChunk(0)));
        pool.take(ModelChunk(0));
        assert!(pool.drop_wanted(ModelChunk(0)) && !pool.drop_wanted(ModelChunk(0)));
        pool.release(ModelChunk(0));
        assert!(
            !pool.free().contains(ModelChunk(0)),
            "a held chunk is not requested again"
        );
    }

    #[test]
    fn a_chunk_that_was_received_and_lost_again_can_be_wanted() {
        let mut pool = pool(4);
        pool.drop_wanted(ModelChunk(1));
        assert!(pool.want(ModelChunk(1)..ModelChunk(100)));
        assert!(pool.free().contains(ModelChunk(1)));
        assert!(!pool.want(ModelChunk(1)..ModelChunk(2)), "already missing");
    }

    #[test]
    fn a_promise_counts_until_it_is_kept_or_ends() {
        let (mut pool, mut rng) = (pool(4), Rng::new(1));
        let (now, end) = (Duration::from_secs(1), Duration::from_secs(2));
        assert!(
            !pool.promise(ModelChunk(1), end),
            "no chunk is rare among complete ones"
        );
        pool.partial_joined(&Bits::empty(4), &mut rng);
        let holders = |pool: &Pool| {
            let rarity = pool.rarity().unwrap();
            (0..4)
                .map(|chunk| rarity.holders(ModelChunk(chunk)))
                .collect::<Vec<_>>()
        };
        assert!(
            pool.promise(ModelChunk(1), end)
                && !pool.promise(ModelChunk(1), end)
                && pool.promise(ModelChunk(2), end)
        );
        pool.partial_gained(ModelChunk(1));
        pool.end_promises(now);
        assert_eq!(holders(&pool), [0, 1, 1, 0]);
        pool.end_promises(end);
        assert_eq!(holders(&pool), [0, 1, 0, 0]);
        // The end of a kept promise does not end the next one.
        assert!(pool.promise(ModelChunk(3), end + now));
        pool.partial_gained(ModelChunk(3));
        assert!(pool.promise(ModelChunk(3), end + end));
        pool.end_promises(end + now);
        assert_eq!(holders(&pool), [0, 1, 0, 2]);
        pool.end_promises(end + end);
        assert_eq!(holders(&pool), [0, 1, 0, 1]);
    }

    #[test]
    fn promises_are_as_many_as_chunks_at_most() {
        let (mut pool, mut rng) = (pool(4), Rng::new(1));
        pool.partial_joined(&Bits::empty(4), &mut rng);
        let made = (0..100).filter(|_| {
            let new = pool.promise(ModelChunk(0), Duration::from_secs(2));
            pool.partial_gained(ModelChunk(0));
            new
        });
        assert_eq!(made.count(), 4);
    }

    #[test]
    fn rarity_is_kept_only_while_a_source_is_partial() {
        let (mut pool, mut rng) = (pool(4), Rng::new(1));
        assert!(pool.rarity().is_none());
        let mut has = Bits::empty(4);
        has.insert(ModelChunk(2));
        pool.partial_joined(&has, &mut rng);
        assert_eq!(pool.rarity().map(Rarity::without_holders), Some(3));
        pool.partial_left(&has, false);
        assert!(pool.rarity().is_none());
    }
}
