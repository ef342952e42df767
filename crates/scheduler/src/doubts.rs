//! Asks that were cancelled and may be answered all the same, because the answer was on its way.
//!
//! A source reads what it is told in order, so what it answers of later asks was begun after it
//! had read the cancel: that settles whether the cancelled ask is still answered. Of those that are
//! not settled, as many are expected to be answered as of those that are.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::types::SourceId;

/// After this long without an answer, a cancelled ask is taken to have none: its source may have
/// nothing else to answer, or be gone.
const DOUBT_TIME: Duration = Duration::from_secs(2);

/// Settled doubts, all of them answered, that are taken to be known before there are any: the first
/// pause of a source must not cost more than the others.
const ANSWERED_FIRST: u64 = 8;

/// The cancelled asks of all sources. As many as are cancelled within [`DOUBT_TIME`].
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    /// When each ask was cancelled, the oldest first.
    by_source: BTreeMap<SourceId, VecDeque<Duration>>,
    /// When doubts end, settled or not, the next one first.
    ends: VecDeque<(Duration, SourceId)>,
    open: u64,
    settled: u64,
}

impl Doubts {
    /// An ask is cancelled now.
    pub(crate) fn begin(&mut self, now: Duration, source: SourceId) {
        self.by_source.entry(source).or_default().push_back(now);
        self.ends
            .push_back((now.saturating_add(DOUBT_TIME), source));
        self.open += 1;
    }

    /// A source answered what it was asked for at this time: what was cancelled before is not
    /// answered any more.
    pub(crate) fn settle_before(&mut self, source: SourceId, asked_at: Duration) {
        if let Some(doubts) = self.by_source.get_mut(&source) {
            let settled = doubts.partition_point(|&began| began <= asked_at);
            doubts.drain(..settled);
            self.open -= settled as u64;
            self.settled += settled as u64;
        }
    }

    /// A source answered what was cancelled.
    pub(crate) fn answered(&mut self, source: SourceId) {
        let doubts = self.by_source.get_mut(&source);
        if doubts.and_then(VecDeque::pop_front).is_some() {
            self.open -= 1;
            self.settled += 1;
        }
    }

    /// A source is gone, and its answers with it.
    pub(crate) fn forget(&mut self, source: SourceId) {
        let doubts = self.by_source.remove(&source).unwrap_or_default();
        self.open -= doubts.len() as u64;
    }

    /// Doubts that are too old are settled.
    pub(crate) fn end_old(&mut self, now: Duration) {
        while let Some(&(end, source)) = self.ends.front()
            && end <= now
        {
            self.ends.pop_front();
            self.settle_before(source, end.saturating_sub(DOUBT_TIME));
        }
    }

    /// How many chunks will be received twice because an ask for them was cancelled too late, if
    /// `twice` were so far.
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

    /// One doubt about each source in each second from 1 to 4.
    fn doubts() -> Doubts {
        let mut doubts = Doubts::default();
        for second in 1..=4 {
            doubts.begin(seconds(second), ALICE);
            doubts.begin(seconds(second), BOB);
        }
        doubts
    }

    #[test]
    fn an_answer_to_a_later_ask_settles_what_was_cancelled_before() {
        let mut doubts = doubts();
        doubts.settle_before(ALICE, seconds(2));
        assert_eq!((doubts.open, doubts.settled), (6, 2));
        doubts.settle_before(ALICE, seconds(2));
        assert_eq!((doubts.open, doubts.settled), (6, 2), "settled once");
        doubts.settle_before(SourceId(3), seconds(2));
        assert_eq!((doubts.open, doubts.settled), (6, 2), "nobody knows it");
    }

    #[test]
    fn a_cancelled_ask_that_is_answered_is_in_doubt_no_more() {
        let mut doubts = doubts();
        doubts.answered(ALICE);
        doubts.answered(SourceId(3));
        assert_eq!((doubts.open, doubts.settled), (7, 1));
        // Those that are left end when they should.
        doubts.end_old(seconds(2) + DOUBT_TIME);
        assert_eq!((doubts.open, doubts.settled), (4, 4));
    }

    #[test]
    fn doubts_end_with_time_and_with_their_source() {
        let mut doubts = doubts();
        doubts.end_old(seconds(1) + DOUBT_TIME);
        assert_eq!((doubts.open, doubts.settled), (6, 2));
        doubts.forget(BOB);
        assert_eq!(
            (doubts.open, doubts.settled),
            (3, 2),
            "no proof of anything"
        );
        doubts.end_old(seconds(4) + DOUBT_TIME);
        assert_eq!((doubts.open, doubts.settled), (0, 5));
        assert_eq!(doubts.ends.len(), 0);
    }

    #[test]
    fn as_many_are_expected_as_were_answered() {
        let mut doubts = doubts();
        assert_eq!(doubts.expected(0), 8, "all, before anything is known");
        for _ in 0..8 * ANSWERED_FIRST {
            doubts.begin(seconds(4), BOB);
        }
        doubts.settle_before(BOB, seconds(4));
        assert_eq!(doubts.open, 4);
        assert_eq!(doubts.expected(0), 1);
        assert_eq!(doubts.expected(4 * ANSWERED_FIRST), 3);
        assert_eq!(doubts.expected(100 * ANSWERED_FIRST), 4, "no more than all");
    }
}
