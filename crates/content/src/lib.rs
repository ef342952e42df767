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
mod list;
mod manifest;
mod path;
mod ref_name;
mod repo;
mod revision;
mod schema;
mod tensors;

pub use alias::{Alias, ParseAliasError};
pub use chunk::{
    CHUNK_SIZE, ChunkIndex, FILE_SIZE_MAX, ModelChunk, chunk_count, chunk_len, chunk_offset,
};
pub use chunk_set::ChunkSet;
pub use hash::{ChunkCv, CommitId, ContentHash, FileHash, GitBlobId, ParseHashError, Sha256};
pub use list::{
    ChunkList, ChunkListMismatch, ChunkMismatch, FileHasher, VerifiedChunk, chunk_cv, hash_reader,
};
pub use manifest::{
    MANIFEST_BYTES_MAX, MANIFEST_FILES_MAX, Manifest, ManifestEntry, ManifestError,
};
pub use path::{ModelPath, PATH_BYTES_MAX, PATH_DEPTH_MAX, PathError};
pub use ref_name::{REF_NAME_BYTES_MAX, RefName, RefNameError};
pub use repo::{REPO_SEGMENT_BYTES_MAX, RepoId, RepoIdError, RepoKind};
pub use revision::{
    AUTHOR_BYTES_MAX, Lfs, MESSAGE_BYTES_MAX, PARENTS_MAX, Revision, RevisionError,
    TITLE_BYTES_MAX, Tree, TreeEntry,
};
pub use tensors::{
    DIMENSIONS_MAX, GGUF_HEADER_BYTES_MAX, METADATA_MAX, METADATA_TEXT_BYTES_MAX,
    SAFETENSORS_HEADER_BYTES_MAX, TENSOR_NAME_BYTES_MAX, TENSORS_MAX, Tensor, TensorFormat,
    Tensors, TensorsError,
};
