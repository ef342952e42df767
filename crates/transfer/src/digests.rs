//! Computes the aliases (SHA-256 and git's id) of held files: in the background, or at once on
//! request.
//!
//! SHA-256 and git's SHA-1 cost several times what BLAKE3 does. An import or a fetch does not wait
//! for them; they are computed after it, by one thread that rests at least as long as it works, and
//! pauses during imports and fetches. After a restart the remaining files are found again: the
//! store has no digests of them.
//!
//! # Data flow
//! A change of the held content starts a sweep over the store; new digests are such a change too,
//! after which the aliases are announced.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hubless_content::FileHash;
use hubless_store::{Digests, Observer, StoreError};
use hubless_sync::lock;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    blocking::{Aborted, Blocking},
    context::Context,
    error::TransferError,
    fetches::Fetches,
    locks::Locks,
    pacing::Pacer,
};

/// Changes are gathered for so long: a fetch of many files is one sweep.
const SETTLE: Duration = Duration::from_secs(1);

/// Files without digests that are read from the index at once.
const PAGE: usize = 256;

/// Interval at which new digests are reported during a long sweep.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Delay before a file that could not be read is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Limit of remembered unreadable files.
const FAILED_MAX: usize = 10_000;

/// Limit of files whose digests are computed before others because a peer requested them: a page or
/// two of one peer's request. Further ones are computed in the usual order.
const WANTED_MAX: usize = 1024;

/// The files whose digests are requested or being computed.
#[derive(Default)]
pub struct DigestQueue {
    files: Locks<FileHash>,
    /// Number of waiting callers.
    awaited: AtomicUsize,
    /// Whether a background worker runs.
    has_worker: AtomicBool,
    /// Files that the worker takes before others.
    wanted: Mutex<VecDeque<FileHash>>,
    /// Wakes the worker when such files are added.
    more: Notify,
    /// Counts the files whose digests were computed.
    done: watch::Sender<u64>,
}

impl DigestQueue {
    /// Moves files to the front of the background work, at its usual pace. Returns a receiver that
    /// changes whenever digests were computed; `None` if no worker runs.
    pub fn want(&self, files: &[FileHash]) -> Option<watch::Receiver<u64>> {
        if !self.has_worker.load(Ordering::Relaxed) {
            return None;
        }
        let done = self.done.subscribe();
        let mut wanted = self.wanted();
        for file in files {
            if wanted.len() < WANTED_MAX && !wanted.contains(file) {
                wanted.push_back(*file);
            }
        }
        self.more.notify_one();
        Some(done)
    }

    fn wanted(&self) -> MutexGuard<'_, VecDeque<FileHash>> {
        lock(&self.wanted)
    }

    fn next_wanted(&self) -> Option<FileHash> {
        self.wanted().pop_front()
    }
}

/// Computes digests: at once for callers, and in the background. Cloning is cheap.
#[derive(Clone)]
pub struct Digester {
    fetches: Arc<Fetches>,
    queue: Arc<DigestQueue>,
}

impl Digester {
    /// A digester for the content of the node of `fetches`.
    pub fn new(fetches: Arc<Fetches>) -> Self {
        let queue = Arc::default();
        Self { fetches, queue }
    }

    /// The queue of files that peers request.
    pub fn queue(&self) -> Arc<DigestQueue> {
        self.queue.clone()
    }

    /// Computes the digests of a held file, without rests.
    ///
    /// # Errors
    /// If the file cannot be read, or the node stops.
    pub async fn now(&self, file: FileHash) -> Result<Digests, TransferError> {
        let _awaited = Awaited::begin(&self.queue);
        let work = self.clone();
        let cx = &self.fetches.cx;
        let unpaced = Unpaced(cx.cancel.clone());
        // Continues if this caller leaves: the next caller finds the result.
        let computed = cx.tasks.spawn(async move {
            let computed = work.compute(file, unpaced).await;
            work.fetches.cx.note_change();
            computed
        });
        Ok(computed.await.map_err(|_| TransferError::Interrupted)???)
    }

