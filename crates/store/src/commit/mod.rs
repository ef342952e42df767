//! Moving files from one state to another, one change at a time.
//!
//! A group commit makes durable what waits and publishes complete files (`group.rs`); imports put their
//! files in place (`place.rs`); damaged chunks are held no longer (`reject.rs`); garbage is removed
//! (`remove.rs`). All of them hold the commit lock, write data before its row in the index, and let
//! the index forget before data goes.

pub(crate) mod group;
pub(crate) mod place;
mod reject;
mod remove;

use std::sync::{Arc, Mutex};

use hubless_sync::lock;

use crate::{
    files::{Files, partial::Partial},
    locks::{Rank, Ranked, RankedGuard},
};

/// The commit lock, and what is done under it.
pub(crate) struct Commits {
    files: Arc<Files>,
    /// Held by the task that commits or moves a file from one state to another.
    committing: Ranked<()>,
    /// Complete partial files with chunks that the index claims and this process has not verified.
    unproven: Mutex<Vec<Arc<Partial>>>,
}

impl Commits {
    pub(crate) fn new(files: Arc<Files>) -> Self {
        Self {
            files,
            committing: Ranked::new(Rank::Committing, ()),
            unproven: Mutex::default(),
        }
    }

    /// Keeps commits and moves of files away until the guard is dropped.
    pub(crate) fn lock(&self) -> RankedGuard<'_, ()> {
        self.committing.lock()
    }

    /// Takes the complete partial files that wait for their chunks to be verified.
    pub(crate) fn take_unproven(&self) -> Vec<Arc<Partial>> {
        std::mem::take(&mut *lock(&self.unproven))
    }

    /// Has files wait for that again.
    pub(crate) fn put_unproven(&self, partials: &[Arc<Partial>]) {
        lock(&self.unproven).extend_from_slice(partials);
    }

    pub(crate) fn has_unproven(&self) -> bool {
        !lock(&self.unproven).is_empty()
    }
}
