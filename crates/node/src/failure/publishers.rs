//! Failures of what is done with publishers of this node and their keys.

use std::io;

use hubless_names::keys::{KeyError, SigningError};
use hubless_publishers::publishers::PublisherError;
use hubless_transfer::text::sentence;

use super::{Failure, FailureKind};
use crate::remedy::Remedy;

impl From<&KeyError> for Failure {
    fn from(error: &KeyError) -> Self {
        let failure = Self::new(FailureKind::Other, sentence(error));
        match error {
            KeyError::File { path, source } => match source.kind() {
                io::ErrorKind::PermissionDenied => Self {
                    kind: FailureKind::Denied,
                    ..failure.remedy(Remedy::ProtectKey { path: path.clone() })
                },
                _ => failure,
            },
            KeyError::NotAKey { .. } => Self {
                kind: FailureKind::Usage,
                ..failure
            },
        }
    }
}

impl From<&SigningError> for Failure {
    fn from(error: &SigningError) -> Self {
        let denied = Self::new(FailureKind::Denied, sentence(error));
        match error {
            SigningError::NotOwn(_) => denied.remedy(Remedy::ListPublishers),
            SigningError::Lost { publisher, .. } => denied.remedy(Remedy::ReplaceKey {
                publisher: *publisher,
            }),
            SigningError::NoSigner(publisher) => denied.remedy(Remedy::AddSigner {
                publisher: *publisher,
            }),
            SigningError::Key(error) => error.into(),
            SigningError::Store(error) => error.into(),
        }
    }
}

impl From<PublisherError> for Failure {
    fn from(error: PublisherError) -> Self {
        use PublisherError as E;
        let message = sentence(&error);
        let (kind, remedy) = match error {
            E::Key(error) => return (&error).into(),
            E::Signing(error) => return (&error).into(),
            E::Store(error) => return error.into(),
            E::Aborted(error) => return error.into(),
            E::HandleTaken { .. } => (FailureKind::Denied, Some(Remedy::OtherHandle)),
            E::Unknown(_) | E::NoPublisher => (FailureKind::NotFound, Some(Remedy::ListPublishers)),
            E::Several(_) => (FailureKind::Usage, Some(Remedy::NameOwnPublisher)),
            E::Ref { repo, .. } | E::NoRevision { repo } => (
                FailureKind::Usage,
                Some(Remedy::ShowName { name: Some(repo) }),
            ),
            E::NotARoot(_) => (FailureKind::Denied, Some(Remedy::NameRootKey)),
            E::Outdated => (FailureKind::Busy, Some(Remedy::ProposeAgain)),
            E::NoChain(publisher) => (
                FailureKind::NotFound,
                Some(Remedy::FollowFirst { publisher }),
            ),
            E::KeepsChanging => (FailureKind::Busy, Some(Remedy::TryAgain)),
            E::File { .. } => (FailureKind::Other, None),
            E::Profile(_)
            | E::OwnerIsOrg(_)
            | E::Name(_)
            | E::Revision(_)
            | E::State(_)
            | E::Identity(_)
            | E::Head(_)
            | E::NothingToChange
            | E::NoSigner(_)
            | E::IsSigner(_)
            | E::NotAProposal { .. } => (FailureKind::Usage, None),
        };
        Self {
            remedy,
            ..Self::new(kind, message)
        }
    }
}
