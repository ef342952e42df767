//! Buffers of one chunk, used again and again.
//!
//! A transfer at line speed takes thousands of buffers a second. From the allocator each of them would
//! come with pages to fault in and zeros to write. Here a buffer returns when its last reader drops it.
//! Idle buffers are kept while one of them is in use or a [`KeptBuffers`] lives, so that a node at rest
//! keeps none.
//!
//! Their memory is mapped for them alone and not taken from the allocator. The one of glibc takes
//! blocks of this size from its heaps once the first has been freed, where small blocks between them
//! hold what is free: after a thousand readers had left, two thirds of their memory stayed.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, Weak},
};

use bytes::Bytes;
use hubless_sync::lock;
use memmap2::{MmapMut, MmapOptions};

use crate::aligned::AlignedBytes;

/// Bytes of a full buffer: a chunk of `content`, which checks that both are equal.
pub const BUFFER_SIZE: usize = 256 * 1024;

/// Idle buffers that are kept: 16 MiB, what four fast transfers have in work at once.
const IDLE_MAX: usize = 64;

/// Less than this gets memory of its own: a whole buffer would hold more than it saves work.
const SHARED_BYTES_MIN: usize = BUFFER_SIZE / 4;

/// Where buffers come from and go back to. Cheap to clone; clones share their buffers.
#[derive(Debug, Clone, Default)]
pub struct Buffers {
    /// Lives in the buffers that are in use.
    idle: Arc<Mutex<Weak<Idle>>>,
}

impl Buffers {
    /// A buffer of `len` bytes. What is in it is zero or old, never from another process.
    pub fn take(&self, len: usize) -> Buffer {
        if !(SHARED_BYTES_MIN..=BUFFER_SIZE).contains(&len) {
            return Buffer {
                bytes: Memory::Own(AlignedBytes::zeroed(len)),
                len,
                home: None,
            };
        }
        let home = self.idle();
        let bytes = home.lock().pop();
        Buffer {
            bytes: bytes.unwrap_or_else(Memory::of_full_size),
            len,
            home: Some(home),
        }
    }

    /// Keeps returned buffers until the guard is dropped, even while none is in use.
    pub fn keep(&self) -> KeptBuffers {
        KeptBuffers { _idle: self.idle() }
    }

    fn idle(&self) -> Arc<Idle> {
        let mut idle = lock(&self.idle);
        idle.upgrade().unwrap_or_else(|| {
            let fresh = Arc::default();
            *idle = Arc::downgrade(&fresh);
            fresh
        })
    }
}

/// Buffers of [`BUFFER_SIZE`] bytes that are not in use, at most [`IDLE_MAX`].
#[derive(Debug, Default)]
struct Idle(Mutex<Vec<Memory>>);

impl Idle {
    fn lock(&self) -> MutexGuard<'_, Vec<Memory>> {
        lock(&self.0)
    }
}

/// See [`Buffers::keep`].
#[derive(Debug)]
pub struct KeptBuffers {
    _idle: Arc<Idle>,
}

/// Where the bytes of a buffer are.
#[derive(Debug)]
enum Memory {
    Own(AlignedBytes),
    /// Begins at a page, and so at a cache line.
    Mapped(MmapMut),
}

impl Memory {
    /// [`BUFFER_SIZE`] bytes.
    fn of_full_size() -> Self {
        // All pages at once: one by one, as they are first written to, costs several times as much.
        let mapped = MmapOptions::new().len(BUFFER_SIZE).populate().map_anon();
        mapped.map_or_else(
            |_| Self::Own(AlignedBytes::zeroed(BUFFER_SIZE)),
            Self::Mapped,
        )
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::Own(AlignedBytes::default())
    }
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Mapped(bytes) => bytes,
        }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Mapped(bytes) => bytes,
        }
    }
}

/// Memory for one chunk or less, which goes back where it came from.
#[derive(Debug)]
pub struct Buffer {
    bytes: Memory,
    len: usize,
    home: Option<Arc<Idle>>,
}

impl Buffer {
    /// Bytes that it is for.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is for nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of it, to be filled.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }

    /// To be read only; it goes back when the last reader drops it.
    pub fn freeze(mut self) -> Bytes {
        match (&self.home, &mut self.bytes) {
            (None, Memory::Own(bytes)) => std::mem::take(bytes).freeze(),
            _ => Bytes::from_owner(self),
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            let mut idle = home.lock();
            if idle.len() < IDLE_MAX {
                idle.push(std::mem::take(&mut self.bytes));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_all_have_read_it() {
        let buffers = Buffers::default();
        let _in_use = buffers.take(BUFFER_SIZE);
        let mut buffer = buffers.take(BUFFER_SIZE);
        buffer.bytes_mut().fill(7);
        let address = buffer.as_ref().as_ptr();
        let bytes = buffer.freeze();
        let half = bytes.slice(..BUFFER_SIZE / 2);
        drop(bytes);
        assert_ne!(buffers.take(BUFFER_SIZE).as_ref().as_ptr(), address);
        drop(half);
        let again = buffers.take(SHARED_BYTES_MIN);
        assert_eq!(again.as_ref().as_ptr(), address);
        assert_eq!(
            (again.as_ref().len(), again.len()),
            (SHARED_BYTES_MIN, SHARED_BYTES_MIN)
        );
    }

    #[test]
    fn few_are_kept_and_none_at_rest() {
        let buffers = Buffers::default();
        let in_use = buffers.clone().take(BUFFER_SIZE);
        let many: Vec<Buffer> = (0..2 * IDLE_MAX)
            .map(|_| buffers.take(BUFFER_SIZE))
            .collect();
        drop(many);
        assert_eq!(buffers.idle().lock().len(), IDLE_MAX);
        let kept = buffers.keep();
        drop(in_use);
        assert_eq!(buffers.idle().lock().len(), IDLE_MAX);
        drop(kept);
        assert_eq!(buffers.idle().lock().len(), 0);
    }

    #[test]
    fn what_is_small_or_too_large_has_its_own() {
        let buffers = Buffers::default();
        for len in [0, 1, SHARED_BYTES_MIN - 1, BUFFER_SIZE + 1] {
            let buffer = buffers.take(len);
            assert!(buffer.home.is_none());
            assert_eq!((buffer.len(), buffer.freeze().len()), (len, len));
        }
    }
}
