//! Bringing one file of an upstream into the store, once for all who wait for it: from peers who
//! claim to have it, or from the upstream itself, whichever has it first.
//!
//! A pull goes on while somebody reads, and some seconds longer: a client that lost its connection
//! then finds it still under way. Readers follow behind what is written, but get the last chunk
//! only from the store, when the whole file was what the upstream's listing said: who got a wrong
//! byte never gets the end. If the upstream gives nothing, they wait until what peers gave is
//! proven, and the pull goes on without them. What came of a pull that ended early is kept for a
//! while for the next one.

mod kept;
mod worker;

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, OnceLock, Weak},
};

use bytes::Bytes;
use hubless_content::{
    CHUNK_SIZE, CommitId, FileHash, GitBlobId, Lfs, ManifestEntry, ModelPath, RepoId, Sha256,
};
use hubless_store::{Expected, IncomingReader, Store, StoreError};
use hubless_transfer::{
    Failure, FailureKind, Fetches, Live, Subject, fetch::StoredStream, interrupted,
};
use tokio::sync::watch;

use self::kept::Kept;
use super::{Body, Upstream, room::Rooms};

/// Files that are written at once, short and long ones each, each by a thread. Snapshots of four
/// clients.
const PULLS_MAX: usize = 32;

/// Bytes that a reader takes at once.
const READ_BYTES: usize = 4 * CHUNK_SIZE;

/// Files up to this size are pulled as a whole, whatever part of them is asked for.
const WHOLE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A reader joins a pull that has come so near to where it begins: some seconds on a slow line.
const AHEAD_MAX: u64 = 8 * 1024 * 1024;

/// A file of an upstream, and for whom it is.
#[derive(Clone)]
pub struct Origin {
    /// The repo.
    pub repo: RepoId,
    /// The revision.
    pub commit: CommitId,
    /// The file.
    pub path: ModelPath,
    /// Its bytes, as listed.
    pub size: u64,
    /// What its bytes hash to, as listed.
    pub expected: Expected,
    /// The token of the caller.
    pub token: Option<Arc<str>>,
    /// Only callers that the upstream accepts may have it, so no peer may.
    pub restricted: bool,
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

    /// Has those who look see that it comes, unless it is not for all of them.
    pub(super) fn show(&self, fetches: &Fetches, upstream: Option<String>) -> Option<Live> {
        let subject = Subject::File {
            repo: self.repo.clone(),
            path: self.path.clone(),
            upstream,
        };
        (!self.restricted).then(|| fetches.transfers.begin(subject))
    }

    /// Its bytes as they come, kept nowhere.
    pub fn body(
        &self,
        fetches: &Arc<Fetches>,
        upstream: &Arc<Upstream>,
        range: Range<u64>,
    ) -> Body {
        let place = (&self.repo, self.commit, &self.path);
        Body::new(
            fetches,
            upstream,
            place,
            self.size,
            range,
            self.token.clone(),
        )
    }
}

/// The pulls under way; as many as there are files that somebody reads, which the gateway's
/// connections bound.
pub(super) struct Pulls {
    running: Mutex<HashMap<PullKey, Weak<Pull>>>,
    rooms: Rooms,
    kept: Kept,
}

impl Default for Pulls {
    fn default() -> Self {
        Self {
            running: Mutex::default(),
            rooms: Rooms::new(PULLS_MAX),
            kept: Kept::default(),
        }
    }
}

/// How far a pull has come.
#[derive(Debug, Clone)]
pub(super) enum State {
    Coming(Coming),
    /// All of it is in the store, and proven.
    Done(FileHash),
    Failed(Failure),
}

/// What can be read of a file that comes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Coming {
    /// So many bytes that the upstream sent.
    written: u64,
    /// What is held of this file.
    chunks_of: Option<FileHash>,
    /// The upstream does not give it: who wants a part waits for all of it.
    only_peers: bool,
    /// Nothing more from the upstream is shown.
    sealed: bool,
}

