//! Events of the swarm, protocol by protocol.

use std::collections::HashMap;

use hubless_address::with_peer_id;
use hubless_transport::streams::{Inbound, Purpose};
use libp2p::{
    Multiaddr, PeerId,
    core::ConnectedPoint,
    identify, mdns, ping,
    swarm::{ConnectionId, DialError, SwarmEvent},
};
use tracing::{debug, trace, warn};

use super::{Worker, behaviour::BehaviourEvent};
use crate::info::NetworkEvent;

/// Pings that may fail in a row. The third means that the other side left without closing.
const FAILED_PINGS_MAX: u32 = 2;

impl Worker {
    pub(super) fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                self.on_connected(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                num_established,
                ..
            } => {
                self.on_closed(peer_id, connection_id, num_established == 0);
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                peer_id,
                error,
            } => {
                self.on_dial_failed(connection_id, peer_id, error);
            }
            SwarmEvent::NewListenAddr {
                listener_id,
                address,
            } => {
                self.publish_addresses();
                self.listening.has_address(listener_id);
                let address = with_peer_id(address, self.local);
                self.emit(NetworkEvent::Listening { address });
            }
            SwarmEvent::ExpiredListenAddr { .. } => self.publish_addresses(),
            SwarmEvent::ListenerClosed {
                listener_id,
                addresses,
                reason,
            } => {
                warn!(?addresses, ?reason, "no longer listening");
                self.reach.listener_closed(listener_id);
                self.listening.closed(listener_id, &addresses, reason);
                self.publish_addresses();
                self.update_reachability();
            }
            SwarmEvent::ListenerError { error, .. } => debug!(%error, "a listener failed"),
            SwarmEvent::ExternalAddrConfirmed { .. } | SwarmEvent::ExternalAddrExpired { .. } => {
                self.update_reachability();
            }
            other => trace!(?other, "ignored event"),
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Streams(Inbound {
                peer,
                purpose,
                opened,
            }) => match purpose {
                Purpose::Exchange => self.server.accept(peer, opened),
                Purpose::Lane => self.lanes.give_pass(peer, opened),
            },
            BehaviourEvent::Kad(event) => {
                let behaviour = self.swarm.behaviour_mut();
                if let Some(event) = self.dht.on_event(behaviour, event, &self.peers) {
                    self.emit(event);
                }
            }
            BehaviourEvent::Identify(identify::Event::Received {
                connection_id,
                peer_id,
                info,
                ..
            }) => self.on_identified(peer_id, connection_id, &info),
            BehaviourEvent::Ping(event) => self.on_ping(event),
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => self.on_discovered(found),
            BehaviourEvent::Mdns(mdns::Event::Expired(gone)) => {
                for (peer, _) in gone {
                    self.peers.remove_neighbour(&peer);
                }
            }
            BehaviourEvent::AutonatClient(event) => {
                self.reach.on_autonat(event);
                self.update_reachability();
            }
            other => trace!(?other, "ignored event"),
        }
    }

    fn on_connected(&mut self, peer: PeerId, id: ConnectionId, endpoint: &ConnectedPoint) {
        let is_first = !self.peers.contains(&peer);
        self.peers.connected(peer, id, endpoint);
        let is_contact = self.dialer.connected(peer, id, self.peers.reach(peer, id));
        let behaviour = self.swarm.behaviour_mut();
        if is_contact || self.peers.is_neighbour(&peer) {
            behaviour.streams.keep(peer, true);
        }
        if endpoint.is_dialer() {
            behaviour.kad.store_mut().records.mark_reachable(&peer);
        }
        if is_first {
            let address = endpoint.get_remote_address().clone();
            debug!(%peer, %address, "connected");
            self.emit(NetworkEvent::Connected { peer, address });
        }
    }

    fn on_closed(&mut self, peer: PeerId, id: ConnectionId, is_last: bool) {
        let violation = self.peers.disconnected(peer, id);
        if is_last {
            self.dialer.disconnected(peer);
            debug!(%peer, "disconnected");
            self.emit(NetworkEvent::Disconnected { peer, violation });
        }
    }

    fn on_dial_failed(&mut self, id: ConnectionId, peer: Option<PeerId>, error: DialError) {
        trace!(?peer, %error, "a dial failed");
        if let (Some(peer), DialError::Transport(_) | DialError::WrongPeerId { .. }) =
            (peer, &error)
        {
            let kad = &mut self.swarm.behaviour_mut().kad;
            kad.store_mut().records.mark_unreachable(&peer);
        }
        self.dialer.failed(id, error);
    }

    fn on_identified(&mut self, peer: PeerId, id: ConnectionId, info: &identify::Info) {
        self.peers.identified(peer, info);
        let reach = self.peers.reach(peer, id);
        let kad = &mut self.swarm.behaviour_mut().kad;
        self.dht.on_identified(kad, peer, info, reach);
    }

    fn update_reachability(&mut self) {
        if let Some(now) = self.reach.update(&mut self.swarm) {
            self.emit(NetworkEvent::Reachability(now));
        }
    }

    fn on_ping(
        &mut self,
        ping::Event {
            peer,
            connection,
            result,
        }: ping::Event,
    ) {
        match result {
            Ok(took) => self.peers.ping_succeeded(peer, connection, took),
            Err(ping::Failure::Unsupported) => {}
            Err(error) => {
                if self.peers.ping_failed(peer, connection) > FAILED_PINGS_MAX {
                    debug!(%peer, %error, "no response any more");
                    self.swarm.close_connection(connection);
                }
            }
        }
    }

    fn on_discovered(&mut self, found: Vec<(PeerId, Multiaddr)>) {
        let mut peers: HashMap<PeerId, Vec<Multiaddr>> = HashMap::new();
        for (peer, address) in found {
            peers.entry(peer).or_default().push(address);
        }
        for (peer, addresses) in peers {
            if !self.peers.add_neighbour(peer) {
                continue;
            }
            self.dialer.allow(&addresses);
            self.emit(NetworkEvent::Discovered {
                peer,
                addresses: addresses.clone(),
            });
            if self.swarm.is_connected(&peer) {
                self.swarm.behaviour_mut().streams.keep(peer, true);
            } else {
                self.dialer.dial_neighbour(&mut self.swarm, peer, addresses);
            }
        }
    }
}
