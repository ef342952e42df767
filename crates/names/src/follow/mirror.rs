//! Content of followed publishers: what the policy of each follow covers is fetched.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use hubless_content::{ContentHash, PublisherId, RefName, RepoId};
use hubless_fetch::FetchRequest;
use hubless_network::{Multiaddr, PeerId, Protocol};
use hubless_store::{Mirror, Store, StoreError};
use hubless_transfer::{
    ProgressSink, TransferError,
    fetch::{Driver, DriverArgs},
};
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, sleep_until},
};
use tracing::{debug, info};

use super::{Follower, read};

/// Changes are gathered for so long.
const SETTLE: Duration = Duration::from_millis(100);

/// When content that no peer gave is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(3600);

/// How long a fetch waits without progress: others may be wanted that can be had.
const PATIENCE: Duration = Duration::from_secs(60);

/// Fetches what is missing, whenever something changed, until the node stops.
pub(super) async fn run(follower: &Follower) {
    let mut heads = follower.adopter.watchers().subscribe();
    let mut watched = follower.watched.subscribe();
    let mut changes = follower.cx().changes();
    let (mut failed, mut again) = (HashSet::new(), Instant::now() + AGAIN_AFTER);
    loop {
        fetch_missing(follower, &mut failed).await;
        tokio::select! {
            head = heads.recv() => {
                if matches!(head, Err(RecvError::Closed)) {
                    return;
                }
            }
            // Another holder may have what was not to be had.
            Ok(()) = watched.changed() => failed.clear(),
            // A policy may cover more than before.
            () = changes.next() => {}
            () = sleep_until(again) => {
                failed.clear();
                again = Instant::now() + AGAIN_AFTER;
            }
        }
        tokio::time::sleep(SETTLE).await;
        while heads.try_recv().is_ok() {}
    }
}

/// Fetches all that is missing, one model after the other, but for what `failed` before.
async fn fetch_missing(follower: &Follower, failed: &mut HashSet<ContentHash>) {
    let missing = read(follower.cx(), missing).await.unwrap_or_default();
    for (publisher, model) in missing {
        if failed.contains(&model) {
            continue;
        }
        // What people wait for comes first.
        follower.cx().busy.idle().await;
        match fetch(follower, publisher, model).await {
            Ok(()) => info!(%publisher, %model, "mirrored a revision of a followed publisher"),
            Err(error) => {
                debug!(%publisher, %model, %error, "a revision is not mirrored");
                failed.insert(model);
            }
        }
    }
}

/// The models that the follows cover and that are not here.
fn missing(store: &Store) -> Result<BTreeSet<(PublisherId, ContentHash)>, StoreError> {
    let mut missing = BTreeSet::new();
    for follow in store.follows()? {
        if follow.mirror == Mirror::Nothing {
            continue;
        }
        for head in store.heads_of(follow.publisher)? {
            let Some(repo) = head.head().subject.repo_id() else {
                continue;
            };
            for model in covered(store, &repo, follow.mirror)? {
                let held = store.model_held(model)?;
                if !held.is_some_and(|held| held.is_full()) {
                    missing.insert((follow.publisher, model));
                }
            }
        }
    }
    Ok(missing)
}

/// The content of a repo that a policy covers.
fn covered(
    store: &Store,
    repo: &RepoId,
    mirror: Mirror,
) -> Result<BTreeSet<ContentHash>, StoreError> {
    let tips = |wanted: fn(&RefName) -> bool| {
        let refs = store.refs(repo)?.into_iter();
        let tips = refs.filter(|(name, _)| wanted(name)).map(|(_, tip)| tip);
        Ok::<_, StoreError>(tips.collect())
    };
    let revisions = match mirror {
        Mirror::Nothing => Vec::new(),
        Mirror::Latest => tips(|name| name.as_str().starts_with("refs/heads/"))?,
        Mirror::Tags => tips(|_| true)?,
        Mirror::All => store.revisions(repo)?,
    };
    let mut content = BTreeSet::new();
    for revision in revisions {
        let revision = store.revision(repo, revision)?;
        content.extend(revision.and_then(|revision| match revision.tree {
            hubless_content::Tree::Content(model) => Some(model),
            hubless_content::Tree::Listed(_) => None,
        }));
    }
    Ok(content)
}

async fn fetch(
    follower: &Follower,
    publisher: PublisherId,
    model: ContentHash,
) -> Result<(), TransferError> {
    let _one_at_a_time = follower.fetches.models.lock(model).await;
    let args = DriverArgs {
        request: FetchRequest::Kept { model },
        named: watched(follower, publisher),
        reads: None,
        patience: PATIENCE,
    };
    let sink = ProgressSink::new(follower.cx().cancel.child_token(), |_| {});
    Driver::new(&follower.fetches, &sink, args)?.run().await?;
    Ok(())
}

/// The holders that are watched: they are connected, and need no addresses.
fn watched(follower: &Follower, publisher: PublisherId) -> Vec<Multiaddr> {
    let watched = follower.watched.borrow();
    let peers = watched.get(&publisher).into_iter().flatten();
    let address = |peer: &PeerId| Multiaddr::from(Protocol::P2p(*peer));
    peers.map(address).collect()
}
