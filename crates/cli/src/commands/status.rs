//! `hubless status`: state and counters of the running node.

use hubless_node::api::{ShowStatus, Status, Subject, Transfer};

use crate::{failure::Error, text, work::Context};

/// Show the state and the counters of the running node
///
/// Bytes are chunk payload since the node was started. "announced" are the hashes that the DHT has
/// records of, "due" those that still have to be announced; "kept for others" are other nodes' records
/// in this node's part of the DHT; "rejected" are chunks that arrived wrong and were thrown away;
/// "changed" are files shared in place that are no longer as they were added.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: &Args, context: &Context<'_>) -> Result<(), Error> {
    let status = context.ask(ShowStatus {}).await?;
    if context.output.json {
        return context.output.json(&status);
    }
    context.output.lines(&lines(&status))
}

fn lines(status: &Status) -> Vec<String> {
    let Status { dht, store, .. } = status;
    let backlog = match dht.backlog {
        0 => String::new(),
        keys => format!(", {keys} due"),
    };
    let to_come = match store.bytes - store.bytes_held.min(store.bytes) {
        0 => String::new(),
        bytes => format!(", {} reserved for what is missing", text::size(bytes)),
    };
    let quota = match store.quota {
        Some(quota) => format!(" of {}", text::size(quota)),
        None => String::new(),
    };
    let in_place = match store.bytes_in_place {
        0 => String::new(),
        bytes => format!(", in place {}", text::size(bytes)),
    };
    let mut facts = vec![("peer id", status.peer_id.to_string())];
    facts.extend(
        status
            .addresses
            .iter()
            .map(|address| ("address", address.to_string())),
    );
    facts.extend([
        ("reachability", status.reachability.to_string()),
        ("peers", status.peers.to_string()),
        ("sent", text::size(status.bytes_sent)),
        ("received", text::size(status.bytes_received)),
        ("rejected", text::count(status.chunks_rejected, "chunk")),
        ("routing table", text::count(dht.routing_peers, "peer")),
        (
            "announced",
            format!("{}{backlog}", text::count(dht.announced, "key")),
        ),
        ("kept for others", text::count(dht.records, "record")),
        (
            "store",
            format!("{}{to_come}{quota}{in_place}", text::size(store.bytes_held)),
        ),
    ]);
    if store.evicted_models > 0 {
        let models = text::count(store.evicted_models, "model");
        let bytes = text::size(store.evicted_bytes);
        facts.push(("evicted", format!("{models}, {bytes}")));
    }
    if store.refused > 0 {
        let times = text::count(store.refused, "time");
        let fact = format!("{times}: no room within the quota, and nothing to evict");
        facts.push(("not kept", fact));
    }
    if store.chunks_rejected > 0 {
        let chunks = text::count(store.chunks_rejected, "chunk");
        facts.push(("damaged", format!("{chunks}, no longer held")));
    }
    let transfers = status.transfers.iter().map(transfer);
    facts.extend(transfers.map(|fact| ("transfer", fact)));
    if status.bytes_from_upstream > 0 {
        facts.push(("from the upstream", text::size(status.bytes_from_upstream)));
    }
    let stale = status
        .stale
        .iter()
        .map(|path| path.to_string_lossy().into_owned());
    facts.extend(stale.map(|path| ("changed", path)));
    let banned = status.banned.iter().map(ToString::to_string);
    facts.extend(banned.map(|peer| ("banned", peer)));
    let root_keys = status.root_keys.iter().map(|path| path.display());
    facts
        .extend(root_keys.map(|path| ("root key", format!("{path}: move it away from this node"))));
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, fact): (&str, String)| format!("{name:<width$}  {}", text::printable(&fact));
    facts.into_iter().map(line).collect()
}

fn transfer(transfer: &Transfer) -> String {
    let (what, upstream) = match &transfer.subject {
        Subject::Model { hash } => (hash.to_string()[..12].to_owned(), None),
        Subject::File {
            repo,
            path,
            upstream,
        } => (format!("{repo}/{path}"), upstream.clone()),
    };
    let sources = || text::count(transfer.sources.len() as u64, "source");
    let from = upstream.unwrap_or_else(sources);
    let rate = text::size(transfer.bytes_per_second);
    match transfer.bytes_total {
        0 => format!("{what} {}", transfer.state),
        total => format!(
            "{what} {} of {}, {rate}/s from {from}",
            text::size(transfer.bytes_verified),
            text::size(total)
        ),
    }
}
