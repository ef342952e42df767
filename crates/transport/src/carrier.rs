//! What carries an exchange from node to node.

use hubless_address::{Multiaddr, Protocol};

/// What carries an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Carrier {
    /// A TLS connection of its own.
    Lane,
    /// A stream of libp2p over TCP.
    #[default]
    Tcp,
    /// A stream of libp2p over QUIC.
    Quic,
    /// A stream of libp2p through a relay.
    Relay,
}

impl Carrier {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Lane, Self::Tcp, Self::Quic, Self::Relay];

    /// One word, for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lane => "lane",
            Self::Tcp => "tcp",
            Self::Quic => "quic",
            Self::Relay => "relay",
        }
    }

    /// What carries the streams of a connection: this node's end of it when it was accepted, the
    /// other one when it was dialled.
    pub(crate) fn of_connection(address: &Multiaddr) -> Self {
        let has = |wanted: fn(&Protocol<'_>) -> bool| address.iter().any(|part| wanted(&part));
        if has(|part| matches!(part, Protocol::P2pCircuit)) {
            Self::Relay
        } else if has(|part| matches!(part, Protocol::QuicV1)) {
            Self::Quic
        } else {
            Self::Tcp
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_address_says() {
        for (address, expected) in [
            ("/ip4/10.0.0.1/tcp/5", Carrier::Tcp),
            ("/ip6/::1/udp/5/quic-v1", Carrier::Quic),
            ("/ip4/10.0.0.1/udp/5/quic-v1/p2p-circuit", Carrier::Relay),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(Carrier::of_connection(&address), expected, "{address}");
        }
    }
}
