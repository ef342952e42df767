//! `/metrics`: what the node, the gateway and the process count, as OpenMetrics text.
//!
//! Names follow the conventions of Prometheus, and are part of what releases keep. Every label has
//! a fixed number of values.

use std::fmt::Error;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use hubless_node::{Metrics, StoreMetrics};
use prometheus_client::{
    encoding::{
        EncodeLabelSet,
        text::{encode_eof, encode_registry},
    },
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::ConstGauge,
        info::Info,
    },
    registry::{Registry, Unit},
};

use super::process::Process;
use crate::{app::Shared, http::metrics::HttpMetrics};

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn metrics(State(app): State<Shared>) -> Response {
    let node = app.node.metrics().await;
    match text(&node, &app.http) {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn text(node: &Metrics, http: &HttpMetrics) -> Result<String, Error> {
    let mut text = String::new();
    let mut own = Registry::with_prefix("hubless");
    let version = ("version", env!("CARGO_PKG_VERSION"));
    own.register("build", "The program", Info::new([version].to_vec()));
    traffic(&mut own, node);
    trust(&mut own, node);
    work(&mut own, node);
    network(&mut own, node);
    if let Some(store) = &node.store {
        stored(&mut own, store);
    }
    http.register(&mut own);
    encode_registry(&mut text, &own)?;
    let mut process = Registry::with_prefix("process");
    let started = ConstGauge::new(http.started());
    let help = "When it was started, since 1970";
    process.register_with_unit("start_time", help, Unit::Seconds, started);
    if let Some(now) = Process::read() {
        of_process(&mut process, now);
    }
    encode_registry(&mut text, &process)?;
    encode_eof(&mut text)?;
    Ok(text)
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Sent {
    carrier: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Received {
    source: &'static str,
    carrier: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

fn traffic(registry: &mut Registry, node: &Metrics) {
    let sent = node
        .sent
        .iter()
        .map(|(carrier, bytes)| (Sent { carrier }, *bytes));
    let help = "Payload given to peers, by what carried it";
    registry.register_with_unit("sent", help, Unit::Bytes, family(sent));
    let from_peers = node.received.iter().map(|(carrier, bytes)| {
        let source = "peer";
        (Received { source, carrier }, *bytes)
    });
    let from_upstream = Received {
        source: "upstream",
        carrier: "http",
    };
    let received = from_peers.chain([(from_upstream, node.from_upstream)]);
    let help = "Payload taken from others, by source and by what carried it";
    registry.register_with_unit("received", help, Unit::Bytes, family(received));
}

fn trust(registry: &mut Registry, node: &Metrics) {
    let help = "Chunks and chunk lists that arrived and failed verification";
    count(registry, "chunks_rejected", help, node.chunks_rejected);
    let help = "Stored chunks that were found to be wrong and are no longer held";
    let rejected = node.stored_chunks_rejected;
    count(registry, "store_chunks_rejected", help, rejected);
    let help = "Stored bytes that were checked in the background";
    let scrubbed = ConstCounter::new(node.scrubbed_bytes);
    registry.register_with_unit("store_scrubbed", help, Unit::Bytes, scrubbed);
    let help = "Peers banned for wrong bytes";
    count(registry, "bans", help, node.bans);
    level(
        registry,
        "banned_peers",
        "Peers that are banned now",
        node.banned,
    );
}

fn work(registry: &mut Registry, node: &Metrics) {
    let fetches = &node.fetches;
    let ended = [
        ("done", fetches.done),
        ("failed", fetches.failed),
        ("cancelled", fetches.cancelled),
    ];
    let ended = ended.map(|(outcome, count)| (Outcome { outcome }, count));
    registry.register("fetches", "Fetches that ended", family(ended));
    level(
        registry,
        "fetches_in_progress",
        "Fetches under way",
        fetches.open,
    );
    let help = "Times that a fetch got nothing for 10 s";
    count(registry, "fetch_stalls", help, fetches.stalls);
    let help = "Asks of peers for chunks that are being answered";
    level(registry, "uploads_in_progress", help, node.uploads);
}

fn network(registry: &mut Registry, node: &Metrics) {
    let dht = &node.dht;
    level(registry, "connected_peers", "Connected peers", node.peers);
    let help = "Peers in the DHT's routing table";
    level(registry, "dht_routing_peers", help, dht.routing_peers);
    let help = "Provider records kept for others";
    level(registry, "dht_records", help, dht.records);
    level(registry, "dht_keys", "Own keys", dht.keys);
    let help = "Own keys that were announced within the time that records live";
    level(registry, "dht_announced_keys", help, dht.announced);
    let help = "Own keys that should have been announced by now";
    level(registry, "dht_backlog_keys", help, dht.backlog);
    let help = "How long the most overdue of them has waited";
    let behind = ConstGauge::new(dht.behind.as_secs_f64());
    registry.register_with_unit("dht_behind", help, Unit::Seconds, behind);
}

fn stored(registry: &mut Registry, store: &StoreMetrics) {
    let help = "Bytes in the store, without files that are referenced in place";
    bytes(registry, "store_used", help, store.bytes);
    if let Some(quota) = store.quota {
        bytes(
            registry,
            "store_quota",
            "Bytes that the store may hold",
            quota,
        );
    }
    let help = "Models, complete or not";
    level(registry, "store_models", help, store.models);
    level(
        registry,
        "store_files",
        "Files, complete or not",
        store.files,
    );
    level(registry, "store_names", "Names", store.names);
    let evicted = &store.evictions;
    let help = "Models evicted to make room within the quota";
    count(registry, "store_evicted_models", help, evicted.models);
    let help = "Their bytes";
    let bytes = ConstCounter::new(evicted.bytes);
    registry.register_with_unit("store_evicted", help, Unit::Bytes, bytes);
    let help = "Times that there was no room within the quota, and none could be made";
    count(registry, "store_refused", help, evicted.refused);
}

fn of_process(registry: &mut Registry, process: Process) {
    let cpu = ConstCounter::new(process.cpu.as_secs_f64());
    let help = "Time on processors";
    registry.register_with_unit("cpu", help, Unit::Seconds, cpu);
    let help = "Memory in use";
    bytes(registry, "resident_memory", help, process.resident_bytes);
    let help = "Open file descriptors";
    level(registry, "open_fds", help, process.open_fds);
}

fn count(registry: &mut Registry, name: &str, help: &str, value: u64) {
    registry.register(name, help, ConstCounter::new(value));
}

fn level(registry: &mut Registry, name: &str, help: &str, value: u64) {
    registry.register(name, help, ConstGauge::new(value));
}

fn bytes(registry: &mut Registry, name: &str, help: &str, value: u64) {
    registry.register_with_unit(name, help, Unit::Bytes, ConstGauge::new(value));
}

/// Counters of one name with the values that they have now.
fn family<L>(values: impl IntoIterator<Item = (L, u64)>) -> Family<L, Counter>
where
    L: Clone + Eq + std::hash::Hash,
{
    let family = Family::<L, Counter>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).inc_by(value);
    }
    family
}
