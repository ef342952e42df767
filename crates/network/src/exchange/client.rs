//! The side that opened the stream: it sends requests.

use bytes::Bytes;
use futures::{
    AsyncReadExt as _,
    io::{ReadHalf, WriteHalf},
};
use hubless_memory::Buffers;
use hubless_transport::{
    carrier::Carrier,
    streams::{Busy, Duplex, Link, Opened},
};
use hubless_wire::{Body, Frame, Request, Response};
use libp2p::PeerId;
use tokio::sync::mpsc;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tracing::{Instrument as _, debug, info_span};

use super::{
    ExchangeError, Violation, hello,
    reader::{FrameReader, Part},
    writer::{FrameWriter, forward},
};
use crate::shaping::shaper::Shapers;

/// Requests that wait to be written. They are small; more would only make cancelling slower.
const REQUESTS_QUEUED_MAX: usize = 64;

/// An open stream to a peer, for requests. It ends when [`ResponseReceiver`] is dropped.
#[derive(Debug)]
pub struct Exchange {
    /// The other side.
    pub peer: PeerId,
    /// Where requests go in.
    pub requests: RequestSender,
    /// Where responses come out.
    pub responses: ResponseReceiver,
}

impl Exchange {
    /// What carries it.
    pub fn carrier(&self) -> Carrier {
        self.responses.link.carrier
    }
}

/// The stream has ended; [`ResponseReceiver::recv`] says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the exchange with {0} has ended")]
pub struct ExchangeEnded(pub PeerId);

/// Sends requests to one peer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RequestSender {
    peer: PeerId,
    queue: mpsc::Sender<Frame>,
}

impl RequestSender {
    /// Sends a request; waits if many are on their way. The caller chooses the id, not 0 and unique
    /// among the open requests. `Request::Cancel` ends the one with the same id.
    ///
    /// # Errors
    /// If the stream has ended.
    pub async fn send(&self, id: u64, request: Request) -> Result<(), ExchangeEnded> {
        self.queue
            .send(Frame::new(id, request))
            .await
            .map_err(|_| ExchangeEnded(self.peer))
    }

    /// The other side.
    pub fn peer(&self) -> PeerId {
        self.peer
    }
}

/// A response as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseFrame {
    /// The request that it belongs to.
    pub id: u64,
    /// The message.
    pub response: Response,
    /// Raw bytes that belong to it.
    pub payload: Bytes,
}

/// What comes of the responses of one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// The response to the request with this id begins; its payload is on its way.
    Begins(u64),
    /// A whole response.
    Response(ResponseFrame),
}

/// Receives the responses of one peer, reading the stream in the task that calls it: a
/// caller that does not receive makes the peer wait. Dropping it closes the stream.
pub struct ResponseReceiver {
    peer: PeerId,
    reader: FrameReader<ReadHalf<Box<dyn Duplex>>>,
    violations: mpsc::Sender<Violation>,
    link: Link,
    /// A connection that the peer began is not given away while this side needs it.
    _busy: Busy,
    ended: bool,
    /// Ends the writing task when the receiver is dropped.
    _listening: DropGuard,
}

impl std::fmt::Debug for ResponseReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseReceiver")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl ResponseReceiver {
    /// The next response; `None` after the peer closed the stream or an error was returned. May be
    /// dropped at any time and called again without losing bytes.
    pub async fn recv(&mut self) -> Option<Result<ResponseFrame, ExchangeError>> {
        loop {
            match self.recv_part().await? {
                Ok(Incoming::Begins(_)) => {}
                Ok(Incoming::Response(frame)) => return Some(Ok(frame)),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// As [`ResponseReceiver::recv`]; a response with a payload is reported twice, when it begins and when
    /// it is whole.
    pub async fn recv_part(&mut self) -> Option<Result<Incoming, ExchangeError>> {
        if self.ended {
            return None;
        }
        let incoming = self.next().await.transpose();
        self.ended = !matches!(incoming, Some(Ok(_)));
        if let Some(Err(rule)) = &incoming
            && rule.is_violation()
        {
            let violation = Violation {
                peer: self.peer,
                rule: rule.clone(),
            };
            // Full means that others are being disconnected; this one's stream ends either way.
            drop(self.violations.try_send(violation));
        }
        incoming
    }

    async fn next(&mut self) -> Result<Option<Incoming>, ExchangeError> {
        let peer = self.peer;
        let next = self
            .link
            .closed
            .run_until_cancelled(self.reader.next_part())
            .await;
        let next = next.ok_or_else(|| ExchangeError::closed(peer))?;
        let next = next.map_err(|error| ExchangeError::read(peer, error))?;
        let (head, payload) = match next {
            Some(Part::Whole(head, payload)) => (head, payload),
            Some(Part::Begins(id)) => return Ok(Some(Incoming::Begins(id))),
            None => return Ok(None),
        };
        match head.body {
            Body::Response(response) => Ok(Some(Incoming::Response(ResponseFrame {
                id: head.id,
                response,
                payload,
            }))),
            Body::Hello => Err(ExchangeError::Unexpected {
                peer,
                rule: "a stream has one hello",
            }),
            Body::Request(_) | Body::UnknownRequest => Err(ExchangeError::Unexpected {
                peer,
                rule: "only the side that opened the stream may send requests",
            }),
        }
    }
}

/// Begins exchanges on streams that this node opened.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) shapers: Shapers,
    pub(crate) buffers: Buffers,
    pub(crate) violations: mpsc::Sender<Violation>,
    pub(crate) tasks: TaskTracker,
}

impl Client {
    /// Begins an exchange on a fresh stream. `None` if the peer closed it without a message, as
    /// peers do that have no room for another stream.
    pub(crate) async fn begin(
        &self,
        peer: PeerId,
        Opened { stream, link }: Opened,
    ) -> Result<Option<Exchange>, ExchangeError> {
        let (read, write) = stream.split();
        let down = self.shapers.down.on(link.carrier);
        let mut reader = FrameReader::new(read, peer, down, self.buffers.clone());
        let mut writer = FrameWriter::new(write, peer, self.shapers.up.on(link.carrier));
        let hello = hello::exchange(peer, &mut reader, &mut writer);
        let hello = link.closed.run_until_cancelled(hello).await;
        if hello.ok_or_else(|| ExchangeError::closed(peer))??.is_none() {
            return Ok(None);
        }
        let (queue, requests) = mpsc::channel(REQUESTS_QUEUED_MAX);
        let listening = CancellationToken::new();
        let write = write_requests(writer, requests, listening.clone());
        let write = link.closed.clone().run_until_cancelled_owned(write);
        self.tasks
            .spawn(write.instrument(info_span!("requests", %peer)));
        let responses = ResponseReceiver {
            peer,
            reader,
            violations: self.violations.clone(),
            _busy: link.busy(),
            link,
            ended: false,
            _listening: listening.drop_guard(),
        };
        Ok(Some(Exchange {
            peer,
            requests: RequestSender { peer, queue },
            responses,
        }))
    }
}

async fn write_requests(
    mut writer: FrameWriter<WriteHalf<Box<dyn Duplex>>>,
    mut requests: mpsc::Receiver<Frame>,
    listening: CancellationToken,
) {
    let written = listening
        .run_until_cancelled(forward(&mut writer, &mut requests))
        .await;
    if let Some(Err(error)) = written {
        debug!(%error, "could not send requests");
        return;
    }
    // All senders are gone, but responses may still be on their way.
    if written.is_some() {
        listening.cancelled().await;
    }
    requests.close();
    if let Err(error) = writer.close().await {
        debug!(%error, "could not close the stream");
    }
}
