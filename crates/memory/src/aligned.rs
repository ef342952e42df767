//! Memory that the kernel fills fast.
//!
//! On some CPUs (AMD since Zen 3) the one instruction that the kernel copies with, `rep movsb`, is
//! four times slower into memory that begins at no multiple of 32 bytes. Large memory of glibc's
//! allocator mostly begins 16 bytes after a page. Chunks from files and sockets are therefore read
//! into aligned memory.
//!
//! Source: bug 30994 of the GNU C library; measured in decision 11 of `docs/decisions/`.

use std::ops::{Deref, DerefMut};

use bytes::Bytes;

/// Where such memory begins: at a multiple of a cache line.
const ALIGNMENT: usize = 64;

/// Bytes that begin on a cache line.
#[derive(Debug, Default)]
pub struct AlignedBytes {
    /// Never grows, which would move it.
    memory: Vec<u8>,
    start: usize,
}

impl AlignedBytes {
    /// So many zeros.
    pub fn zeroed(len: usize) -> Self {
        let memory = vec![0; len + ALIGNMENT - 1];
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        // `align_offset` may answer `usize::MAX`, but does so only in constant evaluation.
        let start = start.min(ALIGNMENT - 1);
        let mut bytes = Self { memory, start };
        bytes.memory.truncate(start + len);
        bytes
    }

    /// Room for `len` bytes, with what was read last or zeros in it; new memory if there is less.
    pub fn room(&mut self, len: usize) -> &mut [u8] {
        if self.len() < len {
            *self = Self::zeroed(len);
        }
        &mut self[..len]
    }

    /// To be read only.
    pub fn freeze(self) -> Bytes {
        let start = self.start;
        Bytes::from(self.memory).slice(start..)
    }
}

impl Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.start..]
    }
}

impl DerefMut for AlignedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sizes_begin_on_a_cache_line() {
        for len in [0, 1, 63, 64, 65, 1000, 256 * 1024, 1024 * 1024] {
            let mut bytes = AlignedBytes::zeroed(len);
            assert_eq!(bytes.len(), len);
            assert!(begins_a_line(&bytes), "{len}");
            bytes.fill(7);
            let address = bytes.as_ptr();
            let frozen = bytes.freeze();
            assert!(frozen.len() == len && frozen.iter().all(|byte| *byte == 7));
            // Nothing was copied; memory of no bytes has no address to keep.
            assert!(len == 0 || frozen.as_ptr() == address);
        }
    }

    #[test]
    fn room_is_kept_and_grows() {
        let mut bytes = AlignedBytes::default();
        assert!(bytes.is_empty() && bytes.room(0).is_empty());
        bytes.room(100).fill(1);
        assert_eq!(bytes.room(50), [1; 50]);
        assert_eq!(bytes.room(200), [0; 200]);
        assert!(begins_a_line(&bytes));
    }

    fn begins_a_line(bytes: &[u8]) -> bool {
        bytes.as_ptr().addr().is_multiple_of(ALIGNMENT)
    }
}
