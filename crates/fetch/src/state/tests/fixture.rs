//! A fetch with a hand-driven world: peers are numbers, addresses too.

use std::{ops::Range, sync::Arc, time::Duration};

use hubless_content::{
    CHUNK_SIZE, ChunkSet, ContentHash, FileHash, Manifest, ManifestEntry, ModelChunk,
};
use hubless_scheduler::{Input as SchedulerInput, SourceId};

use crate::{
    layout::{FileNumber, Layout},
    request::FetchRequest,
    state::Fetch,
    types::{
        Candidate, End, FetchArgs, FetchError, Finished, Input, Output, PeerCommand, Planned,
        WalkEnded, WalkKey,
    },
};

pub(super) type Peer = u32;
pub(super) type Out = Output<Peer, u32>;

/// This node.
pub(super) const OWN: Peer = 0;

/// The first file of a model.
pub(super) const FILE: FileNumber = FileNumber(0);

/// How long the fetches here wait without progress.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Files of so many chunks each, all different.
pub(super) fn manifest(files: &[u32]) -> Arc<Manifest> {
    let entries = files
        .iter()
        .enumerate()
        .map(|(number, chunks)| ManifestEntry {
            path: format!("file{number}").parse().unwrap(),
            size: u64::from(*chunks) * CHUNK_SIZE as u64,
            hash: FileHash::new([number as u8 + 1; 32]),
        });
    Arc::new(Manifest::new(entries.collect()).unwrap())
}

pub(super) fn all_files(model: ContentHash) -> FetchRequest {
    FetchRequest::Files {
        model,
        chosen: Box::new(|_| true),
    }
}

/// A fetch and what it decided.
pub(super) struct World {
    pub(super) fetch: Fetch<Peer, u32>,
    pub(super) now: Duration,
    pub(super) manifest: Arc<Manifest>,
    /// Decisions since they were last taken.
    outputs: Vec<Out>,
}

impl World {
    /// A fetch of all files of a model with these files.
    pub(super) fn new(files: &[u32]) -> Self {
        Self::of(files, all_files)
    }

    pub(super) fn of(files: &[u32], request: impl FnOnce(ContentHash) -> FetchRequest) -> Self {
        let manifest = manifest(files);
        let fetch = Fetch::new(FetchArgs {
            own: OWN,
            request: request(manifest.content_hash()),
            patience: PATIENCE,
            expects_peers: true,
            seed: 1,
        });
        let mut world = Self {
            fetch,
            now: Duration::ZERO,
            manifest,
            outputs: Vec::new(),
        };
        world.drain();
        world.outputs.retain(|output| *output != Output::Join);
        world
    }

    /// A fetch that knows the layout and lacks everything: files of one chunk have their lists.
    pub(super) fn fetching(files: &[u32]) -> Self {
        let mut world = Self::new(files);
        world.know_manifest();
        world
    }

    /// The store has the manifest and nothing else.
    pub(super) fn know_manifest(&mut self) {
        self.handle(Input::ManifestKnown(self.manifest.clone()));
        self.plan_all();
    }

    pub(super) fn handle(&mut self, input: Input<Peer, u32>) {
        self.fetch.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.fetch.poll_output() {
            self.outputs.push(output);
        }
    }

    /// All decisions since the last call.
    pub(super) fn take(&mut self) -> Vec<Out> {
        std::mem::take(&mut self.outputs)
    }

    /// Waits as long as the fetch wants to, until `until`, with a tick at each wake.
    pub(super) fn sleep_until(&mut self, until: Duration) {
        while self.fetch.next_wake() <= until {
            assert!(self.fetch.next_wake() >= self.now, "a wake in the past");
            self.now = self.fetch.next_wake().max(self.now);
            self.handle(Input::Tick);
            if self.has_finished() {
                return;
            }
        }
        self.now = until;
    }

    pub(super) fn sleep(&mut self, time: Duration) {
        self.sleep_until(self.now + time);
    }

    pub(super) fn has_finished(&self) -> bool {
        let is_finish = |output: &Out| matches!(output, Output::Finish(_));
        self.outputs.iter().any(is_finish)
    }

