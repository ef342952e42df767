//! Addresses that calls and the configuration name, as what the network takes.

use hubless_network::{Multiaddr, peer_of};

use crate::{
    failure::{Failure, FailureKind},
    remedy::Remedy,
};

/// The same addresses, if each ends in a peer id.
pub(crate) fn of_peers(name: &str, addresses: &[Multiaddr]) -> Result<Vec<Multiaddr>, Failure> {
    if let Some(address) = addresses.iter().find(|address| peer_of(address).is_none()) {
        let message = format!("{name}: {address} does not end in /p2p/<peer id>");
        return Err(Failure::new(FailureKind::Usage, message).remedy(Remedy::AppendPeerId));
    }
    Ok(addresses.to_vec())
}
