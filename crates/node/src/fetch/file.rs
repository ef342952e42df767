//! Fetching one file by its hash, whatever models it is in.

use std::{sync::Arc, time::Duration};

use hubless_content::ManifestEntry;
use hubless_network::{Multiaddr, PeerId};
use hubless_scheduler::Order;
use tokio::sync::{mpsc, watch};

use super::{
    discovery::Candidate,
    job::{Job, Wish},
    supply::Supply,
    target::Target,
};
use crate::{
    api::Failure,
    core::Core,
    replies::{Replies, replies},
    transfers::Live,
};

/// A fetch of one file, from its beginning to its end. Dropping it ends it; what came stays.
pub(crate) struct FileFetch {
    job: Job,
    introductions: Introductions,
    _replies: Replies,
}

/// A way to name peers to a fetch while it runs.
#[derive(Clone)]
pub(crate) struct Introductions(mpsc::Sender<Candidate>);

impl Introductions {
    /// Names a peer that has the file. One is forgotten if very many are named at once.
    pub(crate) fn name(&self, peer: PeerId, addresses: Vec<Multiaddr>) {
        let _ = self.0.try_send(Candidate {
            peer,
            addresses,
            file: None,
        });
    }
}

impl FileFetch {
    /// Prepares a fetch that gives up when nothing comes for `patience`.
    ///
    /// # Errors
    /// If this process has no network.
    pub(crate) fn new(
        core: &Arc<Core>,
        file: ManifestEntry,
        patience: Duration,
    ) -> Result<Self, Failure> {
        let (sink, replies) = replies(&core.cancel);
        let wish = Wish {
            target: Target::File(file),
            named: Vec::new(),
            wants: Box::new(|_| true),
            range: None,
            demands: None,
            order: Order::Sequential,
            patience,
            keep: false,
            only_plan: false,
        };
        let job = Job::new(core, &sink, wish)?;
        Ok(Self {
            introductions: Introductions(job.introductions()),
            job,
            _replies: replies,
        })
    }

    /// Has those who look see it.
    pub(crate) fn show(&mut self, live: Option<Live>) {
        self.job.show(live);
    }

    pub(crate) fn introductions(&self) -> Introductions {
        self.introductions.clone()
    }

    /// A way to give it what comes from elsewhere.
    pub(crate) fn supply(&self) -> Supply {
        self.job.supply()
    }

    /// Changes whenever a chunk was stored.
    pub(crate) fn stored(&self) -> watch::Receiver<u64> {
        self.job.stored()
    }

    /// Fetches until all chunks are held.
    ///
    /// # Errors
    /// If nobody has it, or the store is full.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        self.job.run().await.map(|_| ())
    }
}
