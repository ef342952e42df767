//! Changes of names that this node signs: commits, tags, deletions, squashes, moves.
//!
//! ```text
//! change -> catch up      what other signers made meanwhile: once from the whole network after a start,
//!                         then from the peers of the other signers
//!        -> step          revision, state, refs and head in one transaction, from where the store is
//!        -> report        watchers, the announcer and the other signers' peers
//! ```
//!
//! There is no lease and no leader: two signers that do not see each other both go on, and the first that
//! sees both sides merges them (see `merging`).
//!
//! # Not here
//! Keys and identities (see `publishers`), and files: what a revision names is in the store already.

mod change;
mod confirming;
mod step;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::join_all;
use hubless_content::{CommitId, PublisherId, Subject, SubjectKey, VerifiedHead};
use hubless_network::PeerId;
use hubless_store::StoreError;
use hubless_sync::lock;
use hubless_transfer::{Aborted, Context, Locks};
use tokio::time::timeout;

use self::step::Stepped;
pub use self::{
    change::{Change, ChangeError, Commit},
    step::StepError,
};
use hubless_names::{
    ask::{self, Holder, Source},
    clock,
    keys::{Keys, SigningError},
    resolve::{self, ResolveError, Resolver, Wanted},
    sync::Adopter,
};

/// Tries of one change while others move the same repo: each failed try means that another change
/// succeeded.
const TRIES_MAX: usize = 1_000;

/// A change was signed, or was none.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The newest head.
    pub head: Arc<VerifiedHead>,
    /// Where the changed branch leads.
    tip: Option<CommitId>,
    /// Whether the head is new; if not, the repo was already as the change wants it.
    pub is_new: bool,
}

