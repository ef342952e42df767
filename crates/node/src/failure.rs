//! Failures of requests: what callers of a node get of every error, in words that commands, programs
//! and pages understand. All conversions of errors are here.

mod names;
mod publishers;

use std::time::Duration;

use hubless_content::{PublisherId, RepoId};
use hubless_fetch::{FetchError, Target};
use hubless_names::{directory::ReadError, dns::DnsError, namespaces::NamespaceError};
use hubless_network::StartError;
use hubless_repos::{RepoError, names::NameError};
use hubless_store::{DiskError, IndexError, StoreError, StoreErrorKind};
use hubless_transfer::{
    Aborted, TransferError,
    fetch::BadGlob,
    text::{explain_store, sentence},
};
use hubless_upstream::{Cause, PullError, SetupError, UpstreamError};
use serde::{Deserialize, Serialize};

use crate::{config::ConfigError, remedy::Remedy};

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
pub(crate) fn interrupted() -> Failure {
    Failure::new(FailureKind::Interrupted, "interrupted")
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
        Self {
            remedy: store_remedy(error),
            ..Self::new(kind, explain_store(error))
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
        E::RepoExists { .. } | E::RefMoved { .. } | E::HeadMoved { .. } => Remedy::TryAgain,
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

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(FailureKind::Usage, sentence(&error)).remedy(Remedy::ListKeys)
    }
}

impl From<BadGlob> for Failure {
    fn from(error: BadGlob) -> Self {
        Self::new(FailureKind::Usage, error.to_string()).remedy(Remedy::WriteGlobs)
    }
}

impl From<TransferError> for Failure {
    fn from(error: TransferError) -> Self {
        Self::from(&error)
    }
}

impl From<&TransferError> for Failure {
    fn from(error: &TransferError) -> Self {
        use TransferError as E;
        let (kind, remedy) = match error {
            E::Fetch { target, reason } => of_fetch(target, reason),
            E::NoHolder { .. } => (FailureKind::NotFound, Some(Remedy::WaitForProviders)),
            E::Silent { .. } => (FailureKind::Network, None),
            E::NoGiver { .. } => (FailureKind::Network, Some(Remedy::WaitForHolder)),
            E::Unreadable { .. } => (FailureKind::Integrity, Some(Remedy::Repair)),
            E::NotReplaced { .. } => (FailureKind::Integrity, Some(Remedy::RepairFromPeers)),
            E::OfFile { source, .. } => {
                let source = Self::from(&**source);
                (source.kind, source.remedy)
            }
            E::Store { model, source } => {
                let failure = Self::from(&**source);
                let resume = model.map(|model| Remedy::Resume { model });
                (failure.kind, failure.remedy.or(resume))
            }
            E::NoNode => (FailureKind::Other, Some(Remedy::StartNode)),
            E::Aborted(_) => (FailureKind::Other, None),
            E::Interrupted => (FailureKind::Interrupted, None),
        };
        Self {
            remedy,
            ..Self::new(kind, error.to_string())
        }
    }
}

fn of_fetch(target: &Target, reason: &FetchError) -> (FailureKind, Option<Remedy>) {
    match reason {
        FetchError::BadManifest(_) => (FailureKind::Integrity, Some(Remedy::AskPublisher)),
        FetchError::Partial { .. } => {
            let model = target.model();
            let resume = model.map(|model| Remedy::ResumeWithProviders { model });
            (FailureKind::Partial, resume)
        }
        FetchError::NoNetwork => (FailureKind::Network, Some(Remedy::CheckNetwork)),
        FetchError::Alone => (FailureKind::Network, Some(Remedy::NamePeer)),
        FetchError::NoProvider { .. } => (FailureKind::NotFound, Some(Remedy::FindProvider)),
    }
}

impl From<SetupError> for Failure {
    fn from(error: SetupError) -> Self {
        let (kind, remedy) = match &error {
            SetupError::Hosts(_) => (FailureKind::Usage, Remedy::WriteHost),
            SetupError::Client(_) => (FailureKind::Other, Remedy::InstallCertificates),
        };
        Self::new(kind, error.to_string()).remedy(remedy)
    }
}

impl From<&UpstreamError> for Failure {
    fn from(error: &UpstreamError) -> Self {
        let (kind, remedy) = match error {
            UpstreamError::Unreachable { .. } | UpstreamError::Silent { .. } => {
                (FailureKind::Network, Some(Remedy::CheckUpstream))
            }
            UpstreamError::ForbiddenHost { .. } => (FailureKind::Denied, Some(Remedy::AllowHost)),
            UpstreamError::Refused { status, .. } => match status.as_u16() {
                401 | 403 => (FailureKind::Denied, None),
                404 => (FailureKind::NotFound, None),
                _ => (FailureKind::Network, None),
            },
            UpstreamError::Redirects | UpstreamError::Malformed(_) => (FailureKind::Network, None),
            UpstreamError::Interrupted => (FailureKind::Interrupted, None),
        };
        Self {
            remedy,
            retry_after: error.wait_demanded().map(|time| time.as_secs()),
            ..Self::new(kind, sentence(error))
        }
    }
}

impl From<&PullError> for Failure {
    fn from(error: &PullError) -> Self {
        let (kind, remedy) = match error {
            PullError::Upstream(error) => return error.into(),
            PullError::Chunks(error) => return error.into(),
            PullError::Store(error) => return error.into(),
            // The caller's request was right, and so is this node.
            PullError::OtherFile { .. } => (FailureKind::Network, None),
            PullError::WrongBytes { .. } | PullError::Misled { .. } => {
                (FailureKind::Integrity, Some(Remedy::DownloadAgain))
            }
            PullError::Aborted(_) => (FailureKind::Other, None),
            PullError::Interrupted => (FailureKind::Interrupted, None),
        };
        Self {
            remedy,
            ..Self::new(kind, sentence(error))
        }
    }
}