    /// How the fetch ended.
    pub(super) fn finish(&mut self) -> Result<Finished<Peer>, FetchError> {
        let outputs = self.take();
        let finish = outputs.into_iter().find_map(|output| match output {
            Output::Finish(result) => Some(result),
            _ => None,
        });
        finish.expect("the fetch has ended")
    }

    // What the driver does.

    pub(super) fn name(&mut self, peer: Peer) {
        self.handle(Input::PeerNamed(Candidate {
            peer,
            addresses: vec![peer],
            file: None,
        }));
    }

    /// The source as which a peer is dialled now.
    pub(super) fn dialled(&mut self, peer: Peer) -> SourceId {
        let outputs = self.take();
        let found = outputs.iter().find_map(|output| match output {
            Output::Connect(source, dial) if dial.peer == peer => Some(*source),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("peer {peer} is dialled: {outputs:?}"))
    }

    /// Names a peer that answers its dial at once.
    pub(super) fn connect(&mut self, peer: Peer) -> SourceId {
        self.name(peer);
        let source = self.dialled(peer);
        self.handle(Input::Connected(source));
        source
    }

    /// A connected peer that has everything.
    pub(super) fn complete_source(&mut self, peer: Peer) -> SourceId {
        let source = self.connect(peer);
        self.handle(Input::Chunks(SchedulerInput::SourceComplete(source)));
        source
    }

    /// Answers [`Output::Plan`]: nothing is here.
    pub(super) fn plan_all(&mut self) {
        let layout = self.planned_layout();
        let mut wanted_now = ChunkSet::empty(layout.chunks());
        let mut lists = Vec::new();
        let mut missing = ChunkSet::empty(layout.chunks());
        for file in layout.wanted() {
            let Range { start, end } = layout.range(file);
            missing.insert_range(start.0..end.0);
            if end <= start.plus(1) {
                wanted_now.insert_range(start.0..end.0);
            } else {
                lists.push(file);
            }
        }
        self.handle(Input::Planned(Planned {
            wanted_now,
            missing,
            lists,
        }));
    }

    pub(super) fn planned_layout(&mut self) -> Arc<Layout> {
        let outputs = self.take();
        let found = outputs.iter().find_map(|output| match output {
            Output::Plan(layout) => Some(layout.clone()),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("the store is compared: {outputs:?}"))
    }

    pub(super) fn join_dht(&mut self) {
        self.handle(Input::Joined(true));
    }

    /// Ends all walks that were begun, each without a provider; returns what they searched.
    pub(super) fn end_walks(&mut self) -> Vec<WalkKey> {
        let mut keys = Vec::new();
        for output in self.take() {
            if let Output::Walk(key) = output {
                keys.push(key);
            }
        }
        for _ in &keys {
            self.handle(Input::WalkEnded(WalkEnded {
                providers: 0,
                among_others: true,
            }));
        }
        keys
    }

    pub(super) fn end(&mut self, source: SourceId, end: End) {
        self.handle(Input::Ended(source, end));
    }

    pub(super) fn receive(&mut self, source: SourceId, chunk: u32) {
        self.handle(Input::Chunks(SchedulerInput::Received {
            source,
            chunk: ModelChunk(chunk),
            bytes: CHUNK_SIZE as u32,
        }));
    }

    pub(super) fn receive_wrong(&mut self, source: SourceId, chunk: u32) {
        let chunk = ModelChunk(chunk);
        self.handle(Input::Chunks(SchedulerInput::Wrong { source, chunk }));
    }

    /// Commands that a source was given since the last call; drops all other decisions.
    pub(super) fn commands(&mut self, source: SourceId) -> Vec<PeerCommand> {
        let outputs = self.take();
        let given = outputs.into_iter().filter_map(|output| match output {
            Output::Send(to, command) if to == source => Some(command),
            _ => None,
        });
        given.collect()
    }

    /// The chunks that a source was asked for since the last call.
    pub(super) fn requests(&mut self, source: SourceId) -> Vec<u32> {
        let commands = self.commands(source).into_iter();
        let requests = commands.filter_map(|command| match command {
            PeerCommand::Request(chunk) => Some(chunk.0),
            _ => None,
        });
        requests.collect()
    }
}
