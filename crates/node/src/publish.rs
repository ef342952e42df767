//! Requests that change the held content: add, remove, pin, collect.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hubless_content::{ContentHash, RepoId};
use hubless_repos::names::names_of;
use hubless_store::{ImportOptions, Observer, Progress, Store, StoreError};
use hubless_transfer::Blocking;

use crate::{
    api::{Added, Collected, Event, Failure, FailureKind, Remedy, RevisionRemoved, State},
    core::Core,
    home::Home,
    replies::ReplySink,
};

/// Names of a model that the failure of its removal lists.
const NAMES_SHOWN_MAX: usize = 5;

/// Interval of progress events. Each one wakes a thread, which costs as much as a small file.
const TELL_EVERY: Duration = Duration::from_millis(50);

/// Forwards the progress of store work at an interval, and at its end.
pub(crate) struct SinkObserver {
    sink: ReplySink,
    event: fn(Progress) -> Event,
    began: Instant,
    /// When the next progress event is due, in milliseconds since the beginning.
    next: AtomicU64,
}

impl SinkObserver {
    pub(crate) fn new(sink: &ReplySink, event: fn(Progress) -> Event) -> Self {
        Self {
            sink: sink.clone(),
            event,
            began: Instant::now(),
            next: AtomicU64::new(0),
        }
    }

    fn is_due(&self) -> bool {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (now, next) = (self.began.elapsed(), self.next.load(Ordering::Relaxed));
        if millis(now) < next {
            return false;
        }
        let later = millis(now + TELL_EVERY);
        let taken = self
            .next
            .compare_exchange(next, later, Ordering::Relaxed, Ordering::Relaxed);
        taken.is_ok()
    }
}

impl Observer for SinkObserver {
    fn progress(&self, progress: Progress) {
        let is_last = progress.files_done >= progress.files_total;
        if is_last || self.is_due() {
            self.sink.event((self.event)(progress));
        }
    }

    fn cancelled(&self) -> bool {
        self.sink.is_cancelled()
    }
}

pub(crate) fn hashing(progress: Progress) -> Event {
    Event::Progress {
        state: State::Hashing,
        bytes_verified: progress.bytes_done,
        bytes_total: progress.bytes_total,
        sources: 0,
        stall: None,
    }
}

pub(crate) async fn add(
    core: &Arc<Core>,
    sink: &ReplySink,
    path: PathBuf,
    in_place: bool,
    follow_links: bool,
) -> Result<Added, Failure> {
    let observer = SinkObserver::new(sink, hashing);
    let _busy = core.cx.busy.begin();
    let store = core.cx.store.clone();
    let options = ImportOptions {
        in_place,
        follow_links,
    };
    let added = Blocking::run_long(move || store.import(&path, &options, &observer)).await??;
    core.cx.note_change();
    Ok(Added {
        hash: added.hash,
        files: added.files,
        bytes: added.bytes,
    })
}

pub(crate) async fn remove(core: &Arc<Core>, hash: ContentHash) -> Result<(), Failure> {
    let (store, home) = (core.cx.store.clone(), core.home.clone());
    Blocking::run_long(move || match remove_model(&store, &home, hash) {
        Err(StoreError::Named { .. }) => Err(named(&store, hash)?),
        removed => Ok::<_, Failure>(removed?),
    })
    .await??;
    core.cx.note_change();
    Ok(())
}

/// Removes the content of a revision, so that garbage collection frees files that nothing else
/// needs.
pub(crate) async fn remove_revision(
    core: &Arc<Core>,
    repo: RepoId,
    revision: String,
) -> Result<RevisionRemoved, Failure> {
    let removed = core.repos().remove_revision(repo, revision).await?;
    if let Some(hash) = removed.hash {
        let (store, home) = (core.cx.store.clone(), core.home.clone());
        match Blocking::run_long(move || remove_model(&store, &home, hash)).await? {
            // Another revision needs it, or it was never fetched.
            Ok(()) | Err(StoreError::Named { .. } | StoreError::UnknownModel { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        core.cx.note_change();
    }
    Ok(removed)
}

/// Removes a model, and its export by `get` in the home directory.
///
/// # Errors
/// As [`Store::remove`].
pub(crate) fn remove_model(
    store: &Store,
    home: &Home,
    hash: ContentHash,
) -> Result<(), StoreError> {
    store.remove(hash)?;
    let export = home.export(hash);
    match std::fs::remove_dir_all(&export) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %export.display(), "cannot remove the exported files");
        }
        _ => {}
    }
    Ok(())
}

/// Why a model that has names is not removed.
fn named(store: &Store, hash: ContentHash) -> Result<Failure, StoreError> {
    let names = names_of(store, hash, NAMES_SHOWN_MAX)?;
    let Some(first) = names.first() else {
        return Ok(StoreError::Named { model: hash }.into()); // its last name is being removed
    };
    let all: Vec<String> = names.iter().map(ToString::to_string).collect();
    let message = format!("model {hash} is a revision of {}", all.join(", "));
    Ok(
        Failure::new(FailureKind::Usage, message).remedy(Remedy::RemoveName {
            name: first.clone(),
        }),
    )
}

pub(crate) async fn pin(core: &Arc<Core>, hash: ContentHash, pin: bool) -> Result<(), Failure> {
    let store = core.cx.store.clone();
    let change = move || match (pin, store.manifest(hash)?) {
        (_, None) => Err(StoreError::UnknownModel { model: hash }),
        (true, _) => store.pin(hash),
        (false, _) => store.unpin(hash).map(drop),
    };
    Ok(core.cx.blocking.run(change).await??)
}

pub(crate) async fn gc(core: &Arc<Core>) -> Result<Collected, Failure> {
    let store = core.cx.store.clone();
    let freed = Blocking::run_long(move || store.gc()).await??;
    core.cx.note_change();
    Ok(Collected {
        files: freed.files,
        bytes: freed.bytes,
        pinned: freed.pinned,
        named: freed.named,
        cached: freed.cached,
    })
}
