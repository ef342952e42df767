//! Addresses that requests and the configuration name, as what the network takes.

use hubless_network::{Multiaddr, peer_of};

use crate::{
    api::{Failure, FailureKind, Remedy},
    config::parse_address,
};

/// Reads addresses that end in a peer id.
pub(crate) fn peer_addresses(name: &str, texts: &[String]) -> Result<Vec<Multiaddr>, Failure> {
    let parse = |text: &String| {
        parse_address(text).map_err(|error| {
            let failure = Failure::new(FailureKind::Usage, format!("{name}: {error}"));
            failure.remedy(Remedy::WriteMultiaddr { meant: error.meant })
        })
    };
    let addresses: Vec<Multiaddr> = texts.iter().map(parse).collect::<Result<_, _>>()?;
    of_peers(name, &addresses)
}

/// The same addresses, if each ends in a peer id.
pub(crate) fn of_peers(name: &str, addresses: &[Multiaddr]) -> Result<Vec<Multiaddr>, Failure> {
    if let Some(address) = addresses.iter().find(|address| peer_of(address).is_none()) {
        let message = format!("{name}: {address} does not end in /p2p/<peer id>");
        return Err(Failure::new(FailureKind::Usage, message).remedy(Remedy::AppendPeerId));
    }
    Ok(addresses.to_vec())
}
