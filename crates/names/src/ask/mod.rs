//! Requests to one peer about names: heads, documents, histories.
//!
//! What a peer answers is proven here before a caller sees it: a head by its signatures, a document by its
//! hash, each revision of a history by its id. A peer whose answer is wrong lies, since holders prove what
//! they keep: it is banned. All requests have deadlines, and memory grows with what arrives.

mod watching;

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use hubless_content::{
    CommitId, DocumentHash, HeadError, HeadRecord, Revision, RevisionHash, Subject, SubjectKey,
    VerifiedHead,
};
use hubless_network::{Exchange, ExchangeError, Multiaddr, OpenError, PeerId, peer_of};
use hubless_transfer::{Aborted, Context, TransferError};
use hubless_wire::{HistoryPage, REVISIONS_PER_RESPONSE_MAX, Request, Response};
use tokio::time::timeout;

pub use self::watching::{News, Watching};
use crate::clock;

/// How long a peer may take to be connected.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a peer may take for one response: a page of 256 KiB over a slow line.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a peer may take to answer [`Holder::put_head`]: it fetches the state first.
const PUT_TIMEOUT: Duration = Duration::from_secs(20);

/// A peer that may hold a repo or a profile, and where it can be dialled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    /// The peer.
    pub peer: PeerId,
    /// Its known addresses; none if it is connected.
    pub addresses: Vec<Multiaddr>,
}

impl Source {
    /// The peer at an address that ends in its id.
    pub fn at(address: &Multiaddr) -> Option<Self> {
        Some(Self {
            peer: peer_of(address)?,
            addresses: vec![address.clone()],
        })
    }
}

impl From<PeerId> for Source {
    /// A connected peer.
    fn from(peer: PeerId) -> Self {
        let addresses = Vec::new();
        Self { peer, addresses }
    }
}

/// Why a peer gave no answer that can be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AskError {
    /// It was not reached, or refused the exchange.
    #[error("{peer} was not reached")]
    Unreachable {
        /// The peer.
        peer: PeerId,
    },
    /// The exchange ended, or the answer took too long.
    #[error("{peer} did not answer")]
    Silent {
        /// The peer.
        peer: PeerId,
    },
    /// It has too much to do.
    #[error("{peer} is busy for {wait:?}")]
    Busy {
        /// The peer.
        peer: PeerId,
        /// When to ask again.
        wait: Duration,
    },
    /// It does not hold what was asked for, or does not give it.
    #[error("{peer} does not have it")]
    NotHere {
        /// The peer.
        peer: PeerId,
    },
    /// Its head is ahead of the clock of this machine, of which one of both is wrong.
    #[error("the head that {peer} gave: {source}")]
    Clock {
        /// The peer.
        peer: PeerId,
        /// How far.
        source: HeadError,
    },
    /// Its answer is wrong; it was banned.
    #[error("{peer} gave a wrong answer: {what}")]
    Wrong {
        /// The peer.
        peer: PeerId,
        /// What is wrong.
        what: Wrong,
    },
    /// This process has not joined the network, or stops.
    #[error("this process has no network")]
    NoNetwork,
}

impl AskError {
    /// Whether the same peer may well answer later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Silent { .. } | Self::Busy { .. } => true,
            Self::NotHere { .. } | Self::Clock { .. } | Self::Wrong { .. } | Self::NoNetwork => {
                false
            }
        }
    }
}

impl From<TransferError> for AskError {
    fn from(_: TransferError) -> Self {
        Self::NoNetwork
    }
}

impl From<Aborted> for AskError {
    fn from(_: Aborted) -> Self {
        Self::NoNetwork
    }
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The head is not proven.
    #[error("{0}")]
    Head(HeadError),
    /// The head is of another subject or publisher.
    #[error("a head of {0:?}, which was not asked for")]
    Subject(Subject),
    /// The pages of a document do not fit together, or there are too many.
    #[error("pages that are no document of at most {0} bytes")]
    Pages(usize),
    /// The document has another hash.
    #[error("a document with another hash")]
    Document,
    /// A page of a history, or a revision in it, is not in canonical encoding.
    #[error("a page of a history that cannot be read")]
    History,
    /// A revision that no other one before it names.
    #[error("revision {0}, which was not asked for")]
    Revision(CommitId),
    /// It broke a rule of the protocol.
    #[error("a response that does not belong to the request")]
    Response,
}

