//! The states of a pull: where the file comes from now, what its readers may have, what comes next.
//!
//! A pure state machine. The driver and the writer report what happened ([`Input`]); the driver does
//! what the machine decides ([`Output`]), in that order. Readers ask what they may have
//! ([`Pull::grant`]). There is no I/O and no clock here: `now` is the time since the pull began.
//!
//! **Drain rule:** the driver calls [`Pull::poll_output`] until it returns `None` before it waits.
//!
//! | state | what goes on | readers get | what ends it |
//! |---|---|---|---|
//! | `Queued` | the pull waits for a place; then the store is searched | nothing | held: `Ending`. Missing: `Searching` if peers are asked for claims, else `Both` |
//! | `Searching` | peers that are known without the DHT are asked which file hash the file has; a hash that the upstream lists is fetched already | chunks of a trusted file | a claim is tried: `HeadStart`. All answered without one, the fetch ended, or 200 ms: `Both` |
//! | `HeadStart` | a claimed file comes from peers; the upstream is not asked | chunks of a trusted file | proven: `Ending`. The fetch ended, or 2 s, unless a trusted file came with 2 MiB/s: `Both` |
//! | `Both` | the upstream sends from the beginning, and fills the file that comes from peers, if one does: they are asked for the end first | what the upstream sent, and chunks of a trusted file | the upstream's bytes are right: `Ending`. Proven: `Sealed`. The upstream refuses, or fails and peers have nothing: `Ending`. It fails: `PeersOnly` |
//! | `PeersOnly` | the upstream has failed; the file comes from peers, or claims are waited for | what the upstream had sent, and chunks of a trusted file | proven: `Sealed`. Nothing claimed is fetched for 3 s, or no claim is left: `Ending`, with the upstream's error |
//! | `Sealed` | the file of peers is proven; what readers got of the upstream is compared with it | nothing more of the upstream, chunks of a trusted file | the same: `Ending`. Wrong: `Ending`, with an error |
//! | `Ending` | all work stops; peers that lied are banned, what came for nothing is removed | what was released before | all is settled: `Done` or `Failed` |
//! | `Done` | the file is in the store | the store's file | |
//! | `Failed` | | the error | |
//!
//! # In every state
//! - A claimed file that proves to be another bans the peers that claimed it and is removed, then
//!   the next one is tried. Of a file that is not trusted, readers get nothing before the proof.
//! - Readers never get the last 256 KiB before `Done`: a reader of a wrong byte never gets the end.
//! - A pull without a reader for 10 s ends. Not in `PeersOnly`, whose readers get nothing before the
//!   proof, so that a reader that leaves may come back for it; nor in `Sealed`, which is about to end.
//! - What the upstream sent is kept for the next pull if this one ends without the file.

mod events;
mod grant;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use hubless_content::{CHUNK_SIZE, FileHash};
use hubless_transfer::fetch::claims::Claim;

pub(crate) use self::{
    events::{Input, Output, TrialEnd},
    grant::Grant,
};
use super::{
    candidates::{Candidates, Listing, PeerSearch, Trial},
    error::PullError,
};

/// How long the upstream waits for the answers of peers that are known without the DHT: some round
/// trips, and much less than a hub takes to answer.
const NEARBY_WITHIN: Duration = Duration::from_millis(200);

/// How long the upstream waits when a peer claims to have the file. A file that peers give in this
/// time costs the upstream nothing; a client waits up to 10 s for the first byte.
const HEAD_START: Duration = Duration::from_secs(2);

/// Chunks in each [`HEAD_START`] that trusted peers must give for the upstream to wait longer: 2 MiB/s.
const CHUNKS_IN_LEAD_MIN: u64 = 16;

/// How long a claim may take when the upstream has failed: a client that waits for the answer
/// receives the error before the gateway begins a body.
const CLAIM_WITHIN: Duration = Duration::from_secs(3);

/// How long a pull goes on without readers: a client that lost its connection finds it still there.
const LINGER: Duration = Duration::from_secs(10);

#[derive(Debug)]
enum State {
    Queued,
    Searching {
        until: Duration,
    },
    HeadStart {
        until: Duration,
        /// Chunks that were stored when this window of time began.
        chunks_before: u64,
    },
    Both {
        written: u64,
    },
    PeersOnly {
        written: u64,
        error: Arc<PullError>,
        /// Unless a claimed file is being fetched.
        until: Option<Duration>,
    },
    Sealed {
        file: FileHash,
        is_trusted: bool,
    },
    Ending {
        outcome: Result<FileHash, Arc<PullError>>,
        /// Bytes of the upstream that readers may still take.
        released: u64,
    },
    Done(FileHash),
    Failed(Arc<PullError>),
}

/// One pull: see the table above.
#[derive(Debug)]
pub(super) struct Pull {
    state: State,
    candidates: Candidates,
    /// Readers get nothing behind this before the proof.
    readable_end: u64,
    /// Stored chunks of the trusted file that is fetched.
    chunks: u64,
    readers: usize,
    /// Since when there is no reader.
    unread_since: Option<Duration>,
    outputs: VecDeque<Output>,
}

