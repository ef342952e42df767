//! Peers that this node refuses for a time: a table, and the behaviour that enforces it.
//!
//! A new peer id costs nothing, so that a ban of one is soon evaded. Hence an address prefix from
//! which several peers were banned is closed for a while. Not this machine, local networks and
//! relays: there one address stands for many (a proxy, a NAT, the relay), and an attacker in the own
//! network is a matter for its operator.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hubless_sync::lock;
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm, behaviour::ConnectionEstablished, dummy,
    },
};

use crate::places::Prefix;

/// Peers banned at the same time. New identities cost nothing, so that more would only help
/// their maker; the ban that ends first gives way.
const BANS_MAX: usize = 4096;

/// Peers of one prefix that are banned at the same time before it is closed. Fewer may be the honest
/// neighbours of one attacker, or machines with bad memory.
const BANNED_PER_PREFIX_MAX: usize = 4;

/// How long a prefix is closed. Shorter than a ban, for honest peers may live there too; it is closed
/// again with the next ban.
const PREFIX_CLOSED_FOR: Duration = Duration::from_secs(3600);

/// The peer is banned: no connection to or from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{peer} is banned")]
pub struct Banned {
    /// Its peer id.
    pub peer: PeerId,
}

/// Several peers of one address prefix are banned: no connection to or from it for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("several peers of this network are banned")]
struct PrefixClosed;

/// Until when peers are banned. Pure; time is an argument.
#[derive(Debug, Default)]
struct BanTable {
    until: HashMap<PeerId, Instant>,
    /// Where banned peers were connected from; only of those in `until`.
    from: HashMap<PeerId, Prefix>,
    /// Prefixes that are closed, and until when; no more than there are bans.
    closed: HashMap<Prefix, Instant>,
    /// Where peers are connected from now; bounded by the number of connections.
    connected: HashMap<PeerId, Prefix>,
}

impl BanTable {
    /// Bans a peer for at least this time.
    fn ban(&mut self, peer: PeerId, duration: Duration, now: Instant) {
        // Longer than any process runs.
        let until = now + duration.min(Duration::from_secs(365 * 24 * 3600));
        self.forget_ended(now);
        if self.until.len() >= BANS_MAX && !self.until.contains_key(&peer) {
            let first = self
                .until
                .iter()
                .min_by_key(|(_, until)| **until)
                .map(|(peer, _)| *peer);
            if let Some(first) = first {
                self.until.remove(&first);
                self.from.remove(&first);
            }
        }
        let entry = self.until.entry(peer).or_insert(until);
        *entry = until.max(*entry);
        if let Some(prefix) = self.connected.get(&peer).copied() {
            self.from.insert(peer, prefix);
            self.close_if_many(prefix, now);
        }
    }

    /// Closes a prefix from which enough peers were banned.
    fn close_if_many(&mut self, prefix: Prefix, now: Instant) {
        let banned = self.from.values().filter(|other| **other == prefix);
        let stands_for_one = matches!(prefix, Prefix::V4(_) | Prefix::V6(_));
        if stands_for_one && banned.count() >= BANNED_PER_PREFIX_MAX {
            self.closed.insert(prefix, now + PREFIX_CLOSED_FOR);
        }
    }

    fn forget_ended(&mut self, now: Instant) {
        self.until.retain(|_, until| *until > now);
        let until = &self.until;
        self.from.retain(|peer, _| until.contains_key(peer));
        self.closed.retain(|_, until| *until > now);
    }

    fn is_closed(&self, prefix: Prefix, now: Instant) -> bool {
        self.closed.get(&prefix).is_some_and(|until| *until > now)
    }

    fn is_banned(&self, peer: &PeerId, now: Instant) -> bool {
        self.until.get(peer).is_some_and(|until| *until > now)
    }

    fn banned(&self, now: Instant) -> Vec<(PeerId, Duration)> {
        let left = |until: &Instant| until.saturating_duration_since(now);
        let all = self.until.iter().map(|(peer, until)| (*peer, left(until)));
        all.filter(|(_, left)| !left.is_zero()).collect()
    }
}

/// The table, shared by the handle and the behaviour. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Bans {
    table: Arc<Mutex<BanTable>>,
}

impl Bans {
    /// Refuses a peer for at least this time.
    pub fn ban(&self, peer: PeerId, duration: Duration) {
        self.table().ban(peer, duration, Instant::now());
    }

    /// Whether a peer is refused now.
    pub fn is_banned(&self, peer: &PeerId) -> bool {
        self.table().is_banned(peer, Instant::now())
    }

    /// Banned peers, and for how much longer.
    pub fn banned(&self) -> Vec<(PeerId, Duration)> {
        self.table().banned(Instant::now())
    }

    fn check_prefix(&self, address: &Multiaddr) -> Result<(), ConnectionDenied> {
        let prefix = Prefix::of_remote(address);
        if self.table().is_closed(prefix, Instant::now()) {
            Err(ConnectionDenied::new(PrefixClosed))
        } else {
            Ok(())
        }
    }

