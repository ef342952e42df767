//! A set of chunk numbers as a bitmap, such as the chunks that a node holds or a peer offers.

use std::{fmt, ops::Range};

/// A set of numbers below a fixed length, one bit each.
///
/// Bytes ([`ChunkSet::to_bytes`]): bit `n` is bit `n % 8` (least significant first) of byte
/// `n / 8`; unused bits of the last byte are zero.
#[derive(Clone, PartialEq, Eq)]
pub struct ChunkSet {
    words: Vec<u64>,
    len: u32,
    count: u32,
}

impl ChunkSet {
    /// The empty set over `0..len`.
    pub fn empty(len: u32) -> Self {
        Self {
            words: vec![0; len.div_ceil(64) as usize],
            len,
            count: 0,
        }
    }

    /// The set of all of `0..len`.
    pub fn full(len: u32) -> Self {
        let mut set = Self::empty(len);
        set.insert_range(0..len);
        set
    }

    /// Reads the bytes that [`ChunkSet::to_bytes`] wrote for a set over `0..len`; `None` if their
    /// number is wrong or a bit beyond `len` is set.
    pub fn from_bytes(len: u32, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != len.div_ceil(8) as usize {
            return None;
        }
        let mut set = Self::empty(len);
        for (word, chunk) in set.words.iter_mut().zip(bytes.chunks(8)) {
            let mut padded = [0; 8];
            padded[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_le_bytes(padded);
        }
        let spare = set.words.len() as u32 * 64 - len;
        if spare > 0
            && set
                .words
                .last()
                .is_some_and(|word| word >> (64 - spare) != 0)
        {
            return None;
        }
        set.count = set.words.iter().map(|word| word.count_ones()).sum();
        Some(set)
    }

    /// One bit per number, least significant first; see the type.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self
            .words
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        bytes.truncate(self.len.div_ceil(8) as usize);
        bytes
    }

    /// The bound of the numbers: the set is over `0..len`.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// The number of elements.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether no number is in the set.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether all of `0..len` are in the set.
    pub fn is_full(&self) -> bool {
        self.count == self.len
    }

    /// Whether `n` is in the set; numbers beyond the bound are not.
    pub fn contains(&self, n: u32) -> bool {
        n < self.len && self.words[(n / 64) as usize] >> (n % 64) & 1 == 1
    }

    /// Adds `n`; true if it was not in the set. Numbers beyond the bound are ignored.
    pub fn insert(&mut self, n: u32) -> bool {
        let new = n < self.len && !self.contains(n);
        if new {
            self.words[(n / 64) as usize] |= 1 << (n % 64);
            self.count += 1;
        }
        new
    }

    /// Adds all of `range` that is within the bound.
    pub fn insert_range(&mut self, range: Range<u32>) {
        let end = range.end.min(self.len);
        let mut n = range.start;
        while n < end {
            let (index, bit) = ((n / 64) as usize, n % 64);
            let width = (64 - bit).min(end - n);
            let mask = (u64::MAX >> (64 - width)) << bit;
            self.count += (mask & !self.words[index]).count_ones();
            self.words[index] |= mask;
            n += width;
        }
    }

    /// Removes `n`; true if it was in the set.
    pub fn remove(&mut self, n: u32) -> bool {
        let there = self.contains(n);
        if there {
            self.words[(n / 64) as usize] &= !(1 << (n % 64));
            self.count -= 1;
        }
        there
    }

    /// The numbers in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(index, &word)| {
            std::iter::successors((word != 0).then_some(word), |word| {
                let rest = word & (word - 1);
                (rest != 0).then_some(rest)
            })
            .map(move |word| index as u32 * 64 + word.trailing_zeros())
        })
    }

    /// The numbers in the set as maximal runs, ascending.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u32>> + '_ {
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = self.first_from(at, true);
            at = self.first_from(start, false);
            (start < self.len).then_some(start..at)
        })
    }

    /// The first number from `at` on that is in the set (`contained`) or not in it; the bound if
    /// there is none.
    fn first_from(&self, mut at: u32, contained: bool) -> u32 {
        let flip = if contained { 0 } else { u64::MAX };
        while at < self.len {
            let word = (self.words[(at / 64) as usize] ^ flip) >> (at % 64);
            if word != 0 {
                return (at + word.trailing_zeros()).min(self.len);
            }
            // The last word of the largest set ends at `u32::MAX`.
            at = (at | 63).saturating_add(1);
        }
        self.len
    }
}

impl fmt::Debug for ChunkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkSet({}/{})", self.count, self.len)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn same(set: &ChunkSet, obvious: &BTreeSet<u32>) {
        assert_eq!(
            set.iter().collect::<Vec<_>>(),
            obvious.iter().copied().collect::<Vec<_>>()
        );
        assert_eq!(set.count() as usize, obvious.len());
        assert_eq!(
            ChunkSet::from_bytes(set.len(), &set.to_bytes()).as_ref(),
            Some(set)
        );
        let from_ranges: Vec<u32> = set.ranges().flatten().collect();
        assert_eq!(from_ranges, obvious.iter().copied().collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn behaves_like_a_tree_set(
            len in 0u32..300,
            steps in prop::collection::vec((0u8..3, 0u32..320, 0u32..320), 0..40),
        ) {
            let (mut set, mut obvious) = (ChunkSet::empty(len), BTreeSet::new());
            for (step, a, b) in steps {
                match step {
                    0 => prop_assert_eq!(set.insert(a), a < len && obvious.insert(a)),
                    1 => prop_assert_eq!(set.remove(a), obvious.remove(&a)),
                    _ => {
                        set.insert_range(a..b);
                        obvious.extend((a..b).filter(|n| *n < len));
                    }
                }
                same(&set, &obvious);
            }
        }
    }

    #[test]
    fn full_sets_and_foreign_bytes() {
        for len in [0, 1, 63, 64, 65, 20_480] {
            assert!(ChunkSet::full(len).is_full());
            assert_eq!(ChunkSet::full(len).count(), len);
        }
        assert_eq!(ChunkSet::from_bytes(9, &[0xff]), None, "too few bytes");
        assert_eq!(
            ChunkSet::from_bytes(9, &[0xff, 2]),
            None,
            "a bit beyond the bound"
        );
        assert_eq!(ChunkSet::from_bytes(9, &[0xff, 1]), Some(ChunkSet::full(9)));
    }
}
