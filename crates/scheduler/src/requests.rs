//! The open asks, by chunk, and which chunks are asked for in vain so far.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{pace::Mark, types::SourceId};

/// Sources asked for the same chunk at a time.
pub(crate) const ASKS_PER_CHUNK_MAX: usize = 2;

/// One open ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ask {
    pub(crate) source: SourceId,
    pub(crate) sent_at: Duration,
    /// When the answer should be here.
    pub(crate) expected_at: Duration,
    /// When it is late.
    pub(crate) deadline: Duration,
    pub(crate) late: bool,
    /// The chunk was asked of another source in time: this ask is insurance.
    pub(crate) spare: bool,
    /// Its answer is on its way.
    pub(crate) started: bool,
    pub(crate) mark: Mark,
}

impl Ask {
    /// How long the answer will still take. One that is overdue is taken to need as long again as
    /// it took so far: the best guess if nothing else is known.
    pub(crate) fn remaining(&self, now: Duration) -> Duration {
        if now < self.expected_at {
            self.expected_at - now
        } else {
            now.saturating_sub(self.sent_at)
        }
    }
}

/// All open asks. Their number is bounded by [`IN_FLIGHT_BYTES_MAX`](crate::IN_FLIGHT_BYTES_MAX).
#[derive(Debug, Default)]
pub(crate) struct Requests {
    by_chunk: BTreeMap<u32, Vec<Ask>>,
    /// Chunks of which all asks are late.
    late: BTreeSet<u32>,
    open: usize,
    spare: usize,
    /// At which time [`Requests::longest_single`] was what, if nothing changed since then.
    longest_single: Option<(Duration, Duration)>,
}

impl Requests {
    pub(crate) fn add(&mut self, chunk: u32, ask: Ask) {
        self.longest_single = None;
        self.open += 1;
        self.spare += usize::from(ask.spare);
        self.late.remove(&chunk);
        self.by_chunk.entry(chunk).or_default().push(ask);
    }

    pub(crate) fn remove(&mut self, chunk: u32, source: SourceId) -> Option<Ask> {
        self.longest_single = None;
        let asks = self.by_chunk.get_mut(&chunk)?;
        let index = asks.iter().position(|ask| ask.source == source)?;
        let ask = asks.remove(index);
        self.open -= 1;
        self.spare -= usize::from(ask.spare);
        if asks.is_empty() {
            self.by_chunk.remove(&chunk);
            self.late.remove(&chunk);
        } else if asks.iter().all(|ask| ask.late) {
            self.late.insert(chunk);
        }
        Some(ask)
    }

    /// The answer to an ask is on its way and is expected at this time.
    pub(crate) fn mark_started(&mut self, chunk: u32, source: SourceId, expected_at: Duration) {
        self.longest_single = None;
        let asks = self.by_chunk.get_mut(&chunk).into_iter().flatten();
        for ask in asks.filter(|ask| ask.source == source) {
            ask.started = true;
            ask.expected_at = expected_at;
        }
    }

    /// Marks an ask as late.
    pub(crate) fn mark_late(&mut self, chunk: u32, source: SourceId) {
        let Some(asks) = self.by_chunk.get_mut(&chunk) else {
            return;
        };
        for ask in asks.iter_mut().filter(|ask| ask.source == source) {
            ask.late = true;
        }
        if asks.iter().all(|ask| ask.late) {
            self.late.insert(chunk);
        }
    }

    /// The asks for a chunk, the oldest first.
    pub(crate) fn of(&self, chunk: u32) -> &[Ask] {
        self.by_chunk.get(&chunk).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &[Ask])> {
        self.by_chunk
            .iter()
            .map(|(&chunk, asks)| (chunk, asks.as_slice()))
    }

    /// Of the chunks that one source alone is asked for, how long the last one will still take.
    pub(crate) fn longest_single(&mut self, now: Duration) -> Duration {
        if let Some((at, longest)) = self.longest_single
            && at == now
        {
            return longest;
        }
        let single = self.by_chunk.values().filter(|asks| asks.len() == 1);
        let remaining = single.flatten().map(|ask| ask.remaining(now));
        let longest = remaining.max().unwrap_or_default();
        self.longest_single = Some((now, longest));
        longest
    }

    /// Chunks of which all asks are late.
    pub(crate) fn late(&self) -> impl Iterator<Item = u32> + '_ {
        self.late.iter().copied()
    }

    /// Open asks.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Open asks that are insurance.
    pub(crate) fn spare(&self) -> usize {
        self.spare
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(source: u32, spare: bool) -> Ask {
        Ask {
            source: SourceId(source),
            sent_at: Duration::from_secs(1),
            expected_at: Duration::from_secs(2),
            deadline: Duration::from_secs(4),
            late: false,
            spare,
            started: false,
            mark: Mark::default(),
        }
    }

    #[test]
    fn counts_follow_what_is_open() {
        let mut requests = Requests::default();
        requests.add(5, ask(1, false));
        requests.add(5, ask(2, true));
        assert_eq!((requests.open(), requests.spare()), (2, 1));
        assert_eq!(requests.remove(5, SourceId(3)), None);
        assert!(requests.remove(5, SourceId(2)).is_some());
        assert!(requests.remove(5, SourceId(1)).is_some());
        assert_eq!(
            (requests.open(), requests.spare(), requests.of(5).len()),
            (0, 0, 0)
        );
    }

    #[test]
    fn a_chunk_is_late_when_all_its_asks_are() {
        let mut requests = Requests::default();
        requests.add(5, ask(1, false));
        requests.mark_late(5, SourceId(1));
        assert_eq!(requests.late().collect::<Vec<_>>(), [5]);
        requests.add(5, ask(2, false));
        assert_eq!(
            requests.late().count(),
            0,
            "another source is asked in time"
        );
        requests.remove(5, SourceId(2));
        assert_eq!(requests.late().collect::<Vec<_>>(), [5], "and failed");
        requests.remove(5, SourceId(1));
        assert_eq!(requests.late().count(), 0);
    }

    #[test]
    fn the_longest_is_that_of_chunks_that_one_is_asked_for() {
        let (mut requests, now) = (Requests::default(), Duration::from_secs(1));
        assert_eq!(requests.longest_single(now), Duration::ZERO);
        requests.add(5, ask(1, false));
        assert_eq!(requests.longest_single(now), Duration::from_secs(1));
        let later = Duration::from_millis(1400);
        assert_eq!(requests.longest_single(later), Duration::from_millis(600));
        requests.mark_started(5, SourceId(1), Duration::from_millis(1500));
        assert_eq!(requests.longest_single(later), Duration::from_millis(100));
        requests.add(5, ask(2, true));
        assert_eq!(requests.longest_single(later), Duration::ZERO, "insured");
        requests.remove(5, SourceId(1));
        assert_eq!(requests.longest_single(later), Duration::from_millis(600));
    }

    #[test]
    fn what_is_overdue_takes_as_long_again() {
        let ask = ask(1, false);
        assert_eq!(
            ask.remaining(Duration::from_millis(1500)),
            Duration::from_millis(500)
        );
        assert_eq!(
            ask.remaining(Duration::from_secs(7)),
            Duration::from_secs(6)
        );
    }
}
