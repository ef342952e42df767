//! How asks end.

use std::time::Duration;

use super::Scheduler;
use crate::types::{BanReason, Output, Refusal, SourceId};

/// Banned sources remembered; the caller bans peers, this only keeps late inputs from reviving
/// them.
const BANNED_MAX: usize = 4096;

/// How long the answer to a cancelled ask may still come, if a round trip is shorter: it may lie in
/// a buffer of either side.
const DOUBT_MIN: Duration = Duration::from_millis(100);

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
        let ask = self.end_ask(id, chunk);
        let now = self.now;
        if let Some(source) = self.sources.get_mut(&id) {
            source.worked();
            match ask {
                Some(ask) => source.pace.answered(now, ask.mark, bytes),
                None => source.pace.add_unmeasured(bytes),
            }
            self.to_fill.push(id);
        }
        if self.pool.receive(chunk) {
            self.bytes_received += u64::from(bytes);
            self.doubt_asks(chunk);
            self.cancel_all(chunk);
        } else {
            self.bytes_wasted += u64::from(bytes);
            self.chunks_wasted += 1;
            self.in_doubt.pop_front();
        }
    }

    /// The chunk is here; who else is asked for it may have answered already.
    fn doubt_asks(&mut self, chunk: u32) {
        self.forget_doubts();
        for ask in self.requests.of(chunk) {
            let round_trip = self
                .sources
                .get(&ask.source)
                .and_then(|s| s.pace.round_trip());
            let wait = round_trip.unwrap_or_default().max(DOUBT_MIN);
            self.in_doubt.push_back(self.now.saturating_add(wait));
        }
    }

    pub(super) fn forget_doubts(&mut self) {
        let now = self.now;
        self.in_doubt.retain(|until| *until > now);
    }

    pub(super) fn wrong(&mut self, id: SourceId, chunk: u32) {
        if self.sources.contains_key(&id) {
            self.gone(id);
            self.outputs
                .push_back(Output::Ban(id, BanReason::WrongBytes(chunk)));
            self.banned.insert(id);
            if self.banned.len() > BANNED_MAX {
                self.banned.pop_first();
            }
        }
    }

    pub(super) fn refused(&mut self, id: SourceId, chunk: u32, refusal: Refusal) {
        let ended = self.end_ask(id, chunk).is_some();
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
