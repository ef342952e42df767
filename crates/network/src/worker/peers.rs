//! The connected peers and what is known of them, bounded by the limits on connections, and the
//! neighbours on the local network.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use hubless_address::Reach;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, core::ConnectedPoint, identify, swarm::ConnectionId,
};

use crate::{
    exchange::ExchangeError,
    info::{Direction, PeerInfo},
};

/// Characters of an agent that are kept: its name and version.
const AGENT_CHARS_MAX: usize = 64;

/// Protocols of a peer that are kept. We speak about a dozen.
const PROTOCOLS_MAX: usize = 64;

/// Bytes of a protocol's name that are kept.
const PROTOCOL_BYTES_MAX: usize = 128;

/// Addresses of a peer that are kept: of both kinds of IP and transport, here and outside.
const LISTEN_ADDRESSES_MAX: usize = 8;

/// Peers of the local network that are kept connected. In a larger one the DHT finds the others.
const NEIGHBOURS_MAX: usize = 64;

struct Connection {
    id: ConnectionId,
    address: Multiaddr,
    direction: Direction,
    is_relayed: bool,
    failed_pings: u32,
}

#[derive(Default)]
struct Peer {
    connections: Vec<Connection>,
    agent: Option<String>,
    listen_addresses: Vec<Multiaddr>,
    protocols: Vec<String>,
    round_trip: Option<Duration>,
    /// The rule for which the peer is being disconnected.
    broken_rule: Option<Arc<ExchangeError>>,
}

/// All connected peers, and the neighbours, connected or not.
#[derive(Default)]
pub(super) struct Peers {
    peers: HashMap<PeerId, Peer>,
    neighbours: HashSet<PeerId>,
}

impl Peers {
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    pub(super) fn contains(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    pub(super) fn connected(&mut self, peer: PeerId, id: ConnectionId, endpoint: &ConnectedPoint) {
        let connection = Connection {
            id,
            address: endpoint.get_remote_address().clone(),
            direction: if endpoint.is_dialer() {
                Direction::Outbound
            } else {
                Direction::Inbound
            },
            is_relayed: endpoint.is_relayed(),
            failed_pings: 0,
        };
        self.peers
            .entry(peer)
            .or_default()
            .connections
            .push(connection);
    }

    /// A connection was closed. For the last one of a peer: the rule that it broke, if any.
    pub(super) fn disconnected(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
    ) -> Option<Arc<ExchangeError>> {
        let known = self.peers.get_mut(&peer)?;
        known.connections.retain(|connection| connection.id != id);
        if !known.connections.is_empty() {
            return None;
        }
        self.peers.remove(&peer)?.broken_rule
    }

    /// Keeps the rule for which a peer is disconnected.
    pub(super) fn broke_rule(&mut self, peer: PeerId, rule: ExchangeError) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.broken_rule = Some(Arc::new(rule));
        }
    }

    /// A peer was found on the local network. False if there are too many.
    pub(super) fn add_neighbour(&mut self, peer: PeerId) -> bool {
        if self.neighbours.len() >= NEIGHBOURS_MAX && !self.neighbours.contains(&peer) {
            return false;
        }
        self.neighbours.insert(peer);
        true
    }

    pub(super) fn remove_neighbour(&mut self, peer: &PeerId) {
        self.neighbours.remove(peer);
    }

    pub(super) fn is_neighbour(&self, peer: &PeerId) -> bool {
        self.neighbours.contains(peer)
    }

    pub(super) fn identified(&mut self, peer: PeerId, info: &identify::Info) {
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        let printable = info.agent_version.chars().filter(|char| !char.is_control());
        known.agent = Some(printable.take(AGENT_CHARS_MAX).collect());
        let addresses = info.listen_addrs.iter().take(LISTEN_ADDRESSES_MAX);
        known.listen_addresses = addresses.cloned().collect();
        let names = info.protocols.iter().map(AsRef::<str>::as_ref);
        let names = names.filter(|name: &&str| name.len() <= PROTOCOL_BYTES_MAX);
        known.protocols = names.take(PROTOCOLS_MAX).map(str::to_owned).collect();
    }

    pub(super) fn ping_succeeded(&mut self, peer: PeerId, id: ConnectionId, took: Duration) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.round_trip = Some(took);
        }
        if let Some(connection) = self.connection(peer, id) {
            connection.failed_pings = 0;
        }
    }

    /// Returns how many have failed in a row.
    pub(super) fn ping_failed(&mut self, peer: PeerId, id: ConnectionId) -> u32 {
        self.connection(peer, id).map_or(0, |connection| {
            connection.failed_pings = connection.failed_pings.saturating_add(1);
            connection.failed_pings
        })
    }

    /// How far away the other end of a connection is.
    pub(super) fn reach(&mut self, peer: PeerId, id: ConnectionId) -> Reach {
        let connection = self
            .connection(peer, id)
            .filter(|connection| !connection.is_relayed);
        connection
            .and_then(|connection| Reach::of(&connection.address))
            .unwrap_or(Reach::Public)
    }

    /// The address of the first connection with a peer.
    pub(super) fn address(&self, peer: &PeerId) -> Option<&Multiaddr> {
        Some(&self.peers.get(peer)?.connections.first()?.address)
    }

    /// Directly connected peers that speak a protocol, with the address where we reached them.
    pub(super) fn speaking(
        &self,
        protocol: StreamProtocol,
    ) -> impl Iterator<Item = (PeerId, Multiaddr)> {
        self.peers.iter().filter_map(move |(id, peer)| {
            let direct = peer.connections.iter().find(|connection| {
                !connection.is_relayed && connection.direction == Direction::Outbound
            })?;
            let speaks = peer
                .protocols
                .iter()
                .any(|name| *name == *protocol.as_ref());
            speaks.then(|| (*id, direct.address.clone()))
        })
    }

    pub(super) fn infos(&self) -> Vec<PeerInfo> {
        self.peers
            .iter()
            .filter_map(|(id, peer)| info(*id, peer, self.is_neighbour(id)))
            .collect()
    }

    fn connection(&mut self, peer: PeerId, id: ConnectionId) -> Option<&mut Connection> {
        let connections = &mut self.peers.get_mut(&peer)?.connections;
        connections
            .iter_mut()
            .find(|connection| connection.id == id)
    }
}

fn info(peer_id: PeerId, peer: &Peer, is_local: bool) -> Option<PeerInfo> {
    let oldest = peer.connections.first()?;
    Some(PeerInfo {
        peer_id,
        addresses: peer
            .connections
            .iter()
            .map(|connection| connection.address.clone())
            .collect(),
        listen_addresses: peer.listen_addresses.clone(),
        is_local,
        lanes: 0,
        direction: oldest.direction,
        is_relayed: peer
            .connections
            .iter()
            .all(|connection| connection.is_relayed),
        agent: peer.agent.clone(),
        protocols: peer.protocols.clone(),
        round_trip: peer.round_trip,
    })
}
