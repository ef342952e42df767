//! Why a node does not start, or a peer is not reached.

use std::{io, sync::Arc};

use hubless_transport::{bans::Banned, security::TransportSetupError};
use libp2p::{Multiaddr, PeerId, swarm::DialError};

use crate::exchange::ExchangeError;

/// Why a node of the network did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Connections could not be set up at all.
    #[error(transparent)]
    Transport(#[from] TransportSetupError),
    /// One of the addresses cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which one.
        address: Multiaddr,
        /// What went wrong.
        source: io::Error,
    },
    /// A static peer without a peer id: any node could answer at its address.
    #[error("the static peer {address} does not end in /p2p/<peer id>")]
    StaticPeer {
        /// Which one.
        address: Multiaddr,
    },
}

impl StartError {
    /// Whether another process listens there already.
    pub fn is_address_in_use(&self) -> bool {
        match self {
            Self::Listen { source, .. } => source.kind() == io::ErrorKind::AddrInUse,
            Self::Transport(_) | Self::StaticPeer { .. } => false,
        }
    }
}

/// Why there is no connection with a peer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// No peer answered, or another one than was named.
    #[error("cannot reach {target}")]
    Unreachable {
        /// The peer or the address.
        target: String,
        /// What happened at each address.
        source: Arc<DialError>,
    },
    /// We do not want to.
    #[error(transparent)]
    Banned(#[from] Banned),
    /// Too many dials are in progress.
    #[error("too many connections are being made at once")]
    Busy,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopped,
}

/// Why there is no exchange with a peer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It is a node of something else.
    #[error("{peer} does not speak the exchange protocol")]
    NotSpoken {
        /// Its peer id.
        peer: PeerId,
    },
    /// The peer has no room for another stream.
    #[error("{peer} refuses another stream")]
    Refused {
        /// Its peer id.
        peer: PeerId,
    },
    /// The stream failed at its beginning.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

impl OpenError {
    /// Whether the same may well work a little later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Connect(ConnectError::Unreachable { .. } | ConnectError::Busy) => true,
            Self::Connect(ConnectError::Banned(_) | ConnectError::Stopped) => false,
            Self::NotSpoken { .. } => false,
            Self::Refused { .. } => true,
            Self::Exchange(error) => !error.is_violation(),
        }
    }
}
