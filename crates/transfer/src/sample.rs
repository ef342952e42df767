//! The beginning of a file, by which hubs distinguish text, which they keep as regular files, from
//! other content.

use hubless_content::{ChunkIndex, FileHash};
use hubless_store::{Store, StoreError};

/// The number of bytes that a hub examines.
const SAMPLE_BYTES: usize = 512;

/// Files above this size are large, whatever their name and content: the hub's limit.
pub const REGULAR_BYTES_MAX: u64 = 10_000_000;

/// Whether the beginning of a file is text; a file whose beginning is not held counts as text.
///
/// # Errors
/// If the store cannot read it.
pub fn is_text(store: &Store, file: FileHash) -> Result<bool, StoreError> {
    let first = store.read_proven(file, ChunkIndex(0))?;
    let Some(first) = first else {
        return Ok(true);
    };
    let sample = &first[..first.len().min(SAMPLE_BYTES)];
    Ok(match std::str::from_utf8(sample) {
        Ok(text) => !text.contains('\0'),
        // The sample may end inside a character.
        Err(error) => error.error_len().is_none() && sample.len() == SAMPLE_BYTES,
    })
}
