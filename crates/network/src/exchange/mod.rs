//! The exchange protocol over streams: the requesting and the answering side, and what each may cost
//! the other.
//!
//! # Roles
//! The side that opened the stream is the *asker* ([`Exchange`]), the other the *answerer* (an
//! [`ExchangeService`] behind a task of this module). Between two nodes there may be streams in
//! both directions.
//!
//! # Goals
//! Payloads are read once into their own buffer and written from where they lie. A stream costs a
//! bounded amount of memory on both sides whatever the other one does, and a peer that breaks a
//! rule of the protocol is disconnected with the rule as the reason.
//!
//! # Not here
//! What to ask and what to answer.

mod answerer;
mod asker;
mod hello;
mod reader;
mod reply;
mod writer;

use std::{io, sync::Arc};

use futures::future::BoxFuture;
use hubless_wire::{FrameError, Request};
use libp2p::PeerId;

pub(crate) use self::{answerer::Answerers, asker::Askers};
pub use self::{
    asker::{AnswerFrame, AnswerReceiver, AskSender, Exchange, ExchangeEnded, Incoming},
    reply::{AskerGone, Reply},
};

/// What this node answers to others.
pub trait ExchangeService: Send + Sync + 'static {
    /// Answers one ask, which is never `Cancel`. The last answer through `reply` has to be one that
    /// ends the ask. The future is dropped when the asker cancels or leaves.
    fn answer(&self, peer: PeerId, request: Request, reply: Reply) -> BoxFuture<'static, ()>;
}

impl<S: ExchangeService + ?Sized> ExchangeService for Arc<S> {
    fn answer(&self, peer: PeerId, request: Request, reply: Reply) -> BoxFuture<'static, ()> {
        (**self).answer(peer, request, reply)
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
