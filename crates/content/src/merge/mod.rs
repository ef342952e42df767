//! Merges two states of one repo that two signers made without seeing each other's.
//!
//! Each signer that sees both computes the same state from the same signed bytes, without asking the
//! other: the rules use the order of heads ([`VerifiedHead::rank`](crate::VerifiedHead::rank)), hashes
//! and times in documents, never a clock. The *winner* is the state of the greater head.
//!
//! | a ref is | result |
//! |---|---|
//! | on one side only | kept |
//! | deleted on one side | deleted, unless the other side went on from where it was |
//! | a tag on both sides | the winner's |
//! | a branch, one tip an ancestor of the other | the descendant |
//! | a branch, both went on | a merge by path; where both changed a file, the winner's file, and the loser's tip stays reachable as the branch `conflict-` and eight digits |
//!
//! A state that is gone or moved loses against one that is open. No revision that a signer had
//! acknowledged gets lost.
//!
//! # Not here
//! No network and no store: [`History`] gives revisions and manifests, and says what is missing.

mod graph;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeSet;

use self::graph::Graph;
use crate::{
    hash::{CommitId, ContentHash, RevisionHash},
    manifest::Manifest,
    ref_name::RefName,
    revision::{Revision, RevisionError},
    state::{State, StateRef, Status},
};

/// Revisions that all walks of one merge pass. Their ids alone take 20 MB, and a signer may have made a
/// history only to keep the other one busy.
pub const MERGE_REVISIONS_MAX: usize = 1_000_000;

/// Title of the revision that a merge makes.
const TITLE: &str = "Merge changes that were made at the same time";

/// The revisions and manifests that a merge reads.
pub trait History {
    /// The revision with this id.
    fn revision(&self, id: &CommitId) -> Option<Revision>;

    /// The manifest with this hash.
    fn manifest(&self, hash: &ContentHash) -> Option<Manifest>;
}

/// Why two states cannot be merged now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// The states are of two repos.
    #[error("the states are of two repos")]
    OtherRepo,
    /// A revision is not here.
    #[error("revision {0} is not here")]
    Revision(CommitId),
    /// A manifest is not here.
    #[error("manifest {0} is not here")]
    Manifest(ContentHash),
    /// More than [`MERGE_REVISIONS_MAX`] revisions.
    #[error("the merge would pass more than {MERGE_REVISIONS_MAX} revisions")]
    TooLong,
    /// The merged revision breaks a rule.
    #[error("{0}")]
    New(#[from] RevisionError),
}

/// What a merge makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The state of the next head.
    pub state: State,
    /// Revisions that it names and neither side had.
    pub revisions: Vec<Revision>,
    /// Manifests that these name and neither side had.
    pub manifests: Vec<Manifest>,
}

/// Merges the state of the lesser head into that of the greater one.
///
/// # Errors
/// If something of the history is missing, or there is too much of it.
pub fn merge(winner: &State, loser: &State, history: &impl History) -> Result<Merged, MergeError> {
    if winner.subject != loser.subject {
        return Err(MergeError::OtherRepo);
    }
    let mut merged = Merged {
        state: winner.clone(),
        revisions: Vec::new(),
        manifests: Vec::new(),
    };
    match (&winner.status, &loser.status) {
        // What was deleted or moved here went on there: nothing that was committed gets lost.
        (Status::Gone | Status::Moved(..), Status::Open) => {
            merged.state = loser.clone();
            return Ok(merged);
        }
        (_, Status::Gone | Status::Moved(..)) => return Ok(merged),
        (Status::Open, Status::Open) => {}
    }
    merged.state.refs.clear();
    merged.state.created = winner.created.min(loser.created);
    let mut merging = Merging {
        graph: Graph::new(history, MERGE_REVISIONS_MAX),
        merged,
        conflicts: Vec::new(),
    };
    let names = winner.refs.iter().chain(&loser.refs);
    let names: BTreeSet<&RefName> = names.map(|held| &held.name).collect();
    for name in names {
        let held = merging.one(winner.get(name), loser.get(name))?;
        merging.merged.state.refs.extend(held);
    }
    merging.keep_conflicts();
    Ok(merging.merged)
}

