//! What a fetch tells of itself: to who asked for it, to those who look, and to the counters.

use std::{collections::HashSet, sync::atomic::Ordering, time::Duration};

use hubless_network::PeerId;
use hubless_scheduler::Scheduler;
use tokio::time::Instant;

use super::{Job, Outlook};
use crate::{
    progress::{Progress, Stall, State, TransferSource},
    transfers::Told,
};

/// A fetch that got nothing for this long has stalled, in the eyes of who operates the node: clients
/// of the gateway wait no longer.
const STALL_AFTER: Duration = Duration::from_secs(10);

/// A fetch to which no byte came for this long says for whom it waits, and looks for others. Longer
/// than a garbage collection or a lost packet takes.
const STALL_SHOWN_AFTER: Duration = Duration::from_secs(3);

/// Bytes of other fetches of this node are not told from its own ones: without a whole chunk for
/// this long, it has stalled all the same.
const CHUNK_WITHIN: Duration = Duration::from_secs(15);

impl Job {
    /// Shows what may be expected of the fetch.
    pub(super) fn show_outlook(&self) {
        let holders = self.sources.values().filter(|source| source.has_some);
        let outlook = Outlook {
            peers: match (&self.scheduler, self.stall()) {
                (Some(scheduler), None) => scheduler.sources().count(),
                _ => 0,
            },
            holders: holders.count(),
            named: self.candidates.named(),
            walks: self.search.ended_walks(),
        };
        self.outlook.send_replace(outlook);
    }

    pub(super) fn show_progress(&self) {
        let known = self.layout.borrow().is_some();
        let stall = self.stall();
        let state = if stall.is_some() {
            State::FindingProviders
        } else if known {
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
        let mut sources = self.active_sources();
        if stall.is_some() {
            // Each was measured while it answered.
            sources
                .iter_mut()
                .for_each(|source| source.bytes_per_second = 0);
        }
        self.sink.report(Progress {
            state,
            bytes_verified: bytes_total.saturating_sub(self.bytes_missing),
            bytes_total,
            sources: sources.len() as u32,
            stall: stall.clone(),
        });
        self.show_outlook();
        if let Some(live) = &self.live {
            live.tell(self.told(state, bytes_total, sources, stall));
        }
    }

    /// For whom it waits, if nothing comes.
    fn stall(&self) -> Option<Stall> {
        let idle = self.last_progress.elapsed();
        let silent = self.last_bytes.1.elapsed();
        let has_stalled = idle >= CHUNK_WITHIN || idle.min(silent) >= STALL_SHOWN_AFTER;
        if !has_stalled || self.scheduler.is_none() || self.has_all() {
            return None;
        }
        let seconds = match silent >= STALL_SHOWN_AFTER {
            true => idle.min(silent),
            false => idle,
        };
        let views = self.scheduler.iter().flat_map(Scheduler::sources);
        let asked = views.filter(|view| view.asks > 0);
        let asked = asked.max_by_key(|view| view.chunks_received);
        let asked = asked.and_then(|view| self.sources.get(&view.id));
        let waiting_for = asked.map(|handle| handle.peer).or(self.last_giver);
        let others = self.sources.values().map(|handle| handle.peer);
        let others: HashSet<PeerId> = others.filter(|peer| Some(*peer) != waiting_for).collect();
        Some(Stall {
            seconds: seconds.as_secs(),
            waiting_for: waiting_for.map(|peer| peer.to_string()),
            asking: others.len() as u32,
        })
    }

    /// Notes whether bytes came since the last look, of chunks that are not whole yet too.
    pub(super) fn look_for_bytes(&mut self) {
        let received = self.network.counters().received.total();
        if self.last_bytes.0 != received {
            self.last_bytes = (received, Instant::now());
        }
    }

    /// What those see who look; nothing of a fetch that only waits for demands.
    fn told(
        &self,
        state: State,
        bytes_total: u64,
        sources: Vec<TransferSource>,
        stall: Option<Stall>,
    ) -> Option<Told> {
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
            stall,
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

    /// Looks for others once when nothing comes, and counts a stall once when it has lasted.
    pub(super) fn note_stall(&mut self) {
        let (since, idle) = (self.last_progress, self.last_progress.elapsed());
        if idle >= STALL_SHOWN_AFTER && self.hurried_after.replace(since) != Some(since) {
            self.search.hurry();
        }
        if idle >= STALL_AFTER && self.stalled_after != Some(since) {
            self.stalled_after = Some(self.last_progress);
            self.shared.fetches.cx.counters.stalls.count();
        }
    }
}
