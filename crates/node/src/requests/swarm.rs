//! `swarm`: the share of a model that its other holders have.

use std::{sync::Arc, time::Duration};

use hubless_content::ContentHash;
use hubless_transfer::fetch::{Swarm, swarm};
use serde::{Deserialize, Serialize};

use super::Call;
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Asks the connected members of a model's swarm how much of it they have.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FindSwarm {
    /// The model.
    pub hash: ContentHash,
    /// Seconds after which peers that did not answer are given up.
    pub timeout_s: u64,
}

impl Call for FindSwarm {
    type Answer = Swarm;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<Swarm, Failure> {
        let timeout = Duration::from_secs(self.timeout_s);
        Ok(swarm(&core.fetches, self.hash, timeout).await?)
    }
}
