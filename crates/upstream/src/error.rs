//! Errors of an upstream.

use std::time::Duration;

use hubless_transfer::text::sentence;
use reqwest::StatusCode;

use crate::hosts::ParseHostError;

/// Seconds that a client is asked to wait if the upstream does not say.
pub(crate) const BUSY_DEFAULT: Duration = Duration::from_secs(5);

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
