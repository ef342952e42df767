//! How far an address reaches, and which addresses of a peer are worth dialling from here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use multiaddr::{Multiaddr, PeerId, Protocol};

/// How far an address reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// This machine.
    Loopback,
    /// A local network.
    Private,
    /// The Internet.
    Public,
}

impl Reach {
    /// The reach of the nearest host in an address (through a relay: the relay's): transports differ
    /// in which of several they dial. `None` if there is no IP address, or one that is no host, or a
    /// name: what it leads to is not known before it is dialled.
    pub fn of(address: &Multiaddr) -> Option<Self> {
        if has_name(address) {
            return None;
        }
        let hosts = address.iter().filter_map(|part| match part {
            Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
            Protocol::Ip6(ip) => Some(IpAddr::V6(ip)),
            _ => None,
        });
        // `None` is less than any reach.
        hosts.map(Self::of_ip).min().flatten()
    }

    /// `None` if it is no host.
    pub fn of_ip(ip: IpAddr) -> Option<Self> {
        match canonical(ip) {
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
        let [first, second, third, ..] = ip.segments();
        // Site-local addresses, and translators to IPv4 that a local network has for itself.
        let is_site_local = first & 0xffc0 == 0xfec0;
        let is_own_translator = [first, second, third] == [0x64, 0xff9b, 1];
        if ip.is_unspecified() || ip.is_multicast() {
            None
        } else if ip.is_loopback() {
            Some(Self::Loopback)
        } else if ip.is_unique_local()
            || ip.is_unicast_link_local()
            || is_site_local
            || is_own_translator
        {
            Some(Self::Private)
        } else {
            Some(Self::Public)
        }
    }
}

/// The IPv4 address that an IPv6 address leads to, if it does: mapped (`::ffff:0:0/96`), compatible
/// (`::/96`), of NAT64 (`64:ff9b::/96`), 6to4 (`2002::/16`) or Teredo (`2001::/32`).
pub fn canonical(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let segments = v6.segments();
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // Of all that is compatible, `::` and `::1` mean something else.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => ip,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            of(high, low)
        }
        [0x2002, high, low, ..] => of(high, low),
        [0x2001, 0, .., high, low] => of(!high, !low),
        _ => ip,
    }
}

/// Whether there is a host name in the address.
pub fn has_name(address: &Multiaddr) -> bool {
    address.iter().any(|part| {
        matches!(
            part,
            Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_)
        )
    })
}

/// Whether an address that came from a source at this distance leads where the source means: a
/// peer on the Internet that names 192.168.0.1 means a machine of its own network, and dialling it
/// would knock at one of ours. A name may lead anywhere, and resolving it reports to its owner that
/// this node exists: names are taken from this node's owner only.
pub fn is_meant_for_us(address: &Multiaddr, source: Reach) -> bool {
    Reach::of(address).is_some_and(|reach| reach >= source)
}

/// Splits a final `/p2p/<id>` off.
pub fn split_peer_id(mut address: Multiaddr) -> (Multiaddr, Option<PeerId>) {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => {
            address.pop();
            (address, Some(peer))
        }
        _ => (address, None),
    }
}

/// The address with `/p2p/<id>` at its end.
pub fn with_peer_id(address: Multiaddr, peer: PeerId) -> Multiaddr {
    address.clone().with_p2p(peer).unwrap_or(address)
}

/// Whether the address leads through a relay.
pub fn is_relayed(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// The address of the relay that this one leads through, if it does.
pub fn way_to_relay(address: &Multiaddr) -> Option<Multiaddr> {
    let is_before = |part: &Protocol<'_>| *part != Protocol::P2pCircuit;
    let way: Multiaddr = address.iter().take_while(is_before).collect();
    is_relayed(address).then(|| split_peer_id(way).0)
}

/// Whether the address is one of QUIC.
pub fn is_quic(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::QuicV1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

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
        for nowhere in [
            "/dns4/example.org/tcp/1",
            "/ip4/0.0.0.0/tcp/1",
            "/ip4/239.0.0.1/tcp/1",
            "/ip6/::/tcp/1",
            "/unix/a",
        ] {
            assert_eq!(reach(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn an_ipv6_address_that_leads_to_ipv4_reaches_as_far_as_that() {
        for (loopback, private, public) in [
            ("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:81.2.3.4"),
            ("::127.0.0.1", "::10.0.0.1", "::81.2.3.4"),
            (
                "64:ff9b::127.0.0.1",
                "64:ff9b::10.0.0.1",
                "64:ff9b::81.2.3.4",
            ),
            ("2002:7f00:1::1", "2002:a00:1::1", "2002:5102:304::1"),
            (
                "2001:0:4136:e378:8000:63bf:80ff:fffe",
                "2001:0:4136:e378:8000:63bf:f5ff:fffe",
                "2001:0:4136:e378:8000:63bf:aefd:fcfb",
            ),
        ] {
            let of = |ip: &str| reach(&format!("/ip6/{ip}/tcp/1"));
            assert_eq!(of(loopback), Some(Reach::Loopback), "{loopback}");
            assert_eq!(of(private), Some(Reach::Private), "{private}");
            assert_eq!(of(public), Some(Reach::Public), "{public}");
        }
        assert_eq!(reach("/ip6/64:ff9b:1::1/tcp/1"), Some(Reach::Private));
        assert_eq!(reach("/ip6/fec0::1/tcp/1"), Some(Reach::Private));
        assert_eq!(reach("/ip6/2a00:1::1/tcp/1"), Some(Reach::Public));
    }

    #[test]
    fn of_several_hosts_the_nearest_counts() {
        // TCP dials the last one.
        assert_eq!(
            reach("/ip4/81.2.3.4/tcp/1/ip4/127.0.0.1/tcp/22"),
            Some(Reach::Loopback)
        );
        assert_eq!(reach("/ip4/81.2.3.4/tcp/1/ip4/0.0.0.0/tcp/22"), None);
        assert_eq!(reach("/ip4/81.2.3.4/tcp/1/dns4/localhost/tcp/22"), None);
    }

    #[test]
    fn a_peer_on_the_internet_cannot_name_machines_of_our_network() {
        let named = |address: &str, source| is_meant_for_us(&address.parse().unwrap(), source);
        assert!(!named("/ip4/192.168.0.1/tcp/80", Reach::Public));
        assert!(!named("/ip4/127.0.0.1/tcp/80", Reach::Private));
        assert!(named("/ip4/192.168.0.1/tcp/80", Reach::Private));
        assert!(named("/ip4/81.2.3.4/tcp/80", Reach::Loopback));
        assert!(!named("/dns4/example.org/tcp/80", Reach::Public));
        assert!(!named("/dns4/example.org/tcp/80", Reach::Loopback));
    }

    #[test]
    fn peer_ids_at_the_end() {
        let peer = PEER.parse().unwrap();
        let bare: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let whole = with_peer_id(bare.clone(), peer);
        assert_eq!(with_peer_id(whole.clone(), peer), whole);
        assert_eq!(split_peer_id(whole), (bare.clone(), Some(peer)));
        assert_eq!(split_peer_id(bare.clone()), (bare, None));
    }
}
