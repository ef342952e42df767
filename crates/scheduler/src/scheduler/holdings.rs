//! The chunks of sources, and the effects when they change.

use std::{ops::Range, time::Duration};

use hubless_content::ModelChunk;

use super::Scheduler;
use crate::{
    bits::Bits,
    choose,
    rarity::Rarity,
    source::{Has, Source},
    types::SourceId,
};

/// How long a chunk in transit to another peer counts as held, if no source announces it.
const PROMISE_TIME: Duration = Duration::from_secs(2);

impl Scheduler {
    pub(super) fn joined(&mut self, id: SourceId) {
        let full = self.sources.len() >= self.config.sources_max;
        if !full && !self.banned.contains(&id) {
            let requests_max = self.config.requests_per_source_max;
            self.sources
                .entry(id)
                .or_insert_with(|| Source::new(id, requests_max));
        }
    }

    pub(super) fn shares_peer(&mut self, id: SourceId, of: SourceId) {
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

    /// Replaces the chunks of a source, and updates rarity.
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
        self.turns.add(id);
    }

    pub(super) fn gained(&mut self, id: SourceId, ranges: &[Range<ModelChunk>]) {
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
                    for chunk in bits.within(range.clone()) {
                        if bits.insert(chunk) {
                            self.pool.partial_gained(chunk);
                            self.turns.add_trade(chunk);
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
        self.turns.add(id);
        self.trade_requests();
    }

    pub(super) fn on_the_way(&mut self, ranges: &[Range<ModelChunk>]) {
        let until = self.now.saturating_add(PROMISE_TIME);
        for range in ranges {
            for chunk in self.pool.missing().within(range.clone()) {
                if self.pool.promise(chunk, until) {
                    self.turns.add_trade(chunk);
                }
            }
        }
        self.trade_requests();
    }

    /// Replaces requests at complete sources for chunks that a partial source now has, or soon will:
    /// while there are chunks that only complete sources have, one of those is requested instead. A
    /// chunk that a complete source sends to two peers is time lost for a whole swarm.
    pub(super) fn trade_requests(&mut self) {
        for chunk in self.turns.take_trades() {
            let alone = self.pool.rarity().map_or(0, Rarity::without_holders);
            // Two requests: the duplicate ends by its own rules.
            let &[request] = self.requests.of(chunk) else {
                continue;
            };
            let Some(source) = self.sources.get_mut(&request.source) else {
                continue;
            };
            let complete = matches!(source.has, Has::Complete { .. });
            if alone == 0 || !complete || request.started || self.now < source.rests_until() {
                continue;
            }
            // A request before the cancel keeps this node's turn at the source, if there is room.
            let room = self.requests.open() < self.config.requests_max()
                && source.open.len() < self.config.requests_per_source_max;
            let (order, rng) = (self.config.order, &mut self.rng);
            let instead = choose::free_chunk(&mut self.pool, source, &self.urgent, order, rng);
            let Some(instead) = instead else { continue };
            if room {
                self.request(request.source, instead, false);
            }
            self.cancel(request.source, chunk);
            self.release(chunk);
        }
    }

    pub(super) fn lacks(&mut self, id: SourceId, chunk: ModelChunk) {
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

    /// Removes the wrong chunks of its peer from the chunks of a source, whatever it announced.
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
        self.turns.forget(id);
        self.cancelled.forget(id);
        if let Has::Partial(bits) = &source.has {
            self.pool.partial_left(bits, false);
        }
        for chunk in source.open {
            self.requests.remove(chunk, id);
            self.release(chunk);
        }
    }
}
