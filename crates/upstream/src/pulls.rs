//! The pulls under way: what each of them brings, its state, and what earlier ones left.
//!
//! # Where things are
//! | module | what it does |
//! |---|---|
//! | [`state`] | decides: the table of states, without I/O |
//! | [`candidates`] | what peers claim the file to be, and what is tried next |
//! | [`shared`] | the state between driver, writer and readers |
//! | [`kept`] | what came of a pull that ended early, for the next one |

mod candidates;
mod error;
mod kept;
mod shared;
mod state;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use hubless_content::{CommitId, FileHash, GitBlobId, ManifestEntry, ModelPath, RepoId, Sha256};
use hubless_store::Expected;
use hubless_sync::lock;
use hubless_transfer::{Fetches, Live, Subject};

pub use self::error::PullError;
use self::kept::Kept;
pub(crate) use self::{
    candidates::{Listing, PeerSearch},
    kept::Part,
    shared::{Join, Reader, Shared},
    state::{Grant, Input, Output, TrialEnd},
};
use crate::room::Rooms;

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
pub(crate) struct PullKey {
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
    pub(crate) fn key(&self) -> PullKey {
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
    pub(crate) fn show(&self, fetches: &Fetches, upstream: Option<String>) -> Option<Live> {
        let subject = Subject::File {
            repo: self.repo.clone(),
            path: self.path.clone(),
            upstream,
        };
        (!self.restricted).then(|| fetches.transfers.begin(subject))
    }
}

/// The pulls under way; as many as there are files with a reader, which the gateway's connections
/// bound.
pub(crate) struct Pulls {
    running: Mutex<HashMap<PullKey, Arc<Shared>>>,
    pub(crate) rooms: Rooms,
    pub(crate) kept: Kept,
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
    pub(crate) fn forget(&self, key: &PullKey, ended: &Arc<Shared>) {
        let mut running = self.running();
        if running.get(key).is_some_and(|now| Arc::ptr_eq(now, ended)) {
            running.remove(key);
        }
    }

    pub(crate) fn running(&self) -> MutexGuard<'_, HashMap<PullKey, Arc<Shared>>> {
        lock(&self.running)
    }
}
