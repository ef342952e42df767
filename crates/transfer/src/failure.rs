//! Failures of requests.

use std::{error::Error, time::Duration};

use hubless_network::StartError;
use hubless_store::{StoreError, StoreErrorKind};
use serde::{Deserialize, Serialize};

use crate::{blocking::Aborted, text::size};

/// The kind of a failure, which decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Exit code 1.
    Other,
    /// The request makes no sense: 2.
    Usage,
    /// Not found here or at any peer: 3.
    NotFound,
    /// Not allowed: 4.
    Denied,
    /// Bytes are not what they should be: 5.
    Integrity,
    /// No peer could be reached, or an address could not be used: 6.
    Network,
    /// A part is held, the rest could not be fetched: 7.
    Partial,
    /// Another process uses the home directory: 8.
    Busy,
    /// The process that did the work for this one ended before it; the request can be repeated: 1.
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

/// Why a request failed: a text for people.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The kind.
    pub kind: FailureKind,
    /// The failed operation and its attempts; a sentence, with its causes.
    pub message: String,
    /// The next command to try, or another remedy.
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

    /// Adds the time after which the upstream may be asked again.
    pub fn retry_after(self, time: Duration) -> Self {
        Self {
            retry_after: Some(time.as_secs()),
            ..self
        }
    }

    /// Adds the next step.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

/// The failure of a call whose caller left, or whose node stops.
pub fn interrupted() -> Failure {
    Failure::new(FailureKind::Interrupted, "interrupted")
}

/// The error and its causes as one sentence, without repetitions.
pub fn sentence(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<&StoreError> for Failure {
    fn from(error: &StoreError) -> Self {
        let kind = match error.kind() {
            StoreErrorKind::NotFound => FailureKind::NotFound,
            StoreErrorKind::Locked | StoreErrorKind::Conflict => FailureKind::Busy,
            StoreErrorKind::Corrupt | StoreErrorKind::Integrity => FailureKind::Integrity,
            StoreErrorKind::NoSpace | StoreErrorKind::Quota => FailureKind::NoSpace,
            StoreErrorKind::Input => FailureKind::Usage,
            StoreErrorKind::Io => FailureKind::Other,
            StoreErrorKind::Cancelled => FailureKind::Interrupted,
        };
        let message = match error {
            StoreError::Quota {
                needed,
                quota,
                used,
            } => {
                let (needed, quota, used) = (size(*needed), size(*quota), size(*used));
                format!("{needed} more do not fit: the quota is {quota}, and {used} are used")
            }
            error => sentence(error),
        };
        let failure = Self::new(kind, message);
        match store_hint(error) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

fn store_hint(error: &StoreError) -> Option<String> {
    use StoreError as E;
    Some(match error {
        E::NotADirectory { path } if path.is_file() => {
            "a model is a directory: put the file into one of its own and add that".into()
        }
        E::NotADirectory { .. } => "check the path: it must be an existing directory".into(),
        E::NoFiles { .. } => {
            "a model needs at least one file; empty directories do not count".into()
        }
        E::Name { .. } => "rename the file and run the same command again".into(),
        E::LinkLeaves { .. } | E::LinkToDirectory { .. } => {
            "add `--follow-links` to import what links lead to".into()
        }
        E::Changed { .. } => "wait until nothing writes to it, then run the command again".into(),
        E::ReadOnly { .. } => {
            "make it writable for this user, or use another home directory with `--home`".into()
        }
        E::NoSpace { .. } => {
            "make room (`hubless rm HASH`, then `hubless gc`), then run the same command again: \
             it resumes"
                .into()
        }
        E::Quota { .. } => {
            "raise `quota` (`hubless config show`) or make room (`hubless rm HASH`, then \
             `hubless gc`), then run the same command again: it resumes"
                .into()
        }
        E::Locked { home } => format!(
            "another hubless uses this home directory ({}); wait for it, or use another one with \
             `--home`",
            home.display()
        ),
        E::Corrupt { path, .. } => format!(
            "restore {0} from a backup, or move it away ({0}.damaged) and add or get the models \
             again",
            path.display()
        ),
        E::Newer { .. } => "update hubless".into(),
        E::UnknownModel { model } => {
            format!("`hubless ls` shows what is here; `hubless get {model}` fetches it")
        }
        E::Damaged { .. } => {
            "`hubless verify` finds what is damaged, `hubless get` repairs it".into()
        }
        E::RepoExists { .. } | E::RefMoved { .. } => "run the same command again".into(),
        E::WouldReplace { .. } => {
            "move it away, choose another directory with `-o`, or replace such files with `--force`"
                .into()
        }
        E::TooMany { .. } => "`hubless name rm` makes room".into(),
        E::UnsafeTarget { .. } | E::SameName { .. } => "choose another directory with `-o`".into(),
        _ => return None,
    })
}

impl From<Aborted> for Failure {
    fn from(error: Aborted) -> Self {
        Self::new(FailureKind::Other, error.to_string())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let failure = Self::new(FailureKind::Network, sentence(&error));
        if error.is_address_in_use() {
            failure.hint("another program listens there; choose another port with `--listen`")
        } else {
            failure.hint("check `listen`, `bootstrap` and `network_key` in `hubless config show`")
        }
    }
}
