//! The open requests by chunk, and the chunks of which all requests are late.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use hubless_content::ModelChunk;

use crate::{pace::Mark, types::SourceId};

/// Open requests for the same chunk, each at another source.
pub(crate) const REQUESTS_PER_CHUNK_MAX: usize = 2;

/// One open request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) source: SourceId,
    pub(crate) sent_at: Duration,
    /// When the chunk is expected.
    pub(crate) expected_at: Duration,
    /// When the request becomes late.
    pub(crate) deadline: Duration,
    pub(crate) late: bool,
    /// A duplicate: the request for the chunk at another source is not late.
    pub(crate) duplicate: bool,
    /// The first bytes of the chunk arrived.
    pub(crate) started: bool,
    pub(crate) mark: Mark,
}

impl Request {
    /// The expected time until the chunk arrives. An overdue request is assumed to need as long
    /// again as it took so far, for lack of better information.
    pub(crate) fn remaining(&self, now: Duration) -> Duration {
        if now < self.expected_at {
            self.expected_at - now
        } else {
            now.saturating_sub(self.sent_at)
        }
    }
}

/// All open requests. [`IN_FLIGHT_BYTES_MAX`](crate::IN_FLIGHT_BYTES_MAX) bounds their number.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    by_chunk: BTreeMap<ModelChunk, Vec<Request>>,
    /// Chunks of which all requests are late.
    late: BTreeSet<ModelChunk>,
    open: usize,
    duplicates: usize,
    /// Time and result of the last [`Requests::longest_single`], if no request changed since then.
    longest_single: Option<(Duration, Duration)>,
}

impl Requests {
    pub(crate) fn add(&mut self, chunk: ModelChunk, request: Request) {
        self.longest_single = None;
        self.open += 1;
        self.duplicates += usize::from(request.duplicate);
        self.late.remove(&chunk);
        self.by_chunk.entry(chunk).or_default().push(request);
    }

    pub(crate) fn remove(&mut self, chunk: ModelChunk, source: SourceId) -> Option<Request> {
        self.longest_single = None;
        let requests = self.by_chunk.get_mut(&chunk)?;
        let index = requests
            .iter()
            .position(|request| request.source == source)?;
        let request = requests.remove(index);
        self.open -= 1;
        self.duplicates -= usize::from(request.duplicate);
        if requests.is_empty() {
            self.by_chunk.remove(&chunk);
            self.late.remove(&chunk);
        } else if requests.iter().all(|request| request.late) {
            self.late.insert(chunk);
        }
        Some(request)
    }

    /// The chunk of a request began to arrive and is expected at this time.
    pub(crate) fn mark_started(
        &mut self,
        chunk: ModelChunk,
        source: SourceId,
        expected_at: Duration,
    ) {
        self.longest_single = None;
        let requests = self.by_chunk.get_mut(&chunk).into_iter().flatten();
        for request in requests.filter(|request| request.source == source) {
            request.started = true;
            request.expected_at = expected_at;
        }
    }

    /// Marks a request as late.
    pub(crate) fn mark_late(&mut self, chunk: ModelChunk, source: SourceId) {
        let Some(requests) = self.by_chunk.get_mut(&chunk) else {
            return;
        };
        for request in requests
            .iter_mut()
            .filter(|request| request.source == source)
        {
            request.late = true;
        }
        if requests.iter().all(|request| request.late) {
            self.late.insert(chunk);
        }
    }

    /// The requests for a chunk, the oldest first.
    pub(crate) fn of(&self, chunk: ModelChunk) -> &[Request] {
        self.by_chunk.get(&chunk).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ModelChunk, &[Request])> {
        self.by_chunk
            .iter()
            .map(|(&chunk, requests)| (chunk, requests.as_slice()))
    }

    /// The longest [`Request::remaining`] among chunks with a single request.
    pub(crate) fn longest_single(&mut self, now: Duration) -> Duration {
        if let Some((at, longest)) = self.longest_single
            && at == now
        {
            return longest;
        }
        let single = self
            .by_chunk
            .values()
            .filter(|requests| requests.len() == 1);
        let remaining = single.flatten().map(|request| request.remaining(now));
        let longest = remaining.max().unwrap_or_default();
        self.longest_single = Some((now, longest));
        longest
    }

    /// Chunks of which all requests are late.
    pub(crate) fn late(&self) -> impl Iterator<Item = ModelChunk> + '_ {
        self.late.iter().copied()
    }

    /// Number of open requests.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Number of open duplicate requests.
    pub(crate) fn duplicates(&self) -> usize {
        self.duplicates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: ModelChunk = ModelChunk(5);

    fn request(source: u32, duplicate: bool) -> Request {
        Request {
            source: SourceId(source),
            sent_at: Duration::from_secs(1),
            expected_at: Duration::from_secs(2),
            deadline: Duration::from_secs(4),
            late: false,
            duplicate,
            started: false,
            mark: Mark::default(),
        }
    }

    #[test]
    fn counts_follow_the_open_requests() {
        let mut requests = Requests::default();
        requests.add(CHUNK, request(1, false));
        requests.add(CHUNK, request(2, true));
        assert_eq!((requests.open(), requests.duplicates()), (2, 1));
        assert_eq!(requests.remove(CHUNK, SourceId(3)), None);
        assert!(requests.remove(CHUNK, SourceId(2)).is_some());
        assert!(requests.remove(CHUNK, SourceId(1)).is_some());
        assert_eq!(
            (
                requests.open(),
                requests.duplicates(),
                requests.of(CHUNK).len()
            ),
            (0, 0, 0)
        );
    }

    #[test]
    fn a_chunk_is_late_when_all_its_requests_are() {
        let mut requests = Requests::default();
        requests.add(CHUNK, request(1, false));
        requests.mark_late(CHUNK, SourceId(1));
        assert_eq!(requests.late().collect::<Vec<_>>(), [CHUNK]);
        requests.add(CHUNK, request(2, false));
        assert_eq!(
            requests.late().count(),
            0,
            "the request at another source is not late"
        );
        requests.remove(CHUNK, SourceId(2));
        assert_eq!(requests.late().collect::<Vec<_>>(), [CHUNK], "it failed");
        requests.remove(CHUNK, SourceId(1));
        assert_eq!(requests.late().count(), 0);
    }

    #[test]
    fn the_longest_remaining_time_is_that_of_chunks_with_one_request() {
        let (mut requests, now) = (Requests::default(), Duration::from_secs(1));
        assert_eq!(requests.longest_single(now), Duration::ZERO);
        requests.add(CHUNK, request(1, false));
        assert_eq!(requests.longest_single(now), Duration::from_secs(1));
        let later = Duration::from_millis(1400);
        assert_eq!(requests.longest_single(later), Duration::from_millis(600));
        requests.mark_started(CHUNK, SourceId(1), Duration::from_millis(1500));
        assert_eq!(requests.longest_single(later), Duration::from_millis(100));
        requests.add(CHUNK, request(2, true));
        assert_eq!(requests.longest_single(later), Duration::ZERO, "duplicated");
        requests.remove(CHUNK, SourceId(1));
        assert_eq!(requests.longest_single(later), Duration::from_millis(600));
    }

    #[test]
    fn an_overdue_request_takes_as_long_again() {
        let request = request(1, false);
        assert_eq!(
            request.remaining(Duration::from_millis(1500)),
            Duration::from_millis(500)
        );
        assert_eq!(
            request.remaining(Duration::from_secs(7)),
            Duration::from_secs(6)
        );
    }
}
