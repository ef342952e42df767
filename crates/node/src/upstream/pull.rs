//! Bringing one file from an upstream into the store, once for all who wait for it.
//!
//! A pull goes on while somebody reads, and some seconds longer: a client that lost its connection
//! then finds it still under way. Readers follow behind what is written, but get the last chunk
//! only from the store, when the whole file was what the upstream's listing said: who got a wrong
//! byte never gets the end.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, OnceLock, Weak},
    time::Duration,
};

use bytes::Bytes;
use hubless_content::{CHUNK_SIZE, CommitId, FileHash, GitBlobId, Lfs, ModelPath, RepoId, Sha256};
use hubless_store::{Expected, Incoming, IncomingReader, Store, StoreError};
use tokio::sync::{Semaphore, mpsc, watch};

use super::{Body, Upstream, complete::file_came, error::UpstreamError};
use crate::{api::Failure, blocking::Blocking, core::Core, replies::interrupted};

/// Files that are written at once, each by a thread. Snapshots of four clients.
const PULLS_MAX: usize = 32;

/// Pieces that wait to be written: some 16 to 64 KiB each.
const PIECES_MAX: usize = 64;

/// Pieces that are written before those who wait are told.
const PIECES_AT_ONCE: usize = 16;

/// How long a pull goes on without readers, at least.
const LINGER: Duration = Duration::from_secs(10);

/// Bytes that a reader takes at once.
const READ_BYTES: usize = 4 * CHUNK_SIZE;

/// Files up to this size are pulled as a whole, whatever part of them is asked for.
const WHOLE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A reader joins a pull that has come so near to where it begins: some seconds on a slow line.
const AHEAD_MAX: u64 = 8 * 1024 * 1024;

/// A file of an upstream, and for whom it is.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) repo: RepoId,
    pub(crate) commit: CommitId,
    pub(crate) path: ModelPath,
    pub(crate) size: u64,
    pub(crate) expected: Expected,
    pub(crate) token: Option<Arc<str>>,
    /// Only callers that the upstream accepts may have it, so no peer may.
    pub(crate) restricted: bool,
}

/// What makes two pulls the same: one content of one repo, whose readers may all have it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct PullKey {
    repo: RepoId,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Content {
    Sha256(Sha256),
    GitBlob(GitBlobId),
    Path(CommitId, ModelPath),
}

impl Origin {
    fn key(&self) -> PullKey {
        let content = match (self.expected.sha256, self.expected.git_blob) {
            (Some(sha256), _) => Content::Sha256(sha256),
            (None, Some(git_blob)) => Content::GitBlob(git_blob),
            (None, None) => Content::Path(self.commit, self.path.clone()),
        };
        PullKey {
            repo: self.repo.clone(),
            content,
        }
    }

    /// Its bytes as they come, kept nowhere.
    pub(crate) fn body(&self, upstream: &Arc<Upstream>, range: Range<u64>) -> Body {
        let place = (&self.repo, self.commit, &self.path);
        Body::new(upstream, place, self.size, range, self.token.clone())
    }
}

/// The pulls under way; as many as there are files that somebody reads, which the gateway's
/// connections bound.
pub(super) struct Pulls {
    running: Mutex<HashMap<PullKey, Weak<Pull>>>,
    room: Arc<Semaphore>,
}

impl Default for Pulls {
    fn default() -> Self {
        Self {
            running: Mutex::default(),
            room: Arc::new(Semaphore::new(PULLS_MAX)),
        }
    }
}

/// How far a pull has come.
#[derive(Debug, Clone)]
enum State {
    /// So many bytes can be read.
    Written(u64),
    /// All of it is in the store.
    Done(FileHash),
    Failed(Failure),
}

struct Pull {
    state: watch::Receiver<State>,
    reader: OnceLock<IncomingReader>,
}

/// A reader of a pull.
pub(crate) struct PulledStream {
    core: Arc<Core>,
    pull: Arc<Pull>,
    state: watch::Receiver<State>,
    size: u64,
    at: u64,
    end: u64,
}

