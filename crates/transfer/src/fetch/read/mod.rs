//! Bytes that are used while they come: readers of a shared fetch, streams of stored files, and
//! chunks that come from elsewhere.

mod external;
mod held_reader;
mod shared;
mod stream;

pub use external::{ExternalChunks, PutOutcome};
pub use shared::SharedFetch;
pub use stream::StoredStream;