impl Coming {
    fn wrote(&mut self, written: u64) {
        if !self.sealed {
            self.written = written;
        }
    }
}

impl State {
    /// Shows readers the chunks of a file, or none any more; false if the pull has ended.
    pub(super) fn show(&mut self, file: Option<FileHash>) -> bool {
        self.change(|coming| coming.chunks_of = file)
    }

    /// Whether what the upstream sent is still of use.
    fn wants_rest(&self) -> bool {
        match self {
            Self::Coming(coming) => !coming.sealed,
            Self::Done(_) => false,
            Self::Failed(_) => true,
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Coming)) -> bool {
        match self {
            Self::Coming(coming) => change(coming),
            Self::Done(_) | Self::Failed(_) => return false,
        }
        true
    }
}

/// A file that comes, as those who wait for it see it.
pub(super) struct Pull {
    state: watch::Receiver<State>,
    reader: OnceLock<IncomingReader>,
}

/// A reader of a pull.
pub struct PulledStream {
    fetches: Arc<Fetches>,
    pull: Arc<Pull>,
    state: watch::Receiver<State>,
    entry: ManifestEntry,
    at: u64,
    end: u64,
    /// The file whose chunks were given before it was proven.
    believed: Option<FileHash>,
}

/// What a reader gets.
pub enum Pulled {
    /// The next bytes.
    Bytes(Bytes),
    /// The rest is to be read from the store.
    InStore(FileHash),
}

impl Pull {
    /// What the upstream sent, proven or not, as soon as it sends.
    pub(super) fn came(&self) -> Option<IncomingReader> {
        self.reader.get().cloned()
    }

    /// Whether a reader that begins at an offset gets something soon, or nowhere else.
    fn is_near(&self, offset: u64) -> bool {
        match *self.state.borrow() {
            State::Coming(Coming {
                written,
                only_peers,
                ..
            }) => only_peers || offset <= written.saturating_add(AHEAD_MAX),
            State::Done(_) => true,
            State::Failed(_) => false,
        }
    }

    fn has_failed(&self) -> bool {
        matches!(*self.state.borrow(), State::Failed(_))
    }

    /// Whether its readers wait for a proof: they get nothing before, so that they leave does not
    /// say that they do not want it.
    pub(super) fn is_only_peers(&self) -> bool {
        matches!(*self.state.borrow(), State::Coming(coming) if coming.only_peers)
    }
}

impl PulledStream {
    /// Reads a file that comes in, begun if nobody else did. `None` for a part that would have to
    /// wait for what comes before it: whoever reads a header of a large file does not want all.
    pub fn join(
        fetches: &Arc<Fetches>,
        upstream: &Arc<Upstream>,
        origin: &Origin,
        range: Range<u64>,
    ) -> Option<Self> {
        let is_whole = range == (0..origin.size) || origin.size <= WHOLE_BYTES_MAX;
        let pull = pull(fetches, upstream, origin, is_whole)?;
        let is_near = pull.is_near(range.start);
        is_near.then(|| Self::new(fetches, pull, origin, range))
    }

    /// Reads a part of a file that can only be had as a whole.
    pub fn wait(
        fetches: &Arc<Fetches>,
        upstream: &Arc<Upstream>,
        origin: &Origin,
        range: Range<u64>,
    ) -> Option<Self> {
        let pull = pull(fetches, upstream, origin, true)?;
        Some(Self::new(fetches, pull, origin, range))
    }

    fn new(fetches: &Arc<Fetches>, pull: Arc<Pull>, origin: &Origin, range: Range<u64>) -> Self {
        Self {
            fetches: fetches.clone(),
            state: pull.state.clone(),
            pull,
            entry: ManifestEntry {
                path: origin.path.clone(),
                size: origin.size,
                hash: FileHash::new([0; 32]),
            },
            at: range.start,
            end: range.end,
            believed: None,
        }
    }

