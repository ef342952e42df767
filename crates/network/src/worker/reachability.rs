//! Whether other nodes can connect to this one, and relays for when they cannot.

use std::collections::HashSet;

use hubless_address::{Reach, is_relayed, with_peer_id};
use libp2p::{
    Multiaddr, PeerId, Swarm, autonat::v2 as autonat, core::transport::ListenerId, kad,
    multiaddr::Protocol, relay::HOP_PROTOCOL_NAME,
};
use tracing::{debug, info};

use super::{behaviour::Behaviour, peers::Peers};
use crate::info::Reachability;

/// Relays whose service this node reserves. One is enough; two, so that one may leave.
const RELAYS_MAX: usize = 2;

/// How this node can be reached, and the relays that it uses.
#[derive(Default)]
pub(super) struct OwnReach {
    now: Reachability,
    /// Whether a peer failed to reach this node at a public address.
    is_unreachable: bool,
    /// Listeners at relays.
    listeners: HashSet<ListenerId>,
    /// Relays that were tried.
    tried: HashSet<PeerId>,
}

impl OwnReach {
    pub(super) fn now(&self) -> Reachability {
        self.now
    }

    pub(super) fn listener_closed(&mut self, listener: ListenerId) {
        if self.listeners.remove(&listener) && self.listeners.is_empty() {
            self.tried.clear();
        }
    }

    /// A peer has tried to reach this node. To be followed by [`update`](Self::update).
    pub(super) fn on_autonat(&mut self, event: autonat::client::Event) {
        let autonat::client::Event {
            tested_addr,
            server,
            result,
            ..
        } = event;
        if Reach::of(&tested_addr) != Some(Reach::Public) {
            return;
        }
        debug!(address = %tested_addr, %server, reachable = result.is_ok(), "a peer dialled us");
        self.is_unreachable = result.is_err();
    }

    /// Applies what follows from the confirmed addresses and the last test; the new state if it
    /// differs from the one before.
    pub(super) fn update(&mut self, swarm: &mut Swarm<Behaviour>) -> Option<Reachability> {
        let now = self.assess(swarm);
        if now == self.now {
            return None;
        }
        info!(before = %self.now, %now, "reachability changed");
        self.now = now;
        let kad = &mut swarm.behaviour_mut().kad;
        kad.set_mode(Some(match now {
            Reachability::Unknown | Reachability::Public => kad::Mode::Server,
            Reachability::Private | Reachability::Relayed => kad::Mode::Client,
        }));
        kad.store_mut()
            .records
            .keep_local_addresses(now != Reachability::Public);
        Some(now)
    }

    fn assess(&self, swarm: &Swarm<Behaviour>) -> Reachability {
        if public_addresses(swarm).any(|address| !is_relayed(address)) {
            Reachability::Public
        } else if swarm.external_addresses().any(is_relayed) {
            Reachability::Relayed
        } else if self.is_unreachable {
            Reachability::Private
        } else {
            Reachability::Unknown
        }
    }

    /// Reserves service at a peer that relays, if this node cannot be reached without.
    pub(super) fn seek_relays(&mut self, swarm: &mut Swarm<Behaviour>, peers: &Peers) {
        let is_needed = matches!(self.now, Reachability::Private | Reachability::Relayed);
        if !is_needed || self.listeners.len() >= RELAYS_MAX {
            return;
        }
        let mut relays = peers.speaking(HOP_PROTOCOL_NAME);
        let Some((peer, address)) = relays.find(|(peer, _)| !self.tried.contains(peer)) else {
            return;
        };
        let address = with_peer_id(address, peer).with(Protocol::P2pCircuit);
        self.tried.insert(peer);
        match swarm.listen_on(address) {
            Ok(listener) => {
                self.listeners.insert(listener);
            }
            Err(error) => debug!(%peer, %error, "cannot use this relay"),
        }
    }
}

/// Confirmed addresses that are of use to other nodes: peers on the same machine confirm local ones.
pub(super) fn public_addresses(swarm: &Swarm<Behaviour>) -> impl Iterator<Item = &Multiaddr> {
    let external = swarm.external_addresses();
    external.filter(|address| Reach::of(address) == Some(Reach::Public))
}