struct Merging<'a, H> {
    graph: Graph<'a, H>,
    merged: Merged,
    /// Tips of the loser whose changes did not all get into a merge.
    conflicts: Vec<RevisionHash>,
}

impl<H: History> Merging<'_, H> {
    /// The ref of which each side has one, a deleted one, or none.
    fn one(
        &mut self,
        winner: Option<&StateRef>,
        loser: Option<&StateRef>,
    ) -> Result<Option<StateRef>, MergeError> {
        let (winner, loser) = match (winner, loser) {
            (Some(only), None) | (None, Some(only)) => return Ok(Some(only.clone())),
            (None, None) => return Ok(None),
            (Some(winner), Some(loser)) => (winner, loser),
        };
        let kept = match (winner.deleted, loser.deleted) {
            (None, None) => return self.both_live(winner, loser).map(Some),
            (Some(_), Some(_)) => winner,
            (Some(_), None) => self.after_deletion(winner, loser)?,
            (None, Some(_)) => self.after_deletion(loser, winner)?,
        };
        Ok(Some(kept.clone()))
    }

    /// Deleted stays deleted, unless the other side committed on top of what was deleted.
    fn after_deletion<'s>(
        &mut self,
        deleted: &'s StateRef,
        live: &'s StateRef,
    ) -> Result<&'s StateRef, MergeError> {
        let went_on = deleted.revision != live.revision
            && (self.graph)
                .is_ancestor(&deleted.revision.commit_id(), &live.revision.commit_id())?;
        Ok(if went_on { live } else { deleted })
    }

    fn both_live(&mut self, winner: &StateRef, loser: &StateRef) -> Result<StateRef, MergeError> {
        if winner.revision == loser.revision || winner.name.as_tag().is_some() {
            return Ok(winner.clone());
        }
        let (ours, theirs) = (winner.revision.commit_id(), loser.revision.commit_id());
        if self.graph.is_ancestor(&theirs, &ours)? {
            return Ok(winner.clone());
        }
        if self.graph.is_ancestor(&ours, &theirs)? {
            return Ok(loser.clone());
        }
        let base = self.graph.merge_base(&ours, &theirs)?;
        let base = match base {
            Some(base) => self.graph.files(&base)?,
            None => Vec::new(),
        };
        let merged = tree::merge(
            &base,
            &self.graph.files(&ours)?,
            &self.graph.files(&theirs)?,
        );
        let newest = self.graph.time(&ours)?.max(self.graph.time(&theirs)?);
        let revision = Revision {
            tree: merged.tree,
            parents: vec![ours, theirs],
            // Not before its parents, and the same for all that compute it.
            time: newest.saturating_add(1),
            title: TITLE.to_owned(),
            message: String::new(),
            author: String::new(),
        };
        let hash = revision.hash()?;
        if merged.conflicts {
            self.conflicts.push(loser.revision);
        }
        self.merged.revisions.push(revision);
        self.merged.manifests.extend(merged.manifest);
        Ok(StateRef {
            revision: hash,
            ..winner.clone()
        })
    }

    /// Gives each tip that lost a file a branch of its own.
    fn keep_conflicts(&mut self) {
        for tip in std::mem::take(&mut self.conflicts) {
            let digits = tip.to_string();
            // Eight digits, unless another tip has a branch with them.
            for length in [8, digits.len()] {
                let Ok(name) = RefName::branch(&format!("conflict-{}", &digits[..length])) else {
                    continue;
                };
                match self.merged.state.live(&name) {
                    Some(held) if held.revision != tip => {}
                    _ => {
                        self.merged.state.set(name, tip);
                        break;
                    }
                }
            }
        }
    }
}
