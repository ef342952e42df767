//! Failures of requests.

use std::{error::Error, time::Duration};

use hubless_network::StartError;
use hubless_store::{DiskError, IndexError, StoreError, StoreErrorKind};
use serde::{Deserialize, Serialize};

use crate::{blocking::Aborted, remedy::Remedy, text::size};

/// The kind of a failure, from which exit codes and HTTP statuses are chosen.
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

/// Why a request failed: a text for people.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The kind.
    pub kind: FailureKind,
    /// The failed operation and its attempts; a sentence, with its causes.
    pub message: String,
    /// The next step.
    pub remedy: Option<Remedy>,
    /// Seconds to wait before the upstream is asked again, if it limits requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl Failure {
    /// A failure without a remedy.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            remedy: None,
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
    pub fn remedy(self, remedy: Remedy) -> Self {
        Self {
            remedy: Some(remedy),
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
        Self {
            remedy: store_remedy(error),
            ..Self::new(kind, message)
        }
    }
}

fn store_remedy(error: &StoreError) -> Option<Remedy> {
    use StoreError as E;
    Some(match error {
        E::Disk(DiskError::ReadOnly { .. }) => Remedy::MakeWritable,
        E::Disk(DiskError::NoSpace { .. }) => Remedy::MakeRoom,
        E::Index(error) => return index_remedy(error),
        E::NotADirectory { path } if path.is_file() => Remedy::PutIntoDirectory,
        E::NotADirectory { .. } => Remedy::CheckPath,
        E::NoFiles { .. } => Remedy::AddFiles,
        E::Name { .. } => Remedy::RenameFile,
        E::LinkLeaves { .. } | E::LinkToDirectory { .. } => Remedy::FollowLinks,
        E::Changed { .. } => Remedy::WaitForWriters,
        E::Quota { .. } => Remedy::RaiseQuota,
        E::UnknownModel { model } => Remedy::GetModel { model: *model },
        E::Damaged { .. } => Remedy::Repair,
        E::WouldReplace { .. } => Remedy::MoveOrReplace,
        E::UnsafeTarget { .. } | E::SameName { .. } => Remedy::OtherTarget,
        _ => return None,
    })
}

fn index_remedy(error: &IndexError) -> Option<Remedy> {
    use IndexError as E;
    Some(match error {
        E::Locked { home, .. } => Remedy::OtherHome { home: home.clone() },
        E::Corrupt { path, .. } => Remedy::RestoreIndex { path: path.clone() },
        E::Newer { .. } => Remedy::Update,
        E::RepoExists { .. } | E::RefMoved { .. } => Remedy::TryAgain,
        E::TooMany { .. } => Remedy::RemoveNames,
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
            failure.remedy(Remedy::OtherPort)
        } else {
            failure.remedy(Remedy::CheckNetworkConfig)
        }
    }
}
