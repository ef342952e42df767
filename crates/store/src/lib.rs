//! Where bytes rest.
//!
//! # Shape
//! A [`Store`] is one directory: an index (crate `index`), the one source of truth, and plain files for
//! everything larger than a chunk. A file's bytes are in one of three places: *inline* in the
//! index (files of one chunk), *owned* in a file below the home directory, or *external*, where
//! the user's own file lies. All calls are synchronous and may come from any number of threads.
//!
//! # Rules
//! - **Only proven bytes come in.** The network's way in is [`Store::put`], which takes a
//!   [`VerifiedChunk`](hubless_content::VerifiedChunk). Bytes whose BLAKE3 is not known, as other
//!   hubs have them, wait aside until all are there and prove what was expected
//!   ([`Store::incoming`]).
//! - **Data before index.** Bytes are written and synced before their rows in the index. After a
//!   crash it may claim less than is there, never more; [`Store::recover`] finds the rest.
//! - **Group commits.** What is put can be read and counts as held at once; it is made durable in
//!   groups, by bytes and by time. [`Store::flush`] waits for it.
//! - **Room is taken before it is used**, so a quota or a full disk shows at the beginning, and
//!   the store stays readable.
//!
//! # Layers
//! The crates `disk` (the seam that tests replace) and `index` (the database) lie below. Inside:
//! `pending` (what waits for the next commit) < `files` (bytes where they lie) < `commit` (files change
//! their state) < `work` (import, export, checks, collection) < `facade` (this interface). Each imports
//! lower ones only. `locks` has the order of locks. What callers need of `disk` and `index` is exported
//! here, so that they import this crate alone.
//!
//! # Not here
//! Which peer gets what (`transfer`), how bytes travel (`network`), and what they mean (`content`).

mod commit;
mod error;
mod facade;
mod files;
mod locks;
mod observer;
mod open;
mod pending;
mod work;

use std::sync::Arc;

pub use error::{StoreError, StoreErrorKind};
pub use files::damage::Damaged;
pub use files::external::ExternalChange;
pub use files::located::{FileInfo, FilePlace};
pub use hubless_disk::{
    Access, Dir, Disk, DiskError, DiskFile, Entry, EntryKind, RealDisk, Signature,
};
pub use hubless_index::{
    COMMIT_PREFIX_MIN, DigestHasher, Digests, FOLLOWS_MAX, Follow, HEADS_MAX, HISTORY_MAX, Hold,
    IndexError, Mirror, NAMESPACES_MAX, Namespace, NamespaceSource, NewPublisher,
    OWN_PUBLISHERS_MAX, OwnPublisher, PastCommit, Publication, REFS_MAX, REPOS_MAX, REVISIONS_MAX,
    RecordChange, RefChange, Repo, RepoOrigin, StoredRecord, TakenOver,
};
pub use observer::{Observer, Progress};
pub use open::StoreOptions;
pub use pending::quota::Usage;
pub use work::announce::AnnounceKeys;
pub use work::digests::{Ahead, DigestsAhead};
pub use work::evict::Evictions;
pub use work::export::{ExportOptions, Exported};
pub use work::gc::GcReport;
pub use work::import::{ImportOptions, Imported};
pub use work::in_use::{FilesGuard, Guard};
pub use work::incoming::{Expected, Incoming, IncomingReader};
pub use work::models::ModelInfo;
pub use work::put::Put;
pub use work::scrub::Scrubbed;
pub use work::usage::Totals;
pub use work::verify::VerifyReport;

/// A store of models in one directory. Cloning is cheap; the last clone that goes commits what is
/// left, as does [`Store::close`].
#[derive(Clone)]
pub struct Store {
    work: Arc<work::Work>,
    committer: Arc<work::committer::Committer>,
}

impl Store {
    fn index(&self) -> &hubless_index::Index {
        &self.work.files.index
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.work.files.home.root().display())
    }
}
