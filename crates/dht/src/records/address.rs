//! Which addresses of a stranger are worth keeping, and from which network it comes.

use std::net::IpAddr;

use hubless_address::{Multiaddr, PeerId, Protocol, Reach, canonical};

/// Addresses kept of one provider: IPv4 and IPv6, TCP and QUIC, and as many through relays.
pub(super) const ADDRESSES_MAX: usize = 8;

/// Bytes of all kept addresses of one provider. A response of kad carries 20 providers and 20
/// closer peers in one packet of 16 KiB, and one that is larger is not sent at all: so 20 providers
/// must stay below half of it, or a few records with long addresses would silence a key. A direct
/// address takes about 12 bytes (IPv6: 24), one through a relay about 55.
pub(super) const ADDRESSES_BYTES_MAX: usize = 256;

/// Where a provider was seen to be: what distinguishes operators, as far as anything does.
/// Peer ids cost nothing, addresses in many networks do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Origin {
    /// No usable address. All of these count as one network.
    Unknown,
    /// A loopback or private address: a local network, whose members are not crowded out.
    Local,
    /// The first 24 bits of an IPv4 address: the smallest network that is routed on its own.
    V4([u8; 3]),
    /// The first 48 bits of an IPv6 address: what one customer is usually given.
    V6([u8; 6]),
}

impl Origin {
    /// The network of the first IP address in `address`; through a relay, that of the relay.
    pub(super) fn of(address: &Multiaddr) -> Self {
        let ip = address.iter().find_map(|part| match part {
            Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
            Protocol::Ip6(ip) => Some(IpAddr::V6(ip)),
            _ => None,
        });
        let ip = ip.map(canonical);
        match ip {
            Some(ip) if Reach::of_ip(ip).is_none() => Self::Unknown,
            Some(ip) if Reach::of_ip(ip) < Some(Reach::Public) => Self::Local,
            Some(IpAddr::V4(ip)) => {
                let [a, b, c, _] = ip.octets();
                Self::V4([a, b, c])
            }
            Some(IpAddr::V6(ip)) => {
                let [a, b, c, d, e, f, ..] = ip.octets();
                Self::V6([a, b, c, d, e, f])
            }
            None => Self::Unknown,
        }
    }

    /// The network that a provider claims by its addresses: the first public one, else a local one.
    pub(super) fn claimed(addresses: &[Multiaddr]) -> Self {
        addresses
            .iter()
            .map(Self::of)
            .max()
            .unwrap_or(Self::Unknown)
    }
}

/// The addresses of `provider` worth keeping, without its peer id at their end, each once, within
/// the bounds.
pub(super) fn sensible(
    addresses: &[Multiaddr],
    provider: &PeerId,
    keep_local: bool,
) -> Vec<Multiaddr> {
    let mut kept: Vec<Multiaddr> = Vec::new();
    let mut bytes = 0;
    for address in addresses.iter().take(4 * ADDRESSES_MAX) {
        let Some(address) = without_peer_id(address, provider) else {
            continue;
        };
        if !is_dialable(&address, keep_local) || kept.contains(&address) {
            continue;
        }
        if kept.len() == ADDRESSES_MAX || bytes + address.len() > ADDRESSES_BYTES_MAX {
            break;
        }
        bytes += address.len();
        kept.push(address);
    }
    kept
}

/// The address without a final `/p2p/<provider>`; `None` if it ends in another peer's id.
fn without_peer_id(address: &Multiaddr, provider: &PeerId) -> Option<Multiaddr> {
    let mut address = address.clone();
    match address.iter().last()? {
        Protocol::P2p(id) if id == *provider => {
            address.pop();
            Some(address)
        }
        Protocol::P2p(_) => None,
        _ => Some(address),
    }
}

/// Whether nodes of this network can dial the address: host, TCP or QUIC, and at most one relay.
/// No names: where a name leads is not known before it is resolved, which reports to its owner that
/// this node exists.
fn is_dialable(address: &Multiaddr, keep_local: bool) -> bool {
    let mut parts = address.iter().peekable();
    let host = match parts.next() {
        Some(Protocol::Ip4(ip)) => is_host(ip.into(), keep_local),
        Some(Protocol::Ip6(ip)) => is_host(ip.into(), keep_local),
        _ => false,
    };
    let port = match parts.next() {
        Some(Protocol::Tcp(port)) => port != 0,
        Some(Protocol::Udp(port)) => port != 0 && parts.next() == Some(Protocol::QuicV1),
        _ => false,
    };
    parts.next_if_eq(&Protocol::Tls);
    let relay = match parts.next() {
        None => true,
        Some(Protocol::P2p(_)) => {
            parts.next() == Some(Protocol::P2pCircuit) && parts.next().is_none()
        }
        Some(_) => false,
    };
    host && port && relay
}