    /// Computes the digests of a file once for all callers: later ones find the result in the
    /// store.
    async fn compute(
        &self,
        file: FileHash,
        observer: impl Observer + Send + 'static,
    ) -> Result<Result<Digests, StoreError>, Aborted> {
        let _alone = self.queue.files.lock(file).await;
        let store = self.fetches.cx.store.clone();
        let computed = Blocking::run_long(move || store.compute_digests(file, &observer)).await?;
        if let Ok(digests) = &computed {
            self.queue.done.send_modify(|done| *done += 1);
            self.fetches.prove_digests(file, *digests).await;
        }
        Ok(computed)
    }

    /// Computes in the background until the node stops.
    pub async fn run(self) {
        let (cx, queue) = (self.fetches.cx.clone(), self.queue.clone());
        let mut changes = cx.changes();
        queue.has_worker.store(true, Ordering::Relaxed);
        let awaited = queue.clone();
        let is_awaited = move || awaited.awaited.load(Ordering::Relaxed) > 0;
        let mut worker = Worker {
            pacer: Pacer::new(cx.clone(), is_awaited),
            digester: self,
            failed: HashMap::new(),
            unreported_since: None,
        };
        while !cx.cancel.is_cancelled() {
            worker.sweep().await;
            worker.report(Duration::ZERO);
            let next = async {
                changes.next().await;
                tokio::time::sleep(SETTLE).await;
            };
            tokio::pin!(next);
            loop {
                tokio::select! {
                    () = &mut next => break,
                    () = queue.more.notified() => {
                        worker.digest_wanted().await;
                        worker.report(Duration::ZERO);
                    }
                    () = cx.cancel.cancelled() => return,
                }
            }
        }
    }
}

/// A caller that waits for digests.
struct Awaited(Arc<DigestQueue>);

