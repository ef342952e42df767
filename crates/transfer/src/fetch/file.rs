//! Fetching one file by its hash, whatever models it is in.

use std::{sync::Arc, time::Duration};

use hubless_content::ManifestEntry;
use hubless_fetch::FetchRequest;
use hubless_network::{Multiaddr, PeerId};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::DropGuard;

use super::{
    discovery::Candidate,
    driver::{Driver, DriverArgs},
    read::ExternalChunks,
};
use crate::{error::TransferError, fetches::Fetches, progress::ProgressSink, transfers::Live};

/// A fetch of one file, from its beginning to its end. Dropping it ends it; what came stays.
pub struct FileFetch {
    driver: Driver,
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
    ) -> Result<Self, TransferError> {
        let (sink, cancel_on_drop) = ProgressSink::silent(&fetches.cx.cancel);
        let args = DriverArgs {
            request: FetchRequest::File(file),
            named: Vec::new(),
            reads: None,
            patience,
        };
        let driver = Driver::new(fetches, &sink, args)?;
        Ok(Self {
            introductions: Introductions(driver.names()),
            driver,
            _cancel_on_drop: cancel_on_drop,
        })
    }

    /// Lists it in `status` and on the web pages as this transfer.
    pub fn list_as(&mut self, transfer: Option<Live>) {
        self.driver.list_as(transfer);
    }

    /// A way to name peers while it runs.
    pub fn introductions(&self) -> Introductions {
        self.introductions.clone()
    }

    /// Where chunks from elsewhere can be given to it.
    pub fn external_chunks(&self) -> ExternalChunks {
        self.driver.external_chunks()
    }

    /// Changes whenever a chunk was stored.
    pub fn stored(&self) -> watch::Receiver<u64> {
        self.driver.stored()
    }

    /// Fetches until all chunks are held.
    ///
    /// # Errors
    /// If no peer has it, or the store is full.
    pub async fn run(self) -> Result<(), TransferError> {
        self.driver.run().await.map(|_| ())
    }
}
