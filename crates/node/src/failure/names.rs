//! Failures of names of the network.

use hubless_names::{keys::SigningError, resolve::ResolveError};
use hubless_publishers::{
    names::NotOwn,
    publish::{ChangeError, PublishError, StepError},
};
use hubless_transfer::text::sentence;

use crate::{
    failure::{Failure, FailureKind},
    remedy::Remedy,
};

impl From<ResolveError> for Failure {
    fn from(error: ResolveError) -> Self {
        Self::from(&error)
    }
}

impl From<&ResolveError> for Failure {
    fn from(error: &ResolveError) -> Self {
        let (kind, remedy) = match error {
            ResolveError::Unknown(_) => (FailureKind::NotFound, Remedy::CheckPublisher),
            ResolveError::Offline(_) => (FailureKind::NotFound, Remedy::StartNode),
            ResolveError::Refused { .. } | ResolveError::Contradiction(..) => {
                (FailureKind::Integrity, Remedy::ComparePublisher)
            }
            ResolveError::NoState { .. } => (FailureKind::NotFound, Remedy::FindHolder),
            ResolveError::TooOld { .. } => (FailureKind::Integrity, Remedy::RaiseMaxAge),
            ResolveError::Store(error) => return Self::from(&**error),
            ResolveError::Aborted(error) => return error.clone().into(),
        };
        Self::new(kind, sentence(error)).remedy(remedy)
    }
}

impl From<NotOwn> for Failure {
    fn from(error: NotOwn) -> Self {
        match error {
            NotOwn::NoPublisher(_) => {
                Self::new(FailureKind::Denied, error.to_string()).remedy(Remedy::MakePublisher)
            }
            NotOwn::Namespace(error) => error.into(),
            NotOwn::Signing(error) => error.into(),
        }
    }
}

impl From<SigningError> for Failure {
    fn from(error: SigningError) -> Self {
        let (kind, remedy) = match &error {
            SigningError::NotOwn(_) => (FailureKind::Denied, Remedy::MakePublisher),
            SigningError::Lost { .. } | SigningError::NoSigner(_) | SigningError::Key(_) => {
                (FailureKind::Denied, Remedy::RestoreKey)
            }
            SigningError::Store(error) => return error.into(),
        };
        Self::new(kind, sentence(&error)).remedy(remedy)
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Step(error) => error.into(),
            PublishError::Behind(error) => Self::from(*error),
            PublishError::KeepsMoving(_) => {
                Self::new(FailureKind::Busy, error.to_string()).remedy(Remedy::TryAgain)
            }
            PublishError::NoBranch(_) => Self::new(FailureKind::Other, error.to_string()),
            PublishError::Aborted(error) => error.into(),
        }
    }
}

impl From<StepError> for Failure {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Change(error) => error.into(),
            StepError::Signing(error) => error.into(),
            StepError::Store(error) => error.into(),
            StepError::State(_) => Self::new(FailureKind::Usage, error.to_string()),
            StepError::Head(_) => Self::new(FailureKind::Other, error.to_string()),
        }
    }
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        let (kind, remedy) = match error {
            ChangeError::NoRepo => (FailureKind::NotFound, Remedy::ListNames),
            ChangeError::NoRef(_) => (FailureKind::NotFound, Remedy::ShowName { name: None }),
            ChangeError::Moved { .. } => (FailureKind::Busy, Remedy::RepeatChange),
            ChangeError::NoRevision(_) => (FailureKind::NotFound, Remedy::FindHolder),
            ChangeError::TooManyRefs => (FailureKind::Usage, Remedy::ShowName { name: None }),
            ChangeError::Revision(_) => (FailureKind::Usage, Remedy::ShorterMessage),
        };
        Self::new(kind, error.to_string()).remedy(remedy)
    }
}
