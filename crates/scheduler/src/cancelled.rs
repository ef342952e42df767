//! Cancelled requests that may be answered all the same, because the response was in transit.
//!
//! A source reads messages in order, so it answers a request that was sent after a cancel only once
//! it has read the cancel: then no response to the cancelled request can follow, and the request is
//! settled. Of the unsettled ones, the same share is expected to be answered as of the settled ones.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::types::SourceId;

/// A cancelled request without a response for this long is settled: its source may have no other
/// request to answer, or be gone.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// Settled and answered requests that are assumed at the start, so that the first pause of a source
/// costs no more than later ones.
const ANSWERED_FIRST: u64 = 8;

/// The cancelled requests of all sources: at most those cancelled within [`SETTLED_AFTER`].
#[derive(Debug, Default)]
pub(crate) struct CancelledRequests {
    /// When each unsettled request was cancelled, the oldest first.
    by_source: BTreeMap<SourceId, VecDeque<Duration>>,
    /// When requests settle by time, if nothing settles them before; the next one first.
    ends: VecDeque<(Duration, SourceId)>,
    open: u64,
    settled: u64,
}

impl CancelledRequests {
    /// A request is cancelled now.
    pub(crate) fn begin(&mut self, now: Duration, source: SourceId) {
        self.by_source.entry(source).or_default().push_back(now);
        self.ends
            .push_back((now.saturating_add(SETTLED_AFTER), source));
        self.open += 1;
    }

    /// A source answered a request that was sent at this time: requests cancelled before it are no
    /// longer answered.
    pub(crate) fn settle_before(&mut self, source: SourceId, asked_at: Duration) {
        if let Some(cancelled) = self.by_source.get_mut(&source) {
            let settled = cancelled.partition_point(|&began| began <= asked_at);
            cancelled.drain(..settled);
            self.open -= settled as u64;
            self.settled += settled as u64;
        }
    }

    /// A source answered a cancelled request.
    pub(crate) fn answered(&mut self, source: SourceId) {
        let cancelled = self.by_source.get_mut(&source);
        if cancelled.and_then(VecDeque::pop_front).is_some() {
            self.open -= 1;
            self.settled += 1;
        }
    }

    /// A source is gone, and will answer nothing.
    pub(crate) fn forget(&mut self, source: SourceId) {
        let cancelled = self.by_source.remove(&source).unwrap_or_default();
        self.open -= cancelled.len() as u64;
    }

    /// Settles requests that were cancelled too long ago.
    pub(crate) fn end_old(&mut self, now: Duration) {
        while let Some(&(end, source)) = self.ends.front()
            && end <= now
        {
            self.ends.pop_front();
            self.settle_before(source, end.saturating_sub(SETTLED_AFTER));
        }
    }

    /// Expected number of unsettled requests that are still answered, if `twice` chunks were received
    /// twice so far.
    pub(crate) fn expected(&self, twice: u64) -> u64 {
        let (answered, of) = (twice + ANSWERED_FIRST, self.settled + ANSWERED_FIRST);
        (self.open * answered).div_ceil(of).min(self.open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: SourceId = SourceId(1);
    const BOB: SourceId = SourceId(2);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// One request to each source cancelled in each second from 1 to 4.
    fn cancelled() -> CancelledRequests {
        let mut cancelled = CancelledRequests::default();
        for second in 1..=4 {
            cancelled.begin(seconds(second), ALICE);
            cancelled.begin(seconds(second), BOB);
        }
        cancelled
    }

    #[test]
    fn an_answer_to_a_later_request_settles_those_cancelled_before() {
        let mut cancelled = cancelled();
        cancelled.settle_before(ALICE, seconds(2));
        assert_eq!((cancelled.open, cancelled.settled), (6, 2));
        cancelled.settle_before(ALICE, seconds(2));
        assert_eq!((cancelled.open, cancelled.settled), (6, 2), "settled once");
        cancelled.settle_before(SourceId(3), seconds(2));
        assert_eq!(
            (cancelled.open, cancelled.settled),
            (6, 2),
            "unknown source"
        );
    }

    #[test]
    fn a_cancelled_request_that_is_answered_is_settled() {
        let mut cancelled = cancelled();
        cancelled.answered(ALICE);
        cancelled.answered(SourceId(3));
        assert_eq!((cancelled.open, cancelled.settled), (7, 1));
        // The remaining ones settle by time.
        cancelled.end_old(seconds(2) + SETTLED_AFTER);
        assert_eq!((cancelled.open, cancelled.settled), (4, 4));
    }

    #[test]
    fn cancelled_requests_end_with_time_and_with_their_source() {
        let mut cancelled = cancelled();
        cancelled.end_old(seconds(1) + SETTLED_AFTER);
        assert_eq!((cancelled.open, cancelled.settled), (6, 2));
        cancelled.forget(BOB);
        assert_eq!(
            (cancelled.open, cancelled.settled),
            (3, 2),
            "its requests settle nothing"
        );
        cancelled.end_old(seconds(4) + SETTLED_AFTER);
        assert_eq!((cancelled.open, cancelled.settled), (0, 5));
        assert_eq!(cancelled.ends.len(), 0);
    }

    #[test]
    fn as_many_are_expected_as_were_answered() {
        let mut cancelled = cancelled();
        assert_eq!(cancelled.expected(0), 8, "all, before any is settled");
        for _ in 0..8 * ANSWERED_FIRST {
            cancelled.begin(seconds(4), BOB);
        }
        cancelled.settle_before(BOB, seconds(4));
        assert_eq!(cancelled.open, 4);
        assert_eq!(cancelled.expected(0), 1);
        assert_eq!(cancelled.expected(4 * ANSWERED_FIRST), 3);
        assert_eq!(
            cancelled.expected(100 * ANSWERED_FIRST),
            4,
            "no more than all"
        );
    }
}
