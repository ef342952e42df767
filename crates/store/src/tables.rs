//! All that lies in the index: the only file that names its tables.
//!
//! Names and encodings are frozen: never rename or renumber, add a new version beside the old and
//! raise [`SCHEMA`]. `tests/old_data.rs` opens a store that an earlier version wrote. What was
//! written by earlier versions is named and read in `migrate.rs` alone.

use redb::TableDefinition;

use crate::sealed::Sealed;

/// A hash as a key.
pub(crate) type Hash = &'static [u8; 32];

/// The version of all of this. A store with a higher one is not opened; one with a lower one is
/// brought to this version. Version 1 ended with [`RECORDS`]; in versions 1 and 2 no value had a
/// checksum.
pub(crate) const SCHEMA: u64 = 3;

/// Key of the schema's version in [`META`].
pub(crate) const META_SCHEMA: &str = "schema";

/// Key in [`META`] of when the pages of a large index were last compared with their checksums, in
/// seconds since 1970.
pub(crate) const META_CHECKED: &str = "checked";

/// Numbers about the store itself.
pub(crate) const META: TableDefinition<&str, u64> = TableDefinition::new("meta.v1");

/// File hash -> where the file's bytes are; see `record.rs`.
pub(crate) const FILES: Sealed<Hash> = Sealed::new("files.v2", "the record of a file");

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

/// File hash -> SHA-256 of the file's bytes, 32 bytes, then its id as a git blob, 20 bytes.
pub(crate) const DIGESTS: TableDefinition<Hash, &[u8; 52]> = TableDefinition::new("digests.v1");

/// SHA-256 -> file hash.
pub(crate) const SHA256S: TableDefinition<Hash, Hash> = TableDefinition::new("sha256s.v1");

/// Id as a git blob -> file hash.
pub(crate) const GIT_BLOBS: TableDefinition<&[u8; 20], Hash> = TableDefinition::new("git_blobs.v1");

/// Repo (see `repos.rs`) -> its record, in JSON.
pub(crate) const REPOS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("repos.v1");

/// Repo, then the full name of a ref -> the id of a revision.
pub(crate) const REFS: TableDefinition<&[u8], &[u8; 20]> = TableDefinition::new("refs.v1");

/// Repo, then the id of a revision, 20 bytes -> the encoded revision.
pub(crate) const REVISIONS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("revisions.v1");

/// File hash -> when the file was last read or brought, milliseconds since 1970, to the hour.
pub(crate) const USED: TableDefinition<Hash, u64> = TableDefinition::new("used.v1");

/// Repo, then the id of a revision -> nothing: the content of the revision was removed here.
pub(crate) const REMOVED: TableDefinition<&[u8], ()> = TableDefinition::new("removed.v1");
