//! The side that opened the stream.

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

/// Asks that wait to be written. They are small; more would only make cancelling slower.
const ASKS_QUEUED_MAX: usize = 64;

/// An open stream to a peer, for asking. It ends when [`AnswerReceiver`] is dropped.
#[derive(Debug)]
pub struct Exchange {
    /// The other side.
    pub peer: PeerId,
    /// Where asks go in.
    pub asks: AskSender,
    /// Where answers come out.
    pub answers: AnswerReceiver,
}

impl Exchange {
    /// What carries it.
    pub fn carrier(&self) -> Carrier {
        self.answers.link.carrier
    }
}

/// The stream has ended; [`AnswerReceiver::recv`] says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the exchange with {0} has ended")]
pub struct ExchangeEnded(pub PeerId);

/// Sends asks to one peer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AskSender {
    peer: PeerId,
    queue: mpsc::Sender<Frame>,
}

impl AskSender {
    /// Sends an ask; waits if many are on their way. The id is the caller's to choose, not 0 and
    /// unique among the open asks. `Request::Cancel` ends the one with the same id.
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

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerFrame {
    /// The ask that it answers.
    pub id: u64,
    /// What is said.
    pub answer: Response,
    /// Raw bytes that belong to it.
    pub payload: Bytes,
}

/// What comes of the answers of one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// The answer to the ask with this id begins; its payload is on its way.
    Begins(u64),
    /// A whole answer.
    Response(AnswerFrame),
}

/// Receives the answers of one peer, reading the stream in the task that calls it: a
/// caller that does not receive makes the peer wait. Dropping it closes the stream.
pub struct AnswerReceiver {
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

impl std::fmt::Debug for AnswerReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnswerReceiver")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl AnswerReceiver {
    /// The next answer; `None` after the peer closed the stream or an error was returned. May be
    /// dropped at any time and called again without losing bytes.
    pub async fn recv(&mut self) -> Option<Result<AnswerFrame, ExchangeError>> {
        loop {
            match self.recv_part().await? {
                Ok(Incoming::Begins(_)) => {}
                Ok(Incoming::Response(answer)) => return Some(Ok(answer)),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// As [`AnswerReceiver::recv`]; an answer with a payload is reported twice, when it begins and when
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
            Body::Response(answer) => Ok(Some(Incoming::Response(AnswerFrame {
                id: head.id,
                answer,
                payload,
            }))),
            Body::Hello => Err(ExchangeError::Unexpected {
                peer,
                rule: "one hello is enough",
            }),
            Body::Request(_) | Body::UnknownRequest => Err(ExchangeError::Unexpected {
                peer,
                rule: "the side that accepted answers",
            }),
        }
    }
}

/// Begins exchanges on streams that we opened.
#[derive(Clone)]
pub(crate) struct Askers {
    pub(crate) shapers: Shapers,
    pub(crate) buffers: Buffers,
    pub(crate) violations: mpsc::Sender<Violation>,
    pub(crate) tasks: TaskTracker,
}

impl Askers {
    /// Begins an exchange on a fresh stream. `None` if the peer closed it without a word, which is
    /// what one does that has no room for another stream.
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
        let (queue, asks) = mpsc::channel(ASKS_QUEUED_MAX);
        let listening = CancellationToken::new();
        let write = write_asks(writer, asks, listening.clone());
        let write = link.closed.clone().run_until_cancelled_owned(write);
        self.tasks.spawn(write.instrument(info_span!("ask", %peer)));
        let answers = AnswerReceiver {
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
            asks: AskSender { peer, queue },
            answers,
        }))
    }
}

async fn write_asks(
    mut writer: FrameWriter<WriteHalf<Box<dyn Duplex>>>,
    mut asks: mpsc::Receiver<Frame>,
    listening: CancellationToken,
) {
    let written = listening
        .run_until_cancelled(forward(&mut writer, &mut asks))
        .await;
    if let Some(Err(error)) = written {
        debug!(%error, "could not ask");
        return;
    }
    // All senders are gone, but answers may still be on their way.
    if written.is_some() {
        listening.cancelled().await;
    }
    asks.close();
    if let Err(error) = writer.close().await {
        debug!(%error, "could not close the stream");
    }
}
