//! `status`: state and counters of the running node.

use std::{path::PathBuf, sync::Arc};

use hubless_network::{Multiaddr, NodeId, Reachability};
use hubless_store::StoreError;
use hubless_transfer::Transfer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AnswerForm, Call, HttpCall, Method, Route};
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Reads state and counters of the running node.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ShowStatus {}

/// State and counters of the node; payload is counted since its start.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The peer id.
    pub peer_id: NodeId,
    /// The addresses on which it can be dialled, each ending in `/p2p/<peer id>`.
    #[schemars(with = "Vec<String>")]
    pub addresses: Vec<Multiaddr>,
    /// How other nodes can reach it.
    pub reachability: Reachability,
    /// Connected peers.
    pub peers: u64,
    /// Payload sent to peers: chunks, and small amounts of manifests, chunk lists and bitmaps.
    pub bytes_sent: u64,
    /// Payload received from peers, likewise.
    pub bytes_received: u64,
    /// Bytes of files received from the upstream.
    pub bytes_from_upstream: u64,
    /// Chunks that arrived and failed verification.
    pub chunks_rejected: u64,
    /// The DHT's state.
    pub dht: DhtStatus,
    /// The store's state.
    pub store: StoreStatus,
    /// The running fetches.
    pub transfers: Vec<Transfer>,
    /// Files referenced in place that have changed and are no longer served.
    pub stale: Vec<PathBuf>,
    /// Peers that are banned now.
    pub banned: Vec<NodeId>,
    /// Files with root keys of publishers in the home directory, which belong elsewhere.
    #[serde(default)]
    pub root_keys: Vec<PathBuf>,
}

/// The DHT's part of [`Status`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DhtStatus {
    /// Peers in the routing table.
    pub routing_peers: u64,
    /// Provider records kept for other nodes.
    pub records: u64,
    /// Own keys that are announced.
    pub announced: u64,
    /// Own keys that are due but not announced yet.
    pub backlog: u64,
}

/// The store's part of [`Status`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct StoreStatus {
    /// Bytes that the store takes, without files that are referenced in place: a file takes its whole
    /// room from its first chunk on.
    pub bytes: u64,
    /// Bytes of the chunks that are held.
    #[serde(default)]
    pub bytes_held: u64,
    /// The quota, if there is one.
    pub quota: Option<u64>,
    /// Models that were evicted since the start, to make room within the quota.
    pub evicted_models: u64,
    /// Their bytes.
    pub evicted_bytes: u64,
    /// Times that there was no room within the quota, and none could be freed.
    pub refused: u64,
    /// Stored chunks that were found to be wrong since the start; they are no longer held.
    pub chunks_rejected: u64,
    /// Bytes of files that are referenced in place.
    #[serde(default)]
    pub bytes_in_place: u64,
    /// Stored bytes that were verified in the background since the start.
    pub scrubbed_bytes: u64,
}

impl Call for ShowStatus {
    type Answer = Status;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<Status, Failure> {
        let network = core.online().await?;
        let state = network.status().await;
        let counters = network.counters();
        let store = core.cx.store.clone();
        let (usage, stale) = core
            .cx
            .blocking
            .run(move || Ok::<_, StoreError>((store.usage()?, store.stale()?)))
            .await??;
        let banned = network.banned();
        let evictions = core.cx.store.evictions();
        Ok(Status {
            peer_id: core.identity.peer_id().into(),
            addresses: state.addresses,
            reachability: state.reachability,
            peers: state.peers as u64,
            bytes_sent: counters.sent.total(),
            bytes_received: counters.received.total(),
            bytes_from_upstream: core
                .upstream()
                .map_or(0, |upstream| upstream.bytes_received()),
            chunks_rejected: core.cx.counters.rejected.get(),
            dht: DhtStatus {
                routing_peers: state.dht.routing_peers as u64,
                records: state.dht.records as u64,
                announced: state.dht.announced,
                backlog: state.dht.backlog,
            },
            store: StoreStatus {
                bytes: usage.bytes,
                bytes_held: usage.held_bytes,
                quota: usage.quota,
                evicted_models: evictions.models,
                evicted_bytes: evictions.bytes,
                refused: evictions.refused,
                chunks_rejected: core.cx.store.chunks_rejected(),
                bytes_in_place: usage.external_bytes,
                scrubbed_bytes: core.cx.counters.scrubbed.get(),
            },
            transfers: core.fetches.transfers.list(),
            stale: stale.into_iter().map(|(_, path)| path).collect(),
            banned: banned.into_iter().map(|(peer, _)| peer.into()).collect(),
            root_keys: core.publishers().root_keys(),
        })
    }
}

impl HttpCall for ShowStatus {
    type Fields = Self;

    const ROUTE: Route = Route {
        method: Method::Get,
        path: "/status",
        has_body: false,
        id: "status",
        group: "node",
        summary: "State and counters of the node",
        description: "",
        answer: AnswerForm::Json("The state"),
        failures: &[],
    };

    fn from_fields(fields: Self) -> Result<Self, Failure> {
        Ok(fields)
    }
}
