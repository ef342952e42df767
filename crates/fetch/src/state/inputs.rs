//! What each input changes.

use std::{sync::Arc, time::Duration};

use hubless_content::{Manifest, ManifestError, ModelChunk};
use hubless_scheduler::{Input as SchedulerInput, SchedulerConfig, SourceId};

use super::{Fetch, Phase, TICK_EVERY, fetching::Fetching};
use crate::{
    layout::Layout,
    request::ReadRequest,
    types::{BadManifest, Candidate, End, Output, PeerCommand, Planned},
};

impl<P: Copy + Ord, A: Clone + PartialEq> Fetch<P, A> {
    /// A peer that requests this model has some of it, or will soon. It is connected, so no address
    /// is needed. Not before the manifest is here: until then no peer may learn from a connection
    /// that this node wants it.
    pub(super) fn on_peer_asked(&mut self, now: Duration, peer: P) {
        if self.is_fetching() {
            let candidate = Candidate {
                peer,
                addresses: Vec::new(),
                file: None,
            };
            self.candidates.add(candidate, now);
        }
    }

    pub(super) fn on_connected(&mut self, now: Duration, source: SourceId) {
        let Some(connected) = self.sources.get_mut(source) else {
            return;
        };
        connected.is_connected = true;
        self.was_reached = true;
        match &mut self.phase {
            Phase::Locating(locating) => locating.connected(source),
            Phase::Fetching(_) => self.begin(now, source),
            // It begins with all others when it is known what is missing.
            Phase::Planning(_) | Phase::Done => {}
        }
    }

    pub(super) fn on_proven_manifest(&mut self, manifest: Result<Arc<Manifest>, ManifestError>) {
        match manifest {
            Ok(manifest) => self.on_manifest(manifest, !self.request.only_plans()),
            // Its hash is right, so every other source would give the same bytes.
            Err(error) => self.fail(BadManifest::from(error).into()),
        }
    }

    pub(super) fn on_manifest(&mut self, manifest: Arc<Manifest>, is_to_be_stored: bool) {
        if !matches!(self.phase, Phase::Locating(_)) {
            return; // another source was faster
        }
        let chosen = |entry: &_| self.request.chooses(entry);
        match Layout::new(self.request.target(), manifest, chosen) {
            Ok(layout) => {
                if is_to_be_stored {
                    let manifest = layout.manifest.clone();
                    self.outputs.push_back(Output::StoreManifest(manifest));
                }
                let layout = Arc::new(layout);
                self.outputs.push_back(Output::Plan(layout.clone()));
                self.phase = Phase::Planning(layout);
            }
            Err(error) => self.fail(BadManifest::from(error).into()),
        }
    }

    pub(super) fn on_planned(&mut self, now: Duration, planned: Planned) {
        let Phase::Planning(layout) = &self.phase else {
            return;
        };
        let config = SchedulerConfig {
            order: self.request.order(),
            seed: self.seed,
            ..SchedulerConfig::default()
        };
        let fetching = Fetching::new(layout.clone(), planned, config, now);
        self.phase = Phase::Fetching(Box::new(fetching));
        self.patience.progress(now);
        for source in self.sources.connected().collect::<Vec<_>>() {
            self.begin(now, source);
        }
    }

    /// A source knows the layout, and can be asked for chunks and lists.
    fn begin(&mut self, now: Duration, source: SourceId) {
        let first = self.sources.first_of_same_peer(source);
        if let Some(fetching) = self.phase.fetching_mut() {
            let begin = PeerCommand::Begin(fetching.layout.clone());
            self.outputs.push_back(Output::Send(source, begin));
            fetching.joined(now, source, first);
        }
    }

