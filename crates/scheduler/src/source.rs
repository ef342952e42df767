//! One source: its chunks, its open requests, its rests.

use std::time::Duration;

use hubless_content::ModelChunk;

use crate::{
    bits::Bits,
    pace::Pace,
    rng::Rng,
    types::{SourceId, SourceView},
};

/// Rest after the first failure; doubled with each further one.
const REST_FIRST: Duration = Duration::from_millis(500);

/// The longest rest: a source that is back after an outage is used again within a minute.
const REST_MAX: Duration = Duration::from_secs(60);

/// Doublings from [`REST_FIRST`] to beyond [`REST_MAX`].
const REST_DOUBLINGS_MAX: u32 = 8;

/// A rest is longer by up to this share at random, so that a swarm does not return to a restarted
/// source at the same moment.
const REST_JITTER: f64 = 0.25;

/// Shortest wait after `Busy`: "busy for 0 ms" must not cause a loop.
const BUSY_WAIT_MIN: Duration = Duration::from_millis(50);

/// Longest wait after `Busy`, as in the protocol.
const BUSY_WAIT_MAX: Duration = Duration::from_millis(hubless_wire::BUSY_WAIT_MS_MAX as u64);

/// Chunks that a complete source may refuse (of a file that it just deleted) before its statement
/// that it is complete is dropped.
const LACKS_MAX: usize = 64;

/// Refusals in a row after which a source rests as if it had failed: it announces chunks that it
/// does not have.
const NOT_HERE_MAX: u32 = 16;

/// The chunks of a source.
#[derive(Debug)]
pub(crate) enum Has {
    /// Not reported yet.
    Unknown,
    /// These chunks.
    Partial(Bits),
    /// All chunks but a few that it refused.
    Complete {
        /// At most [`LACKS_MAX`].
        lacks: Vec<ModelChunk>,
    },
}

/// The state of one source.
#[derive(Debug)]
pub(crate) struct Source {
    /// The first source of the same peer.
    pub(crate) peer: SourceId,
    pub(crate) has: Has,
    pub(crate) pace: Pace,
    /// Chunks of its open requests, the oldest first. At most its window, so that a vector is fast
    /// enough.
    pub(crate) open: Vec<ModelChunk>,
    /// Number of late requests among them.
    pub(crate) late: usize,
    /// It waits for room under the limit of all open requests.
    pub(crate) hungry: bool,
    /// The chunk at which its run of consecutive chunks continues.
    pub(crate) next_in_run: ModelChunk,
    /// Some of the rarest chunks it has, found by one pass over all; the next at the end.
    pub(crate) shortlist: Vec<ModelChunk>,
    /// Number of releases at which it had no free chunk: no search is needed before the next one.
    pub(crate) dry_at: Option<u64>,
    rests_until: Duration,
    busy: bool,
    failures: u32,
    not_here: u32,
}

impl Source {
    pub(crate) fn new(id: SourceId, requests_max: usize) -> Self {
        Self {
            peer: id,
            has: Has::Unknown,
            pace: Pace::new(requests_max),
            open: Vec::new(),
            late: 0,
            hungry: false,
            next_in_run: ModelChunk(u32::MAX),
            shortlist: Vec::new(),
            dry_at: None,
            rests_until: Duration::ZERO,
            busy: false,
            failures: 0,
            not_here: 0,
        }
    }

    pub(crate) fn has(&self, chunk: ModelChunk) -> bool {
        match &self.has {
            Has::Unknown => false,
            Has::Partial(bits) => bits.contains(chunk),
            Has::Complete { lacks } => !lacks.contains(&chunk),
        }
    }

    /// Whether it has any of `chunks`.
    pub(crate) fn has_any(&self, chunks: &Bits) -> bool {
        match &self.has {
            Has::Unknown => false,
            Has::Partial(bits) => bits.first_common(chunks, chunks.all()).is_some(),
            Has::Complete { lacks } => chunks
                .iter()
                .take(lacks.len() + 1)
                .any(|chunk| !lacks.contains(&chunk)),
        }
    }

    /// Drops the results of earlier searches, after its chunks changed.
    pub(crate) fn forget_choices(&mut self) {
        self.dry_at = None;
        self.shortlist.clear();
    }

    /// Whether it can get one more request now.
    pub(crate) fn has_room(&self, now: Duration) -> bool {
        self.open.len() < self.pace.window() && now >= self.rests_until
    }

    pub(crate) fn rests_until(&self) -> Duration {
        self.rests_until
    }

    /// Whether it rests because it answered `Busy`, and not because it failed.
    pub(crate) fn is_busy(&self, now: Duration) -> bool {
        self.busy && now < self.rests_until
    }

    /// It sent a chunk.
    pub(crate) fn worked(&mut self) {
        self.failures = 0;
        self.not_here = 0;
    }

