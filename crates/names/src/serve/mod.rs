//! Answers of this node to peers about names: heads, watches, documents, histories.
//!
//! Only what was adopted or published here is given: of each head in the store, its document and history
//! are there too. All of it is public: repos that were named on this node or pulled from a hub, which may
//! be private, have no head. A subject that is not known is `NotHere`, as if the request were not known.
//!
//! # Heads that peers put
//! They are taken only for subjects that this node holds, follows or signs, so strangers cannot fill the
//! store. Such a head is verified away from the event loop, adopted with the peer as the source of its
//! state, and passed on to the peers that watch it: that is how news spreads from holder to holder.
//!
//! # Not here
//! Content, which `transfer` gives by its own rules: a state that names content does not make content
//! public that is withheld.

mod history;
mod outbox;
mod watches;

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use hubless_content::{
    CHUNK_SIZE, CommitId, DocumentHash, HeadError, HeadRecord, PublisherId, SubjectKey,
};
use hubless_network::{ExchangeService, PeerId, Reply, RequesterGone};
use hubless_store::{Store, StoreError};
use hubless_sync::Rate;
use hubless_transfer::Blocking;
use hubless_wire::{Request, Response};
use tokio::{sync::Semaphore, time::timeout};
use tracing::debug;

use self::watches::Watches;
use crate::{ask::Source, clock, sync::Adopter, watchers::Watchers};

/// The time window of the two limits below.
const PUT_WINDOW: Duration = Duration::from_secs(10);

/// Heads that one peer may put per window: a co-signer that publishes by program, and the confirmations of
/// a holder.
const PUTS_OF_PEER_MAX: u32 = 40;

/// Heads that all peers may put per window. A proof takes at most 3 ms (60 signatures), so a flood of the
/// most expensive records keeps one core at 12 %.
const PUTS_MAX: u32 = 400;

/// Heads that are adopted at once because peers put them; each may hold a history in memory.
const ADOPTIONS_MAX: usize = 16;

/// How long a peer that puts a head waits for its adoption; less than it waits for the response.
const ADOPTION_WAIT: Duration = Duration::from_secs(15);

/// Back-off sent in `Busy` to a peer that puts too many heads.
const PUT_BUSY_WAIT: Duration = Duration::from_secs(10);

/// Back-off sent in `Busy` to a peer for whose watch there is no place: it watches another holder.
const WATCH_BUSY_WAIT: Duration = Duration::from_secs(60);

/// Answers requests about names, and passes all others on. Cloning is cheap.
#[derive(Clone)]
pub struct Answers<S> {
    content: S,
    names: Arc<Names>,
}

struct Names {
    store: Store,
    blocking: Blocking,
    watchers: Watchers,
    /// Weak, because it has the network, and the network has this.
    adopter: Weak<Adopter>,
    watches: Watches,
    puts: Rate<PeerId>,
    adoptions: Arc<Semaphore>,
}

impl<S> Answers<S> {
    /// Answers the peers of a node; `content` answers what is not about names.
    pub fn new(content: S, adopter: &Arc<Adopter>) -> Self {
        let names = Names {
            store: adopter.context().store.clone(),
            blocking: Blocking::default(),
            watchers: adopter.watchers().clone(),
            adopter: Arc::downgrade(adopter),
            watches: Watches::default(),
            puts: Rate::new(PUT_WINDOW, PUTS_OF_PEER_MAX, PUTS_MAX),
            adoptions: Arc::new(Semaphore::new(ADOPTIONS_MAX)),
        };
        Self {
            content,
            names: Arc::new(names),
        }
    }
}

impl<S: ExchangeService> ExchangeService for Answers<S> {
    fn respond(&self, peer: PeerId, request: Request, reply: Reply) -> BoxFuture<'static, ()> {
        match request {
            Request::Head(_)
            | Request::Watch { .. }
            | Request::PutHead(_)
            | Request::Document { .. }
            | Request::History { .. } => {
                let names = self.names.clone();
                async move {
                    if let Err(RequesterGone) = names.respond(peer, request, &reply).await {
                        debug!(%peer, "the requester left before its response");
                    }
                }
                .boxed()
            }
            Request::Manifest { .. }
            | Request::ChunkList { .. }
            | Request::Availability(_)
            | Request::Chunks { .. }
            | Request::Peers(_)
            | Request::Alias(_)
            | Request::ReportWrong { .. }
            | Request::Digests(_)
            | Request::Cancel => self.content.respond(peer, request, reply),
        }
    }
}

impl Names {
    async fn respond(
        &self,
        peer: PeerId,
        request: Request,
        reply: &Reply,
    ) -> Result<(), RequesterGone> {
        match request {
            Request::Head(subject) => {
                let head = self.head(subject).await;
                send_head(head, reply).await
            }
            Request::Document {
                subject,
                hash,
                offset,
            } => self.document(subject, hash, offset, reply).await,
            Request::History {
                subject,
                tip,
                known,
            } => self.history(subject, tip, known, reply).await,
            Request::Watch { publisher, subject } => {
                match self.watches.enter(peer, publisher, subject) {
                    Some(_place) => self.watch(publisher, subject, reply).await,
                    None => {
                        reply
                            .send(Response::Busy(WATCH_BUSY_WAIT), Bytes::new())
                            .await
                    }
                }
            }
            Request::PutHead(record) => self.put_head(peer, record, reply).await,
            // The caller passes on all others.
            _ => reply.send(Response::NotHere, Bytes::new()).await,
        }
    }