/// What a reader gets.
pub(crate) enum Pulled {
    Bytes(Bytes),
    /// The rest is to be read from the store.
    InStore(FileHash),
}

impl Pull {
    /// Whether a reader that begins at an offset gets something soon.
    fn is_near(&self, offset: u64) -> bool {
        match *self.state.borrow() {
            State::Written(written) => offset <= written.saturating_add(AHEAD_MAX),
            State::Done(_) => true,
            State::Failed(_) => false,
        }
    }

    fn has_failed(&self) -> bool {
        matches!(*self.state.borrow(), State::Failed(_))
    }
}

impl PulledStream {
    /// Reads a file that comes in, begun if nobody else did. `None` for a part that would have to
    /// wait for what comes before it: whoever reads a header of a large file does not want all.
    pub(crate) fn join(
        core: &Arc<Core>,
        upstream: &Arc<Upstream>,
        origin: &Origin,
        range: Range<u64>,
    ) -> Option<Self> {
        let mut running = upstream.pulls.running.lock();
        let running = running.as_deref_mut().ok()?;
        running.retain(|_, pull| pull.strong_count() > 0);
        let key = origin.key();
        let is_whole = range == (0..origin.size) || origin.size <= WHOLE_BYTES_MAX;
        let alive = running.get(&key).and_then(Weak::upgrade);
        let pull = match alive.filter(|pull| !pull.has_failed()) {
            Some(pull) => pull,
            None if is_whole => {
                let pull = begin(core, upstream, origin);
                running.insert(key, Arc::downgrade(&pull));
                pull
            }
            None => return None,
        };
        let state = pull.state.clone();
        pull.is_near(range.start).then(|| Self {
            core: core.clone(),
            pull,
            state,
            size: origin.size,
            at: range.start,
            end: range.end,
        })
    }

    /// The next bytes; `None` at the end of the range.
    ///
    /// # Errors
    /// If the upstream does not give them, or gave wrong ones.
    pub(crate) async fn next(&mut self) -> Result<Option<Pulled>, Failure> {
        loop {
            if self.at >= self.end {
                return Ok(None);
            }
            let state = self.state.borrow_and_update().clone();
            let written = match state {
                State::Written(written) => written,
                State::Done(file) => return Ok(Some(Pulled::InStore(file))),
                State::Failed(failure) => return Err(failure),
            };
            // The last chunk only when all are proven.
            let before_last = self.size.saturating_sub(CHUNK_SIZE as u64);
            let readable = written.min(before_last).min(self.end);
            if self.at < readable {
                let bytes = self.read(readable).await?;
                self.at += bytes.len() as u64;
                return Ok(Some(Pulled::Bytes(bytes)));
            }
            self.state.changed().await.map_err(|_| interrupted())?;
        }
    }

    async fn read(&self, readable: u64) -> Result<Bytes, Failure> {
        let reader = self.pull.reader.get().cloned().ok_or_else(interrupted)?;
        let (at, left) = (self.at, readable - self.at);
        let len = usize::try_from(left).unwrap_or(READ_BYTES).min(READ_BYTES);
        let read = self.core.blocking.run(move || reader.read(at, len)).await;
        Ok(read??)
    }
}

fn begin(core: &Arc<Core>, upstream: &Arc<Upstream>, origin: &Origin) -> Arc<Pull> {
    let (state, told) = watch::channel(State::Written(0));
    let pull = Arc::new(Pull {
        state: told,
        reader: OnceLock::new(),
    });
    let worker = Worker {
        core: core.clone(),
        upstream: upstream.clone(),
        origin: origin.clone(),
        pull: pull.clone(),
        state: Arc::new(state),
    };
    core.tasks.spawn(worker.run());
    pull
}

struct Worker {
    core: Arc<Core>,
    upstream: Arc<Upstream>,
    origin: Origin,
    pull: Arc<Pull>,
    state: Arc<watch::Sender<State>>,
}

