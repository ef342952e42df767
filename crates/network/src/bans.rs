//! Peers that we have nothing to do with for a time: a table, and the behaviour that enforces it.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, dummy,
    },
};

/// Peers banned at the same time. New identities cost nothing, so that more would only help who
/// makes them; the ban that ends first gives way.
const BANS_MAX: usize = 4096;

/// The peer is banned: no connection to or from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{peer} is banned")]
pub struct Banned {
    /// Who.
    pub peer: PeerId,
}

/// Who is banned until when. Pure; time is an argument.
#[derive(Debug, Default)]
struct BanTable {
    until: HashMap<PeerId, Instant>,
}

impl BanTable {
    /// Bans a peer for at least this time.
    fn ban(&mut self, peer: PeerId, duration: Duration, now: Instant) {
        // Longer than any process runs.
        let until = now + duration.min(Duration::from_secs(365 * 24 * 3600));
        self.until.retain(|_, until| *until > now);
        if self.until.len() >= BANS_MAX && !self.until.contains_key(&peer) {
            let first = self
                .until
                .iter()
                .min_by_key(|(_, until)| **until)
                .map(|(peer, _)| *peer);
            first.map(|first| self.until.remove(&first));
        }
        let entry = self.until.entry(peer).or_insert(until);
        *entry = until.max(*entry);
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
pub(crate) struct Bans {
    table: Arc<Mutex<BanTable>>,
}

impl Bans {
    pub(crate) fn ban(&self, peer: PeerId, duration: Duration) {
        self.table().ban(peer, duration, Instant::now());
    }

    pub(crate) fn is_banned(&self, peer: &PeerId) -> bool {
        self.table().is_banned(peer, Instant::now())
    }

    /// Who is banned, and for how much longer.
    pub(crate) fn banned(&self) -> Vec<(PeerId, Duration)> {
        self.table().banned(Instant::now())
    }

    fn check(&self, peer: PeerId) -> Result<(), ConnectionDenied> {
        if self.is_banned(&peer) {
            Err(ConnectionDenied::new(Banned { peer }))
        } else {
            Ok(())
        }
    }

    fn table(&self) -> MutexGuard<'_, BanTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NetworkBehaviour for Bans {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

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
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check(peer).map(|()| dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

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
}
