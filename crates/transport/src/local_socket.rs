//! The port of an address on this machine: whether a process has it.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    time::Duration,
};

use hubless_address::{Multiaddr, Protocol, is_relayed};
use tracing::debug;

/// How long a port may take to become free after its owner is gone, and the interval of checks.
const FREE_TIME_MAX: Duration = Duration::from_secs(3);
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Where an address listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalSocket {
    /// Of TCP.
    Tcp(SocketAddr),
    /// Of UDP.
    Udp(SocketAddr),
}

impl LocalSocket {
    /// `None` if the address is none of this machine's own, or leaves the port open.
    pub fn of(address: &Multiaddr) -> Option<Self> {
        if is_relayed(address) {
            return None;
        }
        let mut parts = address.iter();
        let ip = match parts.next()? {
            Protocol::Ip4(ip) => IpAddr::from(ip),
            Protocol::Ip6(ip) => IpAddr::from(ip),
            _ => return None,
        };
        match parts.next()? {
            Protocol::Tcp(port) if port != 0 => Some(Self::Tcp(SocketAddr::new(ip, port))),
            Protocol::Udp(port) if port != 0 => Some(Self::Udp(SocketAddr::new(ip, port))),
            _ => None,
        }
    }

    /// Takes the port for a moment, which works only if no other process has it.
    ///
    /// # Errors
    /// As those of binding a socket.
    pub fn try_bind(self) -> io::Result<()> {
        match self {
            Self::Tcp(address) => TcpListener::bind(address).map(drop),
            Self::Udp(address) => UdpSocket::bind(address).map(drop),
        }
    }

    /// Waits until no process has the port any more, but not for ever. Sockets of QUIC outlive their
    /// listener until the last connection is drained, and no event reports when that is.
    pub async fn wait_until_free(self) {
        let is_free = async {
            while self
                .try_bind()
                .is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
            {
                tokio::time::sleep(CHECK_INTERVAL).await;
            }
        };
        if tokio::time::timeout(FREE_TIME_MAX, is_free).await.is_err() {
            debug!(socket = ?self, "is still in use");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_of_addresses() {
        let of = |address: &str| LocalSocket::of(&address.parse().unwrap());
        let tcp = LocalSocket::Tcp("127.0.0.1:5".parse().unwrap());
        assert_eq!(of("/ip4/127.0.0.1/tcp/5"), Some(tcp));
        let udp = LocalSocket::Udp("[::1]:5".parse().unwrap());
        assert_eq!(of("/ip6/::1/udp/5/quic-v1"), Some(udp));
        for none in [
            "/ip4/127.0.0.1/tcp/0",
            "/dns/localhost/tcp/5",
            "/ip4/127.0.0.1",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[tokio::test]
    async fn a_socket_in_use_is_noticed_and_waited_for() {
        let owner = UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = LocalSocket::Udp(owner.local_addr().unwrap());
        assert_eq!(
            socket.try_bind().unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
        let (freed, ()) = tokio::join!(socket.wait_until_free(), async { drop(owner) });
        assert_eq!((freed, socket.try_bind().is_ok()), ((), true));
    }
}
