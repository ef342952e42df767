//! A fetch that several readers share: what each of them waits for is fetched once, and comes
//! before what nobody waits for.
//!
//! There is one feed for a model at a time. It fetches nothing by itself, only what its readers
//! ask for, and ends some seconds after the last of them left: a client that lost its connection
//! then finds it still under way.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::Duration,
};

use hubless_content::{ContentHash, FileHash, Manifest};
use hubless_scheduler::Order;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::sync::DropGuard;

use super::{
    digests::DigestAsks,
    failures,
    job::{Job, Outlook, Wish},
    layout::Layout,
    target::Target,
};
use crate::{failure::Failure, failure::interrupted, fetches::Fetches, progress::ProgressSink};

/// Demands that wait for the job; those who make more wait with them.
const DEMANDS_MAX: usize = 64;

/// How long a feed goes on without readers, at least.
const LINGER: Duration = Duration::from_secs(10);

/// How long a feed waits without progress while somebody waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a reader waits for.
#[derive(Debug, Clone)]
pub struct Demand {
    /// The file.
    pub file: FileHash,
    /// The bytes it will read.
    pub bytes: Range<u64>,
    /// Those of them that it reads next: they come first.
    pub next: Range<u64>,
}

/// The feeds under way; as many as there are models that somebody reads, which the gateway's
/// connections bound.
#[derive(Default)]
pub(crate) struct Feeds(Mutex<HashMap<ContentHash, Weak<Shared>>>);

/// A reader's share of a feed.
#[derive(Clone)]
pub struct Feed {
    shared: Arc<Shared>,
    stored: watch::Receiver<u64>,
}

struct Shared {
    demands: mpsc::Sender<Demand>,
    layout: watch::Receiver<Option<Arc<Layout>>>,
    stored: watch::Receiver<u64>,
    outlook: watch::Receiver<Outlook>,
    digests: DigestAsks,
    model: ContentHash,
    failure: Arc<OnceLock<Failure>>,
    /// Dropping them ends the fetch.
    _cancel_on_drop: DropGuard,
}

impl Feed {
    /// The feed of a model, begun if there is none.
    ///
    /// # Errors
    /// If this process has no network.
    pub fn join(fetches: &Arc<Fetches>, model: ContentHash) -> Result<Self, Failure> {
        let mut feeds = fetches
            .feeds
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        feeds.retain(|_, feed| feed.strong_count() > 0);
        let alive = feeds
            .get(&model)
            .and_then(Weak::upgrade)
            .filter(|shared| shared.stored.has_changed().is_ok());
        let shared = match alive {
            Some(shared) => shared,
            None => {
                let shared = begin(fetches, model)?;
                feeds.insert(model, Arc::downgrade(&shared));
                shared
            }
        };
        let stored = shared.stored.clone();
        Ok(Self { shared, stored })
    }

    /// The list of files, as soon as some peer gave it.
    ///
    /// # Errors
    /// If nobody has it.
    pub async fn manifest(&self) -> Result<Arc<Manifest>, Failure> {
        let mut layout = self.shared.layout.clone();
        let known = layout.wait_for(Option::is_some).await;
        let known = known.ok().and_then(|layout| layout.clone());
        known
            .map(|layout| layout.manifest.clone())
            .ok_or_else(|| self.failure())
    }

    /// Asks peers what other hubs call files; ends when they said it, or said that they do not know.
    /// What they claim is in [`Fetches::claimed`] then.
    pub async fn digests(&self, files: &[FileHash]) {
        self.shared.digests.want(files);
        self.shared.digests.answered(files).await;
    }

    /// Waits for a source that has something of the model.
    ///
    /// # Errors
    /// If there is none within this time; says what was tried.
    pub async fn holder(&self, within: Duration) -> Result<(), Failure> {
        let mut outlook = self.shared.outlook.clone();
        let found = outlook.wait_for(|outlook| outlook.holders > 0);
        match timeout(within, found).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(_)) => return Err(self.failure()),
            Err(_) => {}
        }
        let named = outlook.borrow().named;
        let target = Target::Model(self.shared.model);
        Err(failures::no_holder(&target, named, within))
    }

    /// Asks for bytes of a file.
    ///
    /// # Errors
    /// If the fetch failed.
    pub async fn demand(
        &self,
        file: FileHash,
        bytes: Range<u64>,
        next: Range<u64>,
    ) -> Result<(), Failure> {
        let demand = Demand { file, bytes, next };
        let sent = self.shared.demands.send(demand).await;
        sent.map_err(|_| self.failure())
    }

    /// To be called before looking at what is stored: [`Feed::more`] then ends for what comes
    /// after the look.
    pub fn look(&mut self) {
        self.stored.borrow_and_update();
    }

    /// Ends when something was stored since [`Feed::look`].
    ///
    /// # Errors
    /// If the fetch failed.
    pub async fn more(&mut self) -> Result<(), Failure> {
        let changed = self.stored.changed().await;
        changed.map_err(|_| self.failure())
    }

    /// What may be expected of the fetch now.
    pub(super) fn outlook(&self) -> Outlook {
        *self.shared.outlook.borrow()
    }

    fn failure(&self) -> Failure {
        let failure = self.shared.failure.get().cloned();
        failure.unwrap_or_else(interrupted)
    }
}

fn begin(fetches: &Arc<Fetches>, model: ContentHash) -> Result<Arc<Shared>, Failure> {
    let (sink, cancel_on_drop) = ProgressSink::silent(&fetches.cx.cancel);
    let (demands, received) = mpsc::channel(DEMANDS_MAX);
    let wish = Wish {
        target: Target::Model(model),
        named: Vec::new(),
        wants: Box::new(|_| true),
        range: Some(0..0),
        demands: Some(received),
        order: Order::Sequential,
        patience: PATIENCE,
        keep: false,
        only_plan: false,
    };
    let job = Job::new(fetches, &sink, wish)?;
    let failure = Arc::new(OnceLock::new());
    let shared = Arc::new(Shared {
        demands,
        layout: job.layout(),
        stored: job.stored(),
        outlook: job.outlook(),
        digests: job.digests(),
        model,
        failure: failure.clone(),
        _cancel_on_drop: cancel_on_drop,
    });
    fetches.cx.tasks.spawn(async move {
        // The job tells its end by dropping what it told its progress by: the reason comes first.
        job.run_telling(&failure).await;
    });
    fetches
        .cx
        .tasks
        .spawn(linger(fetches.clone(), shared.clone()));
    Ok(shared)
}

/// Keeps a feed until nobody has used it for a while.
async fn linger(fetches: Arc<Fetches>, shared: Arc<Shared>) {
    while Arc::strong_count(&shared) > 1 {
        tokio::select! {
            () = tokio::time::sleep(LINGER) => {}
            () = fetches.cx.cancel.cancelled() => return,
        }
    }
}