    /// The next bytes; `None` at the end of the range.
    ///
    /// # Errors
    /// If nobody gives them, or gave wrong ones.
    pub async fn next(&mut self) -> Result<Option<Pulled>, Failure> {
        loop {
            if self.at >= self.end {
                return Ok(None);
            }
            let state = self.state.borrow_and_update().clone();
            let coming = match state {
                State::Coming(coming) => coming,
                State::Done(file) if self.believed.is_some_and(|other| other != file) => {
                    return Err(self.misled());
                }
                State::Done(file) => return Ok(Some(Pulled::InStore(file))),
                State::Failed(failure) => return Err(failure),
            };
            if let Some(bytes) = self.look(coming).await? {
                self.at += bytes.len() as u64;
                return Ok(Some(Pulled::Bytes(bytes)));
            }
            self.state.changed().await.map_err(|_| interrupted())?;
        }
    }

    /// What can be read now: the last chunk only when all are proven.
    async fn look(&mut self, coming: Coming) -> Result<Option<Bytes>, Failure> {
        let before_last = self.entry.size.saturating_sub(CHUNK_SIZE as u64);
        let end = before_last.min(self.end);
        let readable = coming.written.min(end);
        if self.at < readable {
            return self.read(readable).await.map(Some);
        }
        let Some(file) = coming.chunks_of.filter(|_| self.at < end) else {
            return Ok(None);
        };
        let entry = ManifestEntry {
            hash: file,
            ..self.entry.clone()
        };
        let rest = StoredStream::new(self.fetches.clone(), None, entry, self.at..end);
        let held = rest.held().await?;
        if held.is_some() {
            self.believed = Some(file);
        }
        Ok(held)
    }

    async fn read(&self, readable: u64) -> Result<Bytes, Failure> {
        let reader = self.pull.came().ok_or_else(interrupted)?;
        let (at, left) = (self.at, readable - self.at);
        let len = usize::try_from(left).unwrap_or(READ_BYTES).min(READ_BYTES);
        let read = self
            .fetches
            .cx
            .blocking
            .run(move || reader.read(at, len))
            .await;
        Ok(read??)
    }

    fn misled(&self) -> Failure {
        let message = format!(
            "{:?} is not what a member of the network said",
            self.entry.path
        );
        Failure::new(FailureKind::Integrity, message).hint("download it again from the beginning")
    }
}

/// The pull of a file that is under way, or a new one if it may begin.
fn pull(
    fetches: &Arc<Fetches>,
    upstream: &Arc<Upstream>,
    origin: &Origin,
    may_begin: bool,
) -> Option<Arc<Pull>> {
    let mut running = upstream.pulls.running.lock().ok()?;
    running.retain(|_, pull| pull.strong_count() > 0);
    let key = origin.key();
    let alive = running.get(&key).and_then(Weak::upgrade);
    let alive = alive.filter(|pull| !pull.has_failed());
    if alive.is_some() || !may_begin {
        return alive;
    }
    let pull = begin(fetches, upstream, origin);
    running.insert(key, Arc::downgrade(&pull));
    Some(pull)
}

fn begin(fetches: &Arc<Fetches>, upstream: &Arc<Upstream>, origin: &Origin) -> Arc<Pull> {
    let (state, told) = watch::channel(State::Coming(Coming::default()));
    let pull = Arc::new(Pull {
        state: told,
        reader: OnceLock::new(),
    });
    let worker = worker::Worker {
        fetches: fetches.clone(),
        upstream: upstream.clone(),
        origin: origin.clone(),
        pull: pull.clone(),
        state: Arc::new(state),
    };
    fetches.cx.tasks.spawn(worker.run());
    pull
}

/// What the bytes of a listed file must be.
pub fn expected(file: Option<FileHash>, lfs: Option<Lfs>, git_blob: Option<GitBlobId>) -> Expected {
    Expected {
        file,
        sha256: lfs.map(|lfs| lfs.sha256),
        // Of a large file, git holds only a pointer.
        git_blob: git_blob.filter(|_| lfs.is_none()),
    }
}

/// The file of the store that is what an upstream lists, whoever brought it.
pub fn find_held(
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
