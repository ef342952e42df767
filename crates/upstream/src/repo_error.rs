//! Errors of requests for a repo or its content.

use std::{sync::Arc, time::Duration};

use hubless_content::{CommitId, ModelPath};
use hubless_store::StoreError;
use hubless_transfer::{
    Aborted, TransferError, is_unavailable_in_store,
    text::{explain_store, sentence},
};

use crate::{PullError, UpstreamError};

/// Why a repo, or content of it, is not available.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RepoError {
    /// The repo does not exist, or not for this caller.
    #[error("there is no such repo")]
    NoRepo,
    /// The repo has no such revision.
    #[error("the repo has no revision {revision:?}")]
    NoRevision {
        /// The requested one.
        revision: String,
    },
    /// The content of the revision was removed here.
    #[error("the content of revision {revision} was removed from this node")]
    Removed {
        /// The revision's id.
        revision: CommitId,
    },
    /// The revision has no such file.
    #[error("there is no {path:?} in this revision")]
    NoEntry {
        /// The requested one.
        path: String,
    },
    /// The caller has not accepted its terms.
    #[error("{message}")]
    Gated {
        /// The hub's message.
        message: String,
    },
    /// The hub where the repo comes from refuses it to this caller.
    #[error("{message}")]
    Denied {
        /// The hub's message.
        message: String,
    },
    /// The hub where the repo comes from does not know the caller's token.
    #[error("{message}")]
    BadToken {
        /// The hub's message.
        message: String,
    },
    /// Temporarily not available.
    #[error("busy")]
    Busy {
        /// When to repeat the request.
        retry_after: Duration,
    },
    /// The hub where the repo comes from limits the requests of this caller or node.
    #[error("the upstream limits requests")]
    TooManyRequests {
        /// When to repeat the request.
        retry_after: Duration,
    },
    /// It is not held, and no source provides it now.
    #[error("{cause}")]
    Unavailable {
        /// What was tried.
        cause: Cause,
    },
    /// An operation of this node failed.
    #[error("{cause}")]
    Failed {
        /// Which one, and how.
        cause: Cause,
    },
}

/// What went wrong below a request for a repo.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Cause {
    /// The store.
    #[error("{}", explain_store(.0))]
    Store(Arc<StoreError>),
    /// A transfer from peers, or a read of what is stored.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// A request to the upstream.
    #[error("{}", sentence(&**.0))]
    Upstream(Arc<UpstreamError>),
    /// A pull of a file.
    #[error("{}", sentence(&**.0))]
    Pull(Arc<PullError>),
    /// The file comes from a hub, and none is configured.
    #[error("{path:?} is not here, and no upstream is asked")]
    NoUpstream {
        /// The file.
        path: ModelPath,
    },
    /// A call of the store was aborted.
    #[error(transparent)]
    Aborted(#[from] Aborted),
    /// The node stops.
    #[error("interrupted")]
    Interrupted,
}

impl From<StoreError> for RepoError {
    fn from(error: StoreError) -> Self {
        let is_unavailable = is_unavailable_in_store(&error);
        Self::caused(is_unavailable, Cause::Store(Arc::new(error)))
    }
}

impl From<TransferError> for RepoError {
    fn from(error: TransferError) -> Self {
        Self::caused(error.is_unavailable(), error.into())
    }
}

impl From<Aborted> for RepoError {
    fn from(error: Aborted) -> Self {
        Self::caused(false, error.into())
    }
}

impl RepoError {
    pub(crate) fn caused(is_unavailable: bool, cause: Cause) -> Self {
        if is_unavailable {
            Self::Unavailable { cause }
        } else {
            Self::Failed { cause }
        }
    }
}
