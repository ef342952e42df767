//! `transfers`: the running fetches.

use std::sync::Arc;

use hubless_transfer::Transfer;
use serde::{Deserialize, Serialize};

use super::Call;
use crate::{api::Failure, core::Core, replies::ReplySink};

/// Lists the running fetches.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListTransfers {}

/// The running fetches.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Transfers {
    /// The oldest first.
    pub transfers: Vec<Transfer>,
}

impl Call for ListTransfers {
    type Answer = Transfers;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<Transfers, Failure> {
        Ok(Transfers {
            transfers: core.fetches.transfers.list(),
        })
    }
}
