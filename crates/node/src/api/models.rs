//! Results about models and files.

use std::path::PathBuf;

use hubless_content::{ContentHash, FileHash, ModelPath};
use serde::{Deserialize, Serialize};

/// A model was imported.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Added {
    /// Its address.
    pub hash: ContentHash,
    /// Files in it.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// A model was fetched.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fetched {
    /// Its address.
    pub hash: ContentHash,
    /// The directory of the files.
    pub path: PathBuf,
    /// Bytes of the wanted files.
    pub bytes_total: u64,
    /// Chunk payload received over the network in this run.
    pub bytes_fetched: u64,
    /// Bytes that were held before.
    pub bytes_present: u64,
    /// Files in the directory that replaced others.
    #[serde(default)]
    pub files_replaced: u64,
}

/// The plan of a fetch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The model.
    pub hash: ContentHash,
    /// Bytes of the wanted files.
    pub bytes_total: u64,
    /// Bytes of them that are held.
    pub bytes_present: u64,
    /// The wanted files.
    pub files: Vec<FileDetails>,
}

/// One file of a model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileDetails {
    /// Its path in the model.
    pub path: ModelPath,
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of its bytes, as `b3sum` prints it.
    pub hash: FileHash,
}

/// All models of a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Models {
    /// In no special order.
    pub models: Vec<ModelSummary>,
}

/// One model in a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ModelSummary {
    /// Its address.
    pub hash: ContentHash,
    /// Files in it.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes that are held.
    pub held_bytes: u64,
    /// Whether all are held.
    pub complete: bool,
    /// Whether garbage collection keeps it.
    pub pinned: bool,
}

/// The details of one model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ModelDetails {
    /// Its address.
    pub hash: ContentHash,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes that are held.
    pub held_bytes: u64,
    /// Whether all are held.
    pub complete: bool,
    /// Whether garbage collection keeps it.
    pub pinned: bool,
    /// The files, sorted by path.
    pub files: Vec<FileDetails>,
}

/// The result of garbage collection: freed files, and the reasons for kept ones.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Collected {
    /// Files that were freed.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Models that stay because they are pinned.
    pub pinned: u64,
    /// Revisions of names of this node, which stay until they are removed.
    pub named: u64,
    /// Revisions of names of an upstream, whose files stay until the quota needs their room.
    pub cached: u64,
}

/// The result of hashing the store again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Verified {
    /// Files that were hashed.
    pub files: u64,
    /// Bytes that were hashed.
    pub bytes: u64,
    /// Files with wrong bytes. `get` fetches the wrong chunks again.
    pub damaged: Vec<Damaged>,
    /// The number of files that are shared in place and changed or missing.
    pub stale: u64,
    /// The number of partial files that cannot be checked, because their chunk lists are not known.
    pub unlisted: u64,
    /// The number of other files of the models that are not held completely.
    pub missing: u64,
    /// The files that are counted as stale, unlisted or missing; of many, the first.
    pub absent: Vec<Absent>,
}

/// A file that could not be checked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Absent {
    /// The reason.
    pub why: Absence,
    /// The file.
    pub hash: FileHash,
    /// The path of its bytes, if in place.
    pub path: Option<PathBuf>,
    /// Its place in a model.
    pub in_model: Option<InModel>,
}

/// Why a file cannot be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Absence {
    /// Shared in place, and changed or missing.
    Stale,
    /// Its chunk list is not known.
    Unlisted,
    /// It is not held completely.
    Missing,
}

/// A file's place in a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InModel {
    /// The model.
    pub model: ContentHash,
    /// A name of the model, if it has one.
    pub name: Option<String>,
    /// The file's path in it.
    pub file: ModelPath,
}

/// A file whose bytes are wrong.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Damaged {
    /// The file.
    pub hash: FileHash,
    /// The path of its bytes, if in place.
    pub path: Option<PathBuf>,
    /// Chunks that are wrong.
    pub chunks: u64,
    /// Its place in a model.
    pub in_model: Option<InModel>,
}
