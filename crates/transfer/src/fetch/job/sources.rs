//! The sources of a fetch: who is connected to, and what becomes of those that end.

use hubless_content::{ContentHash, FileHash};
use hubless_network::{Multiaddr, PeerId};
use hubless_scheduler::{Input, SourceId};
use tokio::{
    sync::{broadcast::error::RecvError, mpsc},
    time::Instant,
};

use super::{Handle, Job};
use crate::fetch::{
    discovery::Candidate,
    source::{self, End, SourceArgs},
};

/// Sources at once. More connections than this do not make a fetch faster, and each costs memory
/// on both sides.
const SOURCES_MAX: usize = 48;

/// Commands that wait for a source: all that can be open, and as many cancels.
const COMMANDS_MAX: usize = 2 * hubless_scheduler::ASKS_PER_SOURCE_MAX;

impl Job {
    /// Connects to candidates while there is room.
    pub(super) fn start_sources(&mut self) {
        let now = Instant::now();
        while self.sources.len() < SOURCES_MAX
            && let Some((peer, addresses, files)) = self.candidates.take(now)
        {
            self.start_source(peer, addresses, files);
        }
    }

    fn start_source(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, files: Vec<FileHash>) {
        let id = SourceId(self.next_source);
        self.next_source += 1;
        let (commands, received) = mpsc::channel(COMMANDS_MAX);
        let args = SourceArgs {
            id,
            peer,
            addresses,
            files,
            commands: received,
            shared: self.shared.clone(),
        };
        self.tasks.spawn(source::run(args));
        let handle = Handle {
            peer,
            commands,
            useful: false,
            has_some: false,
        };
        self.sources.insert(id, handle);
    }

    /// Begins another lane to a peer where that may help.
    pub(super) fn widen(&mut self) {
        let Some(scheduler) = &self.scheduler else {
            return;
        };
        let peers = self.sources.iter().map(|(id, handle)| (*id, handle.peer));
        let due = self.widening.due(
            Instant::now().into_std(),
            self.bytes_missing,
            &peers.collect(),
            scheduler.sources(),
        );
        if let Some(peer) = due {
            tracing::debug!(%peer, "one more lane");
            let (addresses, files) = self.candidates.named_for(&peer);
            self.start_source(peer, addresses, files);
        }
    }

    pub(super) fn hear_asker(&mut self, asker: Result<(ContentHash, PeerId), RecvError>) {
        // Who is missed because too many ask is named by others.
        if let Ok((content, peer)) = asker
            && Some(content) == self.wish.target.model()
            && self.scheduler.is_some()
        {
            self.add_asker(peer);
        }
    }

    /// Who asks for this model has some of it, or soon will. It is connected, so no address is
    /// needed. Not before the manifest is here: until then nobody can learn from our answers that
    /// we want it.
    pub(super) fn add_asker(&mut self, peer: PeerId) {
        let candidate = Candidate {
            peer,
            addresses: Vec::new(),
            file: None,
        };
        self.candidates.add(candidate, Instant::now());
    }

    /// The source and the first one of the same peer, if that was another; it may have left.
    pub(super) fn twin_of(&mut self, source: SourceId) -> Option<(SourceId, SourceId)> {
        let peer = self.sources.get(&source)?.peer;
        let first = *self.firsts.entry(peer).or_insert(source);
        (first != source).then_some((source, first))
    }

    /// Breaks with the peer of a source, on all its lanes: it sent too many wrong chunks.
    pub(super) fn break_with(&mut self, source: SourceId) {
        let Some(peer) = self.sources.get(&source).map(|handle| handle.peer) else {
            return;
        };
        self.sources.retain(|_, handle| handle.peer != peer);
        self.candidates.drop_peer(peer);
        let fetches = self.shared.fetches.clone();
        // Beside the fetch, which may have ended by then.
        let ban = {
            let fetches = fetches.clone();
            async move { fetches.cx.reject(peer).await }
        };
        fetches.cx.tasks.spawn(ban);
    }

    pub(super) async fn source_ended(&mut self, source: SourceId, end: End) {
        self.schedule(Input::SourceGone(source));
        self.reached |= end != End::Unreachable;
        let Some(handle) = self.sources.remove(&source) else {
            return;
        };
        tracing::debug!(peer = %handle.peer, ?end, "a source ended");
        self.show_outlook();
        match end {
            End::Lied => {
                self.candidates.drop_peer(handle.peer);
                self.shared.fetches.cx.reject(handle.peer).await;
            }
            // It has other lanes that work.
            _ if self.sources.values().any(|other| other.peer == handle.peer) => {}
            End::Unreachable | End::Nothing | End::Gone => {
                self.candidates
                    .failed(handle.peer, handle.useful, Instant::now());
            }
        }
    }
}
