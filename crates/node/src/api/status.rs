//! What a node tells of itself, its peers and its work.

use std::path::PathBuf;

use hubless_content::{ContentHash, FileHash};
use serde::{Deserialize, Serialize};

use super::Transfer;

/// Who the node is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Identified {
    /// The peer id: the hash of the node's public key.
    pub peer_id: String,
    /// The home directory.
    pub home: PathBuf,
}

/// State and counters; payload bytes since start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The peer id.
    pub peer_id: String,
    /// Where it can be dialled, each ending in `/p2p/<peer id>`.
    pub addresses: Vec<String>,
    /// How others can reach it.
    pub reachability: String,
    /// Connected peers.
    pub peers: u64,
    /// Payload sent to peers: chunks, and a little for manifests, chunk lists and bitmaps.
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
    /// The fetches under way.
    pub transfers: Vec<Transfer>,
    /// Files referenced in place that have changed and are no longer served.
    pub stale: Vec<PathBuf>,
    /// Peers that are banned now.
    pub banned: Vec<String>,
}

/// The DHT's part of [`Status`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DhtStatus {
    /// Peers in the routing table.
    pub routing_peers: u64,
    /// Provider records kept for others.
    pub records: u64,
    /// Own keys that are announced.
    pub announced: u64,
    /// Own keys that are due but not announced yet.
    pub backlog: u64,
}

/// The store's part of [`Status`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoreStatus {
    /// Bytes in the store, without files that are referenced in place.
    pub bytes: u64,
    /// The most it may hold.
    pub quota: Option<u64>,
    /// Models that were evicted since the start, to make room within the quota.
    pub evicted_models: u64,
    /// Their bytes.
    pub evicted_bytes: u64,
    /// Times that there was no room within the quota, and none could be made.
    pub refused: u64,
    /// Stored chunks that were found to be wrong since the start; they are no longer held.
    pub chunks_rejected: u64,
    /// Bytes of files that are referenced in place.
    #[serde(default)]
    pub bytes_in_place: u64,
    /// Stored bytes that were checked in the background since the start.
    pub scrubbed_bytes: u64,
}

/// The fetches under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Transfers {
    /// The oldest first.
    pub transfers: Vec<Transfer>,
}

/// The connected peers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Peers {
    /// In no special order.
    pub peers: Vec<PeerDetails>,
}

/// One connected peer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PeerDetails {
    /// Its peer id.
    pub peer_id: String,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// What it calls itself.
    pub agent: Option<String>,
    /// The last round trip, in milliseconds.
    pub rtt_ms: Option<f64>,
    /// Lanes that are open with it: exchanges on connections of their own, faster than libp2p's.
    pub lanes: usize,
}

/// Who provides something.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Providers {
    /// Others, in the order they were found.
    pub providers: Vec<ProviderDetails>,
    /// Whether this node holds it too, or some of it.
    #[serde(default)]
    pub own: bool,
}

/// One provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProviderDetails {
    /// Its peer id.
    pub peer_id: String,
    /// Its addresses, as far as the DHT told.
    pub addresses: Vec<String>,
}

/// What peers say about a file that is known by an alias. Only the file's bytes prove a claim.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    /// First what most peers say.
    pub claims: Vec<ClaimDetails>,
}

/// A file that peers claim to be the wanted one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClaimDetails {
    /// BLAKE3 of its bytes.
    pub hash: FileHash,
    /// Its bytes.
    pub size: u64,
    /// The ids of the peers that say so.
    pub peers: Vec<String>,
}

/// A ticket.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TicketText {
    /// `hubless:<hash>?peer=<multiaddr>&...`
    pub ticket: String,
    /// Where it works.
    pub works: TicketReach,
}

/// Where a ticket works: from where its addresses can be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketReach {
    /// On the Internet.
    Anywhere,
    /// In the node's local network.
    LocalNetwork,
    /// On the node's machine.
    ThisMachine,
}

/// Facts about a model, each a sentence.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Why {
    /// The model.
    pub hash: ContentHash,
    /// The facts, most important first.
    pub facts: Vec<String>,
}

/// A key of the configuration was set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Configured {
    /// The key.
    pub key: String,
    /// Its value; null if it is not set any more.
    pub value: serde_json::Value,
    /// From when it holds.
    pub holds: Holds,
}

/// From when a change of the configuration holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// A running node has it.
    Now,
    /// A node runs, which has to be started again.
    AfterRestart,
    /// No node runs.
    FromNextStart,
}
