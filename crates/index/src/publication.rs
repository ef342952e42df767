//! Publications: what a head changes in a repo, written whole or not at all.
//!
//! A repo of a publisher lies in the same tables as one that was made here, under the id of the publisher:
//! readers of repos use the same rows for both. Its refs are those of the state, exactly, and each leads to a
//! revision that is here. A repo that its publisher deleted or moved has no rows but its head and state,
//! which say so.

use std::collections::BTreeMap;

use hubless_content::{
    CommitId, DocumentHash, Profile, RefName, RepoId, Revision, RevisionHash, State, Status, Tree,
    VerifiedHead,
};
use redb::WriteTransaction;

use crate::{
    database::Stop,
    error::IndexError,
    heads::{self, HeadTable},
    namespaces::{Namespace, NamespaceSource, write_free_namespace},
    publishers::{OwnPublisher, PublisherTable, write_publisher},
    refs::refs_in,
    repos::{Refusal, Repo, RepoOrigin, remove_rows, row_key, rows_of, write_repo},
    revisions::{commit_of, write_rows},
    tables,
};

/// One step of a repo.
pub struct Publication<'a> {
    /// The new head.
    pub head: &'a VerifiedHead,
    /// The state that it names.
    pub state: &'a State,
    /// Revisions that the state reaches and that are not here yet.
    pub revisions: &'a [Revision],
    /// The state of the head that it was made from; `None` if no head is here.
    pub after: Option<DocumentHash>,
}

/// A publisher of this node that begins, with all that begins with it.
pub struct NewPublisher<'a> {
    /// The publisher; its handle becomes a namespace that stands for it.
    pub publisher: &'a OwnPublisher,
    /// The first head of its profile.
    pub head: &'a VerifiedHead,
    /// The profile.
    pub profile: &'a Profile,
    /// Names that were given on this node and become repos of the publisher.
    pub taken_over: &'a [TakenOver],
}

/// A name that was given on this node and becomes a repo of a publisher.
pub struct TakenOver {
    /// What it is called so far.
    pub from: RepoId,
    /// The first head of the repo.
    pub head: VerifiedHead,
    /// The state, which has the refs as they are.
    pub state: State,
}

impl HeadTable<'_> {
    /// Takes a head, its state, revisions and refs. Durable when it returns.
    ///
    /// # Errors
    /// [`IndexError::HeadMoved`] if the head here names another state than the new one was made from, or
    /// outranks it; [`IndexError::Unpublishable`] if head, state and revisions do not fit together, or a
    /// ref leads to a revision that is not here; [`IndexError::ChainContradicts`];
    /// [`IndexError::TooMany`]. Nothing is changed then.
    pub fn publish(self, publication: &Publication<'_>) -> Result<(), IndexError> {
        let step = Step::new(publication.head, publication.state)?;
        let revisions = publication.revisions.iter();
        let revisions = revisions.map(|revision| step.encode(revision));
        let revisions: Vec<Encoded> = revisions.collect::<Result<_, _>>()?;
        self.database
            .write_or_stop(|write| step.write(write, &revisions, publication.after))
    }
}

impl PublisherTable<'_> {
    /// Keeps a new publisher of this node, its profile, and the names that it takes over: the rows of each
    /// become those of a repo of the publisher, with a first head. Durable when it returns.
    ///
    /// # Errors
    /// [`IndexError::NamespaceTaken`]; [`IndexError::RefMoved`] if a name changed since its state was made;
    /// others as
    /// [`HeadTable::publish`]. Nothing is changed then.
    pub fn begin(self, new: &NewPublisher<'_>) -> Result<(), IndexError> {
        let profile = heads::encode_profile(new.head, new.profile)?;
        let steps = new.taken_over.iter();
        let steps = steps.map(|name| Ok((&name.from, Step::new(&name.head, &name.state)?)));
        let steps: Vec<_> = steps.collect::<Result<_, IndexError>>()?;
        let namespace = Namespace {
            spelled: new.publisher.handle.clone(),
            publisher: new.publisher.id,
            source: NamespaceSource::Own,
            since: new.publisher.created,
        };
        self.database.write_or_stop(|write| {
            write_publisher(write, new.publisher)?;
            write_free_namespace(write, &namespace)?;
            heads::take(write, new.head, &profile, None)?;
            for (from, step) in &steps {
                step.take_over(write, from)?;
            }
            Ok(())
        })
    }
}

/// An encoded revision.
type Encoded = (CommitId, Vec<u8>);

/// A head and its state, which are of each other.
struct Step<'a> {
    head: &'a VerifiedHead,
    state: &'a State,
    document: Vec<u8>,
    repo: RepoId,
}

impl<'a> Step<'a> {
    fn new(head: &'a VerifiedHead, state: &'a State) -> Result<Self, IndexError> {
        let subject = &head.head().subject;
        let document = state.encode().unwrap_or_default();
        let is_its = state.subject == *subject && DocumentHash::of(&document) == head.head().state;
        match state.subject.repo_id() {
            Some(repo) if is_its => Ok(Self {
                head,
                state,
                document,
                repo,
            }),
            _ => Err(IndexError::Unpublishable {
                subject: subject.clone(),
                reason: "its state is not the one that the head names",
            }),
        }
    }

