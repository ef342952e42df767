//! The ends of requests: answered, wrong, refused, failed.

use hubless_content::ModelChunk;

use super::Scheduler;
use crate::{
    requests::Request,
    types::{BanReason, Output, Refusal, SourceId},
};

/// Banned sources remembered. The caller bans peers; this only keeps late inputs from adding their
/// sources again.
const BANNED_MAX: usize = 4096;

impl Scheduler {
    /// A chunk began to arrive. A duplicate request for it that has not begun is cancelled, unless
    /// this one was late: a source that begins late may also end late.
    pub(super) fn started(&mut self, id: SourceId, chunk: ModelChunk) {
        let Some(source) = self.sources.get(&id) else {
            return;
        };
        let shortest = source.pace.round_trip_or_first();
        let now = self.now;
        let requests = self.requests.of(chunk);
        let Some(begun) = requests.iter().find(|request| request.source == id) else {
            return;
        };
        let superseded: Vec<SourceId> = requests
            .iter()
            .filter(|request| request.source != id && !request.started && !begun.late)
            .map(|request| request.source)
            .collect();
        self.requests
            .mark_started(chunk, id, now.saturating_add(shortest));
        superseded
            .into_iter()
            .for_each(|other| self.cancel(other, chunk));
    }

    pub(super) fn received(&mut self, id: SourceId, chunk: ModelChunk, bytes: u32) {
        if !self.pool.has(chunk) {
            return;
        }
        let request = self.end_answered(id, chunk);
        if request.is_none() {
            self.cancelled.answered(id);
        }
        let now = self.now;
        if let Some(source) = self.sources.get_mut(&id) {
            source.worked();
            match request {
                Some(request) => source.pace.answered(now, request.mark, bytes),
                // Cancelled or unrequested: there is no start to measure a rate from.
                None => source.pace.add_unmeasured(bytes),
            }
            self.turns.add(id);
        }
        if self.pool.drop_wanted(chunk) {
            self.received.bytes += u64::from(bytes);
            self.cancel_all(chunk);
        } else {
            self.received.bytes_wasted += u64::from(bytes);
            self.received.chunks_wasted += 1;
        }
    }

    /// Ends a request that was answered, if it is still open.
    fn end_answered(&mut self, id: SourceId, chunk: ModelChunk) -> Option<Request> {
        let request = self.end_request(id, chunk)?;
        self.cancelled.settle_before(id, request.sent_at);
        Some(request)
    }

    /// The first wrong chunks are only not requested from the peer again: its disk may be damaged.
    /// More are a lie.
    pub(super) fn wrong(&mut self, id: SourceId, chunk: ModelChunk) {
        if !self.pool.has(chunk) {
            return;
        }
        let Some(peer) = self.sources.get(&id).map(|source| source.peer) else {
            return;
        };
        let is_forgiven = self.faults.forgive(peer, chunk);
        self.end_answered(id, chunk);
        for source in self.sources_of(peer) {
            if is_forgiven {
                // Its other connections would send the same wrong bytes.
                self.cancel(source, chunk);
                self.lacks_faults(source);
                self.turns.add(source);
            } else {
                self.ban(source, BanReason::WrongBytes(chunk));
            }
        }
        self.release(chunk);
    }

    fn sources_of(&self, peer: SourceId) -> Vec<SourceId> {
        let sources = self.sources.iter();
        let of_peer = sources.filter(|(_, source)| source.peer == peer);
        of_peer.map(|(&id, _)| id).collect()
    }

    fn ban(&mut self, id: SourceId, reason: BanReason) {
        self.gone(id);
        self.outbox.push(Output::Ban(id, reason));
        self.banned.insert(id);
        if self.banned.len() > BANNED_MAX {
            self.banned.pop_first();
        }
    }

    pub(super) fn refused(&mut self, id: SourceId, chunk: ModelChunk, refusal: Refusal) {
        let ended = self.end_answered(id, chunk).is_some();
        let now = self.now;
        let Some(source) = self.sources.get_mut(&id) else {
            return;
        };
        match refusal {
            Refusal::Busy(wait) => source.refused_busy(now, wait),
            // One refusal is harmless: a source may delete a file. Many make it rest, or it would
            // be asked without end.
            Refusal::NotHere => {
                if source.refused_not_here() {
                    source.failed(now, &mut self.rng);
                }
            }
        }
        self.wake_after_rest(id);
        if refusal == Refusal::NotHere && self.pool.has(chunk) {
            self.lacks(id, chunk);
        }
        if ended {
            self.turns.add(id);
            self.release(chunk);
        }
    }

    pub(super) fn failed(&mut self, id: SourceId, chunk: ModelChunk) {
        if self.end_request(id, chunk).is_none() {
            return;
        }
        if let Some(source) = self.sources.get_mut(&id) {
            source.failed(self.now, &mut self.rng);
        }
        self.wake_after_rest(id);
        self.release(chunk);
    }
}
