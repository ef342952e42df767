//! Takes newer heads: fetches what they name, proves it, and keeps it.
//!
//! A head alone is worth little: its state says which refs there are, and the history what they lead to.
//! Both are fetched from peers that gave the head, and stored with it in one transaction, so a head in the
//! store always has its state and its history beside it.
//!
//! # Bounds
//! A state has at most 1 MiB, a history [`HISTORY_REVISIONS_MAX`] revisions and [`HISTORY_BYTES_MAX`]
//! bytes, a source two minutes. Adopting the same subject twice at once is adopting it once.
//!
//! # Not here
//! Where heads come from (`resolve`, `follow`, `serve`), and the content of revisions (`transfer`).

mod gathering;
pub mod merging;
mod own;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use hubless_content::{
    CommitId, DocumentHash, PROFILE_BYTES_MAX, Profile, ProfileError, Revision, STATE_BYTES_MAX,
    State, StateError, Subject, SubjectKey, VerifiedHead,
};
use hubless_memory::Lru;
use hubless_store::{Publication, Store, StoreError, StoreErrorKind};
use hubless_transfer::{Aborted, Context, Fetches, Locks};
use hubless_wire::KNOWN_REVISIONS_MAX;
use tokio::time::timeout;

use self::gathering::Gathering;
pub use self::{
    gathering::{BadHistory, HISTORY_BYTES_MAX, HISTORY_REVISIONS_MAX},
    merging::JoinError,
};
use crate::{
    ask::{AskError, Holder, Source},
    book::{Book, Refusal, Verdict},
    keys::Keys,
    watchers::Watchers,
};

/// Peers that are asked for one state: more than a reader knows who gave the same head.
const SOURCES_MAX: usize = 16;

/// How long one peer may take for a state and its history: 20 MB, the largest history, at 1.4 Mbit/s.
const SOURCE_TIME_MAX: Duration = Duration::from_secs(120);

/// How often a head is considered anew because another one was stored meanwhile.
const TRIES_MAX: u32 = 3;

/// How long the signer of the lesser head waits before it merges: the other one needs a second or two.
const TURN_AFTER: Duration = Duration::from_secs(5);

/// Tries of one join: each branch may need a few manifests, and this node may sign meanwhile.
const JOINS_MAX: u32 = 32;

/// How long peers may take for a manifest that a merge needs.
const MANIFEST_WITHIN: Duration = Duration::from_secs(20);

/// States of other signers that are known to hold nothing new.
const CONTAINED_MAX: usize = 1_000;

/// What became of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adopted {
    /// It was here.
    Same,
    /// Its state was here; it confirms that later.
    Confirmed,
    /// It is stored, with its state and history.
    Newer {
        /// The head in whose place it is, if both have the same number and sequence.
        fork_of: Option<Box<VerifiedHead>>,
    },
}

/// Why a head was not adopted.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// It does not count against what was seen.
    #[error("the head of {subject} is refused: {reason}")]
    Refused {
        /// Of what it is.
        subject: Subject,
        /// Why.
        reason: Refusal,
    },
    /// No peer gave all that it names: a reader may use the next lower head that it found.
    #[error("none of {tried} peers gave the state of {subject} and its history")]
    Missing {
        /// Of what it is.
        subject: Subject,
        /// Peers that were asked.
        tried: usize,
        /// What the last one of them answered.
        last: Option<AskError>,
    },
    /// What it names cannot be used, whichever peer gives it.
    #[error("the head of {subject} names what cannot be used: {reason}")]
    Bad {
        /// Of what it is.
        subject: Subject,
        /// Why.
        reason: Bad,
    },
    /// Newer heads of the subject came faster than this one was stored.
    #[error("{0} changes too fast")]
    Conflict(Subject),
    /// What another signer made was not merged with what this node signed.
    #[error("the head of another signer of {subject} was not merged: {source}")]
    Join {
        /// Of what it is.
        subject: Subject,
        /// Why.
        source: JoinError,
    },
    /// The store failed, or has no room.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A call of the store was aborted.
    #[error(transparent)]
    Aborted(#[from] Aborted),
}

