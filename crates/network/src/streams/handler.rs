use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    task::{Context, Poll, Waker},
};

use hubless_wire::EXCHANGE_PROTOCOL;
use libp2p::{
    Stream, StreamProtocol,
    core::upgrade::ReadyUpgrade,
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
        handler::{
            ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
        },
    },
};
use tokio_util::sync::CancellationToken;

use super::{Opened, StreamError, StreamReply};

/// Inbound streams that wait for the behaviour. A peer may hold four open, so more are not needed.
const INBOUND_MAX: usize = 8;

/// What the behaviour asks of one connection.
#[derive(Debug)]
pub(crate) enum Command {
    Open(StreamReply),
    Keep(bool),
}

/// One connection's side of the behaviour.
#[derive(Default)]
pub(crate) struct Handler {
    opening: VecDeque<StreamReply>,
    inbound: VecDeque<Stream>,
    keep: bool,
    waker: Option<Waker>,
    closed: CancellationToken,
}

impl Handler {
    fn opened(&self, stream: Stream) -> Opened {
        Opened {
            stream,
            closed: self.closed.clone(),
        }
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

fn upgrade() -> ReadyUpgrade<StreamProtocol> {
    ReadyUpgrade::new(StreamProtocol::new(EXCHANGE_PROTOCOL))
}

fn opening_failed(error: StreamUpgradeError<Infallible>) -> StreamError {
    match error {
        StreamUpgradeError::Timeout => io::Error::from(io::ErrorKind::TimedOut).into(),
        StreamUpgradeError::NegotiationFailed => StreamError::NotSpoken,
        StreamUpgradeError::Io(error) => error.into(),
        StreamUpgradeError::Apply(never) => match never {},
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Command;
    type ToBehaviour = Opened;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = StreamReply;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        SubstreamProtocol::new(upgrade(), ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.keep
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<
        ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>,
    > {
        if let Some(stream) = self.inbound.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(self.opened(stream)));
        }
        if let Some(reply) = self.opening.pop_front() {
            let protocol = SubstreamProtocol::new(upgrade(), reply);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        self.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.closed.cancel();
        Poll::Ready(None)
    }

    fn on_behaviour_event(&mut self, command: Command) {
        match command {
            Command::Open(reply) => self.opening.push_back(reply),
            Command::Keep(keep) => self.keep = keep,
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            '_,
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: stream,
                ..
            }) if self.inbound.len() < INBOUND_MAX => self.inbound.push_back(stream),
            // In both cases nobody waits any more if sending fails.
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info: reply,
            }) => drop(reply.send(Ok(self.opened(stream)))),
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info: reply, error }) => {
                drop(reply.send(Err(opening_failed(error))));
            }
            _ => {}
        }
    }
}