impl Awaited {
    fn begin(queue: &Arc<DigestQueue>) -> Self {
        queue.awaited.fetch_add(1, Ordering::Relaxed);
        Self(queue.clone())
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.0.awaited.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Computes without a rest, until the node stops.
struct Unpaced(CancellationToken);

impl Observer for Unpaced {
    fn cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}

struct Worker {
    digester: Digester,
    pacer: Pacer,
    /// Files that could not be read, with the time of the attempt: damaged, or changed in place.
    failed: HashMap<FileHash, Instant>,
    /// Since when there are unreported digests.
    unreported_since: Option<Instant>,
}

impl Worker {
    fn cx(&self) -> &Context {
        &self.digester.fetches.cx
    }

    /// Computes the digests of all files without any.
    async fn sweep(&mut self) {
        let mut after = None;
        while let Some(page) = self.page(after).await {
            for file in &page {
                self.digest_wanted().await;
                self.digest_in_turn(*file).await;
            }
            if page.len() < PAGE {
                return;
            }
            after = page.last().copied();
        }
    }

    /// Computes the digests that peers requested.
    async fn digest_wanted(&mut self) {
        while let Some(file) = self.digester.queue.next_wanted() {
            self.digest_in_turn(file).await;
        }
    }

    async fn digest_in_turn(&mut self, file: FileHash) {
        if !self.has_failed(file) && self.wait_for_turn().await.is_some() {
            self.digest(file).await;
            self.report(REPORT_EVERY);
        }
    }

    /// Waits until no foreground work runs; `None` if the node stops.
    async fn wait_for_turn(&self) -> Option<()> {
        let idle = self.cx().busy.idle();
        self.cx().cancel.run_until_cancelled(idle).await
    }

    async fn page(&self, after: Option<FileHash>) -> Option<Vec<FileHash>> {
        self.wait_for_turn().await?;
        let store = self.cx().store.clone();
        let page = Blocking::run_long(move || store.files_without_digests(after, PAGE)).await;
        match page {
            Ok(Ok(page)) => Some(page),
            Ok(Err(error)) => {
                warn!(%error, "cannot list the files without digests");
                None
            }
            Err(Aborted) => None,
        }
    }

    fn has_failed(&self, file: FileHash) -> bool {
        let failed = self.failed.get(&file);
        failed.is_some_and(|since| since.elapsed() < RETRY_AFTER)
    }

    async fn digest(&mut self, file: FileHash) {
        self.pacer.begin();
        match self.digester.compute(file, self.pacer.clone()).await {
            Ok(Ok(_)) => {
                self.unreported_since.get_or_insert_with(Instant::now);
            }
            Ok(Err(StoreError::Cancelled)) | Err(Aborted) => {}
            Ok(Err(error)) => {
                debug!(%file, %error, "no digests");
                if self.failed.len() >= FAILED_MAX {
                    self.failed.clear();
                }
                self.failed.insert(file, Instant::now());
            }
        }
    }

    /// Reports digests that have been unreported for so long.
    fn report(&mut self, wait: Duration) {
        if self
            .unreported_since
            .is_some_and(|since| since.elapsed() >= wait)
        {
            self.unreported_since = None;
            self.cx().note_change();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use hubless_network::PeerId;
    use hubless_store::{ImportOptions, Store, StoreOptions};

    use super::*;
    use crate::{context::Context, fetches::KnownPeers};

    /// A digester without a network, and its worker.
    async fn start(home: &Path) -> Digester {
        let store = Store::open(home, StoreOptions::default()).unwrap();
        let cx = Context::new(store, PeerId::random());
        let digester = Digester::new(Fetches::new(cx, KnownPeers::default()));
        let cx = &digester.fetches.cx;
        cx.tasks.spawn(digester.clone().run());
        digester
    }

    async fn stop(digester: Digester) {
        let cx = &digester.fetches.cx;
        cx.cancel.cancel();
        cx.tasks.close();
        cx.tasks.wait().await;
    }

    /// Imports a new file without a report to the worker.
    async fn import(digester: &Digester, directory: &Path, fill: u8) -> FileHash {
        let bytes = vec![fill; 700_000];
        std::fs::write(directory.join("weights.bin"), &bytes).unwrap();
        let (store, directory) = (digester.fetches.cx.store.clone(), directory.to_owned());
        let import = move || store.import(&directory, &ImportOptions::default(), &());
        Blocking::run_long(import).await.unwrap().unwrap();
        hubless_content::hash_reader(&bytes[..]).unwrap().file()
    }

    async fn until_known(digester: &Digester, file: FileHash) {
        let known = async {
            while digester.fetches.cx.store.digests(file).unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let limit = Duration::from_secs(60);
        tokio::time::timeout(limit, known).await.expect("digests");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_computed_beside_an_import_but_for_callers_that_wait() {
        let (home, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let digester = start(home.path()).await;
        let cx = digester.fetches.cx.clone();
        let first = import(&digester, directory.path(), 1).await;
        cx.note_change();
        until_known(&digester, first).await;

        let importing = cx.busy.begin();
        let second = import(&digester, directory.path(), 2).await;
        let third = import(&digester, directory.path(), 3).await;
        cx.note_change();
        // Three times the usual duration.
        tokio::time::sleep(3 * SETTLE).await;
        assert_eq!(cx.store.digests(second).unwrap(), None);
        let asked = digester.now(third).await.unwrap();
        assert_eq!(asked, Digests::of(&vec![3; 700_000]));
        assert_eq!(cx.store.digests(second).unwrap(), None);

        drop(importing);
        until_known(&digester, second).await;
        stop(digester).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_peers_ask_for_comes_before_other_files() {
        let (home, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let digester = start(home.path()).await;
        let cx = digester.fetches.cx.clone();
        let first = import(&digester, directory.path(), 1).await;
        cx.note_change();
        until_known(&digester, first).await;

        // The worker gets no report of these.
        let second = import(&digester, directory.path(), 2).await;
        let third = import(&digester, directory.path(), 3).await;
        digester.queue.want(&[third]).expect("a worker");
        until_known(&digester, third).await;
        assert_eq!(cx.store.digests(second).unwrap(), None);
        stop(digester).await;
    }

    #[test]
    fn strangers_cannot_make_the_queue_grow() {
        let queue = DigestQueue::default();
        assert!(queue.want(&[FileHash::new([0; 32])]).is_none(), "no worker");
        queue.has_worker.store(true, Ordering::Relaxed);
        for number in 0..2 * WANTED_MAX as u32 {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&number.to_le_bytes());
            queue.want(&[FileHash::new(bytes); 2]);
        }
        assert_eq!(queue.wanted().len(), WANTED_MAX);
    }
}