fn is_host(ip: IpAddr, keep_local: bool) -> bool {
    match Reach::of_ip(ip) {
        None => false,
        Some(Reach::Loopback | Reach::Private) => keep_local,
        Some(Reach::Public) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROVIDER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
    const OTHER: &str = "12D3KooWRBhwfeP2Y4TCx1SM6s9rUoHhR5STiGwxBhgFRcw3UERE";

    fn kept(addresses: &[&str], keep_local: bool) -> Vec<String> {
        let addresses: Vec<Multiaddr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
        let kept = sensible(&addresses, &PROVIDER.parse().unwrap(), keep_local);
        kept.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn addresses_that_can_be_dialled_are_kept_once_and_without_the_peer_id() {
        let good = [
            "/ip4/81.2.3.4/tcp/4001",
            "/ip4/81.2.3.4/udp/4001/quic-v1",
            "/ip6/2a00:1450::1/tcp/4001/tls",
            &format!("/ip4/81.2.3.5/tcp/1/p2p/{OTHER}/p2p-circuit"),
        ];
        assert_eq!(kept(&good, false), good);
        let with_id = good.map(|address| format!("{address}/p2p/{PROVIDER}"));
        let twice: Vec<&str> = with_id.iter().map(String::as_str).chain(good).collect();
        assert_eq!(kept(&twice, false), good);
    }

    #[test]
    fn other_addresses_are_dropped() {
        let bad = [
            "/ip4/0.0.0.0/tcp/4001",
            "/ip4/224.0.0.1/tcp/4001",
            "/ip4/255.255.255.255/tcp/4001",
            "/ip6/::/tcp/4001",
            "/ip6/ff02::1/tcp/4001",
            "/ip4/81.2.3.4/tcp/0",
            "/ip4/81.2.3.4/udp/53",
            "/ip4/81.2.3.4",
            "/ip4/81.2.3.4/tcp/80/ws",
            "/dns/example.org/tcp/1",
            "/dns4/example.org/tcp/1",
            "/dns6/example.org/tcp/1",
            "/dnsaddr/example.org",
            "/dnsaddr/example.org/tcp/1",
            "/unix/tmp",
            &format!("/ip4/81.2.3.4/tcp/4001/p2p/{OTHER}"),
            &format!("/ip4/81.2.3.4/tcp/4001/p2p/{OTHER}/p2p-circuit/p2p/{OTHER}"),
            &format!("/p2p/{PROVIDER}"),
        ];
        assert_eq!(kept(&bad, true), Vec::<String>::new());
    }

    #[test]
    fn local_addresses_are_kept_where_they_mean_something() {
        let local = [
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/10.0.0.1/tcp/1",
            "/ip4/169.254.0.1/tcp/1",
            "/ip4/100.64.0.1/tcp/1",
            "/ip6/::1/tcp/1",
            "/ip6/fd00::1/tcp/1",
            "/ip6/fe80::1/tcp/1",
            "/ip6/::ffff:192.168.0.1/tcp/1",
        ];
        assert_eq!(kept(&local, true), local);
        assert_eq!(kept(&local, false), Vec::<String>::new());
        let translated = [
            "/ip6/64:ff9b::192.168.0.1/tcp/1",
            "/ip6/2002:a00:1::1/tcp/1",
        ];
        assert_eq!(kept(&translated, false), Vec::<String>::new());
    }

    #[test]
    fn count_and_bytes_are_bounded() {
        let many: Vec<String> = (1..100)
            .map(|port| format!("/ip4/81.2.3.4/tcp/{port}"))
            .collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(kept(&many, false), &many[..ADDRESSES_MAX]);
        let long: Vec<String> = (1..9)
            .map(|port| format!("/ip4/81.2.3.4/tcp/{port}/p2p/{OTHER}/p2p-circuit"))
            .collect();
        let long: Vec<&str> = long.iter().map(String::as_str).collect();
        assert_eq!(kept(&long, false), &long[..5]);
    }

    #[test]
    fn origins() {
        let of = |address: &str| Origin::of(&address.parse().unwrap());
        assert_eq!(of("/ip4/81.2.3.4/tcp/1"), Origin::V4([81, 2, 3]));
        assert_eq!(of("/ip6/::ffff:81.2.3.4/tcp/1"), Origin::V4([81, 2, 3]));
        assert_eq!(
            of("/ip6/2a00:1:2:3::4/tcp/1"),
            Origin::V6([0x2a, 0, 0, 1, 0, 2])
        );
        assert_eq!(of("/ip4/192.168.7.8/tcp/1"), Origin::Local);
        assert_eq!(of("/ip6/::1/tcp/1"), Origin::Local);
        assert_eq!(of("/dns/example.org/tcp/1"), Origin::Unknown);
        let claimed = ["/ip4/10.0.0.1/tcp/1", "/ip4/81.2.3.4/tcp/1"].map(|a| a.parse().unwrap());
        assert_eq!(Origin::claimed(&claimed), Origin::V4([81, 2, 3]));
        assert_eq!(Origin::claimed(&claimed[..1]), Origin::Local);
        assert_eq!(Origin::claimed(&[]), Origin::Unknown);
    }
}