    /// Reads from the store. Errors count as nothing: a peer learns no reason.
    async fn read<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Store) -> Result<Option<T>, StoreError> + Send + 'static,
    ) -> Option<T> {
        let store = self.store.clone();
        match self.blocking.run(move || call(&store)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::warn!(%error, "a name that a peer requested cannot be read");
                None
            }
            Err(_) => None,
        }
    }

    async fn head(&self, subject: SubjectKey) -> Option<HeadRecord> {
        self.read(move |store| store.head(subject)).await
    }

    /// Whether this node follows the publisher, or signs for it.
    async fn is_wanted(&self, publisher: PublisherId) -> bool {
        let is_wanted = self.read(move |store| {
            let is_followed = store.follow(publisher)?.is_some();
            Ok(Some(
                is_followed || store.own_publisher(publisher)?.is_some(),
            ))
        });
        is_wanted.await == Some(true)
    }

    async fn document(
        &self,
        subject: SubjectKey,
        hash: DocumentHash,
        offset: u32,
        reply: &Reply,
    ) -> Result<(), RequesterGone> {
        let bytes = self.read(move |store| store.document(subject, hash)).await;
        let bytes = bytes.map(Bytes::from);
        let start = offset as usize;
        match bytes {
            Some(bytes) if start < bytes.len() => {
                let total = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                let page = bytes.slice(start..bytes.len().min(start + CHUNK_SIZE));
                reply.send(Response::Document { total }, page).await
            }
            _ => reply.send(Response::NotHere, Bytes::new()).await,
        }
    }

    async fn history(
        &self,
        subject: SubjectKey,
        tip: CommitId,
        known: Vec<CommitId>,
        reply: &Reply,
    ) -> Result<(), RequesterGone> {
        let pages = move |store: &Store| {
            let head = store.head(subject)?;
            match head.and_then(|head| head.head().subject.repo_id()) {
                Some(repo) => history::pages(store, &repo, tip, &known),
                None => Ok(None),
            }
        };
        let Some(pages) = self.read(pages).await else {
            return reply.send(Response::NotHere, Bytes::new()).await;
        };
        let count = pages.len();
        for (page, number) in pages.into_iter().zip(1..) {
            let last = number == count;
            reply.send(Response::History { last }, page).await?;
        }
        Ok(())
    }

    async fn put_head(
        &self,
        peer: PeerId,
        bytes: Bytes,
        reply: &Reply,
    ) -> Result<(), RequesterGone> {
        if !self.puts.admits(peer, Instant::now()) {
            return reply
                .send(Response::Busy(PUT_BUSY_WAIT), Bytes::new())
                .await;
        }
        let Some(adopter) = self.adopter.upgrade() else {
            // The node stops.
            return reply.send(Response::NotHere, Bytes::new()).await;
        };
        let Ok(record) = HeadRecord::decode(&bytes) else {
            adopter.context().reject(peer).await;
            return reply.send(Response::NotHere, Bytes::new()).await;
        };
        let subject = record.head().subject.clone();
        let key = subject.key();
        let kept = self.head(key).await;
        if kept.is_none() && !self.is_wanted(subject.publisher()).await {
            return reply.send(Response::NotHere, Bytes::new()).await;
        }
        // What is here needs no proof.
        if kept.is_none_or(|kept| kept != record) {
            let Ok(permit) = Arc::clone(&self.adoptions).try_acquire_owned() else {
                return reply
                    .send(Response::Busy(PUT_BUSY_WAIT), Bytes::new())
                    .await;
            };
            let cx = adopter.context().clone();
            // A task of its own: the peer need not wait for the adoption.
            let adopting = cx.cancel.clone().run_until_cancelled_owned(async move {
                adopt(&adopter, peer, record).await;
                drop(permit);
            });
            let adopting = cx.tasks.spawn(adopting);
            if timeout(ADOPTION_WAIT, adopting).await.is_err() {
                debug!(%peer, %subject, "a head that a peer put is still being adopted");
            }
        }
        send_head(self.head(key).await, reply).await
    }
}

/// Adopts a head that a peer put.
async fn adopt(adopter: &Adopter, peer: PeerId, record: HeadRecord) {
    let cx = adopter.context();
    let subject = record.head().subject.clone();
    let verified = cx.blocking.run(move || record.verify(clock::now())).await;
    match verified {
        Ok(Ok(head)) => {
            let source = Source::from(peer);
            if let Err(error) = adopter.adopt(Arc::new(head), &[source]).await {
                debug!(%peer, %subject, %error, "a head that a peer put is not taken");
            }
        }
        // One of both clocks is wrong.
        Ok(Err(HeadError::Future(ahead_ms))) => {
            debug!(%peer, %subject, ahead_ms, "a head that a peer put is ahead of the clock");
        }
        Ok(Err(error)) => {
            tracing::warn!(%peer, %subject, %error, "a peer put a head that is not proven");
            cx.counters.rejected.count();
            cx.reject(peer).await;
        }
        Err(error) => debug!(%error, "a head was not verified"),
    }
}

async fn send_head(head: Option<HeadRecord>, reply: &Reply) -> Result<(), RequesterGone> {
    let response = match head {
        Some(head) => Response::Head(Bytes::copy_from_slice(head.as_bytes())),
        None => Response::NotHere,
    };
    reply.send(response, Bytes::new()).await
}
