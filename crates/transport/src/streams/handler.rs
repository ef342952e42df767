use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures::{FutureExt as _, future::Either};
use libp2p::{
    Stream, StreamProtocol,
    core::upgrade::{ReadyUpgrade, SelectUpgrade},
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
        handler::{
            ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
        },
    },
};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{Busy, Link, Opened, Purpose, StreamError, StreamReply};

/// Inbound streams that wait for the behaviour. The behaviour takes them at its next poll.
const INBOUND_MAX: usize = 8;

/// What the behaviour sends to one connection.
#[derive(Debug)]
pub enum Command {
    /// To open a stream.
    Open(Purpose, StreamReply),
    /// To stay open while idle, or no longer.
    Keep(bool),
}

/// What one connection reports to the behaviour.
#[derive(Debug)]
pub enum Event {
    /// A stream that the peer opened.
    Opened(Purpose, Opened),
    /// Another connection has its place.
    LostPlace,
}

/// One connection's side of the behaviour.
pub struct Handler {
    opening: VecDeque<(Purpose, StreamReply)>,
    inbound: VecDeque<(Purpose, Stream)>,
    keep: Option<Busy>,
    waker: Option<Waker>,
    link: Link,
    /// Ends when the connection has lost its place; none if it has none, or lost it before.
    lost: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Handler {
    pub(super) fn new(link: Link) -> Self {
        let place = link.seat.place();
        let lost = place.map(|place| Box::pin(place.lost().clone().cancelled_owned()));
        Self {
            lost,
            opening: VecDeque::new(),
            inbound: VecDeque::new(),
            keep: None,
            waker: None,
            link,
        }
    }

    fn opened(&self, stream: Stream) -> Opened {
        Opened {
            stream: Box::new(stream),
            link: self.link.clone(),
        }
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.link.closed.cancel();
    }
}

type Upgrade = ReadyUpgrade<StreamProtocol>;

fn upgrade(purpose: Purpose) -> Upgrade {
    ReadyUpgrade::new(purpose.protocol())
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
    type ToBehaviour = Event;
    type InboundProtocol = SelectUpgrade<Upgrade, Upgrade>;
    type OutboundProtocol = Upgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = StreamReply;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        let both = SelectUpgrade::new(upgrade(Purpose::Exchange), upgrade(Purpose::Lane));
        SubstreamProtocol::new(both, ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.link.is_used()
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<
        ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>,
    > {
        if self
            .lost
            .as_mut()
            .is_some_and(|lost| lost.poll_unpin(context).is_ready())
        {
            self.lost = None;
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Event::LostPlace));
        }
        if let Some((purpose, stream)) = self.inbound.pop_front() {
            let opened = Event::Opened(purpose, self.opened(stream));
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(opened));
        }
        if let Some((purpose, reply)) = self.opening.pop_front() {
            let protocol = SubstreamProtocol::new(upgrade(purpose), reply);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        self.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.link.closed.cancel();
        Poll::Ready(None)
    }

    fn on_behaviour_event(&mut self, command: Command) {
        match command {
            Command::Open(purpose, reply) => self.opening.push_back((purpose, reply)),
            Command::Keep(keep) => self.keep = keep.then(|| self.link.busy()),
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
            }) if self.inbound.len() < INBOUND_MAX => self.inbound.push_back(match stream {
                Either::Left(stream) => (Purpose::Exchange, stream),
                Either::Right(stream) => (Purpose::Lane, stream),
            }),
            // In both cases sending fails only if the caller no longer waits.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_kept_while_a_lane_belongs_to_it() {
        let link = Link::default();
        let handler = Handler::new(link);
        assert!(!handler.connection_keep_alive());
        let lane = handler.link.clone();
        assert!(handler.connection_keep_alive());
        drop(lane);
        assert!(!handler.connection_keep_alive());
    }
}