    /// It failed.
    pub(crate) fn failed(&mut self, now: Duration, rng: &mut Rng) {
        // A broken stream fails all its requests: they count as one failure.
        if now < self.rests_until && !self.busy {
            return;
        }
        let rest = REST_FIRST * (1 << self.failures.min(REST_DOUBLINGS_MAX));
        self.failures = self.failures.saturating_add(1);
        let jitter = 1.0 + REST_JITTER * rng.fraction();
        self.rest(now, rest.min(REST_MAX).mul_f64(jitter), false);
        self.pace.shrink();
    }

    /// It answered `Busy` with this wait.
    pub(crate) fn refused_busy(&mut self, now: Duration, wait: Duration) {
        // Further refusals of requests sent before it rested say nothing new about its capacity.
        if now >= self.rests_until {
            self.pace.shrink();
        }
        self.rest(now, wait.clamp(BUSY_WAIT_MIN, BUSY_WAIT_MAX), true);
    }

    /// It does not have a requested chunk; true if that happens too often.
    pub(crate) fn refused_not_here(&mut self) -> bool {
        self.not_here += 1;
        self.not_here.is_multiple_of(NOT_HERE_MAX)
    }

    /// A complete source refused a chunk; false if it refused too many to count as complete.
    pub(crate) fn complete_lacks(lacks: &mut Vec<ModelChunk>, chunk: ModelChunk) -> bool {
        if !lacks.contains(&chunk) {
            lacks.push(chunk);
        }
        lacks.len() <= LACKS_MAX
    }

    fn rest(&mut self, now: Duration, rest: Duration, busy: bool) {
        let until = now.saturating_add(rest);
        if until > self.rests_until {
            self.rests_until = until;
            self.busy = busy;
        }
    }

    pub(crate) fn view(&self, id: SourceId, now: Duration, len: u32) -> SourceView {
        SourceView {
            id,
            chunks: match &self.has {
                Has::Unknown => None,
                Has::Partial(bits) => Some(bits.count()),
                Has::Complete { lacks } => Some(len.saturating_sub(lacks.len() as u32)),
            },
            open_requests: self.open.len(),
            late: self.late,
            window: self.pace.window(),
            bytes_per_second: self.pace.bytes_per_second(),
            round_trip: self.pace.round_trip(),
            chunks_received: self.pace.answers(),
            bytes_received: self.pace.bytes(),
            failures: self.failures,
            rests_until: (self.rests_until > now).then_some(self.rests_until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn rests_double_up_to_a_minute_and_end_with_a_response() {
        let (mut source, mut rng, mut now) = (Source::new(SourceId(1), 128), Rng::new(1), NOW);
        let mut rests = Vec::new();
        for _ in 0..12 {
            source.failed(now, &mut rng);
            rests.push((source.rests_until() - now).as_secs_f64());
            assert!(!source.has_room(now));
            now = source.rests_until();
            assert!(source.has_room(now));
        }
        for (rest, expected) in rests
            .iter()
            .zip([0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0])
        {
            assert!((expected..=expected * 1.25).contains(rest), "{rests:?}");
        }
        source.worked();
        source.failed(now, &mut rng);
        assert!(source.rests_until() - now < Duration::from_secs(1));
    }

    #[test]
    fn a_broken_stream_with_many_requests_is_one_failure() {
        let (mut source, mut rng) = (Source::new(SourceId(1), 128), Rng::new(1));
        (0..32).for_each(|_| source.failed(NOW, &mut rng));
        assert!(source.rests_until() - NOW < Duration::from_secs(1));
    }

    #[test]
    fn busy_is_honoured_within_bounds() {
        let mut source = Source::new(SourceId(1), 128);
        source.refused_busy(NOW, Duration::ZERO);
        assert_eq!(source.rests_until() - NOW, BUSY_WAIT_MIN);
        source.refused_busy(NOW, Duration::MAX);
        assert_eq!(source.rests_until() - NOW, BUSY_WAIT_MAX);
        assert!(source.is_busy(NOW));
    }

    #[test]
    fn a_complete_source_may_lack_a_few() {
        let mut source = Source::new(SourceId(1), 128);
        let mut lacks = vec![];
        let mut refuse = |chunk| Source::complete_lacks(&mut lacks, ModelChunk(chunk));
        assert!((0..LACKS_MAX as u32).all(&mut refuse));
        assert!(!refuse(1000));
        let lacks = vec![ModelChunk(3)];
        source.has = Has::Complete { lacks };
        assert!(source.has(ModelChunk(2)) && !source.has(ModelChunk(3)));
        let mut chunks = Bits::empty(10);
        chunks.insert(ModelChunk(3));
        assert!(!source.has_any(&chunks));
        chunks.insert(ModelChunk(4));
        assert!(source.has_any(&chunks));
    }
}
