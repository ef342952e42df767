//! All that lies in the index: the only file that names its tables.
//!
//! Names and encodings are frozen: never rename or renumber, add a new version beside the old and
//! raise [`SCHEMA`]. `tests/old_data.rs` opens a store that an earlier version wrote. What was
//! written by earlier versions is named and read in `migrate.rs` alone.
//!
//! A chunk list, a manifest and the bytes of a file prove themselves: they are what their key is the
//! hash of. (The size in a list of one chunk is proven by the bytes of the chunk alone.) All other values
//! of rows carry a checksum.

use redb::TableDefinition;

use crate::sealed::Sealed;

/// A hash as a key.
pub(crate) type Hash = &'static [u8; 32];

/// The version of all of this. A store with a higher one is not opened; one with a lower one is
/// brought to this version. Version 1 ended with [`RECORDS`]; in versions 1 and 2 no value had a
/// checksum, in version 3 those of [`USED`] and [`REMOVED`] had none. Version 4 ended with [`HISTORIES`].
pub(crate) const SCHEMA: u64 = 5;

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
pub(crate) const HELD: Sealed<Hash> = Sealed::new("held.v2", "a set of chunks of its file");

/// File hash -> the file's size (8 bytes, little-endian), then its chaining values, 32 bytes each.
pub(crate) const CHUNK_LISTS: TableDefinition<Hash, &[u8]> = TableDefinition::new("chunk_lists.v1");

/// File hash -> the bytes of a file of one chunk.
pub(crate) const INLINE: TableDefinition<Hash, &[u8]> = TableDefinition::new("inline.v1");

/// Content hash -> the encoded manifest.
pub(crate) const MANIFESTS: TableDefinition<Hash, &[u8]> = TableDefinition::new("manifests.v1");

/// The content hashes that garbage collection keeps.
pub(crate) const PINS: Sealed<Hash> = Sealed::new("pins.v2", "a pin");

/// Records of others, opaque to the store.
pub(crate) const RECORDS: Sealed<&[u8]> = Sealed::new("records.v2", "a record of others");

/// File hash -> SHA-256 of the file's bytes, 32 bytes, then its id as a git blob, 20 bytes.
pub(crate) const DIGESTS: Sealed<Hash> = Sealed::new("digests.v2", "the digests of a file");

/// SHA-256 -> file hash.
pub(crate) const SHA256S: Sealed<Hash> = Sealed::new("sha256s.v2", "the file of a SHA-256");

/// Id as a git blob -> file hash.
pub(crate) const GIT_BLOBS: Sealed<&[u8; 20]> =
    Sealed::new("git_blobs.v2", "the file of a git blob");

/// Repo (see `repos.rs`) -> its record, in JSON.
pub(crate) const REPOS: Sealed<&[u8]> = Sealed::new("repos.v2", "the record of a repo");

/// Repo, then the full name of a ref -> the id of a revision.
pub(crate) const REFS: Sealed<&[u8]> = Sealed::new("refs.v2", "where a ref leads");

/// Repo, then the id of a revision, 20 bytes -> the encoded revision.
pub(crate) const REVISIONS: Sealed<&[u8]> = Sealed::new("revisions.v2", "a revision");

/// File hash -> when the file was last read or brought, milliseconds since 1970, to the hour: 8 bytes,
/// little-endian.
pub(crate) const USED: Sealed<Hash> = Sealed::new("used.v2", "the time of a use");

/// Repo, then the id of a revision -> nothing: the content of the revision was removed here.
pub(crate) const REMOVED: Sealed<&[u8]> =
    Sealed::new("removed.v2", "the mark of a removed revision");

/// Repo, then the id of a commit -> its history, in JSON; see `histories.rs`.
pub(crate) const HISTORIES: Sealed<&[u8]> = Sealed::new("histories.v1", "a history");

/// Key of a subject -> the newest head of it that was taken here: its record.
pub(crate) const HEADS: Sealed<Hash> = Sealed::new("heads.v1", "a head");

/// Publisher, then the key of a subject -> nothing: the heads by publisher.
pub(crate) const HEADS_OF: Sealed<&[u8; 64]> =
    Sealed::new("heads_of.v1", "the mark of a publisher's head");

/// Key of a subject -> the state or profile that its head names.
pub(crate) const DOCUMENTS: Sealed<Hash> = Sealed::new("documents.v1", "what a head names");

/// Publisher -> the newest chain of its identity that was seen; see `chains.rs`.
pub(crate) const CHAINS: Sealed<Hash> = Sealed::new("chains.v1", "the chain of an identity");

/// Publisher -> the record of one that this node signs for, in JSON.
pub(crate) const PUBLISHERS: Sealed<Hash> =
    Sealed::new("publishers.v1", "the record of a publisher");

/// Namespace in lower case -> the publisher it stands for, in JSON.
pub(crate) const NAMESPACES: Sealed<&[u8]> =
    Sealed::new("namespaces.v1", "what a namespace stands for");

/// Publisher -> how it is followed, in JSON.
pub(crate) const FOLLOWS: Sealed<Hash> =
    Sealed::new("follows.v1", "the record of a followed publisher");
