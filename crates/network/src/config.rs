//! The settings of a node of the network.

use std::time::Duration;

use hubless_dht::RecordsConfig;
use hubless_transport::network_key::NetworkKey;
use libp2p::Multiaddr;

/// How a node takes part in the network.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// Where to listen. Port 0 means any free one. In a private network, addresses of QUIC are left
    /// out.
    pub listen: Vec<Multiaddr>,
    /// Nodes to find the others through; each is dialled until it is reached once, and again when
    /// all connections are lost.
    pub bootstrap: Vec<Multiaddr>,
    /// Nodes to stay connected to. Each address ends in `/p2p/<peer id>`.
    pub static_peers: Vec<Multiaddr>,
    /// Whether to find and be found by nodes on the local network.
    pub mdns: bool,
    /// Whether to request a port from the router.
    pub upnp: bool,
    /// Whether to relay connections between others, within limits.
    pub relay_server: bool,
    /// The key of a private network; none means the public one.
    pub network_key: Option<NetworkKey>,
    /// Bounds on connections.
    pub limits: ConnectionLimits,
    /// Payload bytes per second given to all peers together.
    pub limit_up: Option<u64>,
    /// Payload bytes per second taken from all peers together.
    pub limit_down: Option<u64>,
    /// Payload bytes per second given to one peer.
    pub limit_up_per_peer: Option<u64>,
    /// How often each announced key is announced anew. Records are valid for 48 hours.
    pub republish_interval: Duration,
    /// Quotas of the DHT records kept for others.
    pub records: RecordsConfig,
}

impl Default for NetworkConfig {
    /// Listens on a free port of every interface, TCP and QUIC, and knows no other node.
    fn default() -> Self {
        Self {
            listen: default_listen_addresses(),
            bootstrap: Vec::new(),
            static_peers: Vec::new(),
            mdns: true,
            upnp: true,
            relay_server: false,
            network_key: None,
            limits: ConnectionLimits::default(),
            limit_up: None,
            limit_down: None,
            limit_up_per_peer: None,
            republish_interval: REPUBLISH_INTERVAL,
            records: RecordsConfig::new(rand::random()),
        }
    }
}

/// Half of what a record is valid for, so that one that was missed does no harm, and a little less.
const REPUBLISH_INTERVAL: Duration = Duration::from_secs(22 * 3600);

fn default_listen_addresses() -> Vec<Multiaddr> {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use libp2p::multiaddr::Protocol;

    let tcp = |host: Multiaddr| host.with(Protocol::Tcp(0));
    let quic = |host: Multiaddr| host.with(Protocol::Udp(0)).with(Protocol::QuicV1);
    let v4 = Multiaddr::from(Ipv4Addr::UNSPECIFIED);
    let v6 = Multiaddr::from(Ipv6Addr::UNSPECIFIED);
    vec![tcp(v4.clone()), quic(v4), tcp(v6.clone()), quic(v6)]
}

/// Bounds on connections. Each costs about 50 KiB and, but for QUIC, a file descriptor. Of what
/// others begin, one address prefix holds a share at most, and what is idle gives way to newcomers:
/// see [`hubless_transport::places`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConnectionLimits {
    /// Handshakes that others began. Half as many may be those of lanes.
    pub pending_inbound: u32,
    /// Handshakes that we began: a DHT walk dials ten at a time, and many walks run at once.
    pub pending_outbound: u32,
    /// Connections from others.
    pub inbound: u32,
    /// Connections to others.
    pub outbound: u32,
    /// Exchange streams that others opened. Each may be a lane, which is a connection of its own.
    pub streams: u32,
    /// Connections with one peer: both dialled each other, and one more through a relay.
    pub per_peer: u32,
    /// Share of the machine's memory that this process may use before it refuses connections.
    pub memory_share: f64,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            pending_inbound: 128,
            pending_outbound: 256,
            inbound: 384,
            outbound: 384,
            streams: 1024,
            per_peer: 4,
            memory_share: 0.8,
        }
    }
}

impl ConnectionLimits {
    /// File descriptors that connections take at most, but for the lanes that this node dials.
    pub fn descriptors(&self) -> u32 {
        let bounds = [
            self.pending_inbound,
            self.lane_handshakes(),
            self.pending_outbound,
            self.inbound,
            self.outbound,
            self.streams,
        ];
        bounds.into_iter().fold(0, u32::saturating_add)
    }

    /// The same limits, each lowered by as much as it takes to need no more file descriptors than
    /// these. What is left is at least four of each, so that a node with very few is slow, not mute.
    #[must_use]
    pub fn within(self, descriptors: u32) -> Self {
        let (have, need) = (u64::from(descriptors), u64::from(self.descriptors().max(1)));
        let lower = |limit: u32| {
            let share = u64::from(limit).saturating_mul(have) / need;
            limit.min(u32::try_from(share).unwrap_or(limit).max(LIMIT_MIN))
        };
        Self {
            pending_inbound: lower(self.pending_inbound),
            pending_outbound: lower(self.pending_outbound),
            inbound: lower(self.inbound),
            outbound: lower(self.outbound),
            streams: lower(self.streams),
            ..self
        }
    }

    /// Handshakes of lanes that others began. Only a TLS hello without a pass can be sent by
    /// a stranger, and each waits for the rest of its bytes at most.
    pub(crate) fn lane_handshakes(&self) -> u32 {
        (self.pending_inbound / 2).max(1)
    }
}

/// What [`ConnectionLimits::within`] leaves of each limit.
const LIMIT_MIN: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_fit_into_the_descriptors_that_are_left() {
        let limits = ConnectionLimits::default();
        assert_eq!(limits.within(u32::MAX), limits);
        assert_eq!(limits.within(limits.descriptors()), limits);
        for descriptors in [100, 256, 700, 1024] {
            let fewer = limits.within(descriptors);
            assert!(fewer.descriptors() <= descriptors, "{fewer:?}");
            assert!(fewer.descriptors() > descriptors * 9 / 10, "{fewer:?}");
        }
        assert_eq!(limits.within(0).inbound, LIMIT_MIN);
    }
}
