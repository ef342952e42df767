//! The newest head of a name, as well as this node can know it.
//!
//! ```text
//! current(ID/name) -> seen a moment ago        that head
//!                  -> read, in parallel:       the DHT, holders, neighbours, the publisher's peers
//!                     -> adopt what counts     state and history, in one transaction
//! ```
//!
//! A read answers after at most three seconds with the best that is known, and goes on for some seconds
//! behind: what is newer then counts for the next reader. What a reader has seen is never rolled back; what
//! the network gives instead is reported in [`Current::notes`].
//!
//! # Not here
//! Which publisher a namespace stands for (see `namespaces`), and the files of a revision.

mod error;
mod note;
mod reader;
mod reading;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::{FutureExt as _, future::BoxFuture};
use hubless_content::{Profile, PublisherId, Status, Subject, SubjectKey, VerifiedHead};
use hubless_memory::Lru;
use hubless_network::{Network, PeerId};
use hubless_store::{Store, StoreError};
use hubless_sync::lock;
use hubless_transfer::{Context, KnownPeers, Locks};
use tokio::sync::{Semaphore, oneshot};

pub use self::{error::ResolveError, note::Note};
use self::{
    reader::{Found, Reader},
    reading::{ANSWER_WITHIN, Outcome},
};
use crate::{
    ask::Source,
    book, clock,
    namespaces::{Profiles, StoredProfiles},
    sync::{Adopter, SyncError},
};

/// How long a head that was read counts as the newest for readers that do not ask for a later one, as
/// branches of an upstream.
pub const FRESH_WITHIN: Duration = Duration::from_secs(60);

/// Signers confirm their heads once a day; a head that none has confirmed for a week is reported.
pub const STALE_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);

/// Time between two tries to find a name that no node knows yet: it may have been published a moment ago,
/// or this node may not have met its network yet.
const TRY_EVERY: Duration = Duration::from_millis(500);

/// Reads at once, those included that go on behind their answer; others wait. Each is a walk through the
/// DHT for records and two for holders.
const READS_MAX: usize = 32;

/// Names whose last read is remembered, known ones and unknown ones.
const READ_NAMES_MAX: usize = 10_000;

/// What a reader asks for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// A head that was read within this time is not read again.
    pub fresh_within: Duration,
    /// Heads that their signer confirmed longer ago are refused.
    pub max_age: Option<Duration>,
    /// Peers that the caller named.
    pub peers: Vec<Source>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            fresh_within: FRESH_WITHIN,
            max_age: None,
            peers: Vec::new(),
        }
    }
}

impl Wanted {
    /// What is newest now.
    pub fn now() -> Self {
        Self {
            fresh_within: Duration::ZERO,
            ..Self::default()
        }
    }
}

/// The newest head of a name that this node knows.
#[derive(Debug, Clone)]
pub struct Current {
    /// The head; its state and history are in the store.
    pub head: Arc<VerifiedHead>,
    /// Whether the repo is there. A profile always is.
    pub status: Status,
    /// Time since a signer confirmed it.
    pub age: Duration,
    /// What a person should know of it.
    pub notes: Vec<Note>,
}

/// Reads names.
pub struct Resolver {
    cx: Arc<Context>,
    adopter: Arc<Adopter>,
    known_peers: KnownPeers,
    names: Locks<SubjectKey>,
    places: Arc<Semaphore>,
    /// When each name was last read.
    read: Mutex<Lru<SubjectKey, Instant>>,
}

impl Resolver {
    /// Reads names with the network of `cx`.
    pub fn new(cx: Arc<Context>, adopter: Arc<Adopter>, known_peers: KnownPeers) -> Self {
        Self {
            cx,
            adopter,
            known_peers,
            names: Locks::default(),
            places: Arc::new(Semaphore::new(READS_MAX)),
            read: Mutex::new(Lru::new(READ_NAMES_MAX)),
        }
    }

    /// The newest head of a repo or a profile.
    ///
    /// # Errors
    /// If no node knows one, or what is known does not count.
    pub async fn current(
        &self,
        subject: &Subject,
        wanted: &Wanted,
    ) -> Result<Current, ResolveError> {
        let _one = self.names.lock(subject.key()).await;
        let mut notes = Vec::new();
        if let Ok(network) = self.cx.network() {
            let is_fresh = wanted.peers.is_empty() && self.was_read(subject, wanted.fresh_within);
            if !is_fresh {
                notes = self.read(network, subject, wanted).await?;
                self.note_read(subject);
            }
        } else if self.seen(subject).await?.is_none() {
            return Err(ResolveError::Offline(subject.clone()));
        }
        self.known(subject, wanted, notes).await
    }
}

