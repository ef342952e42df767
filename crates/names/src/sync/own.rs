//! Heads of repos that this node signs too: they are joined with what it signed.

use std::sync::Arc;

use hubless_content::{ContentHash, Revision, State, VerifiedHead};
use hubless_fetch::FetchRequest;
use hubless_store::StoreError;
use hubless_sync::lock;
use hubless_transfer::{
    ProgressSink,
    fetch::{Driver, DriverArgs},
};
use tokio::time::{sleep, timeout};

use super::{
    Adopted, Adopter, JOINS_MAX, MANIFEST_WITHIN, OwnRepos, SyncError, TURN_AFTER,
    merging::{Joined, Theirs},
    missing,
};
use crate::{
    ask::Source,
    book::{self, Verdict},
    clock,
    keys::SigningError,
};

impl Adopter {
    /// Whether a head is of a repo that this node signs, and has signed: it may hold what this node does
    /// not have, whatever its rank is.
    pub(super) async fn may_join(
        &self,
        own: &OwnRepos,
        head: &Arc<VerifiedHead>,
    ) -> Result<bool, SyncError> {
        let subject = head.head().subject.clone();
        if subject.repo_id().is_none() || lock(&own.contained).get(head.head().state).is_some() {
            return Ok(false);
        }
        let (book, head) = (self.book.clone(), head.clone());
        let (store, keys) = (self.cx.store.clone(), own.keys.clone());
        let may_join = move || {
            if store.head(subject.key())?.is_none() {
                return Ok(false);
            }
            let differs = match book.consider(&head)? {
                Verdict::Newer | Verdict::Fork { .. } | Verdict::Older(_) => true,
                Verdict::Same
                | Verdict::Confirmed
                | Verdict::Contradicts(_)
                | Verdict::SignerRemoved(_) => false,
            };
            let signs = match keys.signing(&store, subject.publisher()) {
                Ok(_) => true,
                Err(SigningError::Store(error)) => return Err(error),
                // A node that cannot sign any more reads as others do.
                Err(_) => false,
            };
            Ok::<_, StoreError>(differs && signs)
        };
        Ok(self.cx.blocking.run(may_join).await??)
    }

    /// Fetches what another signer made, and takes, merges or leaves it.
    pub(super) async fn join(
        &self,
        own: &OwnRepos,
        head: Arc<VerifiedHead>,
        sources: &[Source],
    ) -> Result<Adopted, SyncError> {
        let subject = &head.head().subject;
        let (state, revisions) = self.fetch_repo(&head, sources).await?;
        let fetched = Arc::new((state, revisions));
        let mut is_our_turn = false;
        for _ in 0..JOINS_MAX {
            match self.join_once(own, &head, &fetched, is_our_turn).await? {
                Joined::Contained => {
                    lock(&own.contained).insert(head.head().state, (), 1);
                    return Ok(Adopted::Same);
                }
                Joined::Taken | Joined::Merged(_) => return Ok(Adopted::Newer { fork_of: None }),
                Joined::NotOurTurn => {
                    is_our_turn = true;
                    sleep(TURN_AFTER).await;
                }
                Joined::Needs(model) => {
                    if !fetch_manifest(own, model, sources).await {
                        return Err(missing(subject, sources, None));
                    }
                }
                Joined::Conflict => {}
            }
        }
        Err(SyncError::Conflict(subject.clone()))
    }

    /// Joins once, and reports the head that is stored then. Both happen in one call that goes on if the
    /// caller leaves.
    async fn join_once(
        &self,
        own: &OwnRepos,
        head: &Arc<VerifiedHead>,
        fetched: &Arc<(State, Vec<Revision>)>,
        is_our_turn: bool,
    ) -> Result<Joined, SyncError> {
        let (cx, watchers, keys) = (self.cx.clone(), self.watchers.clone(), own.keys.clone());
        let (head, fetched) = (head.clone(), fetched.clone());
        let subject = head.head().subject.clone();
        let join = move || {
            let subject = &head.head().subject;
            let signing = keys.signing(&cx.store, subject.publisher())?;
            let record = cx.store.head(subject.key())?;
            let Some(ours) = record.and_then(|record| book::seen(record, Some(&signing.chain)))
            else {
                return Ok(Joined::Conflict);
            };
            let theirs = Theirs {
                head: &head,
                state: &fetched.0,
                revisions: &fetched.1,
            };
            let joined = signing.join(&cx.store, &ours, &theirs, is_our_turn, clock::now())?;
            match &joined {
                Joined::Taken => watchers.taken(&head),
                Joined::Merged(merged) => watchers.taken(&Arc::new(VerifiedHead::clone(merged))),
                Joined::Contained | Joined::NotOurTurn | Joined::Needs(_) | Joined::Conflict => {
                    return Ok(joined);
                }
            }
            cx.note_change();
            Ok(joined)
        };
        self.cx
            .blocking
            .run(join)
            .await?
            .map_err(|source| SyncError::Join { subject, source })
    }
}

/// Fetches a manifest that a merge needs from peers that have the other side, and keeps it; whether that
/// worked.
async fn fetch_manifest(own: &OwnRepos, model: ContentHash, sources: &[Source]) -> bool {
    let named = sources.iter().flat_map(|source| {
        let addresses = source.addresses.iter().cloned();
        addresses.filter_map(|address| address.with_p2p(source.peer).ok())
    });
    let args = DriverArgs {
        request: FetchRequest::Plan {
            model,
            chosen: Box::new(|_| false),
        },
        named: named.collect(),
        reads: None,
        patience: MANIFEST_WITHIN,
    };
    let cx = &own.fetches.cx;
    let fetched = async {
        let sink = ProgressSink::new(cx.cancel.child_token(), |_| {});
        let driver = Driver::new(&own.fetches, &sink, args).ok()?;
        let manifest = driver.run().await.ok()?.layout.manifest.clone();
        let store = cx.store.clone();
        let kept = cx.blocking.run(move || store.put_manifest(&manifest)).await;
        kept.ok()?.ok()
    };
    let fetched = timeout(MANIFEST_WITHIN, fetched).await;
    fetched.is_ok_and(|kept| kept == Some(model))
}