    fn unpublishable(&self, reason: &'static str) -> IndexError {
        IndexError::Unpublishable {
            subject: self.state.subject.clone(),
            reason,
        }
    }

    fn encode(&self, revision: &Revision) -> Result<Encoded, IndexError> {
        if matches!(&revision.tree, Tree::Listed(files) if !files.is_empty()) {
            return Err(self.unpublishable("a revision has only the list of another hub"));
        }
        let bytes = revision.encode();
        let bytes = bytes.map_err(|_| self.unpublishable("a revision breaks a rule"))?;
        Ok((hash_of(&bytes).commit_id(), bytes))
    }

    fn write(
        &self,
        write: &WriteTransaction,
        revisions: &[Encoded],
        after: Option<DocumentHash>,
    ) -> Result<(), Stop> {
        heads::take(write, self.head, &self.document, after)?;
        if self.state.status != Status::Open {
            remove_rows(write, &self.repo)?;
            return Ok(());
        }
        let repo = Repo {
            id: self.repo.clone(),
            created: self.state.created,
            origin: RepoOrigin::Publisher,
            private: false,
            gated: false,
        };
        let refused = |refusal: Refusal| refusal.explain(&self.repo);
        write_repo(write, &repo)?.map_err(refused)?;
        let revisions = revisions.iter();
        let revisions = revisions.map(|(commit, bytes)| (*commit, &bytes[..]));
        write_rows(write, &self.repo, revisions)?.map_err(refused)?;
        self.write_refs(write)
    }

    /// Makes the refs those of the state.
    fn write_refs(&self, write: &WriteTransaction) -> Result<(), Stop> {
        let mut table = tables::REFS.write(write)?;
        let revisions = tables::REVISIONS.write(write)?;
        let mut stale: BTreeMap<RefName, CommitId> =
            refs_in(&table, &rows_of(&self.repo))?.into_iter().collect();
        let live = self.state.refs.iter().filter(|held| held.deleted.is_none());
        for held in live {
            let commit = held.revision.commit_id();
            if stale.remove(&held.name) == Some(commit) {
                continue;
            }
            let row = revisions.get(&row_key(&self.repo, commit.as_bytes())[..])?;
            if row.is_none_or(|row| hash_of(&row) != held.revision) {
                let reason = "a ref leads to a revision that is not here";
                return Err(self.unpublishable(reason).into());
            }
            let key = row_key(&self.repo, held.name.as_str().as_bytes());
            table.insert(&key[..], commit.as_bytes())?;
        }
        for name in stale.keys() {
            table.remove(&row_key(&self.repo, name.as_str().as_bytes())[..])?;
        }
        Ok(())
    }

    /// Makes the rows of `from` those of this repo.
    fn take_over(&self, write: &WriteTransaction, from: &RepoId) -> Result<(), Stop> {
        self.check_refs_of(write, from)?;
        let rows = rows_of(from);
        let mut revisions = Vec::new();
        for row in tables::REVISIONS
            .write(write)?
            .range(&rows.start[..]..&rows.end[..])?
        {
            let (key, bytes) = row?;
            let commit = commit_of(key.value())?;
            if hash_of(&bytes).commit_id() != commit {
                return Err(self.unpublishable("a revision was not made here").into());
            }
            revisions.push((commit, bytes));
        }
        let mut removed = Vec::new();
        for row in tables::REMOVED
            .write(write)?
            .range(&rows.start[..]..&rows.end[..])?
        {
            removed.push(commit_of(row?.0.value())?);
        }
        remove_rows(write, from)?;
        self.write(write, &revisions, None)?;
        let mut marks = tables::REMOVED.write(write)?;
        for commit in removed {
            marks.insert(&row_key(&self.repo, commit.as_bytes())[..], &[])?;
        }
        Ok(())
    }

    /// Refuses if a ref of `from` is not as the state has it.
    fn check_refs_of(&self, write: &WriteTransaction, from: &RepoId) -> Result<(), Stop> {
        let live = self.state.refs.iter().filter(|held| held.deleted.is_none());
        let mut seen: BTreeMap<&RefName, CommitId> = live
            .map(|held| (&held.name, held.revision.commit_id()))
            .collect();
        let moved = |name: &RefName, found| IndexError::RefMoved {
            repo: from.clone(),
            name: name.clone(),
            found,
        };
        for (name, commit) in refs_in(&tables::REFS.write(write)?, &rows_of(from))? {
            if seen.remove(&name) != Some(commit) {
                return Err(moved(&name, Some(commit)).into());
            }
        }
        match seen.first_key_value() {
            Some((name, _)) => Err(moved(name, None).into()),
            None => Ok(()),
        }
    }
}

fn hash_of(revision: &[u8]) -> RevisionHash {
    blake3::hash(revision).into()
}
