//! Limits the reads that reports of wrong chunks cause.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use hubless_network::PeerId;
use hubless_sync::lock;

/// The time window of the limits below.
const WINDOW: Duration = Duration::from_secs(60);

/// Chunks read again per window for one peer: more than a fetch reports before it bans this node.
const OF_PEER_MAX: u32 = 8;

/// Chunks read again per window for all peers: 16 MiB, which a disk reads in a tenth of a second.
const OF_ALL_MAX: u32 = 64;

/// Counts the reports of the current window. Cloning is cheap.
#[derive(Clone, Default)]
pub(super) struct Reports(Arc<Mutex<Window>>);

#[derive(Default)]
struct Window {
    since: Option<Instant>,
    /// At most [`OF_ALL_MAX`] peers.
    by_peer: HashMap<PeerId, u32>,
}

impl Reports {
    /// Whether a report of this peer may cause a read now.
    pub(super) fn admits(&self, peer: PeerId, now: Instant) -> bool {
        let mut window = lock(&self.0);
        if window
            .since
            .is_none_or(|since| now.duration_since(since) >= WINDOW)
        {
            window.since = Some(now);
            window.by_peer.clear();
        }
        let of_all: u32 = window.by_peer.values().sum();
        let of_peer = window.by_peer.get(&peer).copied().unwrap_or(0);
        let admits = of_all < OF_ALL_MAX && of_peer < OF_PEER_MAX;
        if admits {
            window.by_peer.insert(peer, of_peer + 1);
        }
        admits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_and_all_peers_cause_only_so_many_reads_a_minute() {
        let (reports, start) = (Reports::default(), Instant::now());
        let peer = PeerId::random();
        let admitted = |peer, now| (0..100).filter(|_| reports.admits(peer, now)).count() as u32;
        assert_eq!(admitted(peer, start), OF_PEER_MAX);
        let of_others: u32 = (0..100).map(|_| admitted(PeerId::random(), start)).sum();
        assert_eq!(of_others, OF_ALL_MAX - OF_PEER_MAX);
        assert_eq!(admitted(peer, start + WINDOW), OF_PEER_MAX);
    }
}
