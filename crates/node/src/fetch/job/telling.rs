//! What a fetch tells of itself: to who asked for it, to those who look, and to the counters.

use std::{sync::atomic::Ordering, time::Duration};

use hubless_scheduler::Scheduler;

use super::Job;
use crate::{
    api::{Event, State, TransferSource},
    transfers::Told,
};

/// A fetch that got nothing for this long has stalled, in the eyes of who operates the node: clients
/// of the gateway wait no longer.
const STALL_AFTER: Duration = Duration::from_secs(10);

impl Job {
    pub(super) fn show_progress(&self) {
        let known = self.layout.borrow().is_some();
        let state = if known {
            State::Fetching
        } else if self.sources.is_empty() {
            State::FindingProviders
        } else {
            State::FetchingManifest
        };
        let bytes_total = self
            .layout
            .borrow()
            .as_ref()
            .map_or(0, |layout| layout.bytes_total);
        let sources = self.active_sources();
        self.sink.event(Event::Progress {
            state,
            bytes_verified: bytes_total.saturating_sub(self.bytes_missing),
            bytes_total,
            sources: sources.len() as u32,
        });
        if let Some(live) = &self.live {
            live.tell(self.told(state, bytes_total, sources));
        }
    }

    /// What those see who look; nothing of a fetch that only waits for demands.
    fn told(&self, state: State, bytes_total: u64, sources: Vec<TransferSource>) -> Option<Told> {
        let bytes_fetched = self.shared.bytes_fetched.load(Ordering::Relaxed);
        let is_fed = self.wish.demands.is_some();
        if self.wish.only_plan || (is_fed && self.has_all()) {
            return None;
        }
        // What a feed will be asked for is not known: it is measured by what it was asked for.
        let wanted = match is_fed {
            true if bytes_total > 0 => bytes_fetched + self.bytes_missing,
            _ => bytes_total,
        };
        Some(Told {
            state,
            bytes_verified: wanted.saturating_sub(self.bytes_missing),
            bytes_total: wanted,
            bytes_fetched,
            sources,
        })
    }

    /// The peers that are at it, the lanes of one together.
    fn active_sources(&self) -> Vec<TransferSource> {
        let views = self.scheduler.iter().flat_map(Scheduler::sources);
        let active = views.filter(|source| source.chunks_received > 0 || source.asks > 0);
        let mut shown: Vec<TransferSource> = Vec::new();
        for view in active {
            let Some(handle) = self.sources.get(&view.id) else {
                continue;
            };
            let peer_id = handle.peer.to_string();
            match shown.iter_mut().find(|source| source.peer_id == peer_id) {
                Some(source) => {
                    source.chunks = source.chunks.max(view.chunks);
                    source.bytes_fetched += view.bytes_received;
                    source.bytes_per_second += view.bytes_per_second;
                }
                None => shown.push(TransferSource {
                    peer_id,
                    chunks: view.chunks,
                    bytes_fetched: view.bytes_received,
                    bytes_per_second: view.bytes_per_second,
                }),
            }
        }
        shown
    }

    /// Counts a stall once, when it has lasted.
    pub(super) fn note_stall(&mut self) {
        let is_new = self.stalled_after != Some(self.last_progress);
        if is_new && self.last_progress.elapsed() >= STALL_AFTER {
            self.stalled_after = Some(self.last_progress);
            self.shared.core.counters.stalls.count();
        }
    }
}
