//! All that lies in the index: the only file that names its tables.
//!
//! Names and encodings are frozen: never rename or renumber, add a new version beside the old and
//! raise [`SCHEMA`]. `tests/old_data.rs` opens a store that an earlier version wrote.

use redb::TableDefinition;

/// A hash as a key.
pub(crate) type Hash = &'static [u8; 32];

/// The version of all of this. A store with a higher one is not opened.
pub(crate) const SCHEMA: u64 = 1;

/// Key of the schema's version in [`META`].
pub(crate) const META_SCHEMA: &str = "schema";

/// Numbers about the store itself.
pub(crate) const META: TableDefinition<&str, u64> = TableDefinition::new("meta.v1");

/// File hash -> where the file's bytes are; see `record.rs`.
pub(crate) const FILES: TableDefinition<Hash, &[u8]> = TableDefinition::new("files.v1");

/// File hash -> which chunks of a partial file are held; see `ChunkSet::to_bytes`.
pub(crate) const HELD: TableDefinition<Hash, &[u8]> = TableDefinition::new("held.v1");

/// File hash -> the file's size (8 bytes, little-endian), then its chaining values, 32 bytes each.
pub(crate) const CHUNK_LISTS: TableDefinition<Hash, &[u8]> = TableDefinition::new("chunk_lists.v1");

/// File hash -> the bytes of a file of one chunk.
pub(crate) const INLINE: TableDefinition<Hash, &[u8]> = TableDefinition::new("inline.v1");

/// Content hash -> the encoded manifest.
pub(crate) const MANIFESTS: TableDefinition<Hash, &[u8]> = TableDefinition::new("manifests.v1");

/// The content hashes that garbage collection keeps.
pub(crate) const PINS: TableDefinition<Hash, ()> = TableDefinition::new("pins.v1");

/// Records of others, opaque to the store.
pub(crate) const RECORDS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("records.v1");
