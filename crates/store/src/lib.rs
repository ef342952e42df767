//! Where bytes rest.
//!
//! # Shape
//! A [`Store`] is one directory: an index (redb), the one source of truth, and plain files for
//! everything larger than a chunk. A file's bytes are in one of three places: *inline* in the
//! index (files of one chunk), *owned* in a file below the home directory, or *external*, where
//! the user's own file lies. All calls are synchronous and may come from any number of threads.
//!
//! # Rules
//! - **Only proven bytes come in.** The network's way in is [`Store::put`], which takes a
//!   [`VerifiedChunk`](hubless_content::VerifiedChunk). Bytes whose BLAKE3 nobody knows, as other
//!   hubs have them, wait aside until all are there and prove what was expected
//!   ([`Store::incoming`]).
//! - **Data before index.** Bytes are written and synced, then the index learns of them. After a
//!   crash it may claim less than is there, never more; [`Store::recover`] finds the rest.
//! - **Group commits.** What is put can be read and counts as held at once; it is made durable in
//!   groups, by bytes and by time. [`Store::flush`] waits for it.
//! - **Room is taken before it is used**, so a quota or a full disk shows at the beginning, and
//!   the store stays readable.
//!
//! # Not here
//! Who gets what (`node`), how bytes travel (`network`), and what they mean (`content`).

mod check;
mod chunks;
mod commit;
mod damage;
mod digests;
mod dir;
mod disk;
mod error;
mod evict;
mod export;
mod external;
mod files;
mod gc;
mod histories;
mod home;
mod import;
mod in_use;
mod incoming;
mod index;
mod lost;
mod lru;
mod manifests;
mod migrate;
mod observer;
mod open;
mod overlay;
mod parallel;
mod partial;
mod pins;
mod place;
mod queue;
mod quota;
mod record;
mod records;
mod recover;
mod repos;
mod revisions;
mod salvage;
mod scrub;
mod sealed;
mod source;
mod sweep;
mod sync;
mod tables;
mod target;
mod totals;
mod uses;
mod verify;
mod walk;

use std::sync::{Arc, Mutex};

use hubless_content::{ContentHash, Manifest};
use hubless_memory::Buffers;

pub use chunks::Put;
pub use damage::Damaged;
pub use digests::{Ahead, DigestHasher, Digests, DigestsAhead};
pub use dir::{Dir, Entry, EntryKind};
pub use disk::{Access, Disk, DiskFile, RealDisk, Signature};
pub use error::{StoreError, StoreErrorKind};
pub use evict::Evictions;
pub use export::{ExportOptions, Exported};
pub use external::ExternalChange;
pub use files::{AnnounceKeys, FileInfo, FilePlace};
pub use gc::GcReport;
pub use histories::{HISTORY_MAX, PastCommit};
pub use import::{ImportOptions, Imported};
pub use in_use::{FilesGuard, Guard};
pub use incoming::{Expected, Incoming, IncomingReader};
pub use manifests::ModelInfo;
pub use observer::{Observer, Progress};
pub use open::StoreOptions;
pub use quota::Usage;
pub use records::{RecordChange, StoredRecord};
pub use repos::{REFS_MAX, REPOS_MAX, RefChange, Repo, RepoOrigin};
pub use revisions::{COMMIT_PREFIX_MIN, REVISIONS_MAX};
pub use scrub::Scrubbed;
pub use totals::Totals;
pub use verify::VerifyReport;

/// A store of models in one directory. Cloning is cheap; the last clone that goes commits what is
/// left, as does [`Store::close`].
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    _committer: Arc<commit::Committer>,
}

/// What all clones and the committer share.
pub(crate) struct Shared {
    disk: Arc<dyn Disk>,
    home: home::Home,
    index: index::Index,
    quota: Arc<quota::Quota>,
    queue: queue::Queue,
    partials: partial::Partials,
    in_use: Arc<in_use::InUse>,
    uses: uses::Uses,
    evictor: evict::Evictor,
    buffers: Buffers,
    handles: Mutex<lru::Lru<files::HandleKey, Arc<dyn DiskFile>>>,
    manifests: Mutex<lru::Lru<ContentHash, Arc<Manifest>>>,
    damage: damage::DamageReports,
    due: Mutex<scrub::Due>,
    /// Complete partial files with chunks that the index claims and this process has not verified.
    unproven: Mutex<Vec<Arc<partial::Partial>>>,
    /// Held while those are verified.
    proving: Mutex<()>,
    /// Held by whoever commits, and by whoever moves files from one state to another.
    committing: Mutex<()>,
    /// Held by the one garbage collection or eviction that runs.
    collecting: Mutex<()>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.shared.home.root().display())
    }
}