impl Pull {
    /// A pull of a file of `size` bytes that begins now and has no reader yet.
    pub(super) fn new(size: u64, listing: Listing) -> Self {
        Self {
            state: State::Queued,
            candidates: Candidates::new(listing),
            readable_end: size.saturating_sub(CHUNK_SIZE as u64),
            chunks: 0,
            readers: 0,
            unread_since: Some(Duration::ZERO),
            outputs: VecDeque::new(),
        }
    }

    /// Takes what happened. What comes too late for its state changes nothing.
    pub(super) fn handle(&mut self, now: Duration, input: Input) {
        match input {
            Input::ReaderJoined => {
                self.readers += 1;
                self.unread_since = None;
            }
            Input::ReaderLeft => {
                self.readers = self.readers.saturating_sub(1);
                self.unread_since = (self.readers == 0).then_some(now);
            }
            Input::Held(file) => self.end(Ok(file)),
            Input::Missing(search) => self.on_missing(now, search),
            Input::NotBegun(error) => self.end(Err(error.into())),
            Input::Claimed(claim) => self.on_claim(now, claim),
            Input::NearbyAnswered => self.on_nearby_answered(),
            Input::SearchEnded => {
                self.candidates.end_search();
                self.on_nearby_answered();
                self.end_without_peers();
            }
            Input::ChunksStored(chunks) => self.chunks = chunks,
            Input::TrialEnded(end) => self.on_trial_ended(now, end),
            Input::Written(bytes) => {
                if let State::Both { written } = &mut self.state {
                    *written = bytes;
                }
            }
            Input::UpstreamEnded(ended) => self.on_upstream_ended(now, ended),
            Input::Compared(compared) => self.on_compared(compared),
            Input::Stopped => self.end(Err(PullError::Interrupted.into())),
            Input::Settled => self.on_settled(),
            Input::Tick => self.on_tick(now),
        }
    }

