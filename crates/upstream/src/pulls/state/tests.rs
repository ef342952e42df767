//! Every row of the table, in virtual time.

mod beginning;
mod both;
mod ending;

use hubless_content::ModelPath;
use hubless_network::{Identity, PeerId};

use super::*;
use crate::error::UpstreamError;

const CHUNK: u64 = CHUNK_SIZE as u64;

/// Ten chunks; the last begins at 9.
const SIZE: u64 = 10 * CHUNK;

fn file(fill: u8) -> FileHash {
    FileHash::new([fill; 32])
}

fn path() -> ModelPath {
    ModelPath::new("weights.bin").unwrap()
}

fn claim(fill: u8) -> Claim {
    Claim {
        peer: Identity::generate().peer_id(),
        addresses: Vec::new(),
        file: file(fill),
        size: SIZE,
    }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn failed() -> PullError {
    UpstreamError::Redirects.into()
}

fn refused() -> PullError {
    let host = "other.example".to_owned();
    UpstreamError::ForbiddenHost { host }.into()
}

fn wrong_bytes() -> PullError {
    PullError::WrongBytes { path: path() }
}

/// A pull with one reader, and what it decided.
struct Run {
    pull: Pull,
    now: Duration,
    outputs: Vec<Output>,
}

impl Run {
    fn new(listing: Listing) -> Self {
        let mut run = Self {
            pull: Pull::new(SIZE, listing),
            now: Duration::ZERO,
            outputs: Vec::new(),
        };
        run.input(Input::ReaderJoined);
        run
    }

    /// Of a listing with a SHA-256, among strangers.
    fn public() -> Self {
        Self::new(Listing {
            has_sha256: true,
            ..Listing::default()
        })
    }

    fn of_members() -> Self {
        Self::new(Listing {
            has_sha256: true,
            members_only: true,
            ..Listing::default()
        })
    }

    /// The same with the search for claims begun.
    fn searching(mut self) -> Self {
        self.input(Input::Missing(PeerSearch::Claims));
        assert!(matches!(self.pull.state, State::Searching { .. }));
        self
    }

    /// The upstream sends, without peers.
    fn both(mut self) -> Self {
        self.input(Input::Missing(PeerSearch::None));
        self.expect_both();
        self
    }

    /// The upstream sends beside peers that give a claimed file.
    fn both_with(mut self, claim: Claim) -> Self {
        self.input(Input::Missing(PeerSearch::Claims));
        self.input(Input::Claimed(claim));
        self.wait(HEAD_START);
        self.expect_both();
        self
    }

    fn input(&mut self, input: Input) {
        self.pull.handle(self.now, input);
        while let Some(output) = self.pull.poll_output() {
            self.outputs.push(output);
        }
    }

    /// Lets time pass, with the ticks that are due in it, as the driver does.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.pull.deadline().filter(|due| *due <= end) {
            self.now = due.max(self.now);
            self.input(Input::Tick);
        }
        self.now = end;
    }

    fn expect_both(&mut self) {
        assert!(matches!(self.pull.state, State::Both { .. }));
        assert!(self.take(|output| matches!(output, Output::AskUpstream)));
    }

    fn expect_peers_only(&self) {
        assert!(self.pull.is_of_peers_only());
    }

    fn has_asked_upstream(&self) -> bool {
        self.outputs
            .iter()
            .any(|output| matches!(output, Output::AskUpstream))
    }

    /// Takes the first such output.
    fn take(&mut self, is_such: impl Fn(&Output) -> bool) -> bool {
        let at = self.outputs.iter().position(is_such);
        at.map(|at| self.outputs.remove(at)).is_some()
    }

    fn takes_try(&mut self, file: FileHash) -> bool {
        self.take(|output| matches!(output, Output::Try { file: now, .. } if *now == file))
    }

    fn banned(&self) -> Vec<PeerId> {
        let banned = |output: &Output| match output {
            Output::Ban(peer) => Some(*peer),
            _ => None,
        };
        self.outputs.iter().filter_map(banned).collect()
    }

    fn discarded(&self) -> Vec<FileHash> {
        let discarded = |output: &Output| match output {
            Output::Discard(file) => Some(*file),
            _ => None,
        };
        self.outputs.iter().filter_map(discarded).collect()
    }

    /// What a reader of all gets from an offset.
    fn grant(&self, start: u64) -> Grant {
        self.pull.grant(&(start..SIZE))
    }

    fn expect_done(mut self, file: FileHash) {
        assert!(self.take(|output| matches!(output, Output::StopAll)));
        assert!(self.take(|output| matches!(output, Output::Settle(Ok(now)) if *now == file)));
        assert!(!self.pull.has_ended(), "what is to be settled comes first");
        self.input(Input::Settled);
        assert!(self.pull.has_ended());
        assert!(matches!(self.grant(0), Grant::Stored(now) if now == file));
    }

    fn expect_failed(mut self, is_expected: impl Fn(&PullError) -> bool) {
        assert!(self.take(|output| matches!(output, Output::StopAll)));
        assert!(self.take(|output| matches!(output, Output::Settle(Err(_)))));
        assert!(!self.pull.is_joinable(), "a new reader begins anew");
        self.input(Input::Settled);
        assert!(self.pull.has_ended());
        assert!(matches!(self.grant(0), Grant::Failed(error) if is_expected(&error)));
    }
}

fn is_interrupted(error: &PullError) -> bool {
    matches!(error, PullError::Interrupted)
}

fn is_failed(error: &PullError) -> bool {
    matches!(error, PullError::Upstream(UpstreamError::Redirects))
}
