//! The requests of one connection that are not answered to their end yet.

use std::collections::{HashMap, VecDeque};

use hubless_content::ModelChunk;
use hubless_fetch::Availability;

use super::ListInProgress;
use crate::digest_asks::DigestAsk;

/// Cancelled requests whose answers may still come: as many as can be open.
const CANCELLED_MAX: usize = hubless_wire::REQUESTS_PER_STREAM_MAX;

/// Ids of the requests for the manifest are below.
const FIRST_ID: u64 = 1 << 32;

/// A request that is not answered to its end yet.
pub(super) enum OpenRequest {
    Chunk(ModelChunk),
    Availability(Availability),
    List(ListInProgress),
    Digests(DigestAsk),
    Peers,
    /// A report; nothing follows from its answer.
    Report,
}

/// The open requests of one connection, by their ids.
pub(super) struct Open {
    next_id: u64,
    pub(super) requests: HashMap<u64, OpenRequest>,
    /// The open request for each chunk.
    chunks: HashMap<ModelChunk, u64>,
    /// Requests that were cancelled, but may have been answered before the peer received that.
    cancelled: VecDeque<(u64, ModelChunk)>,
}

impl Open {
    pub(super) fn new() -> Self {
        Self {
            next_id: FIRST_ID,
            requests: HashMap::new(),
            chunks: HashMap::new(),
            cancelled: VecDeque::new(),
        }
    }

    /// Adds a request; returns its id.
    pub(super) fn add(&mut self, request: OpenRequest) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        if let OpenRequest::Chunk(chunk) = request {
            self.chunks.insert(chunk, id);
        }
        self.requests.insert(id, request);
        id
    }

    /// The request that was answered.
    pub(super) fn take(&mut self, id: u64) -> Option<OpenRequest> {
        let request = self.requests.remove(&id);
        if let Some(OpenRequest::Chunk(chunk)) = request {
            self.chunks.remove(&chunk);
        }
        request
    }

    /// Forgets the request for a chunk, whose answer may come all the same; returns its id.
    pub(super) fn cancel_chunk(&mut self, chunk: ModelChunk) -> Option<u64> {
        let id = self.chunks.remove(&chunk)?;
        self.requests.remove(&id);
        self.cancelled.push_back((id, chunk));
        if self.cancelled.len() > CANCELLED_MAX {
            self.cancelled.pop_front();
        }
        Some(id)
    }

    /// The chunk of a cancelled request.
    pub(super) fn cancelled_chunk(&self, id: u64) -> Option<ModelChunk> {
        let mut cancelled = self.cancelled.iter();
        let (_, chunk) = cancelled.find(|(cancelled, _)| *cancelled == id)?;
        Some(*chunk)
    }

    /// Forgets the requests of a kind; returns them with their ids.
    pub(super) fn take_all(
        &mut self,
        is_meant: impl Fn(&OpenRequest) -> bool,
    ) -> Vec<(u64, OpenRequest)> {
        let meant = self.requests.extract_if(|_, request| is_meant(request));
        meant.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: ModelChunk = ModelChunk(7);

    #[test]
    fn a_chunk_that_comes_after_its_cancel_is_known_by_the_id_of_its_request() {
        let mut open = Open::new();
        let id = open.add(OpenRequest::Chunk(CHUNK));
        assert_eq!(open.cancel_chunk(CHUNK), Some(id));
        assert!(open.take(id).is_none(), "it is not open any more");
        assert_eq!(open.cancelled_chunk(id), Some(CHUNK));
        assert_eq!(open.cancelled_chunk(id + 1), None);
    }

    #[test]
    fn an_answered_request_is_not_cancelled() {
        let mut open = Open::new();
        let id = open.add(OpenRequest::Chunk(CHUNK));
        assert!(matches!(open.take(id), Some(OpenRequest::Chunk(CHUNK))));
        assert_eq!(open.cancel_chunk(CHUNK), None);
        let again = open.add(OpenRequest::Chunk(CHUNK));
        assert_ne!(again, id);
        assert_eq!(open.cancel_chunk(CHUNK), Some(again));
    }

    #[test]
    fn only_so_many_cancelled_requests_are_remembered() {
        let mut open = Open::new();
        let mut first = None;
        for number in 0..=CANCELLED_MAX as u32 {
            let id = open.add(OpenRequest::Chunk(ModelChunk(number)));
            first.get_or_insert(id);
            open.cancel_chunk(ModelChunk(number));
        }
        assert_eq!(open.cancelled.len(), CANCELLED_MAX);
        assert_eq!(open.cancelled_chunk(first.unwrap()), None);
    }

    #[test]
    fn requests_of_one_kind_end_together_and_others_stay() {
        let mut open = Open::new();
        let chunk = open.add(OpenRequest::Chunk(CHUNK));
        let peers = open.add(OpenRequest::Peers);
        let taken = open.take_all(|request| matches!(request, OpenRequest::Peers));
        assert!(matches!(taken[..], [(id, OpenRequest::Peers)] if id == peers));
        assert!(open.take(peers).is_none() && open.take(chunk).is_some());
    }
}
