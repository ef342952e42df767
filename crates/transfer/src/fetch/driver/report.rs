//! What a fetch reports: to its caller, to its readers, and to `status` and the web pages.

use std::{sync::Arc, time::Duration};

use hubless_fetch::{Fetch, Layout, Outlook, SourceProgress, Stage};
use hubless_network::{Multiaddr, PeerId};
use tokio::sync::watch;

use crate::{
    progress::{Progress, ProgressSink, Stall, State, TransferSource},
    transfers::{Live, TransferReport},
};

/// The receivers of reports.
pub(super) struct Reports {
    sink: ProgressSink,
    layout: watch::Sender<Option<Arc<Layout>>>,
    /// Counts stored chunks, for readers.
    stored: watch::Sender<u64>,
    outlook: watch::Sender<Outlook>,
    /// The entry in `status` and on the web pages; a file alone has none of its own.
    transfer: Option<Live>,
}

/// Keeps readers from seeing the end of a fetch.
pub(super) struct KeptOpen {
    _layout: watch::Sender<Option<Arc<Layout>>>,
    _stored: watch::Sender<u64>,
    _outlook: watch::Sender<Outlook>,
}

impl Reports {
    pub(super) fn new(sink: ProgressSink, transfer: Option<Live>) -> Self {
        Self {
            sink,
            layout: watch::Sender::default(),
            stored: watch::Sender::default(),
            outlook: watch::Sender::default(),
            transfer,
        }
    }

    pub(super) fn list_as(&mut self, transfer: Option<Live>) {
        self.transfer = transfer;
    }

    pub(super) fn layout(&self) -> watch::Receiver<Option<Arc<Layout>>> {
        self.layout.subscribe()
    }

    pub(super) fn stored(&self) -> watch::Receiver<u64> {
        self.stored.subscribe()
    }

    pub(super) fn outlook(&self) -> watch::Receiver<Outlook> {
        self.outlook.subscribe()
    }

    pub(super) fn keep_open(&self) -> KeptOpen {
        KeptOpen {
            _layout: self.layout.clone(),
            _stored: self.stored.clone(),
            _outlook: self.outlook.clone(),
        }
    }

    pub(super) fn layout_known(&self, layout: Arc<Layout>) {
        self.layout.send_replace(Some(layout));
    }

    pub(super) fn known_layout(&self) -> Option<Arc<Layout>> {
        self.layout.borrow().clone()
    }

    /// Ends when the caller left.
    pub(super) async fn cancelled(&self) {
        self.sink.cancelled().await;
    }

    /// Lets readers know what changed.
    pub(super) fn note(&self, fetch: &Fetch<PeerId, Multiaddr>, now: Duration) {
        replace_if_new(&self.stored, fetch.chunks_stored());
        replace_if_new(&self.outlook, fetch.outlook(now));
    }

    /// Reports how far the fetch is.
    pub(super) fn progress(
        &self,
        progress: hubless_fetch::Progress<PeerId>,
        bytes_fetched: u64,
        takes_reads: bool,
    ) {
        let state = state(progress.stage);
        let stall = progress.stall.as_ref().map(stall);
        let (missing, total) = (progress.bytes_missing, progress.bytes_total);
        self.sink.report(Progress {
            state,
            bytes_verified: total.saturating_sub(missing),
            bytes_total: total,
            sources: progress.sources.len() as u32,
            stall: stall.clone(),
        });
        let Some(transfer) = &self.transfer else {
            return;
        };
        if progress.is_idle {
            return transfer.report(None);
        }
        // What readers will ask for is not known: such a fetch is measured by what they asked for.
        let wanted = if takes_reads && total > 0 {
            bytes_fetched + missing
        } else {
            total
        };
        transfer.report(Some(TransferReport {
            state,
            bytes_verified: wanted.saturating_sub(missing),
            bytes_total: wanted,
            bytes_fetched,
            sources: progress.sources.iter().map(source).collect(),
            stall,
        }));
    }
}

fn replace_if_new<T: PartialEq>(sender: &watch::Sender<T>, value: T) {
    sender.send_if_modified(|old| {
        let is_new = *old != value;
        *old = value;
        is_new
    });
}

fn state(stage: Stage) -> State {
    match stage {
        Stage::FindingProviders => State::FindingProviders,
        Stage::FetchingManifest => State::FetchingManifest,
        Stage::Fetching => State::Fetching,
    }
}

fn stall(stall: &hubless_fetch::Stall<PeerId>) -> Stall {
    Stall {
        seconds: stall.idle.as_secs(),
        waiting_for: stall.waiting_for.map(|peer| peer.to_string()),
        asking: stall.others as u32,
    }
}

fn source(source: &SourceProgress<PeerId>) -> TransferSource {
    TransferSource {
        peer_id: source.peer.to_string(),
        chunks: source.chunks,
        bytes_fetched: source.bytes_fetched,
        bytes_per_second: source.bytes_per_second,
    }
}