    pub(super) fn on_chunks(&mut self, now: Duration, input: SchedulerInput) {
        let Some(fetching) = self.phase.fetching_mut() else {
            return;
        };
        match &input {
            SchedulerInput::Received {
                source,
                chunk,
                bytes,
            } => {
                self.patience.progress(now);
                fetching.stored(*chunk, *bytes);
                if let Some(source) = self.sources.get_mut(*source) {
                    source.was_useful = true;
                    fetching.last_giver = Some(source.peer);
                }
            }
            SchedulerInput::SourceHas(source, _)
            | SchedulerInput::SourceGained(source, _)
            | SchedulerInput::SourceComplete(source) => {
                self.had_holder = true;
                fetching.lists.source_has_more(*source);
                let is_empty =
                    matches!(&input, SchedulerInput::SourceHas(_, set) if set.is_empty());
                if let Some(source) = self.sources.get_mut(*source).filter(|_| !is_empty) {
                    source.has_some = true;
                }
            }
            _ => {}
        }
        fetching.schedule(now, input);
    }

    pub(super) fn on_external(&mut self, now: Duration, chunk: ModelChunk, bytes: u32) {
        if let Some(fetching) = self.phase.fetching_mut() {
            self.patience.progress(now);
            fetching.stored(chunk, bytes);
            fetching.schedule(now, SchedulerInput::Unwanted(chunk..chunk.plus(1)));
        }
    }

    pub(super) fn on_ended(&mut self, now: Duration, id: SourceId, end: End) {
        self.was_reached |= end != End::Unreachable;
        let Some(source) = self.sources.remove(id) else {
            return;
        };
        match &mut self.phase {
            Phase::Locating(locating) => locating.ended(id),
            Phase::Fetching(fetching) => fetching.gone(now, id),
            Phase::Planning(_) | Phase::Done => {}
        }
        match end {
            End::Misbehaved => self.ban(now, source.peer),
            // Another connection of the peer works.
            _ if self.sources.has_peer(source.peer) => {}
            End::Unreachable | End::Nothing | End::Gone => {
                self.candidates.failed(source.peer, source.was_useful, now);
            }
        }
    }

    /// Breaks with a peer, on all its connections.
    pub(super) fn ban(&mut self, now: Duration, peer: P) {
        for lane in self.sources.remove_peer(peer) {
            self.outputs.push_back(Output::Close(lane));
            match &mut self.phase {
                Phase::Locating(locating) => locating.ended(lane),
                Phase::Fetching(fetching) => fetching.gone(now, lane),
                Phase::Planning(_) | Phase::Done => {}
            }
        }
        self.candidates.give_up(peer);
        self.outputs.push_back(Output::Ban(peer));
    }

    pub(super) fn on_undelivered(
        &mut self,
        now: Duration,
        source: SourceId,
        command: &PeerCommand,
    ) {
        match command {
            PeerCommand::Request(chunk) => {
                let chunk = *chunk;
                self.schedule(now, SchedulerInput::Failed { source, chunk });
            }
            PeerCommand::RequestList(file) => {
                if let Some(fetching) = self.phase.fetching_mut() {
                    fetching.lists.refused(source, *file);
                }
            }
            // The connection has ended, and reports it; a chunk that was cancelled may come.
            PeerCommand::AskManifest
            | PeerCommand::Begin(_)
            | PeerCommand::Cancel(_)
            | PeerCommand::CancelList(_) => {}
        }
    }

    pub(super) fn on_read_wanted(&mut self, now: Duration, request: ReadRequest) {
        let holds_all = self.holds_all();
        let Some(fetching) = self.phase.fetching() else {
            return;
        };
        if let Some(file) = fetching.file(request.file) {
            if holds_all {
                // It waited for readers, not for sources.
                self.patience.progress(now);
            }
            self.outputs.push_back(Output::PlanRead { file, request });
        }
    }

    pub(super) fn on_tick(&mut self, now: Duration) {
        self.next_tick = now + TICK_EVERY;
        let Some(fetching) = self.phase.fetching_mut() else {
            return;
        };
        if fetching.wake_at.is_some_and(|at| at <= now) {
            fetching.wake_at = None;
            fetching.schedule(now, SchedulerInput::Tick);
        }
        for (source, file) in fetching.lists.take_overdue(now) {
            let cancel = PeerCommand::CancelList(file);
            self.outputs.push_back(Output::Send(source, cancel));
        }
        self.add_lane(now);
    }

    pub(super) fn schedule(&mut self, now: Duration, input: SchedulerInput) {
        if let Some(fetching) = self.phase.fetching_mut() {
            fetching.schedule(now, input);
        }
    }
}
