//! Whether others can connect to us, and relays for when they cannot.

use std::collections::HashSet;

use libp2p::{
    PeerId, autonat::v2 as autonat, core::transport::ListenerId, kad, multiaddr::Protocol,
    relay::HOP_PROTOCOL_NAME,
};
use tracing::{debug, info};

use super::Worker;
use crate::{
    info::{NetworkEvent, Reachability},
    transport::reach::{Reach, is_relayed},
};

/// Relays that we ask for a place. One is enough; two, so that one may leave.
const RELAYS_MAX: usize = 2;

/// What is known about being reached.
#[derive(Default)]
pub(super) struct Relays {
    /// Whether somebody failed to reach us at a public address.
    is_unreachable: bool,
    listeners: HashSet<ListenerId>,
    asked: HashSet<PeerId>,
}

impl Relays {
    pub(super) fn listener_closed(&mut self, listener: ListenerId) {
        if self.listeners.remove(&listener) && self.listeners.is_empty() {
            self.asked.clear();
        }
    }
}

impl Worker {
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
        self.relays.is_unreachable = result.is_err();
        self.update_reachability();
    }

    /// Finds out where we stand after something changed.
    pub(super) fn update_reachability(&mut self) {
        let now = self.assess();
        if now == self.reachability {
            return;
        }
        info!(before = %self.reachability, %now, "reachability changed");
        self.reachability = now;
        let kad = &mut self.swarm.behaviour_mut().kad;
        kad.set_mode(Some(match now {
            Reachability::Unknown | Reachability::Public => kad::Mode::Server,
            Reachability::Private | Reachability::Relayed => kad::Mode::Client,
        }));
        kad.store_mut()
            .keep_local_addresses(now != Reachability::Public);
        self.emit(NetworkEvent::Reachability(now));
    }

    fn assess(&self) -> Reachability {
        if self.public_addresses().any(|address| !is_relayed(address)) {
            Reachability::Public
        } else if self.swarm.external_addresses().any(is_relayed) {
            Reachability::Relayed
        } else if self.relays.is_unreachable {
            Reachability::Private
        } else {
            Reachability::Unknown
        }
    }

    /// Asks peers that relay for a place, if we need one.
    pub(super) fn seek_relays(&mut self) {
        let is_needed = matches!(
            self.reachability,
            Reachability::Private | Reachability::Relayed
        );
        if !is_needed || self.relays.listeners.len() >= RELAYS_MAX {
            return;
        }
        let asked = &self.relays.asked;
        let mut relays = self.peers.speaking(HOP_PROTOCOL_NAME);
        let relay = relays.find(|(peer, _)| !asked.contains(peer));
        drop(relays);
        let Some((peer, address)) = relay else { return };
        let address =
            crate::transport::reach::with_peer_id(address, peer).with(Protocol::P2pCircuit);
        self.relays.asked.insert(peer);
        match self.swarm.listen_on(address) {
            Ok(listener) => {
                self.relays.listeners.insert(listener);
            }
            Err(error) => debug!(%peer, %error, "cannot ask this relay"),
        }
    }
}
