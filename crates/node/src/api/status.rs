//! Results about the node itself, its peers and its work.

use std::path::PathBuf;

use hubless_content::{ContentHash, FileHash};
use serde::{Deserialize, Serialize};

use super::Transfer;

/// The identity of the node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Identified {
    /// The peer id: the hash of the node's public key.
    pub peer_id: String,
    /// The home directory.
    pub home: PathBuf,
}

/// State and counters of the node; payload is counted since its start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The peer id.
    pub peer_id: String,
    /// The addresses on which it can be dialled, each ending in `/p2p/<peer id>`.
    pub addresses: Vec<String>,
    /// How other nodes can reach it.
    pub reachability: String,
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
    pub banned: Vec<String>,
}

/// The DHT's part of [`Status`].
#[derive(Debug, Clone, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Serialize, Deserialize)]
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

/// The running fetches.
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
    /// The agent string that it sent.
    pub agent: Option<String>,
    /// The last round trip, in milliseconds.
    pub rtt_ms: Option<f64>,
    /// Open lanes with it: exchanges on connections of their own, faster than libp2p's.
    pub lanes: usize,
}

/// The providers of some content.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Providers {
    /// Other nodes, in the order in which they were found.
    pub providers: Vec<ProviderDetails>,
    /// Whether this node holds at least a part of it too.
    #[serde(default)]
    pub own: bool,
}

/// One provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProviderDetails {
    /// Its peer id.
    pub peer_id: String,
    /// Its addresses, as far as the DHT has them.
    pub addresses: Vec<String>,
}

/// Claims of peers about a file that is known by an alias. Only the file's bytes prove a claim.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    /// The claim of most peers first.
    pub claims: Vec<ClaimDetails>,
}

/// A file that peers claim to be the wanted one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClaimDetails {
    /// BLAKE3 of its bytes.
    pub hash: FileHash,
    /// Its bytes.
    pub size: u64,
    /// The ids of the peers that made the claim.
    pub peers: Vec<String>,
}

/// A ticket.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TicketText {
    /// `hubless:<hash>?peer=<multiaddr>&...`
    pub ticket: String,
    /// Its reach.
    pub works: TicketReach,
}

/// The reach of a ticket: the network from which its addresses can be dialled.
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
    /// Its value; null if it was unset.
    pub value: serde_json::Value,
    /// When the change takes effect.
    pub holds: Holds,
}

/// When a change of the configuration takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// A running node has applied it.
    Now,
    /// A running node must be restarted.
    AfterRestart,
    /// No node runs.
    FromNextStart,
}
