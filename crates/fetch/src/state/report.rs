//! What a fetch reports of itself.

use std::{collections::BTreeSet, time::Duration};

use hubless_scheduler::SourceView;

use super::{Fetch, Phase};
use crate::types::{Outlook, Progress, SourceProgress, Stage, Stall};

impl<P: Copy + Ord, A: Clone + PartialEq> Fetch<P, A> {
    /// How far it is.
    pub fn progress(&self, now: Duration) -> Progress<P> {
        let stall = self.stall(now);
        let mut sources = self.active_sources();
        if stall.is_some() {
            // Each rate was measured while its source answered.
            for source in &mut sources {
                source.bytes_per_second = 0;
            }
        }
        let fetching = self.phase.fetching();
        let stage = if stall.is_some() {
            Stage::FindingProviders
        } else if fetching.is_some() {
            Stage::Fetching
        } else if self.sources.is_empty() {
            Stage::FindingProviders
        } else {
            Stage::FetchingManifest
        };
        Progress {
            stage,
            bytes_missing: fetching.map_or(0, |fetching| fetching.bytes_missing()),
            bytes_total: fetching.map_or(0, |fetching| fetching.layout.bytes_total),
            sources,
            stall,
            is_idle: self.request.only_plans() || (self.readers_may_ask && self.holds_all()),
        }
    }

    /// What may be expected of it.
    pub fn outlook(&self, now: Duration) -> Outlook {
        let peers = match (&self.phase, self.stall(now)) {
            (Phase::Fetching(fetching), None) => fetching.scheduler.sources().count(),
            _ => 0,
        };
        let holders = self.sources.iter().filter(|(_, source)| source.has_some);
        Outlook {
            peers,
            holders: holders.count(),
            named: self.candidates.named(),
            walks: self.walks.finished(),
        }
    }

    /// Changes whenever a chunk was stored.
    pub fn chunks_stored(&self) -> u64 {
        self.phase
            .fetching()
            .map_or(0, |fetching| fetching.chunks_stored())
    }

    /// For which peer it waits, if nothing comes.
    fn stall(&self, now: Duration) -> Option<Stall<P>> {
        let idle = self.patience.stall(now)?;
        let fetching = self.phase.fetching().filter(|_| !self.holds_all())?;
        let asked = fetching
            .scheduler
            .sources()
            .filter(|view| view.open_requests > 0);
        let asked = asked.max_by_key(|view| view.chunks_received);
        let asked = asked.and_then(|view| self.sources.peer(view.id));
        let waiting_for = asked.or(fetching.last_giver);
        let peers = self.sources.iter().map(|(_, source)| source.peer);
        let others: BTreeSet<P> = peers.filter(|peer| Some(*peer) != waiting_for).collect();
        Some(Stall {
            idle,
            waiting_for,
            others: others.len(),
        })
    }

    fn active_sources(&self) -> Vec<SourceProgress<P>> {
        let Some(fetching) = self.phase.fetching() else {
            return Vec::new();
        };
        let mut active: Vec<SourceProgress<P>> = Vec::new();
        let is_active = |view: &SourceView| view.chunks_received > 0 || view.open_requests > 0;
        for view in fetching.scheduler.sources().filter(is_active) {
            let Some(peer) = self.sources.peer(view.id) else {
                continue;
            };
            match active.iter_mut().find(|source| source.peer == peer) {
                Some(source) => {
                    source.chunks = source.chunks.max(view.chunks);
                    source.bytes_fetched += view.bytes_received;
                    source.bytes_per_second += view.bytes_per_second;
                }
                None => active.push(SourceProgress {
                    peer,
                    chunks: view.chunks,
                    bytes_fetched: view.bytes_received,
                    bytes_per_second: view.bytes_per_second,
                }),
            }
        }
        active
    }
}