    fn check(&self, peer: PeerId) -> Result<(), ConnectionDenied> {
        if self.is_banned(&peer) {
            Err(ConnectionDenied::new(Banned { peer }))
        } else {
            Ok(())
        }
    }

    fn table(&self) -> MutexGuard<'_, BanTable> {
        lock(&self.table)
    }
}

impl NetworkBehaviour for Bans {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.check_prefix(remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check(peer).map(|()| dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        peer.map_or(Ok(()), |peer| self.check(peer))
            .map(|()| Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check_prefix(address)?;
        self.check(peer).map(|()| dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id, endpoint, ..
            }) => {
                let prefix = Prefix::of_remote(endpoint.get_remote_address());
                self.table().connected.insert(peer_id, prefix);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id,
                remaining_established: 0,
                ..
            }) => {
                self.table().connected.remove(&peer_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_ban_ends_and_is_never_shortened() {
        let (mut table, peer, now) = (BanTable::default(), PeerId::random(), Instant::now());
        table.ban(peer, HOUR, now);
        table.ban(peer, Duration::ZERO, now);
        assert!(table.is_banned(&peer, now) && !table.is_banned(&PeerId::random(), now));
        assert_eq!(table.banned(now), [(peer, HOUR)]);
        assert!(!table.is_banned(&peer, now + HOUR));
        assert_eq!(table.banned(now + HOUR), []);
    }

    #[test]
    fn the_table_is_bounded_and_the_ban_that_ends_first_gives_way() {
        let (mut table, now) = (BanTable::default(), Instant::now());
        let (short, long) = (PeerId::random(), PeerId::random());
        table.ban(long, Duration::MAX, now);
        table.ban(short, HOUR / 2, now);
        for _ in 2..=BANS_MAX {
            table.ban(PeerId::random(), HOUR, now);
        }
        assert_eq!(table.until.len(), BANS_MAX);
        assert!(table.is_banned(&long, now) && !table.is_banned(&short, now));
    }

    /// Bans so many new peers that are connected from this address.
    fn ban_from(table: &mut BanTable, ip: &str, count: usize, now: Instant) -> Prefix {
        let prefix = Prefix::from(ip.parse::<IpAddr>().unwrap());
        for _ in 0..count {
            let peer = PeerId::random();
            table.connected.insert(peer, prefix);
            table.ban(peer, 6 * HOUR, now);
            table.connected.remove(&peer);
        }
        prefix
    }

    #[test]
    fn a_prefix_from_which_many_were_banned_is_closed_for_a_while() {
        let (mut table, now) = (BanTable::default(), Instant::now());
        let prefix = ban_from(&mut table, "81.2.3.4", BANNED_PER_PREFIX_MAX - 1, now);
        ban_from(&mut table, "82.0.0.1", 1, now);
        assert!(!table.is_closed(prefix, now));
        ban_from(&mut table, "81.2.3.9", 1, now);
        assert!(table.is_closed(prefix, now));
        assert!(!table.is_closed(Prefix::V4([82, 0, 0]), now));
        let later = now + PREFIX_CLOSED_FOR;
        assert!(!table.is_closed(prefix, later));
        ban_from(&mut table, "81.2.3.9", 1, later);
        assert!(table.is_closed(prefix, later), "one more is enough");
        let much_later = now + 13 * HOUR;
        ban_from(&mut table, "81.2.3.9", 1, much_later);
        assert!(!table.is_closed(prefix, much_later), "the bans have ended");
        assert_eq!((table.from.len(), table.closed.len()), (1, 0));
    }

    #[test]
    fn this_machine_and_local_networks_are_never_closed() {
        for ip in ["127.0.0.1", "192.168.0.1", "fd00::1"] {
            let (mut table, now) = (BanTable::default(), Instant::now());
            let prefix = ban_from(&mut table, ip, 100, now);
            assert!(!table.is_closed(prefix, now), "{ip}");
        }
    }

    #[test]
    fn a_closed_prefix_gets_no_connection_in_either_direction() {
        let mut bans = Bans::default();
        ban_from(
            &mut bans.table(),
            "81.2.3.4",
            BANNED_PER_PREFIX_MAX,
            Instant::now(),
        );
        let (id, own) = (ConnectionId::new_unchecked(1), Multiaddr::empty());
        for (address, is_open) in [
            ("/ip4/81.2.3.77/tcp/1", false),
            ("/ip4/81.2.4.1/tcp/1", true),
        ] {
            let address: Multiaddr = address.parse().unwrap();
            let inbound = bans.handle_pending_inbound_connection(id, &own, &address);
            assert_eq!(inbound.is_ok(), is_open);
            let (peer, role) = (PeerId::random(), Endpoint::Dialer);
            let outbound =
                bans.handle_established_outbound_connection(id, peer, &address, role, PortUse::New);
            assert_eq!(outbound.is_ok(), is_open);
        }
    }
}
