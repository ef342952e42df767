//! `Range`: which bytes of a file are asked for.

use std::ops::Range;

/// What a `Range` header asks of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The whole file: no range, or one that HTTP wants to be ignored (another unit, several
    /// ranges, nonsense).
    All,
    /// These bytes; never empty, and inside the file.
    Part(Range<u64>),
    /// Nothing that the file has.
    Beyond,
}

/// Reads a `Range` header for a file of `size` bytes. An end beyond the file's is taken as its end.
pub(crate) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some(spec) = header.and_then(|text| text.trim().strip_prefix("bytes=")) else {
        return Wanted::All;
    };
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Wanted::All;
    };
    let range = match (number(first), number(last)) {
        (Some(Number::None), Some(Number::Of(0))) => return Wanted::Beyond,
        (Some(Number::None), Some(Number::Of(suffix))) => size.saturating_sub(suffix)..size,
        (Some(Number::Of(first)), Some(Number::None)) => first..size,
        (Some(Number::Of(first)), Some(Number::Of(last))) if first <= last => {
            first..last.saturating_add(1).min(size)
        }
        _ => return Wanted::All,
    };
    if range.start >= size {
        return Wanted::Beyond;
    }
    Wanted::Part(range)
}

enum Number {
    None,
    Of(u64),
}

/// Digits only; what is larger than any file is as good as the largest number.
fn number(text: &str) -> Option<Number> {
    if text.is_empty() {
        return Some(Number::None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| Number::Of(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_http_wants_it() {
        use Wanted::*;
        for (header, size, expected) in [
            ("bytes=0-0", 10, Part(0..1)),
            ("bytes=0-9", 10, Part(0..10)),
            ("bytes=3-", 10, Part(3..10)),
            ("bytes=-3", 10, Part(7..10)),
            ("bytes=-30", 10, Part(0..10)),
            ("bytes=0-100000", 10, Part(0..10)),
            ("bytes=0-99999999999999999999999", 10, Part(0..10)),
            ("bytes=10-", 10, Beyond),
            ("bytes=99999999999999999999999-", 10, Beyond),
            ("bytes=-0", 10, Beyond),
            ("bytes=0-0", 0, Beyond),
            ("bytes=-5", 0, Beyond),
            ("bytes=5-3", 10, All),
            ("bytes=0-1,3-4", 10, All),
            ("bytes=-", 10, All),
            ("bytes=a-b", 10, All),
            ("bytes=+1-2", 10, All),
            ("chunks=0-1", 10, All),
            ("", 10, All),
        ] {
            assert_eq!(wanted(Some(header), size), expected, "{header} of {size}");
        }
        assert_eq!(wanted(None, 10), All);
    }

    proptest! {
        #[test]
        fn a_part_is_never_empty_nor_outside(header in "(bytes=)?[0-9a ,=-]{0,30}", size: u64) {
            if let Wanted::Part(range) = wanted(Some(&header), size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }
}
