//! Errors of an upstream.

use std::{sync::Arc, time::Duration};

use hubless_transfer::{is_unavailable_in_store, text::sentence};
use reqwest::StatusCode;

use crate::{Cause, PullError, RepoError, hosts::ParseHostError};

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
        /// Its reason, as far as programs may rely on it.
        reason: Option<Refusal>,
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

/// Why an upstream refuses, where it says so in words for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It has no such repo, or not for this caller.
    NoRepo,
    /// The repo has no such revision.
    NoRevision,
    /// The revision has no such file.
    NoEntry,
    /// The caller has not accepted the terms of the repo.
    Gated,
    /// It does not know the caller's token.
    BadToken,
}

impl Refusal {
    /// Reads the header `X-Error-Code` and the message of an answer. For a wrong token hubs send no
    /// code, but a fixed text: there it is the word for programs.
    pub(super) fn read(status: StatusCode, code: Option<&str>, message: &str) -> Option<Self> {
        Some(match code {
            Some("RepoNotFound") => Self::NoRepo,
            Some("RevisionNotFound") => Self::NoRevision,
            Some("EntryNotFound") => Self::NoEntry,
            Some("GatedRepo") => Self::Gated,
            _ if status == StatusCode::UNAUTHORIZED && message.contains("Invalid credentials") => {
                Self::BadToken
            }
            _ => return None,
        })
    }
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

    /// The wait that it demands, if it says how long.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The wait that it demands because it limits requests.
    pub fn wait_demanded(&self) -> Option<Duration> {
        match self {
            Self::Refused {
                status: StatusCode::TOO_MANY_REQUESTS,
                retry_after,
                ..
            } => Some(retry_after.unwrap_or(BUSY_DEFAULT)),
            _ => None,
        }
    }

    /// As the error of a request for `revision` or `path` of a repo.
    pub(super) fn explain(self, revision: &str, path: &str) -> RepoError {
        let Self::Refused {
            status,
            reason,
            ref message,
            retry_after,
        } = self
        else {
            return self.into();
        };
        let message = message.clone();
        let retry_after = retry_after.unwrap_or(BUSY_DEFAULT);
        match (reason, status) {
            (Some(Refusal::NoRepo), _) => RepoError::NoRepo,
            (Some(Refusal::NoRevision), _) => RepoError::NoRevision {
                revision: revision.to_owned(),
            },
            (Some(Refusal::NoEntry), _) => RepoError::NoEntry {
                path: path.to_owned(),
            },
            (Some(Refusal::Gated), _) => RepoError::Gated { message },
            (Some(Refusal::BadToken), _) => RepoError::BadToken { message },
            (None, StatusCode::TOO_MANY_REQUESTS) => RepoError::TooManyRequests { retry_after },
            (None, StatusCode::SERVICE_UNAVAILABLE) => RepoError::Busy { retry_after },
            // The public hub answers 401 for a missing repo if the request had no token.
            (None, StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND) => RepoError::NoRepo,
            (None, StatusCode::FORBIDDEN) => RepoError::Denied { message },
            (None, _) => self.into(),
        }
    }
}

impl RepoError {
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

/// Why an upstream cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The configuration names something as a host that is none.
    #[error("upstream_hosts: {0}")]
    Hosts(ParseHostError),
    /// There are no CA certificates, or they cannot be read.
    #[error("cannot prepare for the upstream: {}", sentence(.0))]
    Client(reqwest::Error),
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

    #[test]
    fn a_wrong_token_is_told_apart_from_a_missing_repo() {
        let wrong = "Invalid credentials in Authorization header";
        let explained = |status, code, message| refused(status, code, message).explain("main", "");
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
        let error = refused(StatusCode::IM_A_TEAPOT, None, "short and stout").explain("main", "");
        let RepoError::Unavailable { cause } = error else {
            panic!("{error:?}");
        };
        assert!(cause.to_string().ends_with("short and stout"), "{cause}");
        let busy = refused(StatusCode::TOO_MANY_REQUESTS, None, "").explain("main", "");
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
