//! How far an address reaches, and which addresses of a peer are worth dialling from here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

/// How far an address reaches. A name counts as public: what it leads to is not known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Reach {
    /// This machine.
    Loopback,
    /// A local network.
    Private,
    /// The Internet.
    Public,
}

impl Reach {
    /// The reach of the first host in an address (through a relay: the relay's); `None` if there is
    /// none, or if it is no host at all.
    pub(crate) fn of(address: &Multiaddr) -> Option<Self> {
        match address.iter().next()? {
            Protocol::Ip4(ip) => Self::of_ip(ip.into()),
            Protocol::Ip6(ip) => Self::of_ip(ip.into()),
            Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_) => {
                Some(Self::Public)
            }
            _ => None,
        }
    }

    fn of_ip(ip: IpAddr) -> Option<Self> {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => Self::of_v6(ip),
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Option<Self> {
        let [a, b, ..] = ip.octets();
        // 100.64.0.0/10 lies behind the NAT of a provider.
        let is_shared = a == 100 && (64..128).contains(&b);
        if a == 0 || a >= 224 {
            None
        } else if ip.is_loopback() {
            Some(Self::Loopback)
        } else if ip.is_private() || ip.is_link_local() || is_shared {
            Some(Self::Private)
        } else {
            Some(Self::Public)
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Option<Self> {
        if ip.is_unspecified() || ip.is_multicast() {
            None
        } else if ip.is_loopback() {
            Some(Self::Loopback)
        } else if ip.is_unique_local() || ip.is_unicast_link_local() {
            Some(Self::Private)
        } else {
            Some(Self::Public)
        }
    }
}

/// Whether an address that came from a source at this distance leads where the source means: a
/// peer on the Internet that names 192.168.0.1 means a machine of its own network, and dialling it
/// would knock at one of ours.
pub(crate) fn is_meant_for_us(address: &Multiaddr, source: Reach) -> bool {
    Reach::of(address).is_some_and(|reach| reach >= source)
}

/// Splits a final `/p2p/<id>` off.
pub(crate) fn split_peer_id(mut address: Multiaddr) -> (Multiaddr, Option<PeerId>) {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => {
            address.pop();
            (address, Some(peer))
        }
        _ => (address, None),
    }
}

/// The address with `/p2p/<id>` at its end.
pub(crate) fn with_peer_id(address: Multiaddr, peer: PeerId) -> Multiaddr {
    address.clone().with_p2p(peer).unwrap_or(address)
}

/// Whether the address leads through a relay.
pub(crate) fn is_relayed(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// Whether the address is one of QUIC.
pub(crate) fn is_quic(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::QuicV1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(address: &str) -> Option<Reach> {
        Reach::of(&address.parse().unwrap())
    }

    #[test]
    fn reach_of_addresses() {
        assert_eq!(reach("/ip4/127.0.0.1/tcp/1"), Some(Reach::Loopback));
        assert_eq!(reach("/ip6/::ffff:127.0.0.1/tcp/1"), Some(Reach::Loopback));
        assert_eq!(reach("/ip4/192.168.1.1/tcp/1"), Some(Reach::Private));
        assert_eq!(reach("/ip4/100.64.1.1/tcp/1"), Some(Reach::Private));
        assert_eq!(reach("/ip6/fe80::1/tcp/1"), Some(Reach::Private));
        assert_eq!(reach("/ip4/81.2.3.4/udp/1/quic-v1"), Some(Reach::Public));
        assert_eq!(reach("/dns4/example.org/tcp/1"), Some(Reach::Public));
        for nowhere in [
            "/ip4/0.0.0.0/tcp/1",
            "/ip4/239.0.0.1/tcp/1",
            "/ip6/::/tcp/1",
            "/unix/a",
        ] {
            assert_eq!(reach(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn a_peer_on_the_internet_cannot_name_machines_of_our_network() {
        let named = |address: &str, source| is_meant_for_us(&address.parse().unwrap(), source);
        assert!(!named("/ip4/192.168.0.1/tcp/80", Reach::Public));
        assert!(!named("/ip4/127.0.0.1/tcp/80", Reach::Private));
        assert!(named("/ip4/192.168.0.1/tcp/80", Reach::Private));
        assert!(named("/ip4/81.2.3.4/tcp/80", Reach::Loopback));
    }

    #[test]
    fn peer_ids_at_the_end() {
        let peer = PeerId::random();
        let bare: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let whole = with_peer_id(bare.clone(), peer);
        assert_eq!(with_peer_id(whole.clone(), peer), whole);
        assert_eq!(split_peer_id(whole), (bare.clone(), Some(peer)));
        assert_eq!(split_peer_id(bare.clone()), (bare, None));
    }
}
