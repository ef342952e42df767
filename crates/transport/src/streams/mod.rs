//! The libp2p behaviour that opens and accepts streams of the exchange protocol.
//!
//! Not `libp2p-stream`: that one drops inbound streams while their acceptor is busy, forgets no
//! connection, and opens streams on any connection to a peer, also on one through a relay when
//! there is a direct one.

mod behaviour;
mod handler;
mod seat;

use std::{fmt, io, net::SocketAddr, sync::Arc};

use futures::{AsyncRead, AsyncWrite};
use hubless_address::{Multiaddr, PeerId, Protocol};
use hubless_wire::EXCHANGE_PROTOCOL;
use libp2p::{StreamProtocol, core::Endpoint};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use self::seat::Seat;
pub use self::{behaviour::Behaviour, seat::Busy};
use crate::{
    carrier::Carrier,
    places::{Place, Prefix},
};

/// Protocol name of the streams on which passes for lanes are given out. The number is the major
/// version.
pub(crate) const LANE_PROTOCOL: &str = "/hubless/lane/1";

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Requests and responses.
    Exchange,
    /// The pass for a lane, on which requests are sent then.
    Lane,
}

impl Purpose {
    fn protocol(self) -> StreamProtocol {
        StreamProtocol::new(match self {
            Self::Exchange => EXCHANGE_PROTOCOL,
            Self::Lane => LANE_PROTOCOL,
        })
    }
}

/// Bytes both ways: a stream of a connection, or a lane.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// The connection that a stream, or a lane, belongs to. As long as there is a clone outside, the
/// connection is not idle.
#[derive(Debug, Clone, Default)]
pub struct Link {
    /// yamux does not wake the readers of a connection that this side closes, and lanes know
    /// nothing of it at all.
    pub closed: CancellationToken,
    /// Where this side has dialled it, if that was TCP and straight.
    pub dialled: Option<SocketAddr>,
    /// What carries the streams.
    pub carrier: Carrier,
    /// Where the other end is.
    pub from: Prefix,
    seat: Arc<Seat>,
}

impl Link {
    /// Of a connection that this side began.
    fn to(address: &Multiaddr, role: Endpoint) -> Self {
        Self {
            carrier: Carrier::of_connection(address),
            dialled: dialled_tcp(address, role),
            from: Prefix::of_remote(address),
            ..Self::default()
        }
    }

    /// Of a connection that the other side began, which was accepted at `own`.
    fn from(remote: &Multiaddr, own: &Multiaddr, place: Place) -> Self {
        Self {
            carrier: Carrier::of_connection(own),
            from: Prefix::of_remote(remote),
            seat: Arc::new(Seat::of(place)),
            ..Self::default()
        }
    }

    /// The connection keeps its place as long as this is kept.
    pub fn busy(&self) -> Busy {
        Seat::busy(&self.seat)
    }

    /// The other side has just sent a request.
    pub fn was_used(&self) {
        self.seat.was_used();
    }

    /// Whether there is a clone.
    fn is_used(&self) -> bool {
        Arc::strong_count(&self.seat) > 1
    }
}

/// A stream, and the connection it belongs to.
pub struct Opened {
    /// The bytes.
    pub stream: Box<dyn Duplex>,
    /// The connection.
    pub link: Link,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

/// A stream that a peer opened.
#[derive(Debug)]
pub struct Inbound {
    /// Its peer id.
    pub peer: PeerId,
    /// What it opened the stream for.
    pub purpose: Purpose,
    /// The stream.
    pub opened: Opened,
}

/// Where a connection was dialled that is plain TCP to a host, without a relay or a name that may
/// lead elsewhere the next time.
fn dialled_tcp(address: &Multiaddr, role: Endpoint) -> Option<SocketAddr> {
    if role != Endpoint::Dialer {
        return None; // both dialled at once to punch a hole, which is no way for another one
    }
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    let Protocol::Tcp(port) = parts.next()? else {
        return None;
    };
    match (parts.next(), parts.next()) {
        (None | Some(Protocol::P2p(_)), None) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// All places for connections of others are taken, and none of those that would have to give way
/// is idle.
#[derive(Debug, thiserror::Error)]
#[error("no place is free for a connection from this network")]
struct NoPlace;

/// Why a stream could not be opened on an existing connection.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// For a lane: none that this side dialled over TCP.
    #[error("there is no connection for it")]
    NotConnected,
    /// It is a node of something else.
    #[error("the peer does not speak the protocol")]
    NotSpoken,
    /// The connection failed.
    #[error("the stream could not be opened")]
    Io(#[from] io::Error),
}

/// Where the stream is waited for.
pub type StreamReply = oneshot::Sender<Result<Opened, StreamError>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_go_where_a_connection_was_dialled_straight_over_tcp() {
        let peer = PeerId::random();
        let dialled = |address: &str| dialled_tcp(&address.parse().unwrap(), Endpoint::Dialer);
        let somewhere = Some("10.0.0.1:5".parse().unwrap());
        assert_eq!(dialled("/ip4/10.0.0.1/tcp/5"), somewhere);
        assert_eq!(
            dialled(&format!("/ip4/10.0.0.1/tcp/5/p2p/{peer}")),
            somewhere
        );
        assert_eq!(dialled("/ip6/::1/tcp/5"), Some("[::1]:5".parse().unwrap()));
        for other in [
            "/ip4/10.0.0.1/udp/5/quic-v1",
            "/dns4/example.org/tcp/5",
            "/ip4/10.0.0.1/tcp/5/ws",
            &format!("/ip4/10.0.0.1/tcp/5/p2p/{peer}/p2p-circuit"),
        ] {
            assert_eq!(dialled(other), None, "{other}");
        }
        let punched = dialled_tcp(&"/ip4/10.0.0.1/tcp/5".parse().unwrap(), Endpoint::Listener);
        assert_eq!(punched, None);
    }
}
