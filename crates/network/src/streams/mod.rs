//! The libp2p behaviour that opens and accepts streams of the exchange protocol.
//!
//! Not `libp2p-stream`: that one drops inbound streams while their acceptor is busy, forgets no
//! connection, and opens streams on any connection to a peer, also on one through a relay when
//! there is a direct one.

mod behaviour;
mod handler;

use std::io;

use libp2p::{PeerId, Stream};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub(crate) use self::behaviour::Behaviour;

/// A stream, and whether its connection is still there: yamux does not wake the readers of a
/// connection that this side closes.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) stream: Stream,
    pub(crate) closed: CancellationToken,
}

/// A stream that a peer opened.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) peer: PeerId,
    pub(crate) opened: Opened,
}

/// Why a stream could not be opened on an existing connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error("the connection was closed")]
    NotConnected,
    #[error("the peer does not speak the protocol")]
    NotSpoken,
    #[error("the stream could not be opened")]
    Io(#[from] io::Error),
}

/// Where the stream is waited for.
pub(crate) type StreamReply = oneshot::Sender<Result<Opened, StreamError>>;
