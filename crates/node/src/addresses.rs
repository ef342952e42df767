//! Parses addresses of the configuration and of `--peer`.

use std::net::SocketAddr;

use hubless_network::{Multiaddr, peer_of};

use crate::api::{Failure, FailureKind, Remedy};

/// The addresses of a key of the configuration.
pub(crate) fn addresses(key: &str, texts: &[String]) -> Result<Vec<Multiaddr>, Failure> {
    let parse = |text: &String| {
        text.parse::<Multiaddr>().map_err(|_| {
            let message = format!("{key}: {text:?} is not a multiaddr");
            Failure::new(FailureKind::Usage, message).remedy(Remedy::WriteMultiaddr {
                meant: as_multiaddr(text),
            })
        })
    };
    texts.iter().map(parse).collect()
}

/// The multiaddr of `HOST:PORT`, the form of other programs.
fn as_multiaddr(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        let kind = if address.is_ipv4() { "ip4" } else { "ip6" };
        return Some(format!("/{kind}/{}/tcp/{}", address.ip(), address.port()));
    }
    let (host, port) = text.split_once(':')?;
    let port = port.parse::<u16>().ok()?;
    let is_name = !host.is_empty() && !host.contains('/');
    is_name.then(|| format!("/dns/{host}/tcp/{port}"))
}

/// Addresses that end in a peer id.
pub(crate) fn peer_addresses(key: &str, texts: &[String]) -> Result<Vec<Multiaddr>, Failure> {
    let addresses = addresses(key, texts)?;
    if let Some(address) = addresses.iter().find(|address| peer_of(address).is_none()) {
        let message = format!("{key}: {address} does not end in /p2p/<peer id>");
        return Err(Failure::new(FailureKind::Usage, message).remedy(Remedy::AppendPeerId));
    }
    Ok(addresses)
}
