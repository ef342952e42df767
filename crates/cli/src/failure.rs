//! Errors for people: the text, the hint and the exit code, chosen once.

use std::{fmt, io};

use hubless_node::{
    api::{self, FailureKind, Remedy},
    config::{CONFIG_FILE, ConfigError},
};
use serde::Serialize;

use crate::hints::hint;

/// A failure as it is printed: what failed, and the next command to try.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Failure {
    /// Chooses the exit code.
    pub(crate) kind: FailureKind,
    /// What failed and what was tried; a sentence, with its causes.
    pub(crate) message: String,
    /// The next command to try, or what to do.
    pub(crate) hint: Option<String>,
    /// Seconds to wait before the same is asked again, if the other side limits requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after: Option<u64>,
}

impl Failure {
    /// A failure without a hint.
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            retry_after: None,
        }
    }

    /// Adds what to do next.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<api::Failure> for Failure {
    fn from(failure: api::Failure) -> Self {
        Self {
            kind: failure.kind,
            message: failure.message,
            hint: failure.remedy.as_ref().map(hint),
            retry_after: failure.retry_after,
        }
    }
}

/// The exit code of a command that failed; the table is in `docs/cli.md`.
pub(crate) fn exit_code(kind: FailureKind) -> u8 {
    match kind {
        FailureKind::Other | FailureKind::HostEnded => 1,
        FailureKind::Usage => 2,
        FailureKind::NotFound => 3,
        FailureKind::Denied => 4,
        FailureKind::Integrity => 5,
        FailureKind::Network => 6,
        FailureKind::Partial => 7,
        FailureKind::Busy => 8,
        FailureKind::NoSpace => 9,
        FailureKind::Interrupted => 130,
    }
}

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Error {
    /// It failed, and a person should know why.
    Failed(Failure),
    /// The reader of stdout has closed it, as `head` does: no failure, and no reader for a message.
    ReaderGone,
}

impl Error {
    /// The work was stopped before its end.
    pub(crate) fn interrupted() -> Self {
        Failure::new(FailureKind::Interrupted, "interrupted").into()
    }

    /// Whether it failed in this way.
    pub(crate) fn is(&self, kind: FailureKind) -> bool {
        matches!(self, Self::Failed(failure) if failure.kind == kind)
    }

    /// Says what an interruption leaves behind and how to go on.
    pub(crate) fn if_interrupted(self, message: &str, hint: String) -> Self {
        match self {
            Self::Failed(failure) if failure.kind == FailureKind::Interrupted => {
                Failure::new(failure.kind, message).hint(hint).into()
            }
            other => other,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<api::Failure> for Error {
    fn from(failure: api::Failure) -> Self {
        Self::Failed(failure.into())
    }
}

/// A result could not be written to stdout.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::BrokenPipe => return Self::ReaderGone,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureKind::NoSpace,
            _ => FailureKind::Other,
        };
        Failure::new(
            kind,
            format!("could not write the result to stdout: {error}"),
        )
        .into()
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        let message = with_causes(&error);
        let (kind, hint) = match &error {
            ConfigError::Read { path, .. } => {
                let hint = format!("make {} readable for you, or choose --home", path.display());
                (FailureKind::Other, hint)
            }
            ConfigError::Write { path, .. } => {
                let hint = format!("make {} writable for you, or choose --home", path.display());
                (FailureKind::Other, hint)
            }
            ConfigError::UnknownKey { .. } => (
                FailureKind::Usage,
                "`hubless config show` explains each key".to_owned(),
            ),
            ConfigError::File { path, .. } => (
                FailureKind::Usage,
                format!(
                    "correct {}; `hubless config show --defaults` prints every key",
                    path.display()
                ),
            ),
            ConfigError::Address { source, .. } => {
                let meant = source.meant.clone();
                (FailureKind::Usage, hint(&Remedy::WriteMultiaddr { meant }))
            }
            ConfigError::Value { name, .. } if name.starts_with("HUBLESS_") => (
                FailureKind::Usage,
                format!("correct the environment variable {name}, or unset it"),
            ),
            ConfigError::Value { .. } => (
                FailureKind::Usage,
                format!("check the flags, the HUBLESS_ variables and {CONFIG_FILE}"),
            ),
        };
        Failure::new(kind, message).hint(hint).into()
    }
}

/// The error's text followed by its causes', each once.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