impl From<&Cause> for Failure {
    fn from(cause: &Cause) -> Self {
        match cause {
            Cause::Store(error) => Self::from(&**error),
            Cause::Transfer(error) => error.into(),
            Cause::Upstream(error) => Self::from(&**error),
            Cause::Pull(error) => Self::from(&**error),
            Cause::NoUpstream { .. } => {
                Self::new(FailureKind::NotFound, cause.to_string()).remedy(Remedy::NameUpstream)
            }
            Cause::Aborted(error) => error.clone().into(),
            Cause::Interrupted => interrupted(),
        }
    }
}

impl From<RepoError> for Failure {
    fn from(error: RepoError) -> Self {
        let message = error.to_string();
        match error {
            RepoError::Unavailable { cause } | RepoError::Failed { cause } => Self::from(&cause),
            RepoError::NoRepo => {
                Self::new(FailureKind::NotFound, message).remedy(Remedy::ListNames)
            }
            RepoError::NoRevision { .. }
            | RepoError::Removed { .. }
            | RepoError::NoEntry { .. } => {
                Self::new(FailureKind::NotFound, message).remedy(Remedy::ShowName { name: None })
            }
            RepoError::Moved { .. } => {
                Self::new(FailureKind::NotFound, message).remedy(Remedy::UseNewName)
            }
            RepoError::Name(error) => Self::from(&*error),
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

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        use NameError as E;
        let message = error.to_string();
        let show = |name: Option<RepoId>| Some(Remedy::ShowName { name });
        let (kind, remedy) = match error {
            E::Repo(error) => return error.into(),
            E::Store(error) => return error.into(),
            E::Aborted(error) => return error.into(),
            E::Unknown { .. } => (FailureKind::NotFound, Some(Remedy::AskForHash)),
            E::Nowhere { .. } => (FailureKind::NotFound, Some(Remedy::CheckName)),
            E::NoHash { .. } => (FailureKind::NotFound, Some(Remedy::DownloadOnce)),
            E::NoRef { .. } => (FailureKind::NotFound, show(None)),
            E::NoRevision { repo, .. } => (FailureKind::NotFound, show(Some(repo))),
            E::KeepsMoving { .. } => (FailureKind::Busy, Some(Remedy::TryAgain)),
            E::NoOrg { .. } => (FailureKind::Usage, Some(Remedy::WriteOrgName)),
            E::OfHub { .. } => (FailureKind::Denied, Some(Remedy::OtherName)),
            E::Message(_) => (FailureKind::Usage, Some(Remedy::ShorterMessage)),
            E::LeadsThere { repo, of, .. } => {
                (FailureKind::Usage, Some(Remedy::MoveRef { name: repo, of }))
            }
        };
        Self {
            remedy,
            ..Self::new(kind, message)
        }
    }
}

impl From<NamespaceError> for Failure {
    fn from(error: NamespaceError) -> Self {
        use NamespaceError as E;
        let message = sentence(&error);
        let bind = |name: &str, publishers: &[PublisherId]| Remedy::BindName {
            name: name.to_owned(),
            publishers: publishers.to_vec(),
        };
        let (kind, remedy) = match &error {
            E::Changed(change) => {
                let publishers = [change.bound, change.named];
                (FailureKind::Integrity, bind(&change.namespace, &publishers))
            }
            E::NotClaimed { domain, publisher } => {
                (FailureKind::Integrity, bind(domain, &[*publisher]))
            }
            E::NoProfile { domain, publisher } => {
                (FailureKind::Network, bind(domain, &[*publisher]))
            }
            E::NoDns { .. } => (FailureKind::NotFound, Remedy::UseId),
            E::NotInDns { .. } => (FailureKind::NotFound, Remedy::UseId),
            E::Dns(error) => of_dns(error),
            E::Directory(error) => match of_directory(error) {
                Ok(found) => found,
                Err(failure) => return Self { message, ..failure },
            },
            E::NotNamespace { .. } => (FailureKind::Usage, Remedy::BindOtherName),
            E::Own { .. } | E::Local { .. } => (FailureKind::Denied, Remedy::BindOtherName),
            E::OfPublisher { .. } => (FailureKind::Denied, Remedy::OtherName),
            E::Unbound { .. } => (FailureKind::NotFound, Remedy::ListBound),
            E::Store(error) => return error.into(),
            E::Aborted(error) => return error.clone().into(),
        };
        Self::new(kind, message).remedy(remedy)
    }
}

fn of_dns(error: &DnsError) -> (FailureKind, Remedy) {
    match error {
        DnsError::Lookup { .. } => (FailureKind::Network, Remedy::CheckDns),
        DnsError::Malformed { .. } | DnsError::Several { .. } => {
            (FailureKind::Integrity, Remedy::UseId)
        }
    }
}

/// The kind and the next step of a directory that gives no answer; a failure of other parts as it is.
fn of_directory(error: &ReadError) -> Result<(FailureKind, Remedy), Failure> {
    use ReadError as E;
    Ok(match error {
        E::NotHere { directory } => {
            let publisher = directory.namespace().unwrap_or_default().to_owned();
            (FailureKind::NotFound, Remedy::FollowDirectory { publisher })
        }
        E::NoFile { .. } | E::Wrong { .. } => (FailureKind::Integrity, Remedy::CorrectDirectory),
        E::Late { .. } => (FailureKind::Network, Remedy::WaitForProviders),
        E::Transfer { source, .. } => return Err(source.into()),
        E::Store(error) => return Err(error.into()),
        E::Aborted(error) => return Err(error.clone().into()),
    })
}
