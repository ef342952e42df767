//! Why a request could not be done.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What kind of failure: decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Exit code 1.
    Other,
    /// The request makes no sense: 2.
    Usage,
    /// Nobody has it, or it is not here: 3.
    NotFound,
    /// Not allowed: 4.
    Denied,
    /// Bytes are not what they should be: 5.
    Integrity,
    /// No peer could be reached, or an address could not be used: 6.
    Network,
    /// Some of it is there, the rest could not be had: 7.
    Partial,
    /// Something else uses the home directory: 8.
    Busy,
    /// The process that did the work for this one ended before it; to be asked for again: 1.
    HostEnded,
    /// The disk or the quota is full: 9.
    NoSpace,
    /// Stopped by the caller: 130.
    Interrupted,
}

impl FailureKind {
    /// The exit code of the command line (see the README).
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Other | Self::HostEnded => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Denied => 4,
            Self::Integrity => 5,
            Self::Network => 6,
            Self::Partial => 7,
            Self::Busy => 8,
            Self::NoSpace => 9,
            Self::Interrupted => 130,
        }
    }
}

/// Why a request could not be done: for people.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// What failed and what was tried; a sentence, with its causes.
    pub message: String,
    /// The next command to try, or what to do.
    pub hint: Option<String>,
    /// Seconds to wait before the upstream is asked again, if it limits requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            retry_after: None,
        }
    }

    /// Adds how long the upstream wants to be left alone.
    pub fn retry_after(self, time: Duration) -> Self {
        Self {
            retry_after: Some(time.as_secs()),
            ..self
        }
    }

    /// Adds what to do next.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}
