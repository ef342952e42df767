//! `join`: joins the network.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Call;
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Joins the network, if that is not done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Join {}

impl Call for Join {
    type Answer = ();

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<(), Failure> {
        core.join().await
    }
}
