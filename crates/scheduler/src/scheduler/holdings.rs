//! What sources have, and what follows when that changes.

use std::{ops::Range, time::Duration};

use super::Scheduler;
use crate::{
    bits::Bits,
    choose,
    rarity::Rarity,
    source::{Has, Source},
    types::SourceId,
};

/// How long a chunk that somebody is sent counts as one that somebody has, if nobody says so.
const PROMISE_TIME: Duration = Duration::from_secs(2);

impl Scheduler {
    pub(super) fn joined(&mut self, id: SourceId) {
        let full = self.sources.len() >= self.config.sources_max;
        if !full && !self.banned.contains(&id) {
            let asks_max = self.config.asks_per_source_max;
            self.sources
                .entry(id)
                .or_insert_with(|| Source::new(id, asks_max));
        }
    }

    pub(super) fn is_twin(&mut self, id: SourceId, of: SourceId) {
        let peer = self.sources.get(&of).map_or(of, |other| other.peer);
        if let Some(source) = self.sources.get_mut(&id) {
            source.peer = peer;
            self.lacks_faults(id);
        }
    }

    pub(super) fn replace_has(&mut self, id: SourceId, has: Bits) {
        let complete = has.count() == has.len();
        self.set_has(
            id,
            if complete {
                Has::Complete { lacks: Vec::new() }
            } else {
                Has::Partial(has)
            },
        );
    }

    /// Replaces what a source has, and keeps rarity in step.
    pub(super) fn set_has(&mut self, id: SourceId, has: Has) {
        let Some(source) = self.sources.get_mut(&id) else {
            return;
        };
        source.forget_choices();
        if let Has::Partial(bits) = &has {
            self.pool.partial_joined(bits, &mut self.rng);
        }
        let complete = matches!(has, Has::Complete { .. });
        let old = std::mem::replace(&mut source.has, has);
        if let Has::Partial(bits) = &old {
            self.pool.partial_left(bits, complete);
        }
        self.lacks_faults(id);
        self.to_fill.push(id);
    }

    pub(super) fn gained(&mut self, id: SourceId, ranges: &[Range<u32>]) {
        let Some(source) = self.sources.get_mut(&id) else {
            return;
        };
        match &mut source.has {
            Has::Unknown => {
                self.set_has(id, Has::Partial(Bits::empty(self.pool.len())));
                return self.gained(id, ranges);
            }
            Has::Partial(bits) => {
                for range in ranges {
                    for chunk in range.start..range.end.min(bits.len()) {
                        if bits.insert(chunk) {
                            self.pool.partial_gained(chunk);
                            self.to_trade.push(chunk);
                        }
                    }
                }
                source.dry_at = None;
                if bits.count() == bits.len() {
                    self.set_has(id, Has::Complete { lacks: Vec::new() });
                }
            }
            Has::Complete { lacks } => {
                lacks.retain(|chunk| !ranges.iter().any(|range| range.contains(chunk)));
                source.dry_at = None;
            }
        }
        self.lacks_faults(id);
        self.to_fill.push(id);
        self.trade_asks();
    }

    pub(super) fn on_the_way(&mut self, ranges: &[Range<u32>]) {
        let until = self.now.saturating_add(PROMISE_TIME);
        for range in ranges {
            for chunk in range.start..range.end.min(self.pool.len()) {
                if self.pool.promise(chunk, until) {
                    self.to_trade.push(chunk);
                }
            }
        }
        self.trade_asks();
    }

    /// Chunks that were rarest when a complete source was asked for them, and that others have by
    /// now, or soon will: while it has chunks that only complete sources have, it is asked for one
    /// of those instead. What it sends to two peers is time lost for a whole swarm.
    pub(super) fn trade_asks(&mut self) {
        for chunk in std::mem::take(&mut self.to_trade) {
            let alone = self.pool.rarity().map_or(0, Rarity::without_holders);
            let &[ask] = self.requests.of(chunk) else {
                continue;
            };
            let Some(source) = self.sources.get_mut(&ask.source) else {
                continue;
            };
            let complete = matches!(source.has, Has::Complete { .. });
            if alone == 0 || !complete || ask.started || self.now < source.rests_until() {
                continue;
            }
            // Asking before cancelling keeps our turn at the source, if there is room for it.
            let room = self.requests.open() < self.asks_max
                && source.open.len() < self.config.asks_per_source_max;
            let (order, rng) = (self.config.order, &mut self.rng);
            let instead = choose::free_chunk(&mut self.pool, source, &self.urgent, order, rng);
            let Some(instead) = instead else { continue };
            if room {
                self.ask(ask.source, instead, false);
            }
            self.cancel(ask.source, chunk);
            self.release(chunk);
        }
    }

    pub(super) fn lacks(&mut self, id: SourceId, chunk: u32) {
        let Some(source) = self.sources.get_mut(&id) else {
            return;
        };
        match &mut source.has {
            Has::Unknown => {}
            Has::Partial(bits) => {
                if bits.remove(chunk) {
                    self.pool.partial_lost(chunk);
                }
            }
            Has::Complete { lacks } => {
                if !Source::complete_lacks(lacks, chunk) {
                    self.set_has(id, Has::Partial(Bits::empty(self.pool.len())));
                }
            }
        }
    }

    /// Whatever a source says that it has: what its peer sent wrong, it does not have.
    pub(super) fn lacks_faults(&mut self, id: SourceId) {
        let Some(peer) = self.sources.get(&id).map(|source| source.peer) else {
            return;
        };
        for chunk in self.faults.of(peer) {
            self.lacks(id, chunk);
        }
    }

    pub(super) fn gone(&mut self, id: SourceId) {
        let Some(source) = self.sources.remove(&id) else {
            return;
        };
        self.hungry.retain(|&hungry| hungry != id);
        self.doubts.forget(id);
        if let Has::Partial(bits) = &source.has {
            self.pool.partial_left(bits, false);
        }
        for chunk in source.open {
            self.requests.remove(chunk, id);
            self.release(chunk);
        }
    }
}