/// The newest head of a subject that a peer has, proven.
///
/// # Errors
/// As [`Holder::open`] and [`Holder::head`].
pub async fn head(
    cx: &Arc<Context>,
    source: &Source,
    key: SubjectKey,
) -> Result<VerifiedHead, AskError> {
    Holder::open(cx, source).await?.head(key).await
}

/// An exchange with one peer, for one request at a time.
pub struct Holder {
    cx: Arc<Context>,
    exchange: Exchange,
    next_id: u64,
}

impl Holder {
    /// Connects to a peer, if it is not connected yet, and opens an exchange.
    ///
    /// # Errors
    /// If the peer is not reached, or this process has no network.
    pub async fn open(cx: &Arc<Context>, source: &Source) -> Result<Self, AskError> {
        let peer = source.peer;
        let network = cx.network()?;
        let open = async {
            let addresses = source.addresses.clone();
            network
                .connect(peer, addresses)
                .await
                .map_err(OpenError::from)?;
            // Not on a lane: what is asked is small, and a lane costs a handshake.
            network.open_beside(peer).await
        };
        match timeout(CONNECT_TIMEOUT, open).await {
            Ok(Ok(exchange)) => Ok(Self {
                cx: cx.clone(),
                exchange,
                next_id: 1,
            }),
            Ok(Err(error)) => {
                tracing::debug!(%peer, %error, "cannot open an exchange");
                Err(AskError::Unreachable { peer })
            }
            Err(_) => Err(AskError::Unreachable { peer }),
        }
    }

    /// The other side.
    pub fn peer(&self) -> PeerId {
        self.exchange.peer
    }

    /// The newest head of a subject that the peer has, proven.
    ///
    /// # Errors
    /// If it has none, does not answer, or lies.
    pub async fn head(&mut self, key: SubjectKey) -> Result<VerifiedHead, AskError> {
        let (response, _) = self.request(Request::Head(key), RESPONSE_TIMEOUT).await?;
        self.proven(response, |head| head.head().subject.key() == key)
            .await
    }

    /// Gives the peer a head; returns the one that it has then.
    ///
    /// # Errors
    /// If it keeps none of the subject, does not answer, or lies.
    pub async fn put_head(&mut self, head: &VerifiedHead) -> Result<VerifiedHead, AskError> {
        let (record, key) = (
            Bytes::copy_from_slice(head.record()),
            head.head().subject.key(),
        );
        let (response, _) = self.request(Request::PutHead(record), PUT_TIMEOUT).await?;
        self.proven(response, |head| head.head().subject.key() == key)
            .await
    }

    /// A state, a profile or a revision of a subject, of at most `max` bytes.
    ///
    /// # Errors
    /// If the peer does not have it, does not answer, or lies.
    pub async fn document(
        &mut self,
        subject: SubjectKey,
        hash: DocumentHash,
        max: usize,
    ) -> Result<Vec<u8>, AskError> {
        let mut bytes = Vec::new();
        loop {
            // Documents have less than 16 MiB, which the wire checks.
            let offset = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            let request = Request::Document {
                subject,
                hash,
                offset,
            };
            let (response, page) = self.request(request, RESPONSE_TIMEOUT).await?;
            let Response::Document { total } = response else {
                return Err(self.wrong(Wrong::Response).await);
            };
            let total = total as usize;
            bytes.extend_from_slice(&page);
            if page.is_empty() || bytes.len() > total || total > max {
                return Err(self.wrong(Wrong::Pages(max)).await);
            }
            if bytes.len() == total {
                break;
            }
        }
        if DocumentHash::of(&bytes) != hash {
            return Err(self.wrong(Wrong::Document).await);
        }
        Ok(bytes)
    }

