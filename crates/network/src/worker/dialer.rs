//! Dials: for callers that wait for a connection, to the configured peers, and to neighbours.

use std::time::Instant;

use hubless_address::{Reach, split_peer_id};
use hubless_transport::guard::DialPolicy;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    swarm::{
        ConnectionId, DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tracing::debug;

use super::{
    behaviour::Behaviour,
    contacts::{Contacts, Kind},
    dials::{ConnectReply, Dials, connect_error},
};
use crate::{config::NetworkConfig, error::ConnectError};

/// Addresses tried for one peer. Peers name four on average; dialling more would let a peer use this
/// node to probe other hosts.
pub(super) const ADDRESSES_PER_DIAL_MAX: usize = 16;

/// Dials in progress, the configured peers, and which addresses may be dialled.
pub(super) struct Dialer {
    policy: DialPolicy,
    contacts: Contacts,
    dials: Dials,
}

impl Dialer {
    pub(super) fn new(policy: DialPolicy, config: &NetworkConfig) -> Self {
        let now = Instant::now();
        let mut contacts = Contacts::default();
        contacts.add(&config.bootstrap, Kind::Bootstrap, now);
        contacts.add(&config.static_peers, Kind::Static, now);
        Self {
            policy,
            contacts,
            dials: Dials::default(),
        }
    }

    /// Dials for a caller, which gets the outcome through `reply`.
    pub(super) fn connect(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
        reply: ConnectReply,
    ) {
        match self.dial(swarm, peer, addresses) {
            Outcome::Connected(peer) => report(reply, Ok(peer)),
            Outcome::Failed(error) => report(reply, Err(error)),
            Outcome::Begun { id, target } => self.dials.begun(id, peer, target, reply),
        }
    }

    fn dial(
        &self,
        swarm: &mut Swarm<Behaviour>,
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
    ) -> Outcome {
        if let Some(peer) = peer.filter(|peer| swarm.is_connected(peer)) {
            return Outcome::Connected(peer);
        }
        if self.dials.is_full() {
            return Outcome::Failed(ConnectError::Busy);
        }
        let target = match (&peer, addresses.first()) {
            (Some(peer), _) => peer.to_string(),
            (None, Some(address)) => address.to_string(),
            (None, None) => return Outcome::Failed(ConnectError::Busy),
        };
        self.allow(&addresses);
        let options = dial_options(peer, addresses);
        let id = options.connection_id();
        match swarm.dial(options) {
            Ok(()) => Outcome::Begun { id, target },
            Err(error) => Outcome::Failed(connect_error(target, error)),
        }
    }

    /// Dials the configured peers that are due.
    pub(super) fn dial_contacts(&mut self, swarm: &mut Swarm<Behaviour>, is_alone: bool) {
        let now = Instant::now();
        while let Some((index, address)) = self.contacts.due(now, is_alone) {
            self.policy.allow([&address]);
            let (bare, peer) = split_peer_id(address.clone());
            let options = dial_options(peer, vec![bare]);
            let id = options.connection_id();
            match swarm.dial(options) {
                Ok(()) => self.contacts.dialing(index, id),
                Err(error) => {
                    debug!(%address, %error, "cannot dial");
                    self.contacts.failed(index, now, rand::random());
                }
            }
        }
    }

    /// Dials a peer of the local network.
    pub(super) fn dial_neighbour(
        &self,
        swarm: &mut Swarm<Behaviour>,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    ) {
        if let Err(error) = swarm.dial(dial_options(Some(peer), addresses)) {
            debug!(%peer, %error, "cannot dial a peer of the local network");
        }
    }

    /// Allows the first of these addresses, wherever they lead.
    pub(super) fn allow(&self, addresses: &[Multiaddr]) {
        self.policy
            .allow(addresses.iter().take(ADDRESSES_PER_DIAL_MAX));
    }

    /// A connection was made by this dial or any other. Returns whether it is one of a configured
    /// peer, which is kept while idle.
    pub(super) fn connected(&mut self, peer: PeerId, id: ConnectionId, reach: Reach) -> bool {
        self.policy.met(reach);
        self.dials.connected(peer, id);
        self.contacts.connected(peer, id)
    }

    /// The last connection to a peer was closed.
    pub(super) fn disconnected(&mut self, peer: PeerId) {
        self.contacts.disconnected(peer, Instant::now());
    }

    pub(super) fn failed(&mut self, id: ConnectionId, error: DialError) {
        self.contacts
            .dial_failed(id, Instant::now(), rand::random());
        self.dials.failed(id, error);
    }
}

/// What came of a request to connect.
enum Outcome {
    Connected(PeerId),
    Begun { id: ConnectionId, target: String },
    Failed(ConnectError),
}

fn report(reply: ConnectReply, outcome: Result<PeerId, ConnectError>) {
    // Fails only if the caller no longer waits.
    let _ = reply.send(outcome);
}

/// Dials even if another dial to the peer is in progress: that one may have worse addresses.
fn dial_options(peer: Option<PeerId>, addresses: Vec<Multiaddr>) -> DialOpts {
    match (peer, addresses.into_iter()) {
        (Some(peer), addresses) => {
            let bare = addresses.map(split_peer_id);
            let meant = bare.filter(|(_, id)| id.is_none_or(|id| id == peer));
            let addresses = meant
                .map(|(bare, _)| bare)
                .take(ADDRESSES_PER_DIAL_MAX)
                .collect();
            DialOpts::peer_id(peer)
                .condition(PeerCondition::Disconnected)
                .addresses(addresses)
                .extend_addresses_through_behaviour()
                .build()
        }
        (None, mut addresses) => {
            let address = addresses.next().unwrap_or_else(Multiaddr::empty);
            DialOpts::unknown_peer_id().address(address).build()
        }
    }
}
