//! Metrics for operators: a snapshot of the counters and of the state of the parts.

use std::time::Duration;

use hubless_network::{Carrier, Traffic};
use hubless_store::Evictions;
use tokio::time::timeout;

use crate::node::NodeHandle;

/// Time limit for the state of a part; a snapshot without it is better than none.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The counters of a node since its start, and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// Payload sent to peers, by carrier.
    pub sent: Vec<(&'static str, u64)>,
    /// Payload received from peers, by carrier.
    pub received: Vec<(&'static str, u64)>,
    /// Bytes of files that the upstream sent.
    pub from_upstream: u64,
    /// Chunks and chunk lists that arrived and failed verification.
    pub chunks_rejected: u64,
    /// Stored chunks that were found to be wrong, and are no longer held.
    pub stored_chunks_rejected: u64,
    /// Stored bytes that were checked in the background.
    pub scrubbed_bytes: u64,
    /// Peers that were banned for wrong bytes.
    pub bans: u64,
    /// Peers that are banned now.
    pub banned: u64,
    /// Chunk requests of peers that are being answered.
    pub uploads: u64,
    /// Fetches.
    pub fetches: FetchMetrics,
    /// Connected peers.
    pub peers: u64,
    /// The DHT's part.
    pub dht: DhtMetrics,
    /// The store's part, if it responded in time.
    pub store: Option<StoreMetrics>,
}

/// The fetches of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchMetrics {
    /// Running.
    pub open: u64,
    /// Completed.
    pub done: u64,
    /// Ended without all wanted content.
    pub failed: u64,
    /// Ended because the caller left.
    pub cancelled: u64,
    /// Times that a fetch received nothing for 10 s.
    pub stalls: u64,
}

/// A node's part in the DHT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DhtMetrics {
    /// Peers in the routing table.
    pub routing_peers: u64,
    /// Provider records kept for other nodes.
    pub records: u64,
    /// Own keys.
    pub keys: u64,
    /// Own keys that were announced within the time that records live.
    pub announced: u64,
    /// Own keys whose announcement is overdue.
    pub backlog: u64,
    /// How long the most overdue of them has been due.
    pub behind: Duration,
}

/// The content of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreMetrics {
    /// Bytes in the store, without files that are referenced in place.
    pub bytes: u64,
    /// The quota, if there is one.
    pub quota: Option<u64>,
    /// Models, complete or not.
    pub models: u64,
    /// Files, complete or not.
    pub files: u64,
    /// Names.
    pub names: u64,
    /// Content that was evicted to make room within the quota.
    pub evictions: Evictions,
}

impl NodeHandle {
    /// A snapshot of the metrics. Never waits longer than the time limits of the parts.
    pub async fn metrics(&self) -> Metrics {
        let counters = &self.core.cx.counters;
        let network = self.core.network().ok();
        let status = async {
            let status = async { Some(network?.status().await) };
            let status = timeout(ANSWER_WITHIN, status).await;
            status.ok().flatten().unwrap_or_default()
        };
        let (status, store) = tokio::join!(status, self.store_metrics());
        let traffic = network.map(hubless_network::Network::counters);
        Metrics {
            sent: by_carrier(traffic.map(|traffic| traffic.sent)),
            received: by_carrier(traffic.map(|traffic| traffic.received)),
            from_upstream: self
                .core
                .upstream()
                .map_or(0, |upstream| upstream.bytes_received()),
            chunks_rejected: counters.rejected.get(),
            stored_chunks_rejected: self.core.cx.store.chunks_rejected(),
            scrubbed_bytes: counters.scrubbed.get(),
            bans: counters.bans.get(),
            banned: network.map_or(0, |network| network.banned().len() as u64),
            uploads: counters.uploads.get(),
            fetches: FetchMetrics {
                open: counters.fetches.get(),
                done: counters.fetches_done.get(),
                failed: counters.fetches_failed.get(),
                cancelled: counters.fetches_cancelled.get(),
                stalls: counters.stalls.get(),
            },
            peers: status.peers as u64,
            dht: DhtMetrics {
                routing_peers: status.dht.routing_peers as u64,
                records: status.dht.records as u64,
                keys: status.dht.keys,
                announced: status.dht.announced,
                backlog: status.dht.backlog,
                behind: status.dht.behind.unwrap_or_default(),
            },
            store,
        }
    }

    async fn store_metrics(&self) -> Option<StoreMetrics> {
        let store = self.core.cx.store.clone();
        let asked = self.core.cx.blocking.run(move || store.totals());
        let totals = timeout(ANSWER_WITHIN, asked).await.ok()?.ok()?.ok()?;
        Some(StoreMetrics {
            bytes: totals.bytes,
            quota: totals.quota,
            models: totals.models,
            files: totals.files,
            names: totals.repos,
            evictions: self.core.cx.store.evictions(),
        })
    }
}

fn by_carrier(traffic: Option<Traffic>) -> Vec<(&'static str, u64)> {
    let entries = traffic.map_or(Carrier::ALL.map(|carrier| (carrier, 0)), |traffic| {
        traffic.0
    });
    let named = entries.map(|(carrier, bytes)| (carrier.name(), bytes));
    named.to_vec()
}
