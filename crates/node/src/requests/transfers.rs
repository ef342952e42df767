//! `transfers`: the running fetches.

use std::sync::Arc;

use hubless_transfer::Transfer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AnswerForm, Call, HttpCall, Method, Route};
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Lists the running fetches.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ListTransfers {}

/// The running fetches.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
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

impl HttpCall for ListTransfers {
    type Fields = Self;

    const ROUTE: Route = Route {
        method: Method::Get,
        path: "/transfers",
        has_body: false,
        id: "transfers",
        group: "content",
        summary: "The fetches under way",
        description: "",
        answer: AnswerForm::Json("The fetches"),
        failures: &[],
    };

    fn from_fields(fields: Self) -> Result<Self, Failure> {
        Ok(fields)
    }
}
