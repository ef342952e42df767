//! Errors of an upstream.

use std::time::Duration;

use hubless_transfer::{Failure, FailureKind, Remedy, sentence};
use reqwest::StatusCode;

use crate::RepoError;

/// Seconds that a client is asked to wait if the upstream does not say.
const BUSY_DEFAULT: Duration = Duration::from_secs(5);

/// Why a request to an upstream failed. No variant holds a URL with its query, which may contain a
/// signature.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection, or it broke.
    #[error("the upstream {host} cannot be reached")]
    Unreachable {
        /// The host, with its port.
        host: String,
        /// Why.
        source: reqwest::Error,
    },
    /// It was reached, but sent nothing.
    #[error("the upstream {host} said nothing for {} s", after.as_secs())]
    Silent {
        /// The host, with its port.
        host: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// It refused.
    #[error("the upstream answered {status}: {message}")]
    Refused {
        /// The status of its answer.
        status: StatusCode,
        /// The header `X-Error-Code`.
        code: Option<String>,
        /// Its reason, in its words.
        message: String,
        /// When to repeat the request.
        retry_after: Option<Duration>,
    },
    /// It redirects to a host that may not be contacted.
    #[error("the upstream leads to {host}, which is none of its hosts")]
    ForbiddenHost {
        /// The host, with its port.
        host: String,
    },
    /// It redirects without an end.
    #[error("the upstream redirects without an end")]
    Redirects,
    /// Its response is malformed; holds the reason.
    #[error("the upstream's answer makes no sense: {0}")]
    Malformed(String),
    /// The node stops.
    #[error("interrupted")]
    Interrupted,
}

impl UpstreamError {
    /// Whether the same request may succeed a little later.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            // The time limit of a silent upstream was long already.
            Self::Unreachable { source, .. } => !source.is_timeout(),
            Self::Refused { status, .. } => {
                status.is_server_error()
                    || matches!(
                        *status,
                        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
                    )
            }
            Self::Silent { .. }
            | Self::ForbiddenHost { .. }
            | Self::Redirects
            | Self::Malformed(_)
            | Self::Interrupted => false,
        }
    }

    /// Whether the answer is a no, to this caller or to any: no other source may give it then.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Refused { status, .. } => matches!(
                *status,
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND
            ),
            Self::ForbiddenHost { .. } => true,
            Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::Redirects
            | Self::Malformed(_)
            | Self::Interrupted => false,
        }
    }

    /// The wait that it demands.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// As the error of a request for `revision` or `path` of a repo.
    pub(super) fn explain(self, revision: &str, path: &str) -> RepoError {
        let Self::Refused {
            status,
            code,
            message,
            retry_after,
        } = self
        else {
            return self.into();
        };
        match (code.as_deref(), status) {
            (Some("RepoNotFound"), _) => RepoError::NoRepo,
            (Some("RevisionNotFound"), _) => RepoError::NoRevision {
                revision: revision.to_owned(),
            },
            (Some("EntryNotFound"), _) => RepoError::NoEntry {
                path: path.to_owned(),
            },
            (Some("GatedRepo"), _) => RepoError::Gated { message },
            (_, StatusCode::TOO_MANY_REQUESTS) => RepoError::TooManyRequests {
                retry_after: retry_after.unwrap_or(BUSY_DEFAULT),
            },
            (_, StatusCode::SERVICE_UNAVAILABLE) => RepoError::Busy {
                retry_after: retry_after.unwrap_or(BUSY_DEFAULT),
            },
            (_, StatusCode::UNAUTHORIZED) if message.contains("Invalid credentials") => {
                RepoError::BadToken { message }
            }
            // The public hub answers 401 for a missing repo if the request had no token.
            (_, StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND) => RepoError::NoRepo,
            (_, StatusCode::FORBIDDEN) => RepoError::Denied { message },
            _ => {
                let message = format!("the upstream answered {status}: {message}");
                RepoError::Unavailable {
                    failure: Failure::new(FailureKind::Network, message),
                }
            }
        }
    }
}

impl RepoError {
    /// As an answer about a file of a repo that the upstream has listed.
    pub fn of_file(error: &UpstreamError) -> Self {
        match error {
            UpstreamError::Refused {
                status: StatusCode::TOO_MANY_REQUESTS,
                retry_after,
                ..
            } => Self::TooManyRequests {
                retry_after: retry_after.unwrap_or(BUSY_DEFAULT),
            },
            UpstreamError::Refused {
                status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN,
                ..
            }
            | UpstreamError::ForbiddenHost { .. } => Self::Denied {
                message: sentence(error),
            },
            UpstreamError::Interrupted => Self::Failed {
                failure: error.into(),
            },
            UpstreamError::Unreachable { .. }
            | UpstreamError::Silent { .. }
            | UpstreamError::Refused { .. }
            | UpstreamError::Redirects
            | UpstreamError::Malformed(_) => Self::Unavailable {
                failure: error.into(),
            },
        }
    }
}

impl From<&UpstreamError> for Failure {
    fn from(error: &UpstreamError) -> Self {
        let failure = Self::new(kind(error), sentence(error));
        match error {
            UpstreamError::Unreachable { .. } | UpstreamError::Silent { .. } => {
                failure.remedy(Remedy::CheckUpstream)
            }
            UpstreamError::ForbiddenHost { .. } => failure.remedy(Remedy::AllowHost),
            UpstreamError::Refused {
                status: StatusCode::TOO_MANY_REQUESTS,
                retry_after,
                ..
            } => failure.retry_after(retry_after.unwrap_or(BUSY_DEFAULT)),
            UpstreamError::Refused { .. }
            | UpstreamError::Redirects
            | UpstreamError::Malformed(_)
            | UpstreamError::Interrupted => failure,
        }
    }
}

fn kind(error: &UpstreamError) -> FailureKind {
    match error {
        UpstreamError::ForbiddenHost { .. } => FailureKind::Denied,
        UpstreamError::Refused { status, .. } => match *status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => FailureKind::Denied,
            StatusCode::NOT_FOUND => FailureKind::NotFound,
            _ => FailureKind::Network,
        },
        UpstreamError::Unreachable { .. }
        | UpstreamError::Silent { .. }
        | UpstreamError::Redirects
        | UpstreamError::Malformed(_) => FailureKind::Network,
        UpstreamError::Interrupted => FailureKind::Interrupted,
    }
}

impl From<UpstreamError> for RepoError {
    fn from(error: UpstreamError) -> Self {
        match error {
            UpstreamError::Interrupted => Self::Failed {
                failure: Failure::from(&error),
            },
            UpstreamError::Unreachable { .. }
            | UpstreamError::Silent { .. }
            | UpstreamError::Refused { .. }
            | UpstreamError::ForbiddenHost { .. }
            | UpstreamError::Redirects
            | UpstreamError::Malformed(_) => Self::Unavailable {
                failure: Failure::from(&error),
            },
        }
    }
}
