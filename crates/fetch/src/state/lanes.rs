//! More lanes to one peer, where one connection does not fill the path.
//!
//! One TCP connection has no more bytes under way than the buffers of its two ends and its
//! congestion window allow, which on a long fast path is less than the path holds. Each further lane
//! is a source of its own for the scheduler, and measures by itself what it adds.

use std::{collections::BTreeMap, time::Duration};

use hubless_scheduler::{SourceId, SourceView};

/// Sources that one peer may be at once: few enough that they stay a small part of the streams that a
/// peer serves one other.
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

/// When the last lane was added.
#[derive(Debug)]
pub(crate) struct ExtraLanes {
    last: Duration,
}

impl ExtraLanes {
    pub(crate) fn new(now: Duration) -> Self {
        Self { last: now }
    }

    /// The peer to which another lane is due now.
    pub(crate) fn due<P: Copy + Ord>(
        &mut self,
        now: Duration,
        missing: u64,
        peers: &BTreeMap<SourceId, P>,
        sources: impl Iterator<Item = SourceView>,
    ) -> Option<P> {
        let mut lanes: BTreeMap<P, usize> = BTreeMap::new();
        for peer in peers.values() {
            *lanes.entry(*peer).or_default() += 1;
        }
        if missing < WORTH_BYTES || !self.may_add(now) || lanes.len() > PEERS_FEW {
            return None;
        }
        let mut working =
            sources.filter(|source| source.chunks_received > 0 && source.open_requests > 0);
        let peer = working.find_map(|source| {
            let peer = peers.get(&source.id)?;
            (lanes[peer] < LANES_PER_PEER_MAX && is_long(&source)).then_some(*peer)
        })?;
        self.last = now;
        Some(peer)
    }

    /// Whether the last one had time to show what it adds.
    pub(crate) fn may_add(&self, now: Duration) -> bool {
        now.saturating_sub(self.last) >= EVERY
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
            open_requests: 10,
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

    fn due(views: &[SourceView], peers: &BTreeMap<SourceId, char>, missing: u64) -> Option<char> {
        ExtraLanes::new(Duration::ZERO).due(EVERY, missing, peers, views.iter().copied())
    }

    #[test]
    fn a_long_fast_path_gets_lanes_one_after_the_other() {
        let mut peers = BTreeMap::from([(SourceId(0), 'a')]);
        let views = [source(0, 100, 20_000_000)];
        let mut lanes = ExtraLanes::new(Duration::ZERO);
        let mut due = |peers: &_, at| lanes.due(at, MISSING, peers, views.iter().copied());
        assert_eq!(due(&peers, Duration::ZERO), None, "not at once");
        assert_eq!(due(&peers, EVERY), Some('a'));
        peers.insert(SourceId(1), 'a');
        assert_eq!(due(&peers, EVERY), None, "one at a time");
        assert_eq!(due(&peers, 2 * EVERY), Some('a'));
        peers.insert(SourceId(2), 'a');
        assert_eq!(due(&peers, 3 * EVERY), None, "all that one peer gets");
    }

    #[test]
    fn near_slow_nearly_done_or_many_get_none() {
        let peers = BTreeMap::from([(SourceId(0), 'a')]);
        assert!(due(&[source(0, 100, 20_000_000)], &peers, MISSING).is_some());
        assert_eq!(
            due(&[source(0, 100, 20_000_000)], &peers, MISSING - 1),
            None
        );
        assert_eq!(due(&[source(0, 2, 800_000_000)], &peers, MISSING), None);
        assert_eq!(due(&[source(0, 250, 1_048_576)], &peers, MISSING), None);
        let many = (0..=PEERS_FEW as u32).zip('a'..);
        let many = many.map(|(id, peer)| (SourceId(id), peer)).collect();
        assert_eq!(due(&[source(0, 100, 20_000_000)], &many, MISSING), None);
    }
}
