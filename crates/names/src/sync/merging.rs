//! What a signer does with a head of another signer that does not go on from its own: both signed at the
//! same time, without seeing each other.
//!
//! | the two states | effect |
//! |---|---|
//! | theirs has all of ours | theirs is taken |
//! | ours has all of theirs | nothing |
//! | each has what the other lacks | both are merged, and the merge is signed as the next head |
//!
//! Each signer that sees both makes the same state of the same signed bytes, so two that merge at once agree.
//! The merge is one transaction: no moment has the commits of one side only.
//!
//! # Whose turn it is
//! The signer of the head that ranks higher merges at once, another one only after some seconds without a
//! merge, so that three sides do not merge crosswise.
//!
//! # Not here
//! The rule of the merge (see `content::merge`).

use std::{cell::Cell, collections::BTreeMap};

use hubless_content::{
    CommitId, ContentHash, HeadError, History, Manifest, MergeError, Merged, RepoId, Revision,
    RevisionError, State, StateError, VerifiedHead, merge,
};
use hubless_store::{Publication, Store, StoreError, StoreErrorKind};

use crate::keys::{Signing, SigningError};

/// A head of another signer, with its state and those revisions of its history that were not here.
pub struct Theirs<'a> {
    /// The head.
    pub head: &'a VerifiedHead,
    /// The state that it names.
    pub state: &'a State,
    /// Revisions that were not here.
    pub revisions: &'a [Revision],
}

/// What became of the head of another signer.
#[derive(Debug)]
pub enum Joined {
    /// Ours has all of it.
    Contained,
    /// It is in the store now: it has all of ours.
    Taken,
    /// The merge of both is in the store now.
    Merged(Box<VerifiedHead>),
    /// Both are to be merged, and it is the other signer's turn.
    NotOurTurn,
    /// A manifest is needed first.
    Needs(ContentHash),
    /// The repo changed meanwhile.
    Conflict,
}

/// Why the heads of two signers were not joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The states cannot be merged.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// A merged revision breaks a rule.
    #[error(transparent)]
    Revision(#[from] RevisionError),
    /// The merged state breaks a rule.
    #[error(transparent)]
    State(#[from] StateError),
    /// The merged head cannot be signed.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// This node cannot sign.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Signing {
    /// Takes, merges or leaves the head of another signer; `now` in milliseconds since 1970. Blocks.
    ///
    /// # Errors
    /// If both cannot be merged, or the store fails. Nothing is changed then.
    pub fn join(
        &self,
        store: &Store,
        ours: &VerifiedHead,
        theirs: &Theirs<'_>,
        is_our_turn: bool,
        now: u64,
    ) -> Result<Joined, JoinError> {
        let Some(our_state) = store.state(ours.head().subject.key())? else {
            return Ok(Joined::Conflict);
        };
        let sides = [(ours, &our_state), (theirs.head, theirs.state)];
        let [loser, winner] = match theirs.head.rank() > ours.rank() {
            true => sides,
            false => [sides[1], sides[0]],
        };
        let history = Both::new(store, theirs)?;
        let merged = match merge(winner.1, loser.1, &history) {
            Err(MergeError::Manifest(hash)) => return Ok(Joined::Needs(hash)),
            merged => merged?,
        };
        if let Some(error) = history.failed.take() {
            return Err(error.into());
        }
        let is_winner = merged.state == *winner.1;
        let (head, outcome) = match is_winner {
            true if winner.0.rank() == ours.rank() => return Ok(Joined::Contained),
            true => (theirs.head.clone(), Joined::Taken),
            // Also if the loser has all of the winner: a reader takes the head that ranks higher.
            false if winner.0.rank() != ours.rank() && !is_our_turn => {
                return Ok(Joined::NotOurTurn);
            }
            false => {
                let state = merged.state.hash()?;
                let signed = self.next(&merged.state.subject, Some(winner.0), state, now)?;
                (signed.clone(), Joined::Merged(Box::new(signed)))
            }
        };
        match write(store, ours, theirs, &head, &merged) {
            Ok(()) => Ok(outcome),
            Err(error) if error.kind() == StoreErrorKind::Conflict => Ok(Joined::Conflict),
            Err(error) => Err(error.into()),
        }
    }
}

fn write(
    store: &Store,
    ours: &VerifiedHead,
    theirs: &Theirs<'_>,
    head: &VerifiedHead,
    merged: &Merged,
) -> Result<(), StoreError> {
    // Before the revisions that name them; alone they are rows that nothing keeps.
    for manifest in &merged.manifests {
        store.put_manifest(manifest)?;
    }
    let revisions = [theirs.revisions, &merged.revisions].concat();
    store.publish(&Publication {
        head,
        state: &merged.state,
        revisions: &revisions,
        after: Some(ours.head().state),
    })
}

/// The revisions of both sides.
struct Both<'a> {
    store: &'a Store,
    theirs: BTreeMap<CommitId, &'a Revision>,
    /// None of a profile, which has no revisions.
    repo: Option<RepoId>,
    /// The first failure of the store.
    failed: Cell<Option<StoreError>>,
}

impl<'a> Both<'a> {
    fn new(store: &'a Store, theirs: &Theirs<'a>) -> Result<Self, JoinError> {
        let revisions = theirs.revisions.iter();
        let revisions = revisions.map(|revision| Ok((revision.commit_id()?, revision)));
        Ok(Self {
            store,
            theirs: revisions.collect::<Result<_, RevisionError>>()?,
            repo: theirs.state.subject.repo_id(),
            failed: Default::default(),
        })
    }

    fn found<T>(&self, found: Result<Option<T>, StoreError>) -> Option<T> {
        found.unwrap_or_else(|error| {
            self.failed.set(Some(error));
            None
        })
    }
}

impl History for Both<'_> {
    fn revision(&self, id: &CommitId) -> Option<Revision> {
        match self.theirs.get(id) {
            Some(revision) => Some((*revision).clone()),
            None => self.found(self.store.revision(self.repo.as_ref()?, *id)),
        }
    }

    fn manifest(&self, hash: &ContentHash) -> Option<Manifest> {
        let found = self.found(self.store.manifest(*hash));
        found.map(|manifest| Manifest::clone(&manifest))
    }
}
