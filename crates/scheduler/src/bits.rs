//! A bitmap of a model's chunks, with the searches that choosing one needs, 64 chunks at a time.

use std::ops::Range;

use hubless_content::{ChunkSet, ModelChunk};

/// A set of the chunks below a fixed length. Chunks beyond it are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bits {
    words: Vec<u64>,
    len: u32,
    count: u32,
}

impl Bits {
    pub(crate) fn empty(len: u32) -> Self {
        Self {
            words: vec![0; len.div_ceil(64) as usize],
            len,
            count: 0,
        }
    }

    /// The chunks of `set` below `len`.
    pub(crate) fn from_set(len: u32, set: &ChunkSet) -> Self {
        let mut bits = Self::empty(len);
        for range in set.ranges() {
            bits.insert_range(range);
        }
        bits
    }

    /// Adds all numbers of `range`, none of which is in the set.
    fn insert_range(&mut self, range: Range<u32>) {
        let (mut at, end) = (range.start.min(self.len), range.end.min(self.len));
        self.count += end.saturating_sub(at);
        while at < end {
            let in_word = (end - at).min(64 - at % 64);
            self.words[(at / 64) as usize] |= u64::MAX >> (64 - in_word) << (at % 64);
            at += in_word;
        }
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// All chunks below the length, in the set or not.
    pub(crate) fn all(&self) -> Range<ModelChunk> {
        ModelChunk(0)..ModelChunk(self.len)
    }

    /// Those of these chunks that are below the length, in the set or not; ascending.
    pub(crate) fn within(
        &self,
        range: Range<ModelChunk>,
    ) -> impl Iterator<Item = ModelChunk> + use<> {
        ModelChunk::each(range.start..range.end.min(ModelChunk(self.len)))
    }

    pub(crate) fn contains(&self, ModelChunk(n): ModelChunk) -> bool {
        n < self.len && self.words[(n / 64) as usize] >> (n % 64) & 1 == 1
    }

    /// Adds a chunk; true if it was not in the set.
    pub(crate) fn insert(&mut self, chunk: ModelChunk) -> bool {
        let ModelChunk(n) = chunk;
        let new = n < self.len && !self.contains(chunk);
        if new {
            self.words[(n / 64) as usize] |= 1 << (n % 64);
            self.count += 1;
        }
        new
    }

    /// Removes a chunk; true if it was in the set.
    pub(crate) fn remove(&mut self, chunk: ModelChunk) -> bool {
        let ModelChunk(n) = chunk;
        let there = self.contains(chunk);
        if there {
            self.words[(n / 64) as usize] &= !(1 << (n % 64));
            self.count -= 1;
        }
        there
    }

    /// The first chunk of the set in `range`.
    pub(crate) fn first_in(&self, range: Range<ModelChunk>) -> Option<ModelChunk> {
        first_where(range, self.len, |word| self.words[word])
    }

    /// The first chunk in `range` that is in both sets.
    pub(crate) fn first_common(
        &self,
        other: &Self,
        range: Range<ModelChunk>,
    ) -> Option<ModelChunk> {
        first_where(range, self.len.min(other.len), |word| {
            self.words[word] & other.words[word]
        })
    }

    /// How many chunks are in both sets.
    pub(crate) fn count_common(&self, other: &Self) -> u32 {
        let words = self.words.iter().zip(&other.words);
        words.map(|(a, b)| (a & b).count_ones()).sum()
    }

    /// The chunks that are in both sets, ascending.
    pub(crate) fn common<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = ModelChunk> + 'a {
        chunks(self.words.iter().zip(&other.words).map(|(a, b)| a & b))
    }

    /// The chunks of the set, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ModelChunk> + '_ {
        chunks(self.words.iter().copied())
    }
}

fn first_where(
    range: Range<ModelChunk>,
    len: u32,
    word_at: impl Fn(usize) -> u64,
) -> Option<ModelChunk> {
    let (mut at, end) = (range.start.0, range.end.0.min(len));
    while at < end {
        let word = word_at((at / 64) as usize) >> (at % 64);
        if word != 0 {
            let found = at + word.trailing_zeros();
            return (found < end).then_some(ModelChunk(found));
        }
        // Not beyond `u32::MAX`, where the last word of the largest set ends.
        at = (at | 63).checked_add(1)?;
    }
    None
}

fn chunks(words: impl Iterator<Item = u64>) -> impl Iterator<Item = ModelChunk> {
    words.enumerate().flat_map(|(index, word)| {
        std::iter::successors((word != 0).then_some(word), |word| {
            let rest = word & (word - 1);
            (rest != 0).then_some(rest)
        })
        .map(move |word| ModelChunk(index as u32 * 64 + word.trailing_zeros()))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn bits(len: u32, numbers: &BTreeSet<u32>) -> Bits {
        let mut bits = Bits::empty(len);
        for &n in numbers {
            bits.insert(ModelChunk(n));
        }
        bits
    }

    proptest! {
        #[test]
        fn searches_like_a_tree_set(
            len in 0u32..300,
            a in prop::collection::btree_set(0u32..320, 0..60),
            b in prop::collection::btree_set(0u32..320, 0..60),
            (from, to) in (0u32..320, 0u32..320),
        ) {
            let (x, y) = (bits(len, &a), bits(len, &b));
            let mut set = ChunkSet::empty(320);
            a.iter().for_each(|&n| { set.insert(n); });
            prop_assert_eq!(Bits::from_set(len, &set), bits(len, &a));
            let a: BTreeSet<u32> = a.into_iter().filter(|&n| n < len).collect();
            let both: BTreeSet<u32> = a.iter().copied().filter(|n| b.contains(n)).collect();
            prop_assert_eq!(x.count() as usize, a.len());
            prop_assert!(x.iter().eq(a.iter().copied().map(ModelChunk)));
            prop_assert!(x.common(&y).eq(both.iter().copied().map(ModelChunk)));
            prop_assert_eq!(x.count_common(&y) as usize, both.len());
            let range = ModelChunk(from)..ModelChunk(to);
            let first = |set: &BTreeSet<u32>| {
                set.iter().copied().map(ModelChunk).find(|chunk| range.contains(chunk))
            };
            prop_assert_eq!(x.first_in(range.clone()), first(&a));
            prop_assert_eq!(x.first_common(&y, range.clone()), first(&both));
        }
    }

    #[test]
    fn a_foreign_set_is_cut_to_the_length() {
        let bits = Bits::from_set(70, &ChunkSet::full(1000));
        assert_eq!((bits.len(), bits.count()), (70, 70));
        assert_eq!(Bits::from_set(70, &ChunkSet::full(3)).count(), 3);
    }
}
