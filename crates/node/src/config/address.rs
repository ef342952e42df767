//! Addresses as people write them.

use std::net::SocketAddr;

use hubless_network::Multiaddr;

/// A text that is not a multiaddr.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a multiaddr")]
pub struct ParseAddressError {
    /// The text.
    pub text: String,
    /// The multiaddr that was probably meant.
    pub meant: Option<String>,
}

/// Reads a multiaddr.
///
/// # Errors
/// If the text is none. `HOST:PORT`, as other programs write addresses, is recognized.
pub fn parse_address(text: &str) -> Result<Multiaddr, ParseAddressError> {
    text.parse().map_err(|_| ParseAddressError {
        text: text.to_owned(),
        meant: as_multiaddr(text),
    })
}

/// `HOST:PORT` as a multiaddr.
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
