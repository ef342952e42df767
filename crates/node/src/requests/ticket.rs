//! `ticket`: a text with which other nodes fetch a model without the DHT.

use std::sync::Arc;

use hubless_content::ContentHash;
use hubless_network::{Reach, Ticket};
use hubless_store::StoreError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AnswerForm, Call, HttpCall, Method, Route};
use crate::{
    core::Core,
    failure::{Failure, FailureKind},
    remedy::Remedy,
    replies::ReplySink,
};

/// Makes a text with which other nodes fetch a model without the DHT.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MakeTicket {
    /// The model.
    pub hash: ContentHash,
    /// Also the node's addresses in its local network and on its machine.
    #[serde(default)]
    pub local: bool,
}

/// A ticket.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Ticket")]
pub struct TicketText {
    /// `hubless:<hash>?peer=<multiaddr>&...`
    pub ticket: String,
    /// Its reach.
    pub works: TicketReach,
}

/// The reach of a ticket: the network from which its addresses can be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TicketReach {
    /// On the Internet.
    Anywhere,
    /// In the node's local network.
    LocalNetwork,
    /// On the node's machine.
    ThisMachine,
}

impl Call for MakeTicket {
    type Answer = TicketText;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<TicketText, Failure> {
        let (store, model) = (core.cx.store.clone(), self.hash);
        let unknown = StoreError::UnknownModel { model };
        let known = move || store.model_info(model)?.ok_or(unknown);
        core.cx.blocking.run(known).await??;
        let status = core.online().await?.status().await;
        let addresses = status.external_addresses.into_iter();
        let ticket = Ticket::of_node(model, addresses.chain(status.addresses), self.local);
        let Some(reach) = ticket.reach() else {
            let message = "this node has no address to be dialled at";
            return Err(Failure::new(FailureKind::Network, message).remedy(Remedy::ConfigureListen));
        };
        Ok(TicketText {
            ticket: ticket.to_string(),
            works: match reach {
                Reach::Public => TicketReach::Anywhere,
                Reach::Private => TicketReach::LocalNetwork,
                Reach::Loopback => TicketReach::ThisMachine,
            },
        })
    }
}

/// The fields of [`MakeTicket`] over HTTP.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct TicketFields {
    hash: ContentHash,
}

impl HttpCall for MakeTicket {
    type Fields = TicketFields;

    const ROUTE: Route = Route {
        method: Method::Get,
        path: "/models/{hash}/ticket",
        has_body: false,
        id: "ticket",
        group: "content",
        summary: "A text with which others fetch a model without the DHT",
        description: "",
        answer: AnswerForm::Json("The ticket"),
        failures: &[404, 502],
    };

    fn from_fields(fields: TicketFields) -> Result<Self, Failure> {
        Ok(Self {
            hash: fields.hash,
            local: false,
        })
    }
}
