//! `id`: the node's identity.

use std::{path::PathBuf, sync::Arc};

use hubless_network::NodeId;
use serde::{Deserialize, Serialize};

use super::Call;
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Reads the node's identity.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Id {}

/// The identity of the node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Identified {
    /// The peer id: the hash of the node's public key.
    pub peer_id: NodeId,
    /// The home directory.
    pub home: PathBuf,
}

impl Call for Id {
    type Answer = Identified;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<Identified, Failure> {
        Ok(Identified {
            peer_id: core.identity.peer_id().into(),
            home: core.home.path().to_owned(),
        })
    }
}
