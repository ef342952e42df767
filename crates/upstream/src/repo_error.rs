//! Errors of requests for a repo or its content.

use std::{sync::Arc, time::Duration};

use hubless_content::{CommitId, ModelPath, RepoId};
use hubless_names::resolve::ResolveError;
use hubless_store::StoreError;
use hubless_transfer::{
    Aborted, TransferError, is_unavailable_in_store,
    text::{explain_store, sentence},
};
use reqwest::StatusCode;

use crate::{
    error::{BUSY_DEFAULT, Refusal, UpstreamError},
    pulls::PullError,
};

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
    /// The publisher has moved the repo.
    #[error("the repo is now {to}")]
    Moved {
        /// Where it is.
        to: RepoId,
    },
    /// The newest head of a publisher's repo is not known, or does not count.
    #[error(transparent)]
    Name(Arc<ResolveError>),
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

impl From<ResolveError> for RepoError {
    fn from(error: ResolveError) -> Self {
        Self::Name(Arc::new(error))
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
    fn caused(is_unavailable: bool, cause: Cause) -> Self {
        if is_unavailable {
            Self::Unavailable { cause }
        } else {
            Self::Failed { cause }
        }
    }

    /// The error of a request for `revision` or `path` of a repo.
    pub(crate) fn of_request(error: UpstreamError, revision: &str, path: &str) -> Self {
        let UpstreamError::Refused {
            status,
            reason,
            ref message,
            retry_after,
        } = error
        else {
            return error.into();
        };
        let message = message.clone();
        let retry_after = retry_after.unwrap_or(BUSY_DEFAULT);
        match (reason, status) {
            (Some(Refusal::NoRepo), _) => Self::NoRepo,
            (Some(Refusal::NoRevision), _) => Self::NoRevision {
                revision: revision.to_owned(),
            },
            (Some(Refusal::NoEntry), _) => Self::NoEntry {
                path: path.to_owned(),
            },
            (Some(Refusal::Gated), _) => Self::Gated { message },
            (Some(Refusal::BadToken), _) => Self::BadToken { message },
            (None, StatusCode::TOO_MANY_REQUESTS) => Self::TooManyRequests { retry_after },
            (None, StatusCode::SERVICE_UNAVAILABLE) => Self::Busy { retry_after },
            // The public hub answers 401 for a missing repo if the request had no token.
            (None, StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND) => Self::NoRepo,
            (None, StatusCode::FORBIDDEN) => Self::Denied { message },
            (None, _) => error.into(),
        }
    }

    /// As an answer about a file of a repo that the upstream has listed; `cause` is that error, or one
    /// that holds it.
    fn of_listed_file(error: &UpstreamError, cause: Cause) -> Self {
        match error {
            UpstreamError::Refused {
                status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN,
                ..
            }
            | UpstreamError::ForbiddenHost { .. } => Self::Denied {
                message: sentence(error),
            },
            UpstreamError::Interrupted => Self::Failed { cause },
            UpstreamError::Unreachable { .. }
            | UpstreamError::Silent { .. }
            | UpstreamError::Refused { .. }
            | UpstreamError::Redirects
            | UpstreamError::Malformed(_) => match error.wait_demanded() {
                Some(retry_after) => Self::TooManyRequests { retry_after },
                None => Self::Unavailable { cause },
            },
        }
    }

    /// As an answer about a file of a repo that the upstream has listed.
    pub fn of_file(error: UpstreamError) -> Self {
        let error = Arc::new(error);
        Self::of_listed_file(&error, Cause::Upstream(error.clone()))
    }

    /// As an answer about a file that was pulled.
    pub fn of_pull(error: Arc<PullError>) -> Self {
        let cause = Cause::Pull(error.clone());
        match &*error {
            PullError::Upstream(upstream) => Self::of_listed_file(upstream, cause),
            PullError::Chunks(error) if !error.is_unavailable() => Self::Failed { cause },
            PullError::Store(error) if !is_unavailable_in_store(error) => Self::Failed { cause },
            // The caller's request was right, and so is this node.
            PullError::Chunks(_)
            | PullError::Store(_)
            | PullError::OtherFile { .. }
            | PullError::WrongBytes { .. }
            | PullError::Misled { .. } => Self::Unavailable { cause },
            PullError::Aborted(_) | PullError::Interrupted => Self::Failed { cause },
        }
    }
}

impl From<UpstreamError> for RepoError {
    fn from(error: UpstreamError) -> Self {
        let is_interruption = match error {
            UpstreamError::Interrupted => true,
            UpstreamError::Unreachable { .. }
            | UpstreamError::Silent { .. }
            | UpstreamError::Refused { .. }
            | UpstreamError::ForbiddenHost { .. }
            | UpstreamError::Redirects
            | UpstreamError::Malformed(_) => false,
        };
        let cause = Cause::Upstream(Arc::new(error));
        Self::caused(!is_interruption, cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: StatusCode, code: Option<&str>, message: &str) -> UpstreamError {
        UpstreamError::Refused {
            status,
            reason: Refusal::read(status, code, message),
            message: message.to_owned(),
            retry_after: None,
        }
    }

    fn of_request(error: UpstreamError) -> RepoError {
        RepoError::of_request(error, "main", "")
    }

    #[test]
    fn a_wrong_token_is_distinguished_from_a_missing_repo() {
        let wrong = "Invalid credentials in Authorization header";
        let explained = |status, code, message| of_request(refused(status, code, message));
        assert!(matches!(
            explained(StatusCode::UNAUTHORIZED, None, wrong),
            RepoError::BadToken { message } if message == wrong
        ));
        for (status, code, message) in [
            (
                StatusCode::UNAUTHORIZED,
                None,
                "Invalid username or password.",
            ),
            (StatusCode::UNAUTHORIZED, Some("RepoNotFound"), wrong),
            (StatusCode::NOT_FOUND, None, wrong),
        ] {
            let error = explained(status, code, message);
            assert!(matches!(error, RepoError::NoRepo), "{status} {error:?}");
        }
    }

    #[test]
    fn what_other_statuses_say_is_kept() {
        let error = of_request(refused(StatusCode::IM_A_TEAPOT, None, "short and stout"));
        let RepoError::Unavailable { cause } = error else {
            panic!("{error:?}");
        };
        assert!(cause.to_string().ends_with("short and stout"), "{cause}");
        let busy = of_request(refused(StatusCode::TOO_MANY_REQUESTS, None, ""));
        assert!(
            matches!(busy, RepoError::TooManyRequests { retry_after } if retry_after == BUSY_DEFAULT)
        );
    }

    #[test]
    fn a_pull_without_room_is_a_failure_of_this_node_and_wrong_bytes_are_not() {
        let path = || "a.bin".parse().unwrap();
        let of = |error| RepoError::of_pull(Arc::new(error));
        let wrong = of(PullError::WrongBytes { path: path() });
        assert!(matches!(wrong, RepoError::Unavailable { .. }));
        let (needed, quota, used) = (1, 2, 2);
        let full = PullError::Store(hubless_store::StoreError::Quota {
            needed,
            quota,
            used,
        });
        assert!(matches!(of(full), RepoError::Failed { .. }));
        let refused = refused(StatusCode::FORBIDDEN, None, "no");
        assert!(matches!(
            of(PullError::Upstream(refused)),
            RepoError::Denied { .. }
        ));
    }
}
