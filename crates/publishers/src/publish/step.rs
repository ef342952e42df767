//! One signed step of a repo: the change, the head over it, and the transaction that holds both.

use hubless_content::{CommitId, HeadError, Revision, State, StateError, Subject, VerifiedHead};
use hubless_store::{Publication, Store, StoreError, StoreErrorKind};

use super::change::{Change, ChangeError, Step};
use hubless_names::{
    book,
    keys::{Signing, SigningError},
};

/// Why a step was not made.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The state cannot be changed so.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The state breaks a rule.
    #[error(transparent)]
    State(#[from] StateError),
    /// This node cannot sign for the publisher.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The head cannot be signed.
    #[error("the head cannot be signed: {0}")]
    Head(#[from] HeadError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What came of a step.
pub(super) enum Stepped {
    /// The state is as the change wants it already.
    Unchanged(Box<VerifiedHead>, Option<CommitId>),
    /// A new head is in the store.
    Signed(Box<VerifiedHead>, Option<CommitId>),
    /// The repo changed meanwhile: the step is to be made again.
    Conflict,
}

/// Applies a change to what the store has; `now` in milliseconds since 1970. Blocks.
pub(super) fn step(
    signing: &Signing,
    store: &Store,
    subject: &Subject,
    change: &Change,
    now: u64,
) -> Result<Stepped, StepError> {
    let head = match store.head(subject.key())? {
        Some(record) => book::seen(record, Some(&signing.chain)),
        None => None,
    };
    let state = store.state(subject.key())?;
    let step = apply(store, subject, change, state.as_ref(), now)?;
    let tip = step.tip.map(|tip| tip.commit_id());
    let is_same = state.as_ref() == Some(&step.state);
    if let (true, Some(head)) = (is_same, &head) {
        return Ok(Stepped::Unchanged(Box::new(head.clone()), tip));
    }
    let signed = signing.next(subject, head.as_ref(), step.state.hash()?, now)?;
    let written = store.publish(&Publication {
        head: &signed,
        state: &step.state,
        revisions: &step.revisions,
        after: head.map(|head| head.head().state),
    });
    match written {
        Ok(()) => Ok(Stepped::Signed(Box::new(signed), tip)),
        Err(error) if error.kind() == StoreErrorKind::Conflict => Ok(Stepped::Conflict),
        Err(error) => Err(error.into()),
    }
}

/// The change, with the revisions of the store.
fn apply(
    store: &Store,
    subject: &Subject,
    change: &Change,
    state: Option<&State>,
    now: u64,
) -> Result<Step, StepError> {
    let repo = subject.repo_id();
    let mut failed = None;
    let revision = |id: &CommitId| -> Option<Revision> {
        match store.revision(repo.as_ref()?, *id) {
            Ok(found) => found,
            Err(error) => {
                failed = Some(error);
                None
            }
        }
    };
    let step = change.apply(subject, state, revision, now);
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(step?),
    }
}
