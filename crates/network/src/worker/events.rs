//! What the swarm tells, protocol by protocol.

use std::{collections::HashMap, time::Instant};

use hubless_wire::KAD_PROTOCOL;
use libp2p::{
    Multiaddr, PeerId,
    core::ConnectedPoint,
    identify,
    kad::{self, GetProvidersOk, InboundRequest, QueryResult},
    mdns, ping,
    swarm::{ConnectionId, DialError, SwarmEvent},
};
use tracing::{debug, trace, warn};

use super::{
    ADDRESSES_PER_DIAL_MAX, LAN_PEERS_MAX, Worker, behaviour::BehaviourEvent, dial_options,
};
use crate::{
    dht::lookups::Provider,
    info::NetworkEvent,
    transport::{
        reach::{is_meant_for_us, with_peer_id},
        streams::{Inbound, Purpose},
    },
};

/// Pings that may fail in a row. The third means that the other side is gone without a word.
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
                self.relays.listener_closed(listener_id);
                self.listening.closed(listener_id, &addresses, reason);
                self.publish_addresses();
                self.update_reachability();
            }
            SwarmEvent::ListenerError { error, .. } => debug!(%error, "a listener failed"),
            SwarmEvent::ExternalAddrConfirmed { .. } | SwarmEvent::ExternalAddrExpired { .. } => {
                self.update_reachability();
            }
            other => trace!(?other, "an event of no consequence"),
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Streams(Inbound {
                peer,
                purpose,
                opened,
            }) => match purpose {
                Purpose::Exchange => self.answerers.accept(peer, opened),
                Purpose::Lane => self.lanes.give_pass(peer, opened),
            },
            BehaviourEvent::Kad(event) => self.on_kad(event),
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
                    self.lan.remove(&peer);
                }
            }
            BehaviourEvent::AutonatClient(event) => self.on_autonat(event),
            other => trace!(?other, "an event of no consequence"),
        }
    }

    fn on_connected(&mut self, peer: PeerId, id: ConnectionId, endpoint: &ConnectedPoint) {
        let is_first = !self.peers.contains(&peer);
        self.peers.connected(peer, id, endpoint);
        self.policy.met(self.peers.reach(peer, id));
        self.dials.connected(peer, id);
        if self.contacts.connected(peer, id) || self.lan.contains(&peer) {
            self.swarm.behaviour_mut().streams.keep(peer, true);
        }
        if endpoint.is_dialer() {
            self.swarm
                .behaviour_mut()
                .kad
                .store_mut()
                .mark_reachable(&peer);
        }
        if is_first {
            let address = endpoint.get_remote_address().clone();
            debug!(%peer, %address, "connected");
            self.emit(NetworkEvent::Connected { peer, address });
        }
    }

    fn on_closed(&mut self, peer: PeerId, id: ConnectionId, is_last: bool) {
        self.peers.disconnected(peer, id);
        if !is_last {
            return;
        }
        self.contacts.disconnected(peer, Instant::now());
        debug!(%peer, "disconnected");
        let violation = self.broken_rules.remove(&peer);
        self.emit(NetworkEvent::Disconnected { peer, violation });
    }

    fn on_dial_failed(&mut self, id: ConnectionId, peer: Option<PeerId>, error: DialError) {
        trace!(?peer, %error, "a dial failed");
        if let (Some(peer), DialError::Transport(_) | DialError::WrongPeerId { .. }) =
            (peer, &error)
        {
            self.swarm
                .behaviour_mut()
                .kad
                .store_mut()
                .mark_unreachable(&peer);
        }
        self.contacts
            .dial_failed(id, Instant::now(), rand::random());
        self.dials.failed(id, error);
    }

    fn on_identified(&mut self, peer: PeerId, id: ConnectionId, info: &identify::Info) {
        self.peers.identified(peer, info);
        let source = self.peers.reach(peer, id);
        let kad = &mut self.swarm.behaviour_mut().kad;
        if info
            .protocols
            .iter()
            .any(|protocol| protocol.as_ref() == KAD_PROTOCOL)
        {
            let meant = info
                .listen_addrs
                .iter()
                .filter(|at| is_meant_for_us(at, source));
            for address in meant.take(ADDRESSES_PER_DIAL_MAX) {
                kad.add_address(&peer, address.clone());
            }
        } else {
            kad.remove_peer(&peer);
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
                    debug!(%peer, %error, "no answer any more");
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
            if self.lan.len() >= LAN_PEERS_MAX && !self.lan.contains(&peer) {
                continue;
            }
            self.lan.insert(peer);
            self.policy
                .allow(addresses.iter().take(ADDRESSES_PER_DIAL_MAX));
            self.emit(NetworkEvent::Discovered {
                peer,
                addresses: addresses.clone(),
            });
            if self.swarm.is_connected(&peer) {
                self.swarm.behaviour_mut().streams.keep(peer, true);
            } else if let Err(error) = self.swarm.dial(dial_options(Some(peer), addresses)) {
                debug!(%peer, %error, "cannot dial a peer of the local network");
            }
        }
    }

    fn on_kad(&mut self, event: kad::Event) {
        match event {
            kad::Event::InboundRequest {
                request:
                    InboundRequest::AddProvider {
                        record: Some(record),
                    },
            } => self.on_provider_record(&record),
            kad::Event::OutboundQueryProgressed {
                id, result, step, ..
            } => {
                self.on_query(id, result);
                if step.last {
                    self.lookups.ended(id);
                }
            }
            other => trace!(?other, "an event of no consequence"),
        }
    }

    /// kad has checked that the provider itself sent the record.
    fn on_provider_record(&mut self, record: &kad::ProviderRecord) {
        let observed = self.peers.address(&record.provider);
        let records = self.swarm.behaviour_mut().kad.store_mut();
        if let Err(refused) = records.accept(record, observed) {
            debug!(provider = %record.provider, %refused, "refused a provider record");
        }
    }

    fn on_query(&mut self, query: kad::QueryId, result: QueryResult) {
        match result {
            QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { key, providers })) => {
                for peer in self.lookups.unseen(query, providers) {
                    self.on_provider(query, peer, &key);
                }
                if !self.lookups.is_wanted(query) {
                    self.finish(query);
                }
            }
            QueryResult::StartProviding(outcome) => {
                let kad = &mut self.swarm.behaviour_mut().kad;
                self.announcing.walked(kad, query, outcome.is_ok());
            }
            _ => {}
        }
    }

    fn on_provider(&mut self, query: kad::QueryId, peer: PeerId, key: &kad::RecordKey) {
        if peer == self.local || self.bans.is_banned(&peer) {
            return;
        }
        let addresses = self.known_addresses(peer, key);
        if !self.lookups.found(
            query,
            Provider {
                peer_id: peer,
                addresses,
            },
        ) {
            self.finish(query);
        }
    }

    fn finish(&mut self, query: kad::QueryId) {
        if let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(&query) {
            query.finish();
        }
    }
}
