//! Arithmetic of chunks: how many a file has, where each begins, how long it is.

use std::{fmt, ops::Range};

/// Bytes of a chunk; the last one of a file may be shorter. 256 KiB is 256 BLAKE3 leaves of
/// 1 KiB, a complete subtree, so that a chunk can be verified alone.
///
/// The value is frozen. Chunk lists, bitmaps of held chunks and the test vectors in `proto/` count in
/// chunks of this size, on disk and on the wire, and carry no size of their own: a node with another
/// value would read old indexes as malformed and take every other node for a liar. Another size needs
/// a new `SCHEMA` of the store and a new name of the exchange protocol.
pub const CHUNK_SIZE: usize = 256 * 1024;

const _: () = assert!(
    CHUNK_SIZE == hubless_memory::BUFFER_SIZE,
    "a buffer holds one chunk"
);

/// The largest file: `u32` chunk indices reach 1 PiB.
pub const FILE_SIZE_MAX: u64 = (u32::MAX as u64) * (CHUNK_SIZE as u64);

/// Position of a chunk inside one file, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkIndex(pub u32);

impl ChunkIndex {
    /// The chunk in which the byte at `offset` lies; `None` beyond [`FILE_SIZE_MAX`].
    pub fn of_offset(offset: u64) -> Option<Self> {
        u32::try_from(offset / CHUNK_SIZE as u64).ok().map(Self)
    }
}

/// Position of a chunk inside a model: the chunks of all files, one file after the other in the order
/// of the manifest, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelChunk(pub u32);

impl ModelChunk {
    /// The chunk that lies so many chunks after this one, up to `u32::MAX`.
    pub fn plus(self, count: u32) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// The chunks of a range, ascending.
    pub fn each(range: Range<Self>) -> impl Iterator<Item = Self> {
        (range.start.0..range.end.0).map(Self)
    }
}

impl fmt::Debug for ModelChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "model#{}", self.0)
    }
}

impl fmt::Display for ModelChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for ChunkIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Display for ChunkIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Chunks of a file of `size` bytes. An empty file has one empty chunk, so that every file is
/// requested, verified and marked as held in the same way.
///
/// # Panics
/// Never for sizes up to [`FILE_SIZE_MAX`], which manifests and stores enforce; larger sizes
/// saturate at `u32::MAX`.
pub fn chunk_count(size: u64) -> u32 {
    u32::try_from(size.div_ceil(CHUNK_SIZE as u64).max(1)).unwrap_or(u32::MAX)
}

/// First byte of the chunk in its file.
pub fn chunk_offset(index: ChunkIndex) -> u64 {
    u64::from(index.0) * CHUNK_SIZE as u64
}

/// Bytes of chunk `index` in a file of `size` bytes; `None` if the file has no such chunk.
pub fn chunk_len(size: u64, index: ChunkIndex) -> Option<usize> {
    if index.0 >= chunk_count(size) {
        return None;
    }
    let rest = size - chunk_offset(index);
    Some(usize::try_from(rest).map_or(CHUNK_SIZE, |rest| rest.min(CHUNK_SIZE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_lengths_around_the_boundary() {
        let chunk = CHUNK_SIZE as u64;
        for (size, count, last) in [
            (0, 1, 0),
            (1, 1, 1),
            (chunk - 1, 1, CHUNK_SIZE - 1),
            (chunk, 1, CHUNK_SIZE),
            (chunk + 1, 2, 1),
            (5 << 30, 20_480, CHUNK_SIZE),
        ] {
            assert_eq!(chunk_count(size), count, "size {size}");
            assert_eq!(
                chunk_len(size, ChunkIndex(count - 1)),
                Some(last),
                "size {size}"
            );
            assert_eq!(chunk_len(size, ChunkIndex(count)), None, "size {size}");
        }
    }

    #[test]
    fn the_largest_file_has_indices_for_all_its_chunks() {
        assert_eq!(chunk_count(FILE_SIZE_MAX), u32::MAX);
        assert_eq!(
            chunk_len(FILE_SIZE_MAX, ChunkIndex(u32::MAX - 1)),
            Some(CHUNK_SIZE)
        );
    }
}
