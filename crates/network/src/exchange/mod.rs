//! The exchange protocol over streams: the requesting and the responding side, and what each may cost
//! the other.
//!
//! # Roles
//! The side that opened the stream is the *requester* ([`Exchange`], begun by a [`Client`]), the other
//! the *responder* (an [`ExchangeService`] behind a [`Server`]). Between two nodes there may be
//! streams in both directions.
//!
//! # Goals
//! Payloads are read once into their own buffer and written from where they lie. A stream costs a
//! bounded amount of memory on both sides whatever the other one does, and a peer that breaks a
//! rule of the protocol is disconnected with the rule as the reason.
//!
//! # Not here
//! What to request and what to respond.

mod client;
mod hello;
mod reader;
mod reply;
mod server;
mod writer;

use std::{io, sync::Arc};

use futures::future::BoxFuture;
use hubless_wire::{FrameError, Request};
use libp2p::PeerId;

pub(crate) use self::{client::Client, server::Server};
pub use self::{
    client::{Exchange, ExchangeEnded, Incoming, RequestSender, ResponseFrame, ResponseReceiver},
    reply::{Reply, RequesterGone},
};

/// What this node responds to others.
pub trait ExchangeService: Send + Sync + 'static {
    /// Responds to one request, which is never `Cancel`. The last response through `reply` has to be one
    /// that ends the request. The future is dropped when the requester cancels or leaves.
    fn respond(&self, peer: PeerId, request: Request, reply: Reply) -> BoxFuture<'static, ()>;
}

impl<S: ExchangeService + ?Sized> ExchangeService for Arc<S> {
    fn respond(&self, peer: PeerId, request: Request, reply: Reply) -> BoxFuture<'static, ()> {
        (**self).respond(peer, request, reply)
    }
}

/// A peer broke a rule and is to be disconnected.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) peer: PeerId,
    pub(crate) rule: ExchangeError,
}

/// Why an exchange with a peer ended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExchangeError {
    /// The connection failed, or a frame took too long.
    #[error("the connection to {peer} failed")]
    Io {
        /// The other side.
        peer: PeerId,
        /// What went wrong.
        source: Arc<io::Error>,
    },
    /// The peer sent bytes that are not a frame.
    #[error("{peer} broke a rule of the protocol")]
    Protocol {
        /// The other side.
        peer: PeerId,
        /// Which rule.
        source: FrameError,
    },
    /// The peer sent a frame that does not belong where it came.
    #[error("{peer} sent a frame where none of its kind may come: {rule}")]
    Unexpected {
        /// The other side.
        peer: PeerId,
        /// The rule that it broke.
        rule: &'static str,
    },
}

impl ExchangeError {
    /// Whether the peer is to blame, rather than what lies between.
    pub fn is_violation(&self) -> bool {
        match self {
            Self::Protocol { .. } | Self::Unexpected { .. } => true,
            Self::Io { .. } => false,
        }
    }

    fn io(peer: PeerId, source: io::Error) -> Self {
        Self::Io {
            peer,
            source: Arc::new(source),
        }
    }

    /// This side closed the connection.
    fn closed(peer: PeerId) -> Self {
        Self::io(peer, io::ErrorKind::ConnectionAborted.into())
    }

    fn read(peer: PeerId, error: reader::ReadError) -> Self {
        match error {
            reader::ReadError::Io(source) => Self::io(peer, source),
            reader::ReadError::Frame(source) => Self::Protocol { peer, source },
            reader::ReadError::Truncated => Self::io(peer, io::ErrorKind::UnexpectedEof.into()),
            reader::ReadError::Stalled => Self::io(peer, io::ErrorKind::TimedOut.into()),
        }
    }
}

#[cfg(test)]
mod tests;
