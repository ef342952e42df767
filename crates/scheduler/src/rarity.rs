//! The rarity of each chunk: the number of partial sources that have it, and the free chunks by that
//! number.
//!
//! Complete sources have every chunk and do not change the order, so they are not counted. Each step
//! is O(1): a chunk lies in the bucket of its number of holders, and its place there is stored.

use hubless_content::ModelChunk;

use crate::{bits::Bits, rng::Rng};

/// `place` of a chunk that lies in no bucket: it is not free.
const NOWHERE: u32 = u32::MAX;

/// Counted sources that became complete, after which their number is subtracted from all chunks at
/// once: that takes a pass over all chunks, too long to do for each.
const EVERYWHERE_MAX: u16 = 256;

/// Free chunks by their number of holders.
#[derive(Debug)]
pub(crate) struct Rarity {
    /// Holders of each chunk, including counted sources that became complete.
    holders: Vec<u16>,
    /// The index of each free chunk in its bucket.
    place: Vec<u32>,
    /// Free chunks by their number of holders.
    buckets: Vec<Vec<ModelChunk>>,
    /// The number of counted sources that became complete, which hold every chunk.
    everywhere: u16,
}

impl Rarity {
    /// All of `free`, in random order, with no holders known.
    pub(crate) fn new(free: &Bits, rng: &mut Rng) -> Self {
        let mut order: Vec<ModelChunk> = free.iter().collect();
        rng.shuffle(&mut order);
        let mut place = vec![NOWHERE; free.len() as usize];
        for (index, &chunk) in order.iter().enumerate() {
            place[chunk.0 as usize] = index as u32;
        }
        let holders = vec![0; free.len() as usize];
        Self {
            holders,
            place,
            buckets: vec![order],
            everywhere: 0,
        }
    }

    /// Holders of a chunk, without those that hold every chunk.
    pub(crate) fn holders(&self, chunk: ModelChunk) -> u16 {
        self.holders[chunk.0 as usize] - self.everywhere
    }

    /// A partial source has the chunk.
    pub(crate) fn add(&mut self, chunk: ModelChunk) {
        self.change(chunk, |holders| holders.saturating_add(1));
    }

    /// A partial source that had the chunk left.
    pub(crate) fn remove(&mut self, chunk: ModelChunk) {
        let least = self.everywhere;
        self.change(chunk, |holders| holders.saturating_sub(1).max(least));
    }

    /// A source that was counted for every chunk is complete and no longer counted.
    pub(crate) fn forget_complete(&mut self) {
        self.everywhere += 1;
        if self.everywhere == EVERYWHERE_MAX {
            self.holders
                .iter_mut()
                .for_each(|holders| *holders = holders.saturating_sub(EVERYWHERE_MAX));
            self.buckets
                .drain(..usize::from(EVERYWHERE_MAX).min(self.buckets.len()));
            self.everywhere = 0;
        }
    }

    /// The chunk is free.
    pub(crate) fn insert(&mut self, chunk: ModelChunk) {
        if self.place[chunk.0 as usize] == NOWHERE {
            self.put(chunk);
        }
    }

    /// The chunk is no longer free.
    pub(crate) fn take(&mut self, chunk: ModelChunk) {
        let place = self.place[chunk.0 as usize];
        if place != NOWHERE {
            let bucket = &mut self.buckets[usize::from(self.holders[chunk.0 as usize])];
            bucket.swap_remove(place as usize);
            if let Some(&moved) = bucket.get(place as usize) {
                self.place[moved.0 as usize] = place;
            }
            self.place[chunk.0 as usize] = NOWHERE;
        }
    }

    /// Probes up to `probes` free chunks, the rarest first and each bucket from a random place, and
    /// returns the first that `offered` accepts.
    pub(crate) fn probe(
        &self,
        rng: &mut Rng,
        mut probes: usize,
        offered: impl Fn(ModelChunk) -> bool,
    ) -> Option<ModelChunk> {
        for bucket in self.buckets.iter().filter(|bucket| !bucket.is_empty()) {
            let (head, tail) = bucket.split_at(rng.below(bucket.len()));
            let probed = bucket.len().min(probes);
            let found = tail
                .iter()
                .chain(head)
                .take(probed)
                .find(|&&chunk| offered(chunk));
            if found.is_some() {
                return found.copied();
            }
            probes -= probed;
            if probes == 0 {
                break;
            }
        }
        None
    }

