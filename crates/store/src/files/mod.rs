//! Files at rest: where their bytes are, and reading and writing them there.
//!
//! A file is *inline* in the index, *owned* or *partial* below the home directory, or *external*, where
//! the user has it; each is a [`ChunkSource`](chunk_source::ChunkSource). [`Files`] knows the index, what waits for its next
//! commit, and the open files. It reads and writes chunks, and notes which are found to be lost; it
//! does not move files from one state to another, which `commit` does.

pub(crate) mod chunk_source;
pub(crate) mod damage;
pub(crate) mod external;
pub(crate) mod handles;
mod inline;
pub(crate) mod located;
mod owned;
pub(crate) mod partial;
mod partial_file;
pub(crate) mod source;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use hubless_content::FileHash;
use hubless_disk::{Disk, DiskFile, Home};
use hubless_index::Index;
use hubless_memory::Buffers;
use hubless_memory::Lru;

use crate::{
    locks::{Rank, Ranked},
    pending::{queue::Queue, quota::Quota, uses::Uses},
};
use damage::DamageReports;
use handles::HandleKey;
use partial::Partials;

/// The files of a store.
pub(crate) struct Files {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) home: Home,
    pub(crate) index: Index,
    pub(crate) queue: Queue,
    pub(crate) quota: Arc<Quota>,
    pub(crate) uses: Uses,
    pub(crate) partials: Partials,
    pub(crate) damage: DamageReports,
    buffers: Buffers,
    handles: Ranked<Lru<HandleKey, Arc<dyn DiskFile>>>,
    /// Files that a reader found to have another signature than recorded.
    touched: Mutex<BTreeSet<FileHash>>,
}

impl Files {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        home: Home,
        index: Index,
        quota: Quota,
        handles_max: usize,
    ) -> Self {
        Self {
            disk,
            home,
            index,
            queue: Queue::default(),
            quota: Arc::new(quota),
            uses: Uses::default(),
            partials: Partials::new(),
            damage: DamageReports::default(),
            buffers: Buffers::default(),
            handles: Ranked::new(Rank::Handles, Lru::new(handles_max)),
            touched: Mutex::default(),
        }
    }

    /// Drops all open and partial files, when the store is closed.
    pub(crate) fn close(&self) {
        self.index.close();
        self.handles.lock().clear();
        self.partials.lock().clear();
    }
}
