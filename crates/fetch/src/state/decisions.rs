//! What is decided after every input.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use hubless_scheduler::{Output as SchedulerOutput, SourceId};

use super::{Fetch, Phase, walks::WalkFor};
use crate::types::{Dial, FetchError, Finished, Output, PeerCommand, WalkKey};

impl<P: Copy + Ord, A: Clone + PartialEq> Fetch<P, A> {
    /// Decides what follows, after every input.
    pub(super) fn decide(&mut self, now: Duration) {
        self.apply_scheduler(now);
        if matches!(self.phase, Phase::Done) {
            return;
        }
        if !self.holds_all() {
            // Otherwise no peer may learn from a connection what is fetched here.
            self.connect_candidates(now);
            self.walk(now);
        }
        self.ask_for_manifest();
        self.ask_for_lists(now);
        if self.holds_all() {
            if !self.readers_may_ask {
                self.succeed(now);
            }
        } else {
            self.check_patience(now);
        }
    }

    /// Whether nothing is missing now.
    pub(super) fn holds_all(&self) -> bool {
        self.phase
            .fetching()
            .is_some_and(|fetching| self.request.only_plans() || fetching.holds_all())
    }

    /// Passes on what the scheduler decided, until it decides nothing more.
    fn apply_scheduler(&mut self, now: Duration) {
        loop {
            let mut banned = BTreeSet::new();
            let Some(fetching) = self.phase.fetching_mut() else {
                return;
            };
            while let Some(output) = fetching.scheduler.poll_output() {
                match output {
                    SchedulerOutput::Request(source, chunk) => {
                        let request = PeerCommand::Request(chunk);
                        self.outputs.push_back(Output::Send(source, request));
                    }
                    SchedulerOutput::Cancel(source, chunk) => {
                        let cancel = PeerCommand::Cancel(chunk);
                        self.outputs.push_back(Output::Send(source, cancel));
                    }
                    // All connections of a peer are banned together.
                    SchedulerOutput::Ban(source, _) => banned.extend(self.sources.peer(source)),
                    SchedulerOutput::WakeAt(at) => fetching.wake_at = Some(at),
                    SchedulerOutput::Starved => self.walks.hurry(now),
                    SchedulerOutput::Done => fetching.wake_at = None,
                }
            }
            if banned.is_empty() {
                return;
            }
            banned.into_iter().for_each(|peer| self.ban(now, peer));
        }
    }

    fn connect_candidates(&mut self, now: Duration) {
        while self.sources.has_room()
            && let Some(dial) = self.candidates.take(now)
        {
            self.connect(dial);
        }
    }

    fn connect(&mut self, dial: Dial<P, A>) {
        let source = self.sources.add(dial.peer);
        self.outputs.push_back(Output::Connect(source, dial));
    }

    fn walk(&mut self, now: Duration) {
        let Some(walk_for) = self.walks.due(now, self.sources.len()) else {
            return;
        };
        let mut keys = vec![WalkKey::Target];
        if walk_for == WalkFor::TargetAndFiles
            && self.request.target().model().is_some()
            && let Some(fetching) = self.phase.fetching()
        {
            keys.extend(fetching.largest_missing().into_iter().map(WalkKey::File));
        }
        self.walks.begin(keys.len());
        self.outputs.extend(keys.into_iter().map(Output::Walk));
    }

    fn ask_for_manifest(&mut self) {
        if let Phase::Locating(locating) = &mut self.phase {
            while let Some(source) = locating.next_to_ask() {
                let ask = PeerCommand::AskManifest;
                self.outputs.push_back(Output::Send(source, ask));
            }
        }
    }

    fn ask_for_lists(&mut self, now: Duration) {
        if let Phase::Fetching(fetching) = &mut self.phase {
            for (source, file) in fetching.lists.assign(self.sources.connected(), now) {
                let ask = PeerCommand::RequestList(file);
                self.outputs.push_back(Output::Send(source, ask));
            }
        }
    }

    /// Adds a connection to a peer where one does not fill the path.
    pub(super) fn add_lane(&mut self, now: Duration) {
        let Phase::Fetching(fetching) = &mut self.phase else {
            return;
        };
        if fetching.lanes.may_add(now) {
            let sources = self.sources.iter();
            let peers: BTreeMap<SourceId, P> =
                sources.map(|(id, source)| (id, source.peer)).collect();
            let missing = fetching.bytes_missing();
            let views = fetching.scheduler.sources();
            if let Some(peer) = fetching.lanes.due(now, missing, &peers, views) {
                let dial = self.candidates.dial(peer);
                self.connect(dial);
            }
        }
    }

    /// Searches others when nothing comes, and gives up when nothing comes for too long, or earlier
    /// when it is certain that no peer has it.
    fn check_patience(&mut self, now: Duration) {
        let signs = self.patience.signs(now);
        if signs.hurry {
            self.walks.hurry(now);
        }
        if signs.stalled {
            self.outputs.push_back(Output::Stalled);
        }
        if self.patience.is_over(now) || self.is_hopeless() {
            self.fail(self.explain());
        }
    }

    /// Whether no peer has it: none reported anything, none is left to try, and the DHT names none.
    fn is_hopeless(&self) -> bool {
        // The reader of a file, such as an HTTP client, waits for an answer meanwhile.
        let may_wait = !self.readers_may_ask;
        !self.had_holder
            && self.sources.is_empty()
            && self.candidates.next_try().is_none()
            && self.walks.is_fruitless(may_wait)
    }

    fn explain(&self) -> FetchError {
        let candidates = self.candidates.named();
        match self.phase.fetching() {
            Some(fetching) if self.had_holder => FetchError::Partial {
                held: fetching
                    .layout
                    .bytes_total
                    .saturating_sub(fetching.bytes_missing()),
                total: fetching.layout.bytes_total,
            },
            _ if self.expects_peers && !self.was_reached && !self.walks.has_joined() => {
                FetchError::NoNetwork
            }
            _ if !self.walks.has_joined() && candidates == 0 => FetchError::Alone,
            _ => FetchError::NoProvider { candidates },
        }
    }

    fn succeed(&mut self, now: Duration) {
        let progress = self.progress(now);
        if let Phase::Fetching(fetching) = std::mem::replace(&mut self.phase, Phase::Done) {
            let finished = Finished {
                layout: fetching.layout.clone(),
                bytes_present: fetching.bytes_present(),
                progress,
            };
            self.outputs.push_back(Output::Finish(Ok(finished)));
        }
    }

    pub(super) fn fail(&mut self, error: FetchError) {
        self.phase = Phase::Done;
        self.outputs.push_back(Output::Finish(Err(error)));
    }
}