impl Worker {
    async fn run(self) {
        let _busy = self.core.busy.begin();
        let outcome = tokio::select! {
            outcome = self.pull() => outcome,
            () = self.abandoned() => Err(interrupted()),
            () = self.core.cancel.cancelled() => Err(interrupted()),
        };
        let (repo, path) = (&self.origin.repo, &self.origin.path);
        let state = match outcome {
            Ok(file) => State::Done(file),
            Err(failure) => {
                tracing::warn!(%repo, %path, error = %failure, "a pull from the upstream failed");
                State::Failed(failure)
            }
        };
        self.state.send_replace(state);
    }

    /// Ends when nobody has read for a while.
    async fn abandoned(&self) {
        while Arc::strong_count(&self.pull) > 1 {
            tokio::time::sleep(LINGER).await;
        }
    }

    async fn pull(&self) -> Result<FileHash, Failure> {
        let room = self.upstream.pulls.room.acquire().await;
        let _permit = room.map_err(|_| interrupted())?;
        let (store, origin) = (self.core.store.clone(), self.origin.clone());
        let held = move || find_held(&store, origin.expected, origin.size);
        if let Some(file) = self.core.blocking.run(held).await?? {
            return Ok(file);
        }
        let (store, size) = (self.core.store.clone(), self.origin.size);
        let incoming = self
            .core
            .blocking
            .run(move || store.incoming(size))
            .await??;
        let _ = self.pull.reader.set(incoming.reader());
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let (state, expected) = (self.state.clone(), self.origin.expected);
        let written = Blocking::run_long(move || write(incoming, pieces, &state, expected));
        let (sent, written) = tokio::join!(self.send(sender), written);
        sent?;
        let file = written??;
        match self.origin.restricted {
            true => self.core.withheld.add(file),
            false => {
                let (repo, commit) = (&self.origin.repo, self.origin.commit);
                file_came(&self.core, &self.upstream.missing, repo, commit).await;
            }
        }
        self.core.note_change();
        Ok(file)
    }

    /// Passes on what comes, as fast as it can be written.
    async fn send(&self, sender: mpsc::Sender<Bytes>) -> Result<(), UpstreamError> {
        let mut body = self.origin.body(&self.upstream, 0..self.origin.size);
        while let Some(bytes) = body.next().await? {
            if sender.send(bytes).await.is_err() {
                break; // the writer failed, and says why
            }
        }
        Ok(())
    }
}

/// Writes until there are no more pieces, and proves the whole.
fn write(
    mut incoming: Incoming,
    mut pieces: mpsc::Receiver<Bytes>,
    state: &watch::Sender<State>,
    expected: Expected,
) -> Result<FileHash, StoreError> {
    while let Some(piece) = pieces.blocking_recv() {
        incoming.write(&piece)?;
        for _ in 1..PIECES_AT_ONCE {
            let Ok(piece) = pieces.try_recv() else { break };
            incoming.write(&piece)?;
        }
        state.send_replace(State::Written(incoming.written()));
    }
    incoming.finish(expected).map(|(file, _)| file)
}

/// What the bytes of a listed file must be.
pub(crate) fn expected(
    file: Option<FileHash>,
    lfs: Option<Lfs>,
    git_blob: Option<GitBlobId>,
) -> Expected {
    Expected {
        file,
        sha256: lfs.map(|lfs| lfs.sha256),
        // Of a large file, git holds only a pointer.
        git_blob: git_blob.filter(|_| lfs.is_none()),
    }
}

/// The file of the store that is what an upstream lists, whoever brought it.
pub(crate) fn find_held(
    store: &Store,
    expected: Expected,
    size: u64,
) -> Result<Option<FileHash>, StoreError> {
    let by_digest = match (expected.sha256, expected.git_blob) {
        (Some(sha256), _) => store.file_by_sha256(sha256)?,
        (None, Some(git_blob)) => store.file_by_git_blob(git_blob)?,
        (None, None) => None,
    };
    for file in expected.file.into_iter().chain(by_digest) {
        let held = store.file(file)?;
        if held.is_some_and(|held| held.complete && held.size == size) {
            return Ok(Some(file));
        }
    }
    Ok(None)
}
