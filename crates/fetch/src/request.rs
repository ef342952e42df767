//! What a caller wants of a fetch.

use std::{fmt, ops::Range};

use hubless_content::{
    CHUNK_SIZE, ChunkIndex, ContentHash, FileHash, ManifestEntry, ModelPath, chunk_offset,
};
use hubless_scheduler::Order;

use crate::target::Target;

/// Chooses files of a manifest.
pub type FileFilter = Box<dyn Fn(&ManifestEntry) -> bool + Send + Sync>;

/// What to fetch, and what for.
pub enum FetchRequest {
    /// The chosen files of a model. The model is pinned, so garbage collection keeps them.
    Files {
        /// The model.
        model: ContentHash,
        /// Which of its files.
        chosen: FileFilter,
    },
    /// All files of a model that something else than a pin keeps, such as the mirror of a publisher.
    Kept {
        /// The model.
        model: ContentHash,
    },
    /// What fetching the chosen files would transfer: no chunk is fetched and nothing is stored.
    Plan {
        /// The model.
        model: ContentHash,
        /// Which of its files.
        chosen: FileFilter,
    },
    /// A byte range of one file, for one reader. The reader requests bytes again that turn out to be
    /// damaged on disk, so the fetch ends only when the reader leaves.
    Bytes {
        /// The model.
        model: ContentHash,
        /// The file.
        path: ModelPath,
        /// The bytes; beyond the end of the file there are none.
        range: Range<u64>,
    },
    /// What the readers of a model ask for, and nothing else; the fetch ends when the last one left.
    Shared {
        /// The model.
        model: ContentHash,
    },
    /// One file by its hash, whatever models it is in.
    File(ManifestEntry),
}

/// Which bytes of the chosen files are wanted from the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedBytes {
    /// All of them.
    All,
    /// Those in this range.
    Range(Range<u64>),
    /// None: readers ask for them later.
    None,
}

impl WantedBytes {
    /// Whether a chunk of a file holds some of them.
    pub fn include(&self, index: ChunkIndex) -> bool {
        match self {
            Self::All => true,
            Self::Range(range) => {
                let start = chunk_offset(index);
                start < range.end && range.start < start + CHUNK_SIZE as u64
            }
            Self::None => false,
        }
    }
}

/// What a reader waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRequest {
    /// The file it reads.
    pub file: FileHash,
    /// The bytes that it will read.
    pub bytes: Range<u64>,
    /// Those of them that it reads next: they are fetched first.
    pub next: Range<u64>,
}

impl FetchRequest {
    /// The model or file.
    pub fn target(&self) -> Target {
        match self {
            Self::Files { model, .. }
            | Self::Plan { model, .. }
            | Self::Bytes { model, .. }
            | Self::Kept { model }
            | Self::Shared { model } => Target::Model(*model),
            Self::File(file) => Target::File(file.clone()),
        }
    }

    /// Whether a file of the manifest may be fetched.
    pub fn chooses(&self, entry: &ManifestEntry) -> bool {
        match self {
            Self::Files { chosen, .. } | Self::Plan { chosen, .. } => chosen(entry),
            Self::Bytes { path, .. } => entry.path == *path,
            Self::Kept { .. } | Self::Shared { .. } | Self::File(_) => true,
        }
    }

    /// Which bytes of the chosen files are wanted before any reader requests some.
    pub fn wanted_bytes(&self) -> WantedBytes {
        match self {
            Self::Files { .. } | Self::Kept { .. } | Self::Plan { .. } | Self::File(_) => {
                WantedBytes::All
            }
            Self::Bytes { range, .. } => WantedBytes::Range(range.clone()),
            Self::Shared { .. } => WantedBytes::None,
        }
    }

    /// Whether readers ask for bytes while it runs; it then ends with the last of them.
    pub fn takes_reads(&self) -> bool {
        matches!(self, Self::Bytes { .. } | Self::Shared { .. })
    }

    /// The model to pin before anything is fetched.
    pub fn pins(&self) -> Option<ContentHash> {
        match self {
            Self::Files { model, .. } => Some(*model),
            _ => None,
        }
    }

    /// Whether it ends when it is known what is missing.
    pub fn only_plans(&self) -> bool {
        matches!(self, Self::Plan { .. })
    }

    pub(crate) fn order(&self) -> Order {
        match self {
            Self::Files { .. } | Self::Kept { .. } | Self::Plan { .. } => Order::RarestFirst,
            // Bytes are read from the beginning while they come.
            Self::Bytes { .. } | Self::Shared { .. } | Self::File(_) => Order::Sequential,
        }
    }
}

impl fmt::Debug for FetchRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Files { .. } => "files",
            Self::Kept { .. } => "all files",
            Self::Plan { .. } => "a plan",
            Self::Bytes { .. } => "bytes",
            Self::Shared { .. } => "reads",
            Self::File(_) => "a file",
        };
        write!(f, "{name} of {}", self.target())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_includes_the_chunks_that_it_touches() {
        let chunk = CHUNK_SIZE as u64;
        let included = |bytes: WantedBytes| -> Vec<u32> {
            (0..4)
                .filter(|index| bytes.include(ChunkIndex(*index)))
                .collect()
        };
        assert_eq!(included(WantedBytes::All), [0, 1, 2, 3]);
        assert_eq!(included(WantedBytes::None), [0; 0]);
        assert_eq!(included(WantedBytes::Range(chunk..chunk + 1)), [1]);
        assert_eq!(included(WantedBytes::Range(chunk - 1..chunk + 1)), [0, 1]);
        assert_eq!(included(WantedBytes::Range(0..chunk)), [0]);
    }
}
