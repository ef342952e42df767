//! How asks end.

use super::Scheduler;
use crate::{
    requests::Ask,
    types::{BanReason, Output, Refusal, SourceId},
};

/// Banned sources remembered; the caller bans peers, this only keeps late inputs from reviving
/// them.
const BANNED_MAX: usize = 4096;

impl Scheduler {
    /// An answer is on its way. Who was asked for the same and has not begun need not, unless the
    /// answer was late already: who begins late may also end late.
    pub(super) fn started(&mut self, id: SourceId, chunk: u32) {
        let Some(source) = self.sources.get(&id) else {
            return;
        };
        let shortest = source.pace.round_trip_or_first();
        let now = self.now;
        let asks = self.requests.of(chunk);
        let Some(begun) = asks.iter().find(|ask| ask.source == id) else {
            return;
        };
        let losers: Vec<SourceId> = asks
            .iter()
            .filter(|ask| ask.source != id && !ask.started && !begun.late)
            .map(|ask| ask.source)
            .collect();
        self.requests
            .mark_started(chunk, id, now.saturating_add(shortest));
        losers
            .into_iter()
            .for_each(|loser| self.cancel(loser, chunk));
    }

    pub(super) fn received(&mut self, id: SourceId, chunk: u32, bytes: u32) {
        if chunk >= self.pool.len() {
            return;
        }
        let ask = self.end_answered(id, chunk);
        if ask.is_none() {
            self.doubts.answered(id);
        }
        let now = self.now;
        if let Some(source) = self.sources.get_mut(&id) {
            source.worked();
            match ask {
                Some(ask) => source.pace.answered(now, ask.mark, bytes),
                None => source.pace.add_unmeasured(bytes),
            }
            self.to_fill.push(id);
        }
        if self.pool.drop_wanted(chunk) {
            self.bytes_received += u64::from(bytes);
            self.cancel_all(chunk);
        } else {
            self.bytes_wasted += u64::from(bytes);
            self.chunks_wasted += 1;
        }
    }

    /// An ask was answered, if it is still open.
    fn end_answered(&mut self, id: SourceId, chunk: u32) -> Option<Ask> {
        let ask = self.end_ask(id, chunk)?;
        self.doubts.settle_before(id, ask.sent_at);
        Some(ask)
    }

    /// The first wrong chunks cost a peer only these: its disk may be damaged. More are a lie.
    pub(super) fn wrong(&mut self, id: SourceId, chunk: u32) {
        if chunk >= self.pool.len() {
            return;
        }
        let Some(peer) = self.sources.get(&id).map(|source| source.peer) else {
            return;
        };
        let is_forgiven = self.faults.forgive(peer, chunk);
        self.end_answered(id, chunk);
        for lane in self.lanes_of(peer) {
            if is_forgiven {
                self.cancel(lane, chunk);
                self.lacks_faults(lane);
                self.to_fill.push(lane);
            } else {
                self.ban(lane, BanReason::WrongBytes(chunk));
            }
        }
        self.release(chunk);
    }

    fn lanes_of(&self, peer: SourceId) -> Vec<SourceId> {
        let lanes = self.sources.iter();
        let lanes = lanes.filter(|(_, source)| source.peer == peer);
        lanes.map(|(&lane, _)| lane).collect()
    }

    fn ban(&mut self, id: SourceId, reason: BanReason) {
        self.gone(id);
        self.outputs.push_back(Output::Ban(id, reason));
        self.banned.insert(id);
        if self.banned.len() > BANNED_MAX {
            self.banned.pop_first();
        }
    }

    pub(super) fn refused(&mut self, id: SourceId, chunk: u32, refusal: Refusal) {
        let ended = self.end_answered(id, chunk).is_some();
        let now = self.now;
        let Some(source) = self.sources.get_mut(&id) else {
            return;
        };
        match refusal {
            Refusal::Busy(wait) => source.refused_busy(now, wait),
            Refusal::NotHere => {
                if source.refused_not_here() {
                    source.failed(now, &mut self.rng);
                }
            }
        }
        self.wake_after_rest(id);
        if refusal == Refusal::NotHere && chunk < self.pool.len() {
            self.lacks(id, chunk);
        }
        if ended {
            self.to_fill.push(id);
            self.release(chunk);
        }
    }

    pub(super) fn failed(&mut self, id: SourceId, chunk: u32) {
        if self.end_ask(id, chunk).is_none() {
            return;
        }
        if let Some(source) = self.sources.get_mut(&id) {
            source.failed(self.now, &mut self.rng);
        }
        self.wake_after_rest(id);
        self.release(chunk);
    }
}