impl SyncError {
    /// Whether adopting the same head may work later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::Conflict(_) => true,
            Self::Refused { .. }
            | Self::Bad { .. }
            | Self::Join { .. }
            | Self::Store(_)
            | Self::Aborted(_) => false,
        }
    }
}

/// Why what a head names cannot be used: its signer made it so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// The state breaks a rule.
    #[error("{0}")]
    State(#[from] StateError),
    /// The profile breaks a rule.
    #[error("{0}")]
    Profile(#[from] ProfileError),
    /// The state is of another repo, or the profile of another publisher.
    #[error("a document of {0}")]
    OtherSubject(Subject),
    /// The history breaks a rule.
    #[error("{0}")]
    History(#[from] BadHistory),
}

/// Takes heads for one node.
pub struct Adopter {
    cx: Arc<Context>,
    book: Book,
    watchers: Watchers,
    subjects: Locks<SubjectKey>,
    own: Option<OwnRepos>,
}

/// The repos that this node signs.
struct OwnRepos {
    keys: Arc<Keys>,
    fetches: Arc<Fetches>,
    /// States that hold nothing that this node does not have.
    contained: Mutex<Lru<DocumentHash, ()>>,
}

/// Why one source did not do.
enum SourceError {
    Ask(AskError),
    Bad(Bad),
    Store(StoreError),
    Aborted(Aborted),
}

/// What was fetched of a repo so far; the next source goes on from there.
struct Fetched {
    state: State,
    history: Gathering,
}

impl Adopter {
    /// Takes heads into the store of a node, and reports them to its watchers.
    pub fn new(cx: Arc<Context>, watchers: Watchers) -> Self {
        Self {
            book: Book::new(cx.store.clone()),
            cx,
            watchers,
            subjects: Locks::default(),
            own: None,
        }
    }

    /// The same for a node that signs with these keys: heads of other signers are merged with what it
    /// signed itself.
    pub fn signing(self, keys: Arc<Keys>, fetches: Arc<Fetches>) -> Self {
        Self {
            own: Some(OwnRepos {
                keys,
                fetches,
                contained: Mutex::new(Lru::new(CONTAINED_MAX)),
            }),
            ..self
        }
    }

    /// The node for which heads are taken.
    pub fn context(&self) -> &Arc<Context> {
        &self.cx
    }

    /// The heads that are taken.
    pub fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    /// Takes a head, if it counts more than the seen one: fetches its state and history from these
    /// sources, the first that works, and stores all at once. May be dropped at any time.
    ///
    /// # Errors
    /// If the head does not count, no source gives what it names, or the store fails. Nothing is changed
    /// then.
    pub async fn adopt(
        &self,
        head: Arc<VerifiedHead>,
        sources: &[Source],
    ) -> Result<Adopted, SyncError> {
        if let Some(own) = &self.own
            && self.may_join(own, &head).await?
        {
            return self.join(own, head, sources).await;
        }
        let subject = &head.head().subject;
        let _lock = self.subjects.lock(subject.key()).await;
        for _ in 0..TRIES_MAX {
            let (book, considered) = (self.book.clone(), head.clone());
            let verdict = self.cx.blocking.run(move || book.consider(&considered));
            let fork_of = match verdict.await?? {
                Verdict::Same => return Ok(Adopted::Same),
                Verdict::Confirmed => return self.confirm(head).await,
                Verdict::Newer => None,
                Verdict::Fork { newer: true, seen } => Some(seen),
                refused => {
                    let subject = subject.clone();
                    return match refused.refusal() {
                        Some(reason) => Err(SyncError::Refused { subject, reason }),
                        None => Ok(Adopted::Same),
                    };
                }
            };
            let stored = match subject.repo_id() {
                Some(_) => self.adopt_repo(&head, sources).await,
                None => self.adopt_profile(&head, sources).await,
            };
            match stored {
                Ok(()) => return Ok(Adopted::Newer { fork_of }),
                // A publication on this node was faster: the head is considered against that.
                Err(SyncError::Store(error)) if error.kind() == StoreErrorKind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Err(SyncError::Conflict(subject.clone()))
    }

    async fn confirm(&self, head: Arc<VerifiedHead>) -> Result<Adopted, SyncError> {
        let is_taken = self.store(head, |store, head| store.put_head(head)).await?;
        Ok(match is_taken {
            true => Adopted::Confirmed,
            false => Adopted::Same,
        })
    }

    async fn adopt_profile(
        &self,
        head: &Arc<VerifiedHead>,
        sources: &[Source],
    ) -> Result<(), SyncError> {
        let subject = &head.head().subject;
        let (key, hash) = (subject.key(), head.head().state);
        let after = self.seen_state(key).await?;
        let mut last = None;
        for source in sources.iter().take(SOURCES_MAX) {
            let document = async {
                let mut holder = Holder::open(&self.cx, source).await?;
                holder.document(key, hash, PROFILE_BYTES_MAX).await
            };
            let silent = AskError::Silent { peer: source.peer };
            let document = timeout(SOURCE_TIME_MAX, document).await;
            let bytes = match document.unwrap_or(Err(silent)) {
                Ok(bytes) => bytes,
                Err(error) => {
                    last = Some(error);
                    continue;
                }
            };
            let profile = profile_of(subject, &bytes).map_err(|reason| bad(subject, reason))?;
            let put = move |store: &Store, head: &VerifiedHead| {
                store.put_profile(head, &profile, after)?;
                Ok(true)
            };
            return self.store(head.clone(), put).await.map(|_| ());
        }
        Err(missing(subject, sources, last))
    }

    async fn adopt_repo(
        &self,
        head: &Arc<VerifiedHead>,
        sources: &[Source],
    ) -> Result<(), SyncError> {
        let after = self.seen_state(head.head().subject.key()).await?;
        let (state, revisions) = self.fetch_repo(head, sources).await?;
        let publish = move |store: &Store, head: &VerifiedHead| {
            store.publish(&Publication {
                head,
                state: &state,
                revisions: &revisions,
                after,
            })?;
            Ok(true)
        };
        self.store(head.clone(), publish).await.map(|_| ())
    }

    /// The state of a head, and those revisions of its history that are not here.
    async fn fetch_repo(
        &self,
        head: &Arc<VerifiedHead>,
        sources: &[Source],
    ) -> Result<(State, Vec<Revision>), SyncError> {
        let subject = &head.head().subject;
        let (mut fetched, mut last) = (None, None);
        for source in sources.iter().take(SOURCES_MAX) {
            let fetch = self.fetch(source, head, &mut fetched);
            match timeout(SOURCE_TIME_MAX, fetch).await {
                Ok(Ok(())) => {}
                Ok(Err(SourceError::Ask(error))) => last = Some(error),
                Ok(Err(SourceError::Bad(reason))) => return Err(bad(subject, reason)),
                Ok(Err(SourceError::Store(error))) => return Err(error.into()),
                Ok(Err(SourceError::Aborted(error))) => return Err(error.into()),
                Err(_) => last = Some(AskError::Silent { peer: source.peer }),
            }
            let is_whole = |fetched: &mut Fetched| fetched.history.next().is_none();
            let Some(Fetched { state, history }) = fetched.take_if(is_whole) else {
                continue;
            };
            return Ok((state, history.into_revisions()));
        }
        Err(missing(subject, sources, last))
    }

    /// The state that the seen head names, if there is one.
    async fn seen_state(&self, key: SubjectKey) -> Result<Option<DocumentHash>, SyncError> {
        let store = self.cx.store.clone();
        let seen = self.cx.blocking.run(move || store.head(key)).await??;
        Ok(seen.map(|record| record.head().state))
    }

    /// Fetches from one source what is missing of a repo.
    async fn fetch(
        &self,
        source: &Source,
        head: &VerifiedHead,
        fetched: &mut Option<Fetched>,
    ) -> Result<(), SourceError> {
        let subject = &head.head().subject;
        let key = subject.key();
        let mut holder = Holder::open(&self.cx, source).await?;
        let fetched = match fetched {
            Some(fetched) => fetched,
            None => {
                let state = head.head().state;
                let bytes = holder.document(key, state, STATE_BYTES_MAX).await?;
                let state = state_of(subject, &bytes).map_err(SourceError::Bad)?;
                let live = state.refs.iter().filter(|held| held.deleted.is_none());
                let mut history = Gathering::new(live.map(|held| held.revision));
                let held = self.held(subject, history.wanted()).await?;
                history.forget(&held);
                fetched.insert(Fetched { state, history })
            }
        };
        let known = self.known(subject).await?;
        while let Some(tip) = fetched.history.next() {
            let page = holder.history(key, tip, known.clone()).await?;
            if page.is_empty() {
                // The revision is longer than a page.
                let peer = source.peer;
                return Err(SourceError::Ask(AskError::NotHere { peer }));
            }
            let new = fetched.history.take(page);
            let new = new.map_err(|error| SourceError::Bad(error.into()))?;
            let held = self.held(subject, new).await?;
            fetched.history.forget(&held);
        }
        Ok(())
    }

    /// Which of these revisions are here.
    async fn held(
        &self,
        subject: &Subject,
        commits: Vec<CommitId>,
    ) -> Result<Vec<CommitId>, SourceError> {
        let (store, repo) = (self.cx.store.clone(), subject.repo_id());
        let held = move || {
            let Some(repo) = repo else {
                return Ok(Vec::new());
            };
            let mut held = Vec::new();
            for commit in commits {
                if store.revision(&repo, commit)?.is_some() {
                    held.push(commit);
                }
            }
            Ok::<_, StoreError>(held)
        };
        Ok(self.cx.blocking.run(held).await??)
    }

    /// Revisions that are here, at which a holder can stop.
    async fn known(&self, subject: &Subject) -> Result<Vec<CommitId>, SourceError> {
        let (store, repo) = (self.cx.store.clone(), subject.repo_id());
        let known = move || {
            let Some(repo) = repo else {
                return Ok(Vec::new());
            };
            let refs = store.refs(&repo)?.into_iter();
            let mut known: Vec<CommitId> = refs.map(|(_, commit)| commit).collect();
            known.sort_unstable();
            known.dedup();
            known.truncate(KNOWN_REVISIONS_MAX);
            Ok::<_, StoreError>(known)
        };
        Ok(self.cx.blocking.run(known).await??)
    }

    /// Stores a head by `put`, and reports it if it was taken. Both happen in one call that goes on if the
    /// caller leaves: a stored head is always reported.
    async fn store(
        &self,
        head: Arc<VerifiedHead>,
        put: impl FnOnce(&Store, &VerifiedHead) -> Result<bool, StoreError> + Send + 'static,
    ) -> Result<bool, SyncError> {
        let (cx, watchers) = (self.cx.clone(), self.watchers.clone());
        let put = move || {
            let is_taken = put(&cx.store, &head)?;
            if is_taken {
                watchers.taken(&head);
                cx.note_change();
            }
            Ok::<_, StoreError>(is_taken)
        };
        Ok(self.cx.blocking.run(put).await??)
    }
}

fn state_of(subject: &Subject, bytes: &[u8]) -> Result<State, Bad> {
    let state = State::decode(bytes)?;
    // Each document names its subject: that of one repo is worth nothing for another.
    match state.subject == *subject {
        true => Ok(state),
        false => Err(Bad::OtherSubject(state.subject)),
    }
}

fn profile_of(subject: &Subject, bytes: &[u8]) -> Result<Profile, Bad> {
    let profile = Profile::decode(bytes)?;
    match profile.publisher == subject.publisher() {
        true => Ok(profile),
        false => Err(Bad::OtherSubject(Subject::profile(profile.publisher))),
    }
}

fn bad(subject: &Subject, reason: Bad) -> SyncError {
    let subject = subject.clone();
    SyncError::Bad { subject, reason }
}

fn missing(subject: &Subject, sources: &[Source], last: Option<AskError>) -> SyncError {
    SyncError::Missing {
        subject: subject.clone(),
        tried: sources.len().min(SOURCES_MAX),
        last,
    }
}

impl From<AskError> for SourceError {
    fn from(error: AskError) -> Self {
        Self::Ask(error)
    }
}

impl From<StoreError> for SourceError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Aborted> for SourceError {
    fn from(error: Aborted) -> Self {
        Self::Aborted(error)
    }
}
