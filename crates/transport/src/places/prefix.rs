use std::net::IpAddr;

use hubless_address::{Multiaddr, Protocol, Reach, canonical, is_relayed};

/// What connections of one operator have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Prefix {
    /// This machine.
    Loopback,
    /// One machine of a local network, all of which may well share one prefix.
    Local(IpAddr),
    /// The first 24 bits of an IPv4 address: the smallest network that is routed on its own.
    V4([u8; 3]),
    /// The first 48 bits of an IPv6 address: what one customer is usually given.
    V6([u8; 6]),
    /// No address is known, as of connections through a relay. All of these count as one prefix.
    #[default]
    Unknown,
}

impl From<IpAddr> for Prefix {
    fn from(ip: IpAddr) -> Self {
        let ip = canonical(ip);
        match (Reach::of_ip(ip), ip) {
            (Some(Reach::Loopback), _) => Self::Loopback,
            (Some(Reach::Private), _) => Self::Local(ip),
            (_, IpAddr::V4(ip)) => {
                let [a, b, c, _] = ip.octets();
                Self::V4([a, b, c])
            }
            (_, IpAddr::V6(ip)) => {
                let [a, b, c, d, e, f, ..] = ip.octets();
                Self::V6([a, b, c, d, e, f])
            }
        }
    }
}

impl Prefix {
    /// Of the other end of a connection.
    pub(crate) fn of_remote(address: &Multiaddr) -> Self {
        match address.iter().next() {
            Some(_) if is_relayed(address) => Self::Unknown,
            Some(Protocol::Ip4(ip)) => Self::from(IpAddr::from(ip)),
            Some(Protocol::Ip6(ip)) => Self::from(IpAddr::from(ip)),
            _ => Self::Unknown,
        }
    }
}
