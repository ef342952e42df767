//! Watches at one peer: the heads of some publishers, as the peer takes them.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use hubless_content::{PublisherId, VerifiedHead};
use hubless_network::{PeerId, ResponseFrame};
use hubless_transfer::Context;
use hubless_wire::{Request, Response};

use super::{AskError, Holder, Source};

/// An exchange with one peer, for watches of some publishers.
pub struct Watching {
    holder: Holder,
    /// By the id of the request.
    watched: HashMap<u64, PublisherId>,
}

/// What came of a watch; nothing of it is proven.
#[derive(Debug)]
pub enum News {
    /// A head of the publisher: the bytes of its record.
    Head(PublisherId, Bytes),
    /// The peer ended the watch.
    Ended(PublisherId, AskError),
}

impl Watching {
    /// Connects to a peer, if it is not connected yet, and opens an exchange.
    ///
    /// # Errors
    /// As [`Holder::open`].
    pub async fn open(cx: &Arc<Context>, source: &Source) -> Result<Self, AskError> {
        Ok(Self {
            holder: Holder::open(cx, source).await?,
            watched: HashMap::new(),
        })
    }

    /// The other side.
    pub fn peer(&self) -> PeerId {
        self.holder.peer()
    }

    /// Whether there is no watch.
    pub fn is_empty(&self) -> bool {
        self.watched.is_empty()
    }

    /// Watches all heads of a publisher: first those that the peer has, then those that it takes.
    ///
    /// # Errors
    /// If the peer left.
    pub async fn watch(&mut self, publisher: PublisherId) -> Result<(), AskError> {
        let subject = None;
        let request = Request::Watch { publisher, subject };
        let id = self.holder.send(request).await?;
        self.watched.insert(id, publisher);
        Ok(())
    }

    /// Ends the watch of a publisher.
    ///
    /// # Errors
    /// If the peer left.
    pub async fn end(&mut self, publisher: PublisherId) -> Result<(), AskError> {
        let open = self.watched.iter().find(|(_, of)| **of == publisher);
        let Some((&id, _)) = open else { return Ok(()) };
        self.watched.remove(&id);
        let peer = self.peer();
        let sent = self.holder.exchange.requests.send(id, Request::Cancel);
        sent.await.map_err(|_| AskError::Silent { peer })
    }

    /// What comes next, however long that takes. May be dropped at any time without losing it.
    ///
    /// # Errors
    /// If the exchange ends, and with it all watches.
    pub async fn next(&mut self) -> Result<News, AskError> {
        let peer = self.peer();
        loop {
            match self.holder.exchange.responses.recv().await {
                Some(Ok(frame)) => {
                    if let Some(news) = self.news(frame) {
                        return Ok(news);
                    }
                }
                Some(Err(_)) | None => return Err(AskError::Silent { peer }),
            }
        }
    }

    /// Proves a head that came of the watch of a publisher.
    ///
    /// # Errors
    /// If the peer lies, or one of both clocks is wrong.
    pub async fn prove(
        &self,
        publisher: PublisherId,
        record: Bytes,
    ) -> Result<VerifiedHead, AskError> {
        let is_right = |head: &VerifiedHead| head.head().subject.publisher() == publisher;
        self.holder.prove(record, is_right).await
    }

    /// `None` for a response to a watch that was ended.
    fn news(&mut self, frame: ResponseFrame) -> Option<News> {
        let publisher = *self.watched.get(&frame.id)?;
        let peer = self.peer();
        let error = match frame.response {
            Response::Head(record) => return Some(News::Head(publisher, record)),
            Response::NotHere => AskError::NotHere { peer },
            Response::Busy(wait) => AskError::Busy { peer, wait },
            _ => AskError::Silent { peer },
        };
        self.watched.remove(&frame.id);
        Some(News::Ended(publisher, error))
    }
}