impl Signed {
    /// Where the changed branch leads.
    ///
    /// # Errors
    /// If the change was of no branch.
    pub fn tip(&self) -> Result<CommitId, PublishError> {
        let subject = || self.head.head().subject.clone();
        self.tip.ok_or_else(|| PublishError::NoBranch(subject()))
    }
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The step itself.
    #[error(transparent)]
    Step(#[from] StepError),
    /// What others signed could not be read.
    #[error("what other signers made could not be read: {0}")]
    Behind(#[source] Box<ResolveError>),
    /// The repo moves with each try.
    #[error("{0} moves all the time")]
    KeepsMoving(Subject),
    /// The change led no branch anywhere.
    #[error("no branch of {0} was changed")]
    NoBranch(Subject),
    /// A call of the store was aborted.
    #[error(transparent)]
    Aborted(#[from] Aborted),
}

impl From<StoreError> for PublishError {
    fn from(error: StoreError) -> Self {
        Self::Step(error.into())
    }
}

/// How long other signers are waited for before this node signs: they answer in a round trip, and one that
/// is off must not stop the others.
const CO_SIGNERS_WITHIN: Duration = Duration::from_secs(2);

/// Signs changes of the repos of this node's publishers. Cloning is cheap.
#[derive(Clone)]
pub struct Signer {
    inner: Arc<Inner>,
}

struct Inner {
    cx: Arc<Context>,
    adopter: Arc<Adopter>,
    resolver: Arc<Resolver>,
    keys: Arc<Keys>,
    repos: Locks<SubjectKey>,
    /// Repos that were read from the network since the start. As many as this node signs.
    read: Mutex<HashSet<SubjectKey>>,
}

impl Signer {
    /// Signs with the keys of a node.
    pub fn new(
        cx: Arc<Context>,
        adopter: Arc<Adopter>,
        resolver: Arc<Resolver>,
        keys: Arc<Keys>,
    ) -> Self {
        let inner = Inner {
            cx,
            adopter,
            resolver,
            keys,
            repos: Locks::default(),
            read: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Makes a change, signs it, and reports it to the network. When this returns, the change is durable
    /// here; other nodes learn of it within seconds.
    ///
    /// # Errors
    /// If this node signs nothing of the publisher, the change does not fit, or the store fails. Nothing is
    /// changed then.
    pub async fn change(&self, subject: &Subject, change: &Change) -> Result<Signed, PublishError> {
        let _one = self.inner.repos.lock(subject.key()).await;
        self.catch_up(subject).await?;
        for _ in 0..TRIES_MAX {
            if let Some(signed) = self.try_once(subject, change).await? {
                if signed.is_new {
                    self.report(&signed.head);
                }
                return Ok(signed);
            }
        }
        Err(PublishError::KeepsMoving(subject.clone()))
    }

    /// Whether this node signs for a publisher.
    ///
    /// # Errors
    /// If its key cannot be used, or the store fails.
    pub async fn signs(&self, publisher: PublisherId) -> Result<bool, SigningError> {
        let (store, keys) = (self.inner.cx.store.clone(), self.inner.keys.clone());
        let signing = move || keys.signing(&store, publisher);
        match self.inner.cx.blocking.run(signing).await {
            Ok(Ok(_)) => Ok(true),
            Ok(Err(SigningError::NotOwn(_))) | Err(_) => Ok(false),
            Ok(Err(error)) => Err(error),
        }
    }

    /// One step, unless the repo moved meanwhile.
    async fn try_once(
        &self,
        subject: &Subject,
        change: &Change,
    ) -> Result<Option<Signed>, PublishError> {
        let (store, keys) = (self.inner.cx.store.clone(), self.inner.keys.clone());
        let (subject, change) = (subject.clone(), change.clone());
        let step = move || {
            let signing = keys.signing(&store, subject.publisher())?;
            step::step(&signing, &store, &subject, &change, clock::now())
        };
        let stepped = self.inner.cx.blocking.run(step).await??;
        let (head, tip, is_new) = match stepped {
            Stepped::Conflict => return Ok(None),
            Stepped::Unchanged(head, tip) => (head, tip, false),
            Stepped::Signed(head, tip) => (head, tip, true),
        };
        Ok(Some(Signed {
            head: Arc::new(*head),
            tip,
            is_new,
        }))
    }

    /// Takes what other signers made meanwhile. The first time after a start the whole network is asked, so
    /// that a restored backup goes on from where the network is, and not from where it was.
    async fn catch_up(&self, subject: &Subject) -> Result<(), PublishError> {
        if self.inner.cx.network().is_err() {
            return Ok(());
        }
        if !lock(&self.inner.read).contains(&subject.key()) {
            match self.inner.resolver.current(subject, &Wanted::now()).await {
                // The first head of the repo.
                Ok(_) | Err(ResolveError::Unknown(_)) => {}
                Err(error) => return Err(PublishError::Behind(Box::new(error))),
            }
            lock(&self.inner.read).insert(subject.key());
            return Ok(());
        }
        let asked = self.co_signers(subject).await?.into_iter();
        let asked = asked.map(|peer| self.take_from(peer, subject.key()));
        // What comes later is merged.
        let _ = timeout(CO_SIGNERS_WITHIN, join_all(asked)).await;
        Ok(())
    }

    async fn take_from(&self, peer: PeerId, key: SubjectKey) {
        let source = Source::from(peer);
        let taken = async {
            let head = ask::head(&self.inner.cx, &source, key).await.ok()?;
            self.inner
                .adopter
                .adopt(Arc::new(head), &[source])
                .await
                .ok()
        };
        taken.await;
    }

    /// The peers of the other signers, as the profile names them.
    async fn co_signers(&self, subject: &Subject) -> Result<Vec<PeerId>, PublishError> {
        let (store, publisher) = (self.inner.cx.store.clone(), subject.publisher());
        let peers = move || resolve::peers_of(&store, publisher);
        let mut peers = self.inner.cx.blocking.run(peers).await??;
        peers.retain(|peer| *peer != self.inner.cx.own_id);
        Ok(peers)
    }

    /// Watchers and the announcer get the head at once, the other signers in the background.
    fn report(&self, head: &Arc<VerifiedHead>) {
        self.inner.adopter.watchers().taken(head);
        self.inner.cx.note_change();
        let (signer, head) = (self.clone(), head.clone());
        let give = async move {
            // The announcer and watches reach those that are not reached here.
            let peers = signer.co_signers(&head.head().subject).await;
            let peers = peers.unwrap_or_default().into_iter();
            join_all(peers.map(|peer| signer.give_to(peer, &head))).await;
        };
        let cancel = self.inner.cx.cancel.clone();
        self.inner
            .cx
            .tasks
            .spawn(async move { cancel.run_until_cancelled(give).await });
    }

    /// Gives another signer a head; one that it has and this node has not is taken.
    async fn give_to(&self, peer: PeerId, head: &VerifiedHead) {
        let source = Source::from(peer);
        let given = async {
            let mut holder = Holder::open(&self.inner.cx, &source).await?;
            holder.put_head(head).await
        };
        match given.await {
            Ok(theirs) => {
                let adopted = self.inner.adopter.adopt(Arc::new(theirs), &[source]).await;
                if let Err(error) = adopted {
                    tracing::debug!(%peer, %error, "the head of another signer was not taken");
                }
            }
            Err(error) => tracing::debug!(%error, "another signer did not take a head"),
        }
    }
}