impl Resolver {
    /// What the store has of the name, once reading has done what it could.
    async fn known(
        &self,
        subject: &Subject,
        wanted: &Wanted,
        mut notes: Vec<Note>,
    ) -> Result<Current, ResolveError> {
        let (key, of) = (subject.key(), subject.clone());
        let found = self
            .store(move |store| {
                let state = match of.repo_id() {
                    Some(_) => store.state(key)?,
                    None => None,
                };
                let status = state.map_or(Status::Open, |state| state.status);
                Ok(seen_in(store, &of)?.map(|head| (head, status)))
            })
            .await?;
        let (head, status) = found.ok_or_else(|| ResolveError::Unknown(subject.clone()))?;
        let age = Duration::from_millis(clock::now().saturating_sub(head.head().time));
        if wanted.max_age.is_some_and(|max| age > max) {
            let subject = subject.clone();
            return Err(ResolveError::TooOld { subject, age });
        }
        if age > STALE_AFTER {
            notes.push(Note::Stale { age });
        }
        Ok(Current {
            head: Arc::new(head),
            status,
            age,
            notes,
        })
    }

    /// Asks the network, and adopts what counts.
    async fn read(
        &self,
        network: &Network,
        subject: &Subject,
        wanted: &Wanted,
    ) -> Result<Vec<Note>, ResolveError> {
        let publisher = subject.publisher();
        let profile = Subject::profile(publisher);
        let is_known = self
            .store(move |store| store.chain(publisher))
            .await?
            .is_some();
        let (found, of_profile) = tokio::join!(
            self.ask(network, subject, &wanted.peers),
            // The first name of a publisher: its profile has the newest keys, so that a thief cannot
            // make up names that the publisher never had.
            self.ask_first(
                network,
                &profile,
                is_known || *subject == profile,
                &wanted.peers
            ),
        );
        if let Some(of_profile) = of_profile? {
            // A publisher may have made none yet; the name counts all the same.
            if let Err(error) = self.adopt(&profile, of_profile).await {
                tracing::debug!(%error, "no profile of a publisher");
            }
        }
        self.adopt(subject, found?).await
    }

    async fn ask_first(
        &self,
        network: &Network,
        profile: &Subject,
        is_known: bool,
        named: &[Source],
    ) -> Result<Option<Found>, ResolveError> {
        match is_known {
            true => Ok(None),
            false => self.ask(network, profile, named).await.map(Some),
        }
    }

    /// Reads until a head is found, for as long as a reader waits.
    async fn ask(
        &self,
        network: &Network,
        subject: &Subject,
        named: &[Source],
    ) -> Result<Found, ResolveError> {
        let end = Instant::now() + ANSWER_WITHIN;
        loop {
            let found = self.ask_once(network, subject, named).await?;
            let is_late = Instant::now() + TRY_EVERY >= end;
            if found.outcome.best.is_some() || is_late {
                return Ok(found);
            }
            tokio::time::sleep(TRY_EVERY).await;
        }
    }

    /// One read, which goes on behind its answer.
    async fn ask_once(
        &self,
        network: &Network,
        subject: &Subject,
        named: &[Source],
    ) -> Result<Found, ResolveError> {
        let publisher = subject.publisher();
        let signers = self.store(move |store| peers_of(store, publisher)).await?;
        let reader = Reader {
            cx: self.cx.clone(),
            network: network.clone(),
            subject: subject.clone(),
            seen: self.seen(subject).await?.map(Arc::new),
            signers,
            named: named.to_vec(),
            known_peers: self.known_peers.clone(),
        };
        let (answer, answered) = oneshot::channel();
        let adopter = self.adopter.clone();
        let place = self.places.clone().acquire_owned().await;
        self.cx.tasks.spawn(async move {
            let Found { outcome, sources } = reader.run(answer).await;
            // Held behind the answer too, until the read has ended.
            drop(place);
            if let Some(best) = outcome.best
                && let Err(error) = adopter.adopt(best, &sources).await
            {
                tracing::debug!(%error, "what was found behind a read was not adopted");
            }
        });
        answered
            .await
            .map_err(|_| ResolveError::Offline(subject.clone()))
    }

