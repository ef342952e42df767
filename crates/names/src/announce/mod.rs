//! Keeps the heads that are on this node in the DHT.
//!
//! All heads that were taken here are held, since their state and history are here: this node serves them,
//! and announces under their keys that it can be asked for what they name. Of own heads each new state is
//! put to the nodes nearest to its key.
//!
//! # Refreshing
//! Nodes of the DHT forget a head after 48 hours. Every 22 hours, after it has announced the key of a head,
//! the node puts the head again: its own ones confirmed anew, and those of others too, so that a name
//! outlives its publisher. A node that was off announces at once what it has missed. See `schedule`.
//!
//! # Not here
//! Signing: the owner of the keys gives a confirmed head when it is asked.

mod schedule;

use std::{collections::HashMap, pin::pin, sync::Arc, time::Duration};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use hubless_content::{DocumentHash, SubjectKey, VerifiedHead};
use hubless_network::{AnnounceKey, Network, NetworkEvent, Priority};
use hubless_store::{Store, StoreError};
use hubless_transfer::Context;
use tokio::sync::broadcast::error::RecvError;
use tracing::{debug, warn};

use self::schedule::Schedule;
use crate::{book, clock::now, watchers::Watchers};

/// Heads that are held: as many as the network serves.
const HELD_MAX: usize = 100_000;

/// Heads that are read from the store at once.
const PAGE: usize = 256;

/// How old an own head may be that is put again as it is. It is less than the time between two refreshes, so
/// that each of them confirms the head.
const CONFIRMED_FOR_MS: u64 = 11 * 3_600_000;

/// What the owner of the signing keys does for the announcer.
pub trait Confirm: Send + Sync + 'static {
    /// Signs the head of an own repo or profile anew, at the present time, and takes it; `None` if this
    /// node cannot sign for the publisher now.
    fn confirm(&self, key: SubjectKey) -> BoxFuture<'static, Option<Arc<VerifiedHead>>>;

    /// The DHT has a head that outranks the one that is here.
    fn outranked(&self, newer: VerifiedHead) -> BoxFuture<'static, ()>;
}

/// Runs until the node stops: puts heads that this node takes, and refreshes those that it has.
pub async fn run(
    cx: Arc<Context>,
    network: Network,
    watchers: Watchers,
    confirm: Arc<dyn Confirm>,
) {
    let announce = Announce {
        cx: cx.clone(),
        network,
        confirm,
    };
    cx.cancel.run_until_cancelled(announce.run(&watchers)).await;
}

/// The keys of all heads that are here, under which the node announces that it can be asked for them.
///
/// # Errors
/// If the store fails.
pub fn keys(store: &Store) -> Result<Vec<AnnounceKey>, StoreError> {
    let keys = store.head_keys(None, HELD_MAX)?;
    Ok(keys.into_iter().map(AnnounceKey::from).collect())
}

struct Announce {
    cx: Arc<Context>,
    network: Network,
    confirm: Arc<dyn Confirm>,
}

