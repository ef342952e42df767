//! `claims`: the peers that claim to hold a file, known by an alias.

use std::{sync::Arc, time::Duration};

use hubless_content::{Alias, FileHash};
use hubless_network::{Multiaddr, NodeId};
use hubless_transfer::fetch::claims::{Wanted, gather, search};
use serde::{Deserialize, Serialize};

use super::{Call, providers::SEARCHING};
use crate::{
    addresses::of_peers,
    core::Core,
    failure::{Failure, interrupted},
    replies::ReplySink,
};

/// Finds the peers that claim to hold the file with an alias.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FindClaims {
    /// The alias.
    pub alias: Alias,
    /// Addresses of peers to ask, each ending in `/p2p/<peer id>`.
    pub peers: Vec<Multiaddr>,
    /// Seconds until the search ends.
    pub timeout_s: u64,
}

/// Claims of peers about a file that is known by an alias. Only the file's bytes prove a claim.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    /// The claim of most peers first.
    pub claims: Vec<ClaimDetails>,
}

/// A file that peers claim to be the wanted one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClaimDetails {
    /// BLAKE3 of its bytes.
    pub hash: FileHash,
    /// Its bytes.
    pub size: u64,
    /// The ids of the peers that made the claim.
    pub peers: Vec<NodeId>,
}

impl Call for FindClaims {
    type Answer = Claims;

    async fn handle(self, core: &Arc<Core>, sink: &ReplySink) -> Result<Claims, Failure> {
        sink.event(SEARCHING);
        let wanted = Wanted {
            alias: self.alias,
            size: None,
            named: of_peers("peer", &self.peers)?,
            within: Duration::from_secs(self.timeout_s),
        };
        let found = search(&core.fetches, wanted)?;
        let found = tokio::select! {
            found = gather(found) => found,
            () = sink.cancelled() => return Err(interrupted()),
        };
        let claims = found.into_iter().map(|claimed| ClaimDetails {
            hash: claimed.file,
            size: claimed.size,
            peers: claimed.peers.into_iter().map(NodeId::from).collect(),
        });
        Ok(Claims {
            claims: claims.collect(),
        })
    }
}
