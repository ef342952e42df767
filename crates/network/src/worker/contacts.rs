//! When the configured peers are dialled. Pure; time and chance are arguments.

use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};

/// Wait after the first failure; doubled with each more.
const RETRY_MIN: Duration = Duration::from_secs(1);

/// The longest wait: one dial in five minutes costs neither side anything worth counting.
const RETRY_MAX: Duration = Duration::from_secs(300);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Needed to find others, and again when all are lost.
    Bootstrap,
    /// Always connected.
    Static,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be dialled at this time, if it is needed.
    Waiting(Instant),
    Dialing(ConnectionId),
    Connected(PeerId),
}

#[derive(Debug)]
struct Contact {
    address: Multiaddr,
    kind: Kind,
    state: State,
    failures: u32,
    was_reached: bool,
}

/// The configured peers.
#[derive(Debug, Default)]
pub(super) struct Contacts {
    contacts: Vec<Contact>,
}

impl Contacts {
    pub(super) fn add(&mut self, addresses: &[Multiaddr], kind: Kind, now: Instant) {
        let contact = |address: &Multiaddr| Contact {
            address: address.clone(),
            kind,
            state: State::Waiting(now),
            failures: 0,
            was_reached: false,
        };
        self.contacts.extend(addresses.iter().map(contact));
    }

    /// The next one to dial now; to be answered by [`Contacts::dialing`] or [`Contacts::failed`].
    pub(super) fn due(&self, now: Instant, is_alone: bool) -> Option<(usize, Multiaddr)> {
        let is_due = |contact: &Contact| {
            let is_wanted = match contact.kind {
                Kind::Bootstrap => is_alone || !contact.was_reached,
                Kind::Static => true,
            };
            is_wanted && matches!(contact.state, State::Waiting(at) if at <= now)
        };
        let index = self.contacts.iter().position(is_due)?;
        Some((index, self.contacts[index].address.clone()))
    }

    pub(super) fn dialing(&mut self, index: usize, connection: ConnectionId) {
        self.contacts[index].state = State::Dialing(connection);
    }

    /// A dial failed; `chance` in 0..1 spreads the next ones of many nodes.
    pub(super) fn dial_failed(&mut self, connection: ConnectionId, now: Instant, chance: f64) {
        let dialled = |contact: &Contact| contact.state == State::Dialing(connection);
        if let Some(index) = self.contacts.iter().position(dialled) {
            self.failed(index, now, chance);
        }
    }

    pub(super) fn failed(&mut self, index: usize, now: Instant, chance: f64) {
        let contact = &mut self.contacts[index];
        let factor = 2u32.checked_pow(contact.failures).unwrap_or(u32::MAX);
        let wait = RETRY_MIN.saturating_mul(factor).min(RETRY_MAX);
        contact.failures = contact.failures.saturating_add(1);
        contact.state = State::Waiting(now + wait.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0));
    }

    /// A connection was made, by this node or the peer. Returns whether it is to be kept while idle.
    pub(super) fn connected(&mut self, peer: PeerId, connection: ConnectionId) -> bool {
        let mut keep = false;
        for contact in &mut self.contacts {
            let is_it = contact.state == State::Dialing(connection)
                || named_in(&contact.address) == Some(peer);
            if is_it {
                contact.state = State::Connected(peer);
                contact.failures = 0;
                contact.was_reached = true;
                keep = true;
            }
        }
        keep
    }

    /// The last connection to a peer was closed.
    pub(super) fn disconnected(&mut self, peer: PeerId, now: Instant) {
        for contact in &mut self.contacts {
            if contact.state == State::Connected(peer) {
                contact.state = State::Waiting(now + RETRY_MIN);
            }
        }
    }
}

fn named_in(address: &Multiaddr) -> Option<PeerId> {
    hubless_address::split_peer_id(address.clone()).1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contacts(kind: Kind, now: Instant) -> (Contacts, PeerId) {
        let peer = PeerId::random();
        let address = format!("/ip4/127.0.0.1/tcp/1/p2p/{peer}").parse().unwrap();
        let mut contacts = Contacts::default();
        contacts.add(&[address], kind, now);
        (contacts, peer)
    }

    #[test]
    fn failures_are_retried_ever_later_but_never_given_up() {
        let mut now = Instant::now();
        let (mut contacts, peer) = contacts(Kind::Bootstrap, now);
        for round in 0..40 {
            let (index, _) = contacts.due(now, true).expect("due after each wait");
            contacts.dialing(index, ConnectionId::new_unchecked(round));
            assert_eq!(contacts.due(now, true), None, "no second dial meanwhile");
            contacts.dial_failed(ConnectionId::new_unchecked(round), now, 1.0);
            assert_eq!(contacts.due(now, true), None);
            now += RETRY_MIN.saturating_mul(1 << round.min(20)).min(RETRY_MAX);
        }
        assert!(contacts.connected(peer, ConnectionId::new_unchecked(99)));
        assert_eq!(contacts.due(now + RETRY_MAX, false), None);
    }

    #[test]
    fn a_static_peer_is_dialled_again_and_a_bootstrap_peer_only_by_a_node_without_peers() {
        let now = Instant::now();
        for (kind, again) in [(Kind::Static, true), (Kind::Bootstrap, false)] {
            let (mut contacts, peer) = contacts(kind, now);
            assert!(contacts.connected(peer, ConnectionId::new_unchecked(1)));
            contacts.disconnected(peer, now);
            let later = now + RETRY_MIN;
            assert_eq!(contacts.due(later, false).is_some(), again);
            assert!(contacts.due(later, true).is_some());
        }
    }

    #[test]
    fn strangers_are_not_kept() {
        let (mut contacts, _) = contacts(Kind::Static, Instant::now());
        assert!(!contacts.connected(PeerId::random(), ConnectionId::new_unchecked(1)));
    }
}
