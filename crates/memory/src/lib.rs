//! Memory that bytes from files and sockets are read into.
//!
//! [`AlignedBytes`] begin on a cache line, where the kernel copies fastest. [`Buffers`] lend memory
//! for one chunk and take it back when the last reader drops it:
//!
//! ```
//! use hubless_memory::{BUFFER_SIZE, Buffers};
//!
//! let buffers = Buffers::default();
//! let mut buffer = buffers.take(BUFFER_SIZE);
//! buffer.bytes_mut().fill(7);
//! let bytes = buffer.freeze(); // cheap to clone and to slice
//! assert_eq!(bytes.len(), BUFFER_SIZE);
//! ```
//!
//! [`Lru`] keeps what was read, up to a bound.
//!
//! # Not here
//! What the bytes mean, and any reading or writing.

mod aligned;
mod buffers;
mod lru;

pub use aligned::AlignedBytes;
pub use buffers::{BUFFER_SIZE, Buffer, Buffers, KeptBuffers};
pub use lru::Lru;
