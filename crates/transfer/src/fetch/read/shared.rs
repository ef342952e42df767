//! A fetch that several readers share: what each of them waits for is fetched once, and comes
//! before everything else.
//!
//! There is one shared fetch of a model at a time. It fetches nothing by itself, only what its readers
//! ask for, and ends some seconds after the last of them left: a client that lost its connection
//! then finds it still under way.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
    time::Duration,
};

use hubless_content::{ContentHash, FileHash, Manifest};
use hubless_fetch::{FetchRequest, Outlook, ReadRequest, Target};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use crate::{
    error::TransferError,
    fetch::driver::{Driver, DriverArgs},
    fetches::Fetches,
    progress::ProgressSink,
    shared_fetches::RunningFetch,
};

/// Read requests that wait for the fetch; a reader with one more waits too.
const READS_MAX: usize = 64;

/// How long a shared fetch goes on without readers, at least.
const LINGER: Duration = Duration::from_secs(10);

/// How long it waits without progress while a reader waits.
const PATIENCE: Duration = Duration::from_secs(30);

/// A reader's share of a fetch.
#[derive(Clone)]
pub struct SharedFetch {
    shared: Arc<RunningFetch>,
    stored: watch::Receiver<u64>,
}

impl SharedFetch {
    /// The shared fetch of a model, begun if there is none.
    ///
    /// # Errors
    /// If this process has no network.
    pub fn join(fetches: &Arc<Fetches>, model: ContentHash) -> Result<Self, TransferError> {
        let shared = fetches.shared.join(model, || begin(fetches, model))?;
        let stored = shared.stored.clone();
        Ok(Self { shared, stored })
    }

    /// The list of files, as soon as some peer gave it.
    ///
    /// # Errors
    /// If no peer has it.
    pub async fn manifest(&self) -> Result<Arc<Manifest>, TransferError> {
        let mut layout = self.shared.layout.clone();
        let known = layout.wait_for(Option::is_some).await;
        let known = known.ok().and_then(|layout| layout.clone());
        known
            .map(|layout| layout.manifest.clone())
            .ok_or_else(|| self.shared.failure())
    }

    /// Asks peers what other hubs call files; ends when they answered, with names or without. What
    /// they claim is in [`Fetches::claimed`] then.
    pub async fn digests(&self, files: &[FileHash]) {
        self.shared.digests.want(files);
        self.shared.digests.answered(files).await;
    }

    /// Waits for a source that has something of the model.
    ///
    /// # Errors
    /// If there is none within this time, with what was tried.
    pub async fn holder(&self, within: Duration) -> Result<(), TransferError> {
        let mut outlook = self.shared.outlook.clone();
        let found = outlook.wait_for(|outlook| outlook.holders > 0);
        match timeout(within, found).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(_)) => return Err(self.shared.failure()),
            Err(_) => {}
        }
        let named = outlook.borrow().named;
        Err(TransferError::NoHolder {
            target: Box::new(Target::Model(self.shared.model)),
            candidates: named,
            within,
        })
    }

    /// Asks for bytes of a file.
    ///
    /// # Errors
    /// If the fetch failed.
    pub async fn request(
        &self,
        file: FileHash,
        bytes: Range<u64>,
        next: Range<u64>,
    ) -> Result<(), TransferError> {
        let request = ReadRequest { file, bytes, next };
        let sent = self.shared.reads.send(request).await;
        sent.map_err(|_| self.shared.failure())
    }

    /// To be called before what is stored is read: [`SharedFetch::stored_more`] then ends for what
    /// comes after that.
    pub fn mark_read(&mut self) {
        self.stored.borrow_and_update();
    }

    /// Ends when something was stored since [`SharedFetch::mark_read`].
    ///
    /// # Errors
    /// If the fetch failed.
    pub async fn stored_more(&mut self) -> Result<(), TransferError> {
        let changed = self.stored.changed().await;
        changed.map_err(|_| self.shared.failure())
    }

    /// What may be expected of the fetch now.
    pub fn outlook(&self) -> Outlook {
        *self.shared.outlook.borrow()
    }
}

fn begin(fetches: &Arc<Fetches>, model: ContentHash) -> Result<Arc<RunningFetch>, TransferError> {
    let (sink, cancel_on_drop) = ProgressSink::silent(&fetches.cx.cancel);
    let (reads, read_requests) = mpsc::channel(READS_MAX);
    let args = DriverArgs {
        request: FetchRequest::Shared { model },
        named: Vec::new(),
        reads: Some(read_requests),
        patience: PATIENCE,
    };
    let driver = Driver::new(fetches, &sink, args)?;
    let failure = Arc::new(OnceLock::new());
    let shared = Arc::new(RunningFetch {
        reads,
        layout: driver.layout(),
        stored: driver.stored(),
        outlook: driver.outlook(),
        digests: driver.digests(),
        model,
        failure: failure.clone(),
        _cancel_on_drop: cancel_on_drop,
    });
    fetches.cx.tasks.spawn(async move {
        // Readers see the end of a fetch when its reports end: the reason is noted before.
        driver.run_noting(&failure).await;
    });
    fetches
        .cx
        .tasks
        .spawn(linger(fetches.clone(), shared.clone()));
    Ok(shared)
}

/// Keeps a shared fetch until it had no reader for a while.
async fn linger(fetches: Arc<Fetches>, shared: Arc<RunningFetch>) {
    while Arc::strong_count(&shared) > 1 {
        tokio::select! {
            () = tokio::time::sleep(LINGER) => {}
            () = fetches.cx.cancel.cancelled() => return,
        }
    }
}