    /// Adopts what a read found, or the next lower head if no peer gives what the best names.
    async fn adopt(&self, subject: &Subject, found: Found) -> Result<Vec<Note>, ResolveError> {
        let Found { outcome, sources } = found;
        let is_known = self.seen(subject).await?.is_some();
        if let (false, Some(best), Some(other)) =
            (is_known, &outcome.best, &outcome.beside.contradicting)
        {
            let documents = [best, other].map(|head| head.chain().root().1);
            return Err(ResolveError::Contradiction(subject.clone(), documents));
        }
        let mut notes = notes_of(&outcome);
        let mut failed = None;
        for head in [outcome.best, outcome.beside.lower].into_iter().flatten() {
            let seq = head.head().seq;
            match self.adopter.adopt(head, &sources).await {
                Ok(_) => return Ok(notes),
                Err(SyncError::Refused { reason, .. }) if is_known => {
                    notes.push(Note::Refused(Box::new(reason)));
                }
                Err(SyncError::Refused { reason, .. }) => {
                    let subject = subject.clone();
                    let reason = Box::new(reason);
                    return Err(ResolveError::Refused { subject, reason });
                }
                Err(error) => {
                    notes.push(Note::NoState { seq });
                    failed.get_or_insert((seq, error));
                }
            }
        }
        match failed {
            Some((seq, source)) if !is_known => Err(ResolveError::NoState {
                subject: subject.clone(),
                seq,
                source: Arc::new(source),
            }),
            _ => Ok(notes),
        }
    }

    /// The head that this node has seen, proven.
    async fn seen(&self, subject: &Subject) -> Result<Option<VerifiedHead>, ResolveError> {
        let subject = subject.clone();
        self.store(move |store| seen_in(store, &subject)).await
    }

    fn was_read(&self, subject: &Subject, within: Duration) -> bool {
        let read = lock(&self.read).get(subject.key());
        read.is_some_and(|read: Instant| read.elapsed() < within)
    }

    fn note_read(&self, subject: &Subject) {
        lock(&self.read).insert(subject.key(), Instant::now(), 1);
    }

    async fn store<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ResolveError> {
        let store = self.cx.store.clone();
        Ok(self.cx.blocking.run(move || call(&store)).await??)
    }
}

fn seen_in(store: &Store, subject: &Subject) -> Result<Option<VerifiedHead>, StoreError> {
    let known = store.chain(subject.publisher())?;
    let record = store.head(subject.key())?;
    Ok(record.and_then(|record| book::seen(record, known.as_ref())))
}

/// The peers at which a publisher says it can be reached.
pub fn peers_of(store: &Store, publisher: PublisherId) -> Result<Vec<PeerId>, StoreError> {
    let profile = store.profile(publisher)?;
    let peers = profile.map(|profile| profile.peers).unwrap_or_default();
    Ok(peers
        .iter()
        .filter_map(|peer| PeerId::from_bytes(peer).ok())
        .collect())
}

fn notes_of(outcome: &Outcome<PeerId>) -> Vec<Note> {
    let Some(best) = outcome.best.as_ref().map(|best| best.head()) else {
        return Vec::new();
    };
    let older = outcome.beside.older.as_ref().map(|older| Note::Older {
        seq: older.head().seq,
        seen: best.seq,
    });
    let fork = outcome.beside.fork.as_ref().map(|fork| Note::Fork {
        seq: fork.head().seq,
        other: fork.head().state,
    });
    let contradicted = outcome
        .beside
        .contradicting
        .as_ref()
        .map(|other| Note::Contradicted {
            publisher: other.chain().publisher(),
        });
    let unconfirmed = (!outcome.is_confirmed).then_some(Note::Unconfirmed);
    [older, fork, contradicted, unconfirmed]
        .into_iter()
        .flatten()
        .collect()
}

impl Profiles for Resolver {
    fn profile(&self, publisher: PublisherId) -> BoxFuture<'_, Option<Profile>> {
        async move {
            let (subject, wanted) = (Subject::profile(publisher), Wanted::default());
            if let Err(error) = self.current(&subject, &wanted).await {
                tracing::debug!(%publisher, %error, "no newer profile");
            }
            StoredProfiles(self.cx.clone()).profile(publisher).await
        }
        .boxed()
    }
}
