//! What a node reports about itself and its peers.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use hubless_dht::AnnounceKey;
use libp2p::{Multiaddr, PeerId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{exchange::ExchangeError, shaping::shaper::Traffic};

/// Which side made a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The other side.
    Inbound,
    /// This node.
    Outbound,
}

/// A connected peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its peer id.
    pub peer_id: PeerId,
    /// The other ends of its connections.
    pub addresses: Vec<Multiaddr>,
    /// Where it says it can be dialled.
    pub listen_addresses: Vec<Multiaddr>,
    /// Whether it was found on the local network.
    pub is_local: bool,
    /// Which side made the oldest of them.
    pub direction: Direction,
    /// Whether all of them lead through a relay.
    pub is_relayed: bool,
    /// Lanes that are open with it, in either direction: exchanges beside libp2p.
    pub lanes: usize,
    /// What program it says it is, without control characters.
    pub agent: Option<String>,
    /// What protocols it speaks.
    pub protocols: Vec<String>,
    /// The last measured round trip.
    pub round_trip: Option<Duration>,
}

/// Whether others can connect to this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reachability {
    /// No peer has tested it. On an isolated network, no peer can.
    #[default]
    Unknown,
    /// At a public address that was proven to work.
    Public,
    /// Only from its own network.
    Private,
    /// Only through relays, perhaps until a hole is punched.
    Relayed,
}

impl fmt::Display for Reachability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Public => "public",
            Self::Private => "private",
            Self::Relayed => "relayed",
        })
    }
}

/// A node that holds something, as far as the DHT knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Its peer id.
    pub peer_id: PeerId,
    /// Where it may be found; may be empty.
    pub addresses: Vec<Multiaddr>,
}

/// A record that a node of the DHT gave for a key; not proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundValue {
    /// Bytes that claim to be the record of a head, at most as long as one may be.
    pub record: Bytes,
    /// The node that gave it; `None` if it was on this node.
    pub from: Option<PeerId>,
}

/// A node's part in the DHT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DhtStatus {
    /// Peers in the routing table.
    pub routing_peers: usize,
    /// Whether this node responds to queries of others.
    pub is_server: bool,
    /// Provider records kept for others.
    pub records: usize,
    /// Heads kept for others.
    pub heads: usize,
    /// Own keys.
    pub keys: u64,
    /// Own keys that were announced within the time that records live.
    pub announced: u64,
    /// Own keys that should have been announced by now.
    pub backlog: u64,
    /// How long the most overdue of them has waited, if that is long enough to report.
    pub behind: Option<Duration>,
}

/// What a node knows about its place in the network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkStatus {
    /// Where it listens; each address ends in `/p2p/<peer id>`.
    pub addresses: Vec<Multiaddr>,
    /// Where others can reach it from elsewhere.
    pub external_addresses: Vec<Multiaddr>,
    /// Whether others can connect.
    pub reachability: Reachability,
    /// Connected peers.
    pub peers: usize,
    /// Its part in the DHT.
    pub dht: DhtStatus,
}

/// Payload bytes since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Given to peers.
    pub sent: Traffic,
    /// Taken from peers.
    pub received: Traffic,
}

/// Something happened.
#[derive(Debug, Clone)]
pub enum NetworkEvent {
    /// The first connection with a peer.
    Connected {
        /// Its peer id.
        peer: PeerId,
        /// The other end.
        address: Multiaddr,
    },
    /// The last connection with a peer is closed.
    Disconnected {
        /// Its peer id.
        peer: PeerId,
        /// The rule that the peer broke, if that is why.
        violation: Option<Arc<ExchangeError>>,
    },
    /// Another address to listen on.
    Listening {
        /// It ends in `/p2p/<peer id>`.
        address: Multiaddr,
    },
    /// A node on the local network.
    Discovered {
        /// Its peer id.
        peer: PeerId,
        /// Where.
        addresses: Vec<Multiaddr>,
    },
    /// A key of the highest priority was announced in the DHT, for the first time or again.
    Announced {
        /// The key.
        key: AnnounceKey,
    },
    /// Others can now connect in another way than before.
    Reachability(Reachability),
}
