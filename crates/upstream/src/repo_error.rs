//! Errors of requests for a repo or its content.

use std::time::Duration;

use hubless_content::CommitId;
use hubless_store::{StoreError, StoreErrorKind};
use hubless_transfer::{Aborted, Failure, FailureKind, Remedy};

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
    #[error("{failure}")]
    Unavailable {
        /// The attempts.
        failure: Failure,
    },
    /// An operation of this node failed.
    #[error("{failure}")]
    Failed {
        /// The failure.
        failure: Failure,
    },
}

impl From<StoreError> for RepoError {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<&StoreError> for RepoError {
    fn from(error: &StoreError) -> Self {
        let failure = Failure::from(error);
        match error.kind() {
            // What is stored is not what it should be: the caller's request was right.
            StoreErrorKind::NotFound | StoreErrorKind::Corrupt | StoreErrorKind::Integrity => {
                Self::Unavailable { failure }
            }
            StoreErrorKind::Locked
            | StoreErrorKind::Conflict
            | StoreErrorKind::NoSpace
            | StoreErrorKind::Quota
            | StoreErrorKind::Input
            | StoreErrorKind::Io
            | StoreErrorKind::Cancelled => Self::Failed { failure },
        }
    }
}

impl From<Aborted> for RepoError {
    fn from(error: Aborted) -> Self {
        Self::Failed {
            failure: error.into(),
        }
    }
}

/// A failure of a fetch.
impl From<Failure> for RepoError {
    fn from(failure: Failure) -> Self {
        if let Some(seconds) = failure.retry_after {
            let retry_after = Duration::from_secs(seconds);
            return Self::TooManyRequests { retry_after };
        }
        match failure.kind {
            // The received bytes are wrong: neither the caller's request nor this node is at fault.
            FailureKind::NotFound
            | FailureKind::Network
            | FailureKind::Partial
            | FailureKind::Integrity => Self::Unavailable { failure },
            FailureKind::Denied => Self::Denied {
                message: failure.message,
            },
            _ => Self::Failed { failure },
        }
    }
}

impl From<RepoError> for Failure {
    fn from(error: RepoError) -> Self {
        let message = error.to_string();
        match error {
            RepoError::Unavailable { failure } | RepoError::Failed { failure } => failure,
            RepoError::NoRepo => {
                Self::new(FailureKind::NotFound, message).remedy(Remedy::ListNames)
            }
            RepoError::NoRevision { .. }
            | RepoError::Removed { .. }
            | RepoError::NoEntry { .. } => {
                Self::new(FailureKind::NotFound, message).remedy(Remedy::ShowName { name: None })
            }
            RepoError::Gated { .. } | RepoError::Denied { .. } | RepoError::BadToken { .. } => {
                Self::new(FailureKind::Denied, message)
            }
            RepoError::Busy { .. } => Self::new(FailureKind::Busy, message),
            RepoError::TooManyRequests { retry_after } => {
                Self::new(FailureKind::Network, message).retry_after(retry_after)
            }
        }
    }
}
