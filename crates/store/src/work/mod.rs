//! What a store does with its files: taking in and giving out, checking, making room, putting in order.
//!
//! One file for each kind of work. Each is made of the layers below: [`Files`] reads and writes,
//! [`Commits`] changes states, the index remembers.

pub(crate) mod announce;
pub(crate) mod check;
pub(crate) mod committer;
pub(crate) mod digests;
pub(crate) mod evict;
pub(crate) mod export;
pub(crate) mod gc;
pub(crate) mod import;
pub(crate) mod in_use;
pub(crate) mod incoming;
pub(crate) mod lost;
pub(crate) mod models;
pub(crate) mod names;
pub(crate) mod put;
pub(crate) mod read;
pub(crate) mod recover;
pub(crate) mod scrub;
pub(crate) mod sweep;
pub(crate) mod target;
pub(crate) mod temporary;
pub(crate) mod usage;
pub(crate) mod verify;
pub(crate) mod walk;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use hubless_content::FileHash;
use hubless_memory::Lru;

use crate::{
    commit::Commits,
    files::Files,
    locks::{Rank, Ranked},
};
use evict::Evictor;
use in_use::InUse;
use read::{LISTS_IN_USE_CVS, ListsInUse};

/// The work on a store, and what it must remember between two calls.
pub(crate) struct Work {
    pub(crate) files: Arc<Files>,
    pub(crate) commits: Commits,
    pub(crate) in_use: Arc<InUse>,
    evictor: Evictor,
    lists: Mutex<ListsInUse>,
    /// The files whose last check is oldest, oldest first.
    due: Mutex<VecDeque<FileHash>>,
    /// Held by the one garbage collection or eviction that runs.
    collecting: Ranked<()>,
    /// Held while chunks of complete partial files are verified.
    proving: Ranked<()>,
}

impl Work {
    pub(crate) fn new(files: Files) -> Self {
        let files = Arc::new(files);
        Self {
            commits: Commits::new(files.clone()),
            files,
            in_use: Arc::new(InUse::new()),
            evictor: Evictor::default(),
            lists: Mutex::new(Lru::new(LISTS_IN_USE_CVS)),
            due: Mutex::default(),
            collecting: Ranked::new(Rank::Collecting, ()),
            proving: Ranked::new(Rank::Proving, ()),
        }
    }
}
