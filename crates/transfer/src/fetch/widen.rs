//! More lanes to one peer, where one connection does not fill the path.
//!
//! One TCP connection has no more bytes under way than the buffers of its two ends and its
//! congestion window allow, which on a long fast path is less than the path holds. Each further lane
//! is a source of its own for the scheduler, and measures by itself what it adds.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use hubless_network::PeerId;
use hubless_scheduler::{SourceId, SourceView};

/// Sources that one peer may be at once. It serves four streams of a peer at most, and one is left
/// for a lane that replaces one that broke.
const LANES_PER_PEER_MAX: usize = 3;

/// With more peers than this, they fill our line together.
const PEERS_FEW: usize = 3;

/// Below this time from an ask to its answer, buffers of TCP are larger than the path; and a busy
/// machine next to us answers within it.
const LONG_PATH: Duration = Duration::from_millis(50);

/// What must be under way for a path to be longer than one chunk takes to be sent: a source that
/// is slow because its upload is limited gains nothing from another lane.
const UNDER_WAY_MIN: u64 = 2 * hubless_content::CHUNK_SIZE as u64;

/// Fewer missing bytes are there before another lane is up to speed.
const WORTH_BYTES: u64 = 32 << 20;

/// Time between two lanes more: a fresh one shows within it what it adds.
const EVERY: Duration = Duration::from_secs(1);

/// When the last lane more was begun.
#[derive(Debug)]
pub(super) struct Widening {
    last: Instant,
}

impl Widening {
    pub(super) fn new(now: Instant) -> Self {
        Self { last: now }
    }

    /// The peer to which another lane is due now.
    pub(super) fn due(
        &mut self,
        now: Instant,
        missing: u64,
        peers: &HashMap<SourceId, PeerId>,
        sources: impl Iterator<Item = SourceView>,
    ) -> Option<PeerId> {
        if missing < WORTH_BYTES || now.saturating_duration_since(self.last) < EVERY {
            return None;
        }
        let mut lanes: HashMap<PeerId, usize> = HashMap::new();
        for peer in peers.values() {
            *lanes.entry(*peer).or_default() += 1;
        }
        let mut working = sources.filter(|source| source.chunks_received > 0 && source.asks > 0);
        if lanes.len() > PEERS_FEW {
            return None;
        }
        let peer = working.find_map(|source| {
            let peer = peers.get(&source.id)?;
            (lanes[peer] < LANES_PER_PEER_MAX && is_long(&source)).then_some(*peer)
        })?;
        self.last = now;
        Some(peer)
    }
}

fn is_long(source: &SourceView) -> bool {
    source.round_trip.is_some_and(|round_trip| {
        let under_way = source.bytes_per_second as f64 * round_trip.as_secs_f64();
        round_trip >= LONG_PATH && under_way >= UNDER_WAY_MIN as f64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MISSING: u64 = WORTH_BYTES;

    /// A source at work that answers after `millis` and sends so many bytes a second.
    fn source(id: u32, millis: u64, bytes_per_second: u64) -> SourceView {
        SourceView {
            id: SourceId(id),
            chunks: Some(1000),
            asks: 10,
            late: 0,
            window: 10,
            bytes_per_second,
            round_trip: Some(Duration::from_millis(millis)),
            chunks_received: 10,
            bytes_received: 10,
            failures: 0,
            rests_until: None,
        }
    }

    fn due(
        views: &[SourceView],
        peers: &HashMap<SourceId, PeerId>,
        missing: u64,
    ) -> Option<PeerId> {
        let now = Instant::now();
        Widening::new(now).due(now + EVERY, missing, peers, views.iter().copied())
    }

    #[test]
    fn a_long_fast_path_gets_lanes_one_after_the_other() {
        let (peer, start) = (PeerId::random(), Instant::now());
        let mut peers = HashMap::from([(SourceId(0), peer)]);
        let views = [source(0, 100, 20_000_000)];
        let mut widening = Widening::new(start);
        let mut due =
            |peers: &_, at| widening.due(start + at, MISSING, peers, views.iter().copied());
        assert_eq!(due(&peers, Duration::ZERO), None, "not at once");
        assert_eq!(due(&peers, EVERY), Some(peer));
        peers.insert(SourceId(1), peer);
        assert_eq!(due(&peers, EVERY), None, "one at a time");
        assert_eq!(due(&peers, 2 * EVERY), Some(peer));
        peers.insert(SourceId(2), peer);
        assert_eq!(due(&peers, 3 * EVERY), None, "all that one peer serves");
    }

    #[test]
    fn near_slow_nearly_done_or_many_get_none() {
        let peers = HashMap::from([(SourceId(0), PeerId::random())]);
        assert!(due(&[source(0, 100, 20_000_000)], &peers, MISSING).is_some());
        assert_eq!(
            due(&[source(0, 100, 20_000_000)], &peers, MISSING - 1),
            None
        );
        assert_eq!(due(&[source(0, 2, 800_000_000)], &peers, MISSING), None);
        assert_eq!(due(&[source(0, 250, 1_048_576)], &peers, MISSING), None);
        let many = (0..=PEERS_FEW as u32).map(|id| (SourceId(id), PeerId::random()));
        assert_eq!(
            due(&[source(0, 100, 20_000_000)], &many.collect(), MISSING),
            None
        );
    }
}