    /// Revisions from `tip` back, newest first, each proven by its id: at most
    /// [`REVISIONS_PER_RESPONSE_MAX`], and none of the `known`. Empty if the peer has `tip`, but in no page.
    ///
    /// # Errors
    /// If the peer does not have `tip`, does not answer, or lies.
    pub async fn history(
        &mut self,
        subject: SubjectKey,
        tip: CommitId,
        known: Vec<CommitId>,
    ) -> Result<Vec<(RevisionHash, Revision)>, AskError> {
        let request = Request::History {
            subject,
            tip,
            known,
        };
        let (id, mut wanted) = (self.send(request).await?, HashSet::from([tip]));
        let mut history = Vec::new();
        loop {
            let (response, page) = self.response(id, RESPONSE_TIMEOUT).await?;
            let Response::History { last } = response else {
                return Err(self.wrong(Wrong::Response).await);
            };
            let Ok(page) = HistoryPage::split(page) else {
                return Err(self.wrong(Wrong::History).await);
            };
            if page.is_empty() && !last || history.len() + page.len() > REVISIONS_PER_RESPONSE_MAX {
                return Err(self.wrong(Wrong::History).await);
            }
            for bytes in page {
                let Ok(revision) = Revision::decode(&bytes) else {
                    return Err(self.wrong(Wrong::History).await);
                };
                let hash = RevisionHash::new(*DocumentHash::of(&bytes).as_bytes());
                if !wanted.remove(&hash.commit_id()) {
                    return Err(self.wrong(Wrong::Revision(hash.commit_id())).await);
                }
                wanted.extend(revision.parents.iter().copied());
                history.push((hash, revision));
            }
            if last {
                return Ok(history);
            }
        }
    }

    /// The head in a response, if it is one, proven and of the right subject.
    async fn proven(
        &self,
        response: Response,
        is_right: impl FnOnce(&VerifiedHead) -> bool,
    ) -> Result<VerifiedHead, AskError> {
        match response {
            Response::Head(record) => self.prove(record, is_right).await,
            _ => Err(self.wrong(Wrong::Response).await),
        }
    }

    async fn prove(
        &self,
        record: Bytes,
        is_right: impl FnOnce(&VerifiedHead) -> bool,
    ) -> Result<VerifiedHead, AskError> {
        let verify = move || HeadRecord::decode(&record)?.verify(clock::now());
        let head = match self.cx.blocking.run(verify).await? {
            Ok(head) => head,
            Err(source @ HeadError::Future(_)) => {
                let peer = self.peer();
                return Err(AskError::Clock { peer, source });
            }
            Err(error) => return Err(self.wrong(Wrong::Head(error)).await),
        };
        match is_right(&head) {
            true => Ok(head),
            false => Err(self
                .wrong(Wrong::Subject(head.head().subject.clone()))
                .await),
        }
    }

    /// Sends a request and waits for its only response.
    async fn request(
        &mut self,
        request: Request,
        wait: Duration,
    ) -> Result<(Response, Bytes), AskError> {
        let id = self.send(request).await?;
        self.response(id, wait).await
    }

    async fn send(&mut self, request: Request) -> Result<u64, AskError> {
        let (id, peer) = (self.next_id, self.peer());
        self.next_id += 1;
        let sent = self.exchange.requests.send(id, request).await;
        sent.map(|()| id).map_err(|_| AskError::Silent { peer })
    }

    /// The next response to a request; refusals of the peer are errors.
    async fn response(&mut self, id: u64, wait: Duration) -> Result<(Response, Bytes), AskError> {
        let peer = self.peer();
        let silent = AskError::Silent { peer };
        let next = self.next_response(id);
        let answer = timeout(wait, next).await.map_err(|_| silent.clone())?;
        match answer {
            None => Err(silent),
            // The network has disconnected it.
            Some(Err(error)) if error.is_violation() => Err(AskError::Wrong {
                peer,
                what: Wrong::Response,
            }),
            Some(Err(_)) => Err(silent),
            Some(Ok((Response::NotHere, _))) => Err(AskError::NotHere { peer }),
            Some(Ok((Response::Busy(wait), _))) => Err(AskError::Busy { peer, wait }),
            Some(Ok(answer)) => Ok(answer),
        }
    }

    async fn next_response(&mut self, id: u64) -> Option<Result<(Response, Bytes), ExchangeError>> {
        loop {
            match self.exchange.responses.recv().await? {
                Ok(frame) if frame.id == id => return Some(Ok((frame.response, frame.payload))),
                // To a request that was given up.
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Bans the peer for a wrong answer.
    async fn wrong(&self, what: Wrong) -> AskError {
        let peer = self.peer();
        tracing::warn!(%peer, %what, "a peer gave a wrong answer about a name");
        self.cx.counters.rejected.count();
        self.cx.reject(peer).await;
        AskError::Wrong { peer, what }
    }
}
