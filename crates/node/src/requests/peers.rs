//! `peers`: the connected peers.

use std::sync::Arc;

use hubless_network::{Multiaddr, NodeId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AnswerForm, Call, HttpCall, Method, Route};
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Lists the connected peers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ListPeers {}

/// The connected peers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Peers {
    /// In no special order.
    pub peers: Vec<PeerDetails>,
}

/// One connected peer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Peer")]
pub struct PeerDetails {
    /// Its peer id.
    pub peer_id: NodeId,
    /// Its addresses.
    #[schemars(with = "Vec<String>")]
    pub addresses: Vec<Multiaddr>,
    /// The agent string that it sent.
    pub agent: Option<String>,
    /// The last round trip, in milliseconds.
    pub rtt_ms: Option<f64>,
    /// Open lanes with it: exchanges on connections of their own, faster than libp2p's.
    pub lanes: usize,
}

impl Call for ListPeers {
    type Answer = Peers;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<Peers, Failure> {
        let peers = core.online().await?.peers().await;
        let details = peers.into_iter().map(|peer| PeerDetails {
            peer_id: peer.peer_id.into(),
            addresses: peer.addresses,
            agent: peer.agent,
            lanes: peer.lanes,
            rtt_ms: peer.round_trip.map(|time| time.as_secs_f64() * 1000.0),
        });
        Ok(Peers {
            peers: details.collect(),
        })
    }
}

impl HttpCall for ListPeers {
    type Fields = Self;

    const ROUTE: Route = Route {
        method: Method::Get,
        path: "/peers",
        has_body: false,
        id: "peers",
        group: "node",
        summary: "The connected peers",
        description: "",
        answer: AnswerForm::Json("The peers"),
        failures: &[],
    };

    fn from_fields(fields: Self) -> Result<Self, Failure> {
        Ok(fields)
    }
}
