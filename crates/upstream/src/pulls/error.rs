//! Why a pull did not bring its file.

use hubless_content::ModelPath;
use hubless_store::{StoreError, StoreErrorKind};
use hubless_transfer::{Aborted, TransferError};

use crate::error::UpstreamError;

/// Why a pull did not bring its file, or why one of its readers does not get all of it.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The upstream does not give it, and no peer gave a file that is proven.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The file that the upstream sent is not the one that it lists.
    #[error("the upstream sent other bytes of {path:?} than it lists")]
    OtherFile {
        /// The file.
        path: ModelPath,
        /// How the bytes differ from what is listed.
        source: StoreError,
    },
    /// Readers got bytes of the upstream that are not those of the file, which peers gave.
    #[error("the upstream sent wrong bytes of {path:?}")]
    WrongBytes {
        /// The file.
        path: ModelPath,
    },
    /// This reader got chunks of a trusted file that proved to be another.
    #[error("{path:?} is not what a member of the network said")]
    Misled {
        /// The file.
        path: ModelPath,
    },
    /// Chunks of a trusted file could not be read.
    #[error(transparent)]
    Chunks(TransferError),
    /// This node could not keep or read it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A call of the store was aborted.
    #[error(transparent)]
    Aborted(#[from] Aborted),
    /// The node stops, or the pull had no reader for too long.
    #[error("interrupted")]
    Interrupted,
}

impl PullError {
    /// Whether the upstream refuses the file to the caller: no other source may give it then.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Upstream(error) => error.is_refusal(),
            Self::OtherFile { .. }
            | Self::WrongBytes { .. }
            | Self::Misled { .. }
            | Self::Chunks(_)
            | Self::Store(_)
            | Self::Aborted(_)
            | Self::Interrupted => false,
        }
    }

    /// Whether there is no room to keep the file; its bytes can be had all the same.
    pub fn is_for_lack_of_room(&self) -> bool {
        match self {
            Self::Store(error) => matches!(
                error.kind(),
                StoreErrorKind::NoSpace | StoreErrorKind::Quota
            ),
            Self::Upstream(_)
            | Self::OtherFile { .. }
            | Self::WrongBytes { .. }
            | Self::Misled { .. }
            | Self::Chunks(_)
            | Self::Aborted(_)
            | Self::Interrupted => false,
        }
    }
}
