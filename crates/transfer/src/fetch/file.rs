//! Fetching one file by its hash, whatever models it is in.

use std::{sync::Arc, time::Duration};

use hubless_content::ManifestEntry;
use hubless_network::{Multiaddr, PeerId};
use hubless_scheduler::Order;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::DropGuard;

use super::{
    discovery::Candidate,
    job::{Job, Wish},
    supply::Supply,
    target::Target,
};
use crate::{failure::Failure, fetches::Fetches, progress::ProgressSink, transfers::Live};

/// A fetch of one file, from its beginning to its end. Dropping it ends it; what came stays.
pub struct FileFetch {
    job: Job,
    introductions: Introductions,
    _cancel_on_drop: DropGuard,
}

/// A way to name peers to a fetch while it runs.
#[derive(Clone)]
pub struct Introductions(mpsc::Sender<Candidate>);

impl Introductions {
    /// Names a peer that has the file. One is forgotten if very many are named at once.
    pub fn name(&self, peer: PeerId, addresses: Vec<Multiaddr>) {
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
    pub fn new(
        fetches: &Arc<Fetches>,
        file: ManifestEntry,
        patience: Duration,
    ) -> Result<Self, Failure> {
        let (sink, cancel_on_drop) = ProgressSink::silent(&fetches.cx.cancel);
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
        let job = Job::new(fetches, &sink, wish)?;
        Ok(Self {
            introductions: Introductions(job.introductions()),
            job,
            _cancel_on_drop: cancel_on_drop,
        })
    }

    /// Has those who look see it.
    pub fn show(&mut self, live: Option<Live>) {
        self.job.show(live);
    }

    /// A way to name peers while it runs.
    pub fn introductions(&self) -> Introductions {
        self.introductions.clone()
    }

    /// A way to give it what comes from elsewhere.
    pub fn supply(&self) -> Supply {
        self.job.supply()
    }

    /// Changes whenever a chunk was stored.
    pub fn stored(&self) -> watch::Receiver<u64> {
        self.job.stored()
    }

    /// Fetches until all chunks are held.
    ///
    /// # Errors
    /// If nobody has it, or the store is full.
    pub async fn run(self) -> Result<(), Failure> {
        self.job.run().await.map(|_| ())
    }
}