impl Announce {
    async fn run(&self, watchers: &Watchers) {
        // Before the heads are read, so that nothing is missed in between.
        let (mut taken, mut events) = (watchers.subscribe(), self.network.events());
        let mut held = self.hold_all().await;
        let mut schedule = Schedule::default();
        let mut puts = FuturesUnordered::new();
        loop {
            while let Some(key) = schedule.poll(now()) {
                puts.push(self.put(key));
            }
            let wake = schedule.next_wake();
            let mut wake = pin!(async {
                match wake {
                    Some(at) => {
                        tokio::time::sleep(Duration::from_millis(at.saturating_sub(now()))).await;
                    }
                    None => std::future::pending().await,
                }
            });
            tokio::select! {
                head = taken.recv() => match head {
                    Ok(head) => {
                        if self.hold(&mut held, &head).await {
                            schedule.changed(head.head().subject.key(), now());
                        }
                    }
                    Err(RecvError::Lagged(_)) => held = self.hold_all().await,
                    // The node is stopping.
                    Err(RecvError::Closed) => return,
                },
                event = events.recv() => match event {
                    Ok(NetworkEvent::Announced { key }) => {
                        let key = SubjectKey::new(*key.as_bytes());
                        if held.contains_key(&key) {
                            schedule.refresh(key, now());
                        }
                    }
                    // What was missed is refreshed the next time.
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
                Some((key, ok)) = puts.next() => {
                    schedule.finished(key, ok, now(), rand::random());
                }
                () = &mut wake => {}
            }
        }
    }

    /// Holds all heads of the store; returns their states.
    async fn hold_all(&self) -> HashMap<SubjectKey, DocumentHash> {
        let mut held = HashMap::new();
        let mut after = None;
        while held.len() < HELD_MAX {
            let page = self.read(move |store| page(store, after)).await;
            let Some((heads, last)) = page else { break };
            for head in &heads {
                self.network.hold(head).await;
                held.insert(head.head().subject.key(), head.head().state);
            }
            let Some(last) = last else { break };
            after = Some(last);
        }
        held
    }

    /// Holds a head that was taken; whether it has a new state of an own repo.
    async fn hold(
        &self,
        held: &mut HashMap<SubjectKey, DocumentHash>,
        head: &VerifiedHead,
    ) -> bool {
        let subject = &head.head().subject;
        let (key, publisher) = (subject.key(), subject.publisher());
        if held.len() >= HELD_MAX && !held.contains_key(&key) {
            return false;
        }
        self.network.hold(head).await;
        let before = held.insert(key, head.head().state);
        if before.is_none() {
            let key = AnnounceKey::from(key);
            self.network.announce(vec![(key, Priority::Root)]).await;
        }
        let is_new = before != Some(head.head().state);
        is_new
            && self
                .read(move |store| store.own_publisher(publisher))
                .await
                .flatten()
                .is_some()
    }

    /// Puts a head to the DHT; whether a node has it now.
    async fn put(&self, key: SubjectKey) -> (SubjectKey, bool) {
        let Some((head, is_own)) = self.read(move |store| newest(store, key)).await.flatten()
        else {
            return (key, false);
        };
        let is_old = now().saturating_sub(head.head().time) > CONFIRMED_FOR_MS;
        let confirmed = if is_own && is_old {
            self.confirm.confirm(key).await
        } else {
            None
        };
        let outcome = self
            .network
            .put_value(confirmed.as_deref().unwrap_or(&head))
            .await;
        debug!(subject = %head.head().subject, had = outcome.had, took = outcome.took, "put a head");
        if let Some(newer) = outcome.newer {
            self.confirm.outranked(newer).await;
        }
        (key, outcome.had + outcome.took > 0)
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Option<T> {
        let store = self.cx.store.clone();
        match self.cx.blocking.run(move || read(&store)).await {
            Ok(Ok(found)) => Some(found),
            Ok(Err(error)) => {
                warn!(%error, "heads cannot be read");
                None
            }
            // The node is stopping.
            Err(_) => None,
        }
    }
}

/// The heads of some keys after one, and the last of these keys.
fn page(
    store: &Store,
    after: Option<SubjectKey>,
) -> Result<(Vec<VerifiedHead>, Option<SubjectKey>), StoreError> {
    let keys = store.head_keys(after, PAGE)?;
    let mut heads = Vec::new();
    for key in &keys {
        heads.extend(newest(store, *key)?.map(|(head, _)| head));
    }
    Ok((heads, keys.last().copied()))
}

/// The head of a key that is here, and whether its publisher is an own one.
fn newest(store: &Store, key: SubjectKey) -> Result<Option<(VerifiedHead, bool)>, StoreError> {
    let Some(record) = store.head(key)? else {
        return Ok(None);
    };
    let publisher = record.head().subject.publisher();
    let chain = store.chain(publisher)?;
    let is_own = store.own_publisher(publisher)?.is_some();
    Ok(book::seen(record, chain.as_ref()).map(|head| (head, is_own)))
}
