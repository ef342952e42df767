//! Bringing one file of an upstream into the store, once for all who wait for it: from peers that
//! claim to have it, and from the upstream itself.
//!
//! # Where things are
//! | module | what it does |
//! |---|---|
//! | [`state`] | decides: the table of states, without I/O |
//! | [`candidates`] | what peers claim the file to be, and what is tried next |
//! | [`driver`] | the task of a pull: does what the state decides |
//! | [`download`] | the upstream's part: one GET, written aside in order |
//! | [`trial`], [`fill`] | the peers' part: the fetch of a claimed file, and the upstream's chunks in it |
//! | [`shared`] | the state between driver, writer and readers |
//! | [`reader`] | what one client reads |
//! | [`kept`] | what came of a pull that ended early, for the next one |

mod candidates;
mod download;
mod driver;
mod error;
mod fill;
mod kept;
mod reader;
mod shared;
mod state;
mod trial;

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
};

use hubless_content::{
    CommitId, FileHash, GitBlobId, Lfs, ManifestEntry, ModelPath, RepoId, Sha256,
};
use hubless_store::{Expected, Store, StoreError};
use hubless_sync::lock;
use hubless_transfer::{Fetches, Live, Subject};

use self::{
    candidates::Listing,
    driver::Driver,
    kept::Kept,
    shared::{Join, Reader, Shared},
};
pub use self::{
    error::PullError,
    reader::{Pulled, PulledStream},
};
use super::{Body, Upstream, room::Rooms};

/// Files that are written at once, short and long ones each, each by a thread. Snapshots of four
/// clients.
const PULLS_MAX: usize = 32;

/// A file of an upstream, and which callers may have it.
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

    /// The file under a file hash that it has, or is claimed to have.
    pub fn entry(&self, file: FileHash) -> ManifestEntry {
        ManifestEntry {
            path: self.path.clone(),
            size: self.size,
            hash: file,
        }
    }

    /// Lists the download as a transfer, unless the repo is private or gated.
    fn show(&self, fetches: &Fetches, upstream: Option<String>) -> Option<Live> {
        let subject = Subject::File {
            repo: self.repo.clone(),
            path: self.path.clone(),
            upstream,
        };
        (!self.restricted).then(|| fetches.transfers.begin(subject))
    }

    /// Its bytes as the upstream sends them, not kept.
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

/// The pulls under way; as many as there are files with a reader, which the gateway's connections
/// bound.
pub(super) struct Pulls {
    running: Mutex<HashMap<PullKey, Arc<Shared>>>,
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

impl Pulls {
    /// Forgets a pull that has ended, unless another one took its place.
    fn forget(&self, key: &PullKey, ended: &Arc<Shared>) {
        let mut running = self.running();
        if running.get(key).is_some_and(|now| Arc::ptr_eq(now, ended)) {
            running.remove(key);
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<PullKey, Arc<Shared>>> {
        lock(&self.running)
    }
}

/// A reader of the pull that is under way, or of a new one if it may begin. With `near`, where its
/// range begins, only if it gets something soon.
fn join_or_begin(
    fetches: &Arc<Fetches>,
    upstream: &Arc<Upstream>,
    origin: &Origin,
    near: Option<u64>,
    may_begin: bool,
) -> Option<Reader> {
    let mut running = upstream.pulls.running();
    let key = origin.key();
    match running.get(&key).map(|shared| shared.join(near)) {
        Some(Join::Joined(reader)) => return Some(reader),
        Some(Join::Far) => return None,
        Some(Join::Over) | None if !may_begin => return None,
        Some(Join::Over) | None => {}
    }
    let shared = Shared::new(
        origin.size,
        Listing {
            file: origin.expected.file,
            has_sha256: origin.expected.sha256.is_some(),
            members_only: fetches.known_peers.is_private,
        },
    );
    let Join::Joined(reader) = shared.join(near) else {
        return None;
    };
    fetches
        .cx
        .tasks
        .spawn(Driver::new(fetches, upstream, origin, &shared).run());
    running.insert(key, shared);
    Some(reader)
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

/// The file of the store that is what an upstream lists, from whatever source it came.
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
