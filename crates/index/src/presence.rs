//! Which chunks of a file can be read.

use hubless_content::{CHUNK_SIZE, ChunkIndex, ChunkSet, chunk_count, chunk_len};

/// Which chunks of a file can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// None of them.
    None,
    /// All of them.
    All {
        /// They lie in the user's own file.
        external: bool,
    },
    /// These of a partial file.
    Some(ChunkSet),
}

impl Presence {
    /// Bytes of the chunks that can be read of a file of `size` bytes.
    pub fn bytes(&self, size: u64) -> u64 {
        match self {
            Self::None => 0,
            Self::All { .. } => size,
            Self::Some(held) => {
                let last = ChunkIndex(chunk_count(size) - 1);
                let missing_of_last = CHUNK_SIZE - chunk_len(size, last).unwrap_or(CHUNK_SIZE);
                let full = u64::from(held.count()) * CHUNK_SIZE as u64;
                full - if held.contains(last.0) {
                    missing_of_last as u64
                } else {
                    0
                }
            }
        }
    }

    /// Whether all chunks can be read.
    pub fn is_all(&self) -> bool {
        match self {
            Self::None => false,
            Self::All { .. } => true,
            Self::Some(held) => held.is_full(),
        }
    }
}
