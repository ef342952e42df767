//! The files of `proto/vectors/`, and random changes of them.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::BTreeMap;

/// Reads hexadecimal text with `#` comments and `xx*n` repetitions.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let words = text
        .lines()
        .flat_map(|line| line.split('#').next().unwrap().split_whitespace());
    let byte = |digits: &str| u8::from_str_radix(digits, 16).unwrap();
    words
        .flat_map(|word| match word.split_once('*') {
            Some((digits, times)) => vec![byte(digits); times.parse().unwrap()],
            None => vec![byte(word)],
        })
        .collect()
}

/// The frames or other parts of a file of vectors, by name.
pub(crate) fn sections(text: &str) -> BTreeMap<String, Vec<u8>> {
    let sections = text.split("\n= ").skip(1);
    sections
        .map(|section| {
            let (name, bytes) = section.split_once('\n').unwrap();
            (name.to_owned(), hex(bytes))
        })
        .collect()
}

/// Pseudo-random numbers, the same for the same seed (SplitMix64).
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end.max(1) as u64) as usize
    }
}

/// Changes a message at random: a bit, a byte, a number that becomes large, a part that is cut,
/// doubled or put into another message.
pub(crate) fn mutate(message: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    let at = rng.below(message.len());
    let end = (at + 1 + rng.below(8)).min(message.len());
    match rng.below(7) {
        0 if at < end => message[at] ^= 1 << rng.below(8),
        1 if at < end => message[at] = rng.below(256) as u8,
        2 => drop(message.splice(at..end, [0xff, 0xff, 0xff, 0xff, 0x0f])),
        3 => drop(message.drain(at..end)),
        4 => {
            let part = message[at..end].to_vec();
            message.splice(at..at, part);
        }
        5 => {
            let from = rng.below(other.len());
            let to = (from + 1 + rng.below(40)).min(other.len());
            message.splice(at..at, other[from..to].iter().copied());
        }
        _ => message.truncate(at),
    }
}
