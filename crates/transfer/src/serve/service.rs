//! Answers the requests of peers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use hubless_content::{Alias, CHUNK_SIZE, ChunkCv, ChunkIndex, ContentHash, FileHash, chunk_len};
use hubless_network::{ExchangeService, PeerId, Reply, RequesterGone};
use hubless_store::{Damaged, Store, StoreError};
use hubless_sync::Rate;
use hubless_wire::{Request, Response, Scope};
use tokio::sync::Semaphore;
use tracing::debug;

use super::{
    digests::DIGEST_WAITS_MAX,
    manifests::EncodedManifests,
    turns::{FirstSending, Turns},
};
use crate::{
    blocking::Blocking,
    counters::Counters,
    digests::DigestQueue,
    fetches::Fetches,
    news::{Gain, Gains, News},
    swarms::Swarms,
    withheld::Withheld,
};

/// Chaining values of one page: a payload of 256 KiB.
const CVS_PER_PAGE: usize = CHUNK_SIZE / size_of::<ChunkCv>();

/// The time window of the two limits below.
const RECHECK_WINDOW: Duration = Duration::from_secs(60);

/// Chunks read again per window for one peer: more than a fetch reports before it bans this node.
const RECHECKS_OF_PEER_MAX: u32 = 8;

/// Chunks read again per window for all peers: 16 MiB, which a disk reads in a tenth of a second.
const RECHECKS_MAX: u32 = 64;

/// Answers requests from the store. Cloning is cheap.
#[derive(Clone)]
pub struct Service {
    pub(super) store: Store,
    pub(super) blocking: Blocking,
    pub(super) gains: Gains,
    /// Reports of stored chunks that were found to be wrong.
    pub(super) damage: News<Damaged>,
    pub(super) first_sendings: News<FirstSending>,
    swarms: Swarms,
    pub(super) withheld: Withheld,
    manifests: EncodedManifests,
    counters: Arc<Counters>,
    turns: Turns,
    /// Chunks that are read again because peers report that they are wrong.
    rechecks: Rate<PeerId>,
    pub(super) digest_queue: Arc<DigestQueue>,
    /// Permits of requests that wait for digests.
    pub(super) digest_waits: Arc<Semaphore>,
}

impl ExchangeService for Service {
    fn respond(&self, peer: PeerId, request: Request, reply: Reply) -> BoxFuture<'static, ()> {
        let service = self.clone();
        async move {
            if let Err(RequesterGone) = service.respond(peer, request, &reply).await {
                debug!(%peer, "the asker left before its answer");
            }
        }
        .boxed()
    }
}

impl Service {
    /// Answers the peers of a node.
    pub fn new(fetches: &Fetches, withheld: Withheld, digest_queue: Arc<DigestQueue>) -> Self {
        let cx = &fetches.cx;
        Self {
            store: cx.store.clone(),
            blocking: Blocking::default(),
            gains: fetches.gains.clone(),
            damage: fetches.damage.clone(),
            first_sendings: News::default(),
            swarms: fetches.swarms.clone(),
            withheld,
            manifests: EncodedManifests::default(),
            counters: cx.counters.clone(),
            turns: Turns::default(),
            rechecks: Rate::new(RECHECK_WINDOW, RECHECKS_OF_PEER_MAX, RECHECKS_MAX),
            digest_queue,
            digest_waits: Arc::new(Semaphore::new(DIGEST_WAITS_MAX)),
        }
    }

    async fn respond(
        &self,
        peer: PeerId,
        request: Request,
        reply: &Reply,
    ) -> Result<(), RequesterGone> {
        if self.is_withheld(&request) {
            return reply.send(Response::NotHere, Bytes::new()).await;
        }
        match request {
            Request::Manifest { content, offset } => self.manifest(content, offset, reply).await,
            Request::ChunkList { file, size, first } => {
                self.chunk_list(file, size, first, reply).await
            }
            Request::Chunks {
                file,
                size,
                first,
                count,
            } => {
                let _upload = self.counters.uploads.enter();
                let indexes = first.0..first.0.saturating_add(count);
                for index in indexes.map(ChunkIndex) {
                    let Some(chunk) = self.chunk(peer, file, size, index).await else {
                        return reply.send(Response::NotHere, Bytes::new()).await;
                    };
                    reply.send(Response::Chunk(index), chunk).await?;
                }
                Ok(())
            }
            Request::Availability(scope) => {
                if let Scope::Content(content) = scope {
                    self.swarms.note(content, peer);
                }
                self.availability(peer, scope, reply).await
            }
            Request::Peers(content) => {
                let members = self.swarms.members(content, peer).await;
                reply.send(Response::Peers(members), Bytes::new()).await
            }
            Request::Alias(alias) => self.alias(alias, reply).await,
            Request::ReportWrong { file, index } => {
                self.read_again(peer, file, index).await;
                reply.send(Response::NotHere, Bytes::new()).await
            }
            Request::Digests(files) => self.digests(files, reply).await,
            // No names of the network are held yet.
            Request::Head(_)
            | Request::Watch { .. }
            | Request::PutHead(_)
            | Request::Document { .. }
            | Request::History { .. } => reply.send(Response::NotHere, Bytes::new()).await,
            Request::Cancel => Ok(()), // handled by `network`
        }
    }

