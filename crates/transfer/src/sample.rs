//! How a file begins: by that hubs tell text, which they keep as regular files, from other content.

use hubless_content::{ChunkIndex, FileHash};
use hubless_store::{Store, StoreError};

/// The bytes by which a hub tells text from other content.
const SAMPLE_BYTES: usize = 512;

/// Files above are large whatever they are called and hold: as the hub has it.
pub const REGULAR_BYTES_MAX: u64 = 10_000_000;

/// Whether the beginning of a file is text; one that is not here is taken for it.
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
