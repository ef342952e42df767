//! The content model: hashes, chunk lists, manifests, paths, and verification of bytes.
//!
//! # The tree is the proof
//! A file's address is plain BLAKE3, what `b3sum` prints. A [chunk](CHUNK_SIZE) of 256 KiB is a
//! complete subtree of 256 BLAKE3 leaves, so its chaining value can be computed from the chunk's
//! bytes and its position alone, and the row of chaining values, the [`ChunkList`], merges to the
//! file hash. With a proven chunk list, a node verifies each chunk by itself, in any order, from any
//! peer ([`ChunkList::verify`]); only that makes a [`VerifiedChunk`], and a store accepts nothing
//! else.
//!
//! A directory is a [`Manifest`]: sorted paths, sizes and file hashes, in one canonical encoding.
//! BLAKE3 of these bytes is the [`ContentHash`], the address of a model.
//!
//! A repo is a name for it ([`RepoId`]): its [`Revision`]s have a content hash each, and refs
//! ([`RefName`]) lead to them.
//!
//! A name that travels belongs to a publisher ([`PublisherId`], [`Identity`]): a signed [`Head`] says which
//! [`State`], which refs, is the newest of a repo. Two signers that did not see each other are brought
//! together by [`merge`].
//!
//! # Not here
//! No files, sockets or threads: the only input besides memory is [`std::io::Read`]. Storage is in
//! `store`, messages between peers are in `wire`.
//!
//! Source: the BLAKE3 paper (O'Connor, Aumasson, Neves, Wilcox-O'Hearn, 2020), section 2.

mod alias;
mod chunk;
mod chunk_set;
mod encoding;
mod hash;
mod head;
mod identity;
mod list;
mod manifest;
mod merge;
mod path;
mod profile;
mod ref_name;
mod repo;
mod revision;
mod schema;
mod signing;
mod state;
mod subject;
mod tensors;

pub use alias::{Alias, ParseAliasError};
pub use chunk::{
    CHUNK_SIZE, ChunkIndex, FILE_SIZE_MAX, ModelChunk, chunk_count, chunk_len, chunk_offset,
};
pub use chunk_set::ChunkSet;
pub use hash::{
    ChunkCv, CommitId, ContentHash, DocumentHash, FileHash, GitBlobId, ParseHashError,
    RevisionHash, Sha256, SubjectKey,
};
pub use head::{
    AgainstSeen, CLOCK_AHEAD_MAX_MS, HEAD_RECORD_BYTES_MAX, Head, HeadError, HeadRecord,
    VerifiedHead,
};
pub use identity::{
    CHAIN_BYTES_MAX, Chain, Continues, Identity, IdentityError, KEY_CHANGES_MAX,
    ParsePublisherIdError, PublisherId, ROOT_KEYS_MAX, SIGNERS_MAX, SignedIdentity,
};
pub use list::{
    ChunkList, ChunkListMismatch, ChunkMismatch, FileHasher, VerifiedChunk, chunk_cv, hash_reader,
};
pub use manifest::{
    MANIFEST_BYTES_MAX, MANIFEST_FILES_MAX, Manifest, ManifestEntry, ManifestError,
};
pub use merge::{History, MERGE_REVISIONS_MAX, MergeError, Merged, merge};
pub use path::{ModelPath, PATH_BYTES_MAX, PATH_DEPTH_MAX, PathError};
pub use profile::{
    DOMAIN_BYTES_MAX, DOMAINS_MAX, FULL_NAME_BYTES_MAX, PEER_ID_BYTES_MAX, PROFILE_BYTES_MAX,
    PROFILE_PEERS_MAX, PROFILE_REPOS_MAX, Profile, ProfileError, is_domain,
};
pub use ref_name::{REF_NAME_BYTES_MAX, RefName, RefNameError};
pub use repo::{REPO_SEGMENT_BYTES_MAX, RepoId, RepoIdError, RepoKind};
pub use revision::{
    AUTHOR_BYTES_MAX, Lfs, MESSAGE_BYTES_MAX, PARENTS_MAX, Revision, RevisionError,
    TITLE_BYTES_MAX, Tree, TreeEntry,
};
pub use signing::{
    Context, KEY_BYTES, ParseKeyError, PublicKey, SIGNATURE_BYTES, SecretKey, Signature,
};
pub use state::{
    DELETED_REFS_KEPT_MS, Discussions, REFS_MAX, STATE_BYTES_MAX, State, StateError, StateRef,
    Status,
};
pub use subject::Subject;
pub use tensors::{
    DIMENSIONS_MAX, GGUF_HEADER_BYTES_MAX, METADATA_MAX, METADATA_TEXT_BYTES_MAX,
    SAFETENSORS_HEADER_BYTES_MAX, TENSOR_NAME_BYTES_MAX, TENSORS_MAX, Tensor, TensorFormat,
    Tensors, TensorsError,
};