    /// Whether it is held, but not given to peers.
    fn is_withheld(&self, request: &Request) -> bool {
        match request {
            Request::Manifest { content, .. }
            | Request::Availability(Scope::Content(content))
            | Request::Peers(content) => self.withheld.has_model(*content),
            Request::ChunkList { file, .. }
            | Request::Chunks { file, .. }
            | Request::Availability(Scope::File(file))
            | Request::ReportWrong { file, .. } => self.withheld.has_file(*file),
            // Known when it is found, or of each file.
            Request::Alias(_) | Request::Digests(_) | Request::Cancel => false,
            // Of repos that are public.
            Request::Head(_)
            | Request::Watch { .. }
            | Request::PutHead(_)
            | Request::Document { .. }
            | Request::History { .. } => false,
        }
    }

    /// Runs a store call. A read error is answered as "not here", so that a peer learns no reason.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Store) -> Result<Option<T>, StoreError> + Send + 'static,
    ) -> Option<T> {
        let store = self.store.clone();
        match self.blocking.run(move || call(&store)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::warn!(%error, "a peer asked for what cannot be read");
                None
            }
            Err(_) => None,
        }
    }

    async fn manifest(
        &self,
        content: ContentHash,
        offset: u32,
        reply: &Reply,
    ) -> Result<(), RequesterGone> {
        let kept = self.manifests.clone();
        let encoded = move |store: &Store| {
            // The store is checked first: removed content must not be answered from the cache.
            let manifest = store.manifest(content)?;
            let encode = |manifest| {
                kept.get(content)
                    .unwrap_or_else(|| kept.insert(content, manifest))
            };
            Ok(manifest.as_deref().map(encode))
        };
        let bytes = self.read(encoded).await;
        let start = offset as usize;
        match bytes {
            Some(bytes) if start < bytes.len() => {
                let total = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                let page = bytes.slice(start..bytes.len().min(start + CHUNK_SIZE));
                reply.send(Response::Manifest { total }, page).await
            }
            _ => reply.send(Response::NotHere, Bytes::new()).await,
        }
    }

    async fn chunk_list(
        &self,
        file: FileHash,
        size: u64,
        first: u32,
        reply: &Reply,
    ) -> Result<(), RequesterGone> {
        let page = self
            .read(move |store| {
                let list = store.chunk_list(file)?.filter(|list| list.size() == size);
                Ok(list.and_then(|list| list.cvs().get(first as usize..).map(page)))
            })
            .await;
        match page {
            Some(page) if !page.is_empty() => reply.send(Response::ChunkList, page).await,
            _ => reply.send(Response::NotHere, Bytes::new()).await,
        }
    }

    /// Only for a file that is held completely: the requester wants to fetch all of it from here.
    async fn alias(&self, alias: Alias, reply: &Reply) -> Result<(), RequesterGone> {
        let withheld = self.withheld.clone();
        let held = self.read(move |store| {
            let file = match alias {
                Alias::Sha256(sha256) => store.file_by_sha256(sha256)?,
                Alias::GitBlob(id) => store.file_by_git_blob(id)?,
            };
            let file = file.filter(|file| !withheld.has_file(*file));
            let Some(file) = file else { return Ok(None) };
            let held = store.file(file)?.filter(|held| held.complete);
            Ok(held.map(|held| (file, held.size)))
        });
        let answer = match held.await {
            Some((file, size)) => Response::Alias { file, size },
            None => Response::NotHere,
        };
        reply.send(answer, Bytes::new()).await
    }

    /// Handles a peer's report that a chunk of this node was wrong. If it is, the store no longer
    /// holds it.
    async fn read_again(&self, peer: PeerId, file: FileHash, index: ChunkIndex) {
        if !self.rechecks.admits(peer, Instant::now()) {
            return debug!(%peer, %file, chunk = %index, "one report of a wrong chunk too many");
        }
        let right = self.read(move |store| store.recheck(file, index).map(Some));
        if right.await == Some(true) {
            debug!(%peer, %file, chunk = %index, "a peer rejected a chunk that is right");
        }
    }

    /// Reads a chunk when it is this peer's turn.
    async fn chunk(
        &self,
        peer: PeerId,
        file: FileHash,
        size: u64,
        index: ChunkIndex,
    ) -> Option<Bytes> {
        let sending = self.turns.wait(peer, file, index).await;
        if sending.is_first() {
            let chunk = Gain { file, index };
            self.first_sendings.send(FirstSending { to: peer, chunk });
        }
        let bytes = match self.store.read_chunk_at_once(file, index) {
            Some(bytes) => bytes,
            None => {
                self.read(move |store| store.read_chunk(file, index))
                    .await?
            }
        };
        let is_right = chunk_len(size, index) == Some(bytes.len());
        is_right.then(|| sending.with(bytes))
    }
}

fn page(cvs: &[ChunkCv]) -> Bytes {
    let cvs = &cvs[..cvs.len().min(CVS_PER_PAGE)];
    cvs.iter().flat_map(|cv| *cv.as_bytes()).collect()
}