    /// Holders of the rarest free chunks.
    pub(crate) fn fewest_holders(&self) -> Option<u16> {
        let mut counted = self.buckets.iter().skip(usize::from(self.everywhere));
        let rarest = counted.position(|bucket| !bucket.is_empty())?;
        Some(rarest as u16)
    }

    /// Free chunks that no partial source has.
    pub(crate) fn without_holders(&self) -> usize {
        self.buckets
            .get(usize::from(self.everywhere))
            .map_or(0, Vec::len)
    }

    fn change(&mut self, chunk: ModelChunk, to: impl Fn(u16) -> u16) {
        let new = to(self.holders[chunk.0 as usize]);
        if self.place[chunk.0 as usize] == NOWHERE {
            self.holders[chunk.0 as usize] = new;
        } else {
            self.take(chunk);
            self.holders[chunk.0 as usize] = new;
            self.put(chunk);
        }
    }

    fn put(&mut self, chunk: ModelChunk) {
        let index = usize::from(self.holders[chunk.0 as usize]);
        if self.buckets.len() <= index {
            self.buckets.resize_with(index + 1, Vec::new);
        }
        let bucket = &mut self.buckets[index];
        self.place[chunk.0 as usize] = bucket.len() as u32;
        bucket.push(chunk);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::rng::Rng;

    const LEN: u32 = 12;

    fn chunks() -> impl Iterator<Item = ModelChunk> {
        (0..LEN).map(ModelChunk)
    }

    /// The slow, obvious reference: holders by chunk, and the free chunks.
    #[derive(Default)]
    struct Obvious {
        holders: BTreeMap<ModelChunk, u16>,
        free: Vec<ModelChunk>,
    }

    impl Obvious {
        fn fewest_holders(&self) -> Option<u16> {
            self.free
                .iter()
                .map(|chunk| *self.holders.get(chunk).unwrap_or(&0))
                .min()
        }
    }

    proptest! {
        #[test]
        fn the_first_probe_is_one_of_the_rarest(
            seed: u64,
            steps in prop::collection::vec((0u8..5, 0..LEN), 0..200),
        ) {
            let mut rng = Rng::new(seed);
            let mut free = Bits::empty(LEN);
            chunks().for_each(|chunk| { free.insert(chunk); });
            let mut rarity = Rarity::new(&free, &mut rng);
            let mut obvious = Obvious { free: chunks().collect(), ..Obvious::default() };
            for (step, chunk) in steps {
                let chunk = ModelChunk(chunk);
                match step {
                    0 => { rarity.add(chunk); *obvious.holders.entry(chunk).or_default() += 1; }
                    1 => {
                        let holders = obvious.holders.entry(chunk).or_default();
                        if *holders > 0 { rarity.remove(chunk); *holders -= 1; }
                    }
                    2 => { rarity.take(chunk); obvious.free.retain(|&n| n != chunk); }
                    3 => {
                        rarity.insert(chunk);
                        obvious.free.retain(|&n| n != chunk);
                        obvious.free.push(chunk);
                    }
                    _ => { chunks().for_each(|chunk| rarity.add(chunk)); rarity.forget_complete(); }
                }
                let found = rarity.probe(&mut rng, usize::MAX, |_| true);
                prop_assert_eq!(found.map(|chunk| rarity.holders(chunk)), obvious.fewest_holders());
                prop_assert_eq!(rarity.fewest_holders(), obvious.fewest_holders());
                if let Some(found) = found {
                    prop_assert!(obvious.free.contains(&found));
                }
            }
        }
    }

    #[test]
    fn ties_are_broken_by_the_seed() {
        let mut free = Bits::empty(1000);
        (0..1000).for_each(|n| {
            free.insert(ModelChunk(n));
        });
        let first = |seed| {
            let mut rng = Rng::new(seed);
            Rarity::new(&free, &mut rng).probe(&mut rng, 1, |_| true)
        };
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
    }
}