    /// The next thing to do.
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Tick`] is due.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let due = match self.state {
            State::Searching { until } | State::HeadStart { until, .. } => Some(until),
            State::PeersOnly { until, .. } => until,
            State::Queued
            | State::Both { .. }
            | State::Sealed { .. }
            | State::Ending { .. }
            | State::Done(_)
            | State::Failed(_) => None,
        };
        due.into_iter().chain(self.abandoned_at()).min()
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, State::Done(_) | State::Failed(_))
    }

    /// When the pull ends if no reader joins.
    fn abandoned_at(&self) -> Option<Duration> {
        match self.state {
            State::Queued
            | State::Searching { .. }
            | State::HeadStart { .. }
            | State::Both { .. } => self.unread_since.map(|since| since + LINGER),
            State::PeersOnly { .. }
            | State::Sealed { .. }
            | State::Ending { .. }
            | State::Done(_)
            | State::Failed(_) => None,
        }
    }

    fn on_missing(&mut self, now: Duration, search: PeerSearch) {
        if !matches!(self.state, State::Queued) {
            return;
        }
        self.candidates.begin(search);
        match search {
            PeerSearch::Claims => {
                let until = now + NEARBY_WITHIN;
                self.state = State::Searching { until };
            }
            PeerSearch::None | PeerSearch::ListedHash => self.ask_upstream(),
        }
        self.try_next(now);
    }

    fn on_claim(&mut self, now: Duration, claim: Claim) {
        if self.candidates.add(claim.clone()) {
            self.outputs.push_back(Output::Introduce(claim));
        }
        if self.comes_from_peers() {
            self.try_next(now);
        }
    }

    /// Tries the next claimed file, unless one is being tried; then the upstream's turn may be later.
    fn try_next(&mut self, now: Duration) {
        if let Some(Trial {
            file,
            is_trusted,
            claims,
        }) = self.candidates.next()
        {
            self.chunks = 0;
            self.outputs.push_back(Output::Try { file, is_trusted });
            self.outputs
                .extend(claims.into_iter().map(Output::Introduce));
        }
        if !self.candidates.leads() {
            return;
        }
        match &mut self.state {
            State::Searching { .. } => {
                self.state = State::HeadStart {
                    until: now + HEAD_START,
                    chunks_before: self.chunks,
                }
            }
            State::PeersOnly { until, .. } => *until = None,
            _ => {}
        }
    }

    fn on_nearby_answered(&mut self) {
        // With a claim that waits for its turn, the time decides.
        if matches!(self.state, State::Searching { .. }) && !self.candidates.has_claims() {
            self.ask_upstream();
        }
    }

    fn on_trial_ended(&mut self, now: Duration, end: TrialEnd) {
        if !self.comes_from_peers() {
            return;
        }
        match end {
            TrialEnd::Proven => return self.prove(),
            TrialEnd::OtherFile => {
                if let Some((file, claimants)) = self.candidates.reject_current() {
                    self.outputs.extend(claimants.into_iter().map(Output::Ban));
                    self.outputs.push_back(Output::Discard(file));
                }
            }
            TrialEnd::Failed => {
                let file = self.candidates.end_current();
                self.outputs.extend(file.map(Output::Discard));
            }
        }
        match &mut self.state {
            State::Searching { .. } | State::HeadStart { .. } => self.ask_upstream(),
            State::PeersOnly { until, .. } => {
                until.get_or_insert(now + CLAIM_WITHIN);
            }
            _ => {}
        }
        self.try_next(now);
        self.end_without_peers();
    }

    fn on_upstream_ended(&mut self, now: Duration, ended: Result<FileHash, PullError>) {
        let State::Both { written } = self.state else {
            return;
        };
        match ended {
            Ok(file) => self.end(Ok(file)),
            // The upstream decides which callers may have the file: peers must not say yes then.
            Err(error) if error.is_refusal() => self.end(Err(error.into())),
            Err(error) => {
                let is_led = self.candidates.leads();
                self.state = State::PeersOnly {
                    written,
                    error: error.into(),
                    until: (!is_led).then(|| now + CLAIM_WITHIN),
                };
                self.end_without_peers();
            }
        }
    }

    fn on_compared(&mut self, compared: Result<(), PullError>) {
        if let State::Sealed { file, .. } = self.state {
            self.end(compared.map(|()| file).map_err(Arc::new));
        }
    }

    fn on_settled(&mut self) {
        if let State::Ending { outcome, .. } = &self.state {
            self.state = match outcome {
                Ok(file) => State::Done(*file),
                Err(error) => State::Failed(error.clone()),
            };
        }
    }

    fn on_tick(&mut self, now: Duration) {
        if self.abandoned_at().is_some_and(|at| now >= at) {
            return self.end(Err(PullError::Interrupted.into()));
        }
        match &mut self.state {
            State::Searching { until } if now >= *until => self.ask_upstream(),
            State::HeadStart {
                until,
                chunks_before,
            } if now >= *until => {
                let came = self.chunks.saturating_sub(*chunks_before);
                // Trusted chunks are read as they come: while they come fast, readers need no other.
                if self.candidates.trusted().is_some() && came >= CHUNKS_IN_LEAD_MIN {
                    (*until, *chunks_before) = (now + HEAD_START, self.chunks);
                } else {
                    self.ask_upstream();
                }
            }
            State::PeersOnly { until, .. } if until.is_some_and(|until| now >= until) => {
                self.give_up();
            }
            _ => {}
        }
    }

    /// Whether claims are tried in this state.
    fn comes_from_peers(&self) -> bool {
        match self.state {
            State::Searching { .. }
            | State::HeadStart { .. }
            | State::Both { .. }
            | State::PeersOnly { .. } => true,
            State::Queued
            | State::Sealed { .. }
            | State::Ending { .. }
            | State::Done(_)
            | State::Failed(_) => false,
        }
    }

    fn ask_upstream(&mut self) {
        self.state = State::Both { written: 0 };
        self.outputs.push_back(Output::AskUpstream);
    }

    /// The file that peers gave is the wanted one. What readers got of the upstream until now must
    /// be the same, and they get no more of it.
    fn prove(&mut self) {
        let is_trusted = self.candidates.trusted().is_some();
        let Some(file) = self.candidates.end_current() else {
            return;
        };
        match self.released() {
            0 => self.end(Ok(file)),
            bytes => {
                self.state = State::Sealed { file, is_trusted };
                self.outputs.push_back(Output::LeaveUpstream);
                self.outputs.push_back(Output::Compare { file, bytes });
            }
        }
    }

    /// Ends if the upstream has failed and no file comes from peers any more.
    fn end_without_peers(&mut self) {
        if self.is_of_peers_only() && self.candidates.are_over() {
            self.give_up();
        }
    }

    /// Ends with what the upstream said: it is the reason why peers were left alone with it.
    fn give_up(&mut self) {
        if let State::PeersOnly { error, .. } = &self.state {
            self.end(Err(error.clone()));
        }
    }

    fn end(&mut self, outcome: Result<FileHash, Arc<PullError>>) {
        if matches!(self.state, State::Ending { .. }) || self.has_ended() {
            return;
        }
        let released = self.released();
        self.outputs.push_back(Output::StopAll);
        if let Ok(truth) = outcome {
            let liars = self.candidates.liars(truth);
            self.outputs.extend(liars.into_iter().map(Output::Ban));
        }
        let current = self.candidates.end_current();
        let useless = current.filter(|file| outcome.as_ref().ok() != Some(file));
        self.outputs.extend(useless.map(Output::Discard));
        self.outputs.push_back(Output::Settle(outcome.clone()));
        self.state = State::Ending { outcome, released };
    }
}
