//! The state machine: its phases, and the order in which inputs are taken and decisions made.

mod candidates;
mod decisions;
mod fetching;
mod inputs;
mod lanes;
mod lists;
mod locating;
mod patience;
mod report;
mod sources;
mod walks;

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use hubless_scheduler::Input as SchedulerInput;

pub use self::lists::LISTS_PER_SOURCE_MAX;
use self::{
    candidates::Candidates, fetching::Fetching, locating::Locating, patience::Patience,
    sources::Sources, walks::Walks,
};
use crate::{
    layout::Layout,
    request::FetchRequest,
    types::{BadManifest, FetchArgs, Input, Output},
};

/// The longest time between two ticks: how late a stall, a silent source of a chunk list or the end
/// of patience may be noticed.
const TICK_EVERY: Duration = Duration::from_secs(1);

/// One fetch; see the crate. `P` names a peer, `A` is an address of one.
///
/// **Drain rule:** after [`Fetch::new`] and after every [`Fetch::handle`], call
/// [`Fetch::poll_output`] until it returns `None`, before the next `handle`.
///
/// **Every connection ends once:** for each [`Output::Connect`] the driver reports
/// [`Input::Ended`], also after [`Output::Close`]; what a connection reports after its end or after
/// [`Output::Finish`] is ignored.
#[derive(Debug)]
pub struct Fetch<P, A> {
    request: FetchRequest,
    expects_peers: bool,
    seed: u64,
    phase: Phase<P>,
    sources: Sources<P>,
    candidates: Candidates<P, A>,
    walks: Walks,
    patience: Patience,
    /// Whether a reader may ask for more.
    readers_may_ask: bool,
    /// Whether any peer was ever reached.
    was_reached: bool,
    /// Whether any source ever reported what it has.
    had_holder: bool,
    next_tick: Duration,
    outputs: VecDeque<Output<P, A>>,
}

/// Where the fetch is, with what is valid only there.
#[derive(Debug)]
enum Phase<P> {
    /// No source gave the manifest yet.
    Locating(Locating),
    /// The driver compares the layout with the store.
    Planning(Arc<Layout>),
    /// It is known what is missing.
    Fetching(Box<Fetching<P>>),
    /// It has ended.
    Done,
}

impl<P> Phase<P> {
    fn fetching(&self) -> Option<&Fetching<P>> {
        match self {
            Self::Fetching(fetching) => Some(fetching),
            _ => None,
        }
    }

    fn fetching_mut(&mut self) -> Option<&mut Fetching<P>> {
        match self {
            Self::Fetching(fetching) => Some(fetching),
            _ => None,
        }
    }
}

impl<P: Copy + Ord, A: Clone + PartialEq> Fetch<P, A> {
    /// Begins a fetch, at time 0.
    pub fn new(args: FetchArgs<P>) -> Self {
        let target = args.request.target();
        let mut fetch = Self {
            readers_may_ask: args.request.takes_reads(),
            request: args.request,
            expects_peers: args.expects_peers,
            seed: args.seed,
            phase: Phase::Locating(Locating::default()),
            sources: Sources::new(),
            candidates: Candidates::new(args.own),
            walks: Walks::new(),
            patience: Patience::new(args.patience),
            was_reached: false,
            had_holder: false,
            next_tick: TICK_EVERY,
            outputs: VecDeque::from([Output::Join]),
        };
        match target.own_manifest() {
            Ok(Some(manifest)) => fetch.on_manifest(manifest, false),
            Ok(None) => {}
            Err(error) => fetch.fail(BadManifest::from(error).into()),
        }
        fetch
    }

    /// Takes what happened at `now`, the time since the start of the fetch.
    pub fn handle(&mut self, now: Duration, input: Input<P, A>) {
        if matches!(self.phase, Phase::Done) {
            return;
        }
        match input {
            Input::PeerNamed(candidate) => self.candidates.add(candidate, now),
            Input::PeerAsked(peer) => self.on_peer_asked(now, peer),
            Input::ManifestKnown(manifest) => self.on_manifest(manifest, false),
            Input::Connected(source) => self.on_connected(now, source),
            Input::Manifest(manifest) => self.on_proven_manifest(manifest),
            Input::Planned(planned) => self.on_planned(now, planned),
            Input::Chunks(input) => self.on_chunks(now, input),
            Input::External { chunk, bytes } => self.on_external(now, chunk, bytes),
            Input::Prioritize(range) => self.schedule(now, SchedulerInput::Prioritize(range)),
            Input::ListPage(source, file) => {
                if let Some(fetching) = self.phase.fetching_mut() {
                    fetching.lists.page(source, file, now);
                }
            }
            Input::ListRefused(source, file) => {
                if let Some(fetching) = self.phase.fetching_mut() {
                    fetching.lists.refused(source, file);
                }
            }
            Input::ListStored(file) => {
                self.patience.progress(now);
                if let Some(fetching) = self.phase.fetching_mut() {
                    fetching.list_stored(now, file);
                }
            }
            Input::Ended(source, end) => self.on_ended(now, source, end),
            Input::Undelivered(source, command) => self.on_undelivered(now, source, &command),
            Input::ReadWanted(request) => self.on_read_wanted(now, request),
            Input::ReadPlanned {
                file,
                next,
                planned,
            } => {
                if let Some(fetching) = self.phase.fetching_mut() {
                    fetching.read_planned(now, file, &next, &planned);
                }
            }
            Input::ReadersLeft => self.readers_may_ask = false,
            Input::Joined(is_joined) => self.walks.joined(is_joined, now),
            Input::WalkEnded(ended) => self.walks.ended(ended, now),
            Input::BytesReceived(bytes) => {
                self.patience.bytes(bytes, now);
                self.add_lane(now);
            }
            Input::Tick => self.on_tick(now),
        }
        self.decide(now);
    }

    /// The next thing to do; see the drain rule.
    pub fn poll_output(&mut self) -> Option<Output<P, A>> {
        self.outputs.pop_front()
    }

    /// When to call [`Fetch::handle`] with [`Input::Tick`] unless another input comes before. Waking
    /// early does no harm.
    pub fn next_wake(&self) -> Duration {
        let mut wake = self.next_tick;
        if let Some(at) = self.phase.fetching().and_then(|fetching| fetching.wake_at) {
            wake = wake.min(at);
        }
        if !self.holds_all() {
            let next_try = self.candidates.next_try();
            // A candidate that waits for room is due when a source ends, not with time.
            let next_try = next_try.filter(|_| self.sources.has_room());
            wake = [next_try, self.walks.next()]
                .into_iter()
                .flatten()
                .fold(wake, Duration::min);
        }
        wake
    }

    /// What is fetched.
    pub fn request(&self) -> &FetchRequest {
        &self.request
    }

    /// Whether the layout is known and readers can ask for bytes.
    pub fn is_fetching(&self) -> bool {
        self.phase.fetching().is_some()
    }
}
