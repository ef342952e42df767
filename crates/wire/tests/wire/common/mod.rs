//! The files of `proto/vectors/`.
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
