//! Who is connected, and what is known of them. Bounded by the limits on connections.

use std::{collections::HashMap, time::Duration};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol, core::ConnectedPoint, identify, swarm::ConnectionId,
};

use crate::{
    info::{Direction, PeerInfo},
    transport::reach::Reach,
};

/// Characters of an agent that are kept: its name and version.
const AGENT_CHARS_MAX: usize = 64;

/// Protocols of a peer that are kept. We speak about a dozen.
const PROTOCOLS_MAX: usize = 64;

/// Bytes of a protocol's name that are kept.
const PROTOCOL_BYTES_MAX: usize = 128;

/// Addresses of a peer that are kept: of both kinds of IP and transport, here and outside.
const LISTEN_ADDRESSES_MAX: usize = 8;

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
}

/// All connected peers.
#[derive(Default)]
pub(super) struct Peers {
    peers: HashMap<PeerId, Peer>,
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

    pub(super) fn disconnected(&mut self, peer: PeerId, id: ConnectionId) {
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        known.connections.retain(|connection| connection.id != id);
        if known.connections.is_empty() {
            self.peers.remove(&peer);
        }
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
            .filter_map(|(id, peer)| info(*id, peer))
            .collect()
    }

    fn connection(&mut self, peer: PeerId, id: ConnectionId) -> Option<&mut Connection> {
        let connections = &mut self.peers.get_mut(&peer)?.connections;
        connections
            .iter_mut()
            .find(|connection| connection.id == id)
    }
}

fn info(peer_id: PeerId, peer: &Peer) -> Option<PeerInfo> {
    let oldest = peer.connections.first()?;
    Some(PeerInfo {
        peer_id,
        addresses: peer
            .connections
            .iter()
            .map(|connection| connection.address.clone())
            .collect(),
        listen_addresses: peer.listen_addresses.clone(),
        is_local: false,
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
