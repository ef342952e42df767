//! How bytes travel: TCP with TLS (or Noise) and yamux, QUIC, and both through relays.
//!
//! TLS comes before Noise, and TCP before QUIC on local networks, because that is what moves large
//! files fastest.

use std::time::Duration;

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    PeerId, Transport,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, OrTransport, dummy::DummyTransport, timeout::TransportTimeout},
        upgrade::Version,
    },
    dns,
    pnet::PnetConfig,
    quic, relay, tcp, yamux,
};
use tracing::warn;

use crate::{
    door,
    entrance::{Arrivals, Entrance},
    guard::{DialPolicy, Guarded},
    head_start::AfterTcp,
    identity::Identity,
    lane::Lanes,
    network_key::NetworkKey,
    security::{Security, TransportSetupError},
};

/// How long a connection may take to be ready, handshakes included. TCP alone would wait for two
/// minutes for a host that does not respond.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// Connections as the swarm takes them: the peer id, and streams to that peer.
pub type Connections = Boxed<(PeerId, StreamMuxerBox)>;

/// Everything that connections can be made over. With a network key that is TCP only: the key
/// encrypts a byte stream below everything else, and QUIC has none. Sockets on which a lane begins
/// go to `lanes` instead. No more than `pending_inbound` connections of others are on their way.
///
/// # Errors
/// If nothing can be encrypted.
pub fn build(
    identity: &Identity,
    network_key: Option<NetworkKey>,
    relay: relay::client::Transport,
    policy: DialPolicy,
    lanes: Lanes,
    pending_inbound: u32,
) -> Result<Connections, TransportSetupError> {
    let security = Security::new(identity)?;
    let arrivals = Arrivals::new(pending_inbound as usize);
    let arriving = arrivals.clone();
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .and_then(move |socket, point| door::pass(socket, point, lanes, arriving));
    let direct = match network_key {
        Some(key) => {
            let pnet = PnetConfig::new(key.pre_shared());
            upgrade(
                tcp.and_then(move |socket, _| pnet.handshake(socket)),
                security.clone(),
            )
        }
        None => {
            let quic = quic::tokio::Transport::new(quic::Config::new(identity.keypair()));
            let quic =
                AfterTcp::new(quic).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
            either(upgrade(tcp, security.clone()), quic.boxed())
        }
    };
    let direct = Entrance::new(direct, arrivals).boxed();
    let all = either(upgrade(relay, security), with_names(direct));
    Ok(TransportTimeout::new(Guarded::new(all, policy), CONNECT_TIME_MAX).boxed())
}

/// Encrypts and multiplexes the byte streams of a transport.
fn upgrade<T>(transport: T, security: Security) -> Connections
where
    T: Transport + Send + Unpin + 'static,
    T::Output: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    T::Error: Send + Sync + 'static,
    T::Dial: Send + 'static,
    T::ListenerUpgrade: Send + 'static,
{
    transport
        .upgrade(Version::V1Lazy)
        .authenticate(security)
        .multiplex(yamux::Config::default())
        .boxed()
}

fn either(first: Connections, second: Connections) -> Connections {
    OrTransport::new(first, second)
        .map(|either, _| either.into_inner())
        .boxed()
}

/// Resolves names in addresses, if this system can.
fn with_names(transport: Connections) -> Connections {
    if let Err(error) = dns::tokio::Transport::system(DummyTransport::<()>::new()) {
        warn!(%error, "no name server is configured: addresses with names cannot be dialled");
        return transport;
    }
    match dns::tokio::Transport::system(transport) {
        Ok(transport) => transport.boxed(),
        Err(error) => unreachable!("{error}"),
    }
}
