//! What garbage collection must not touch because a task works with it right now.
//!
//! A collection first finds what the pins reach, then removes the rest bit by bit while imports
//! and fetches go on. Whatever was in use at any moment of that time is kept, also when its guard
//! is gone before the collection comes to it: its pin may be newer than the collection's view.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use hubless_content::{ContentHash, FileHash};
use hubless_sync::{Counts, lock};

use crate::locks::{Rank, Ranked, RankedGuard};

pub(crate) struct InUse {
    state: Ranked<InUseState>,
}

#[derive(Default)]
pub(crate) struct InUseState {
    files: Counts<FileHash>,
    models: Counts<ContentHash>,
    /// While a collection runs: what was in use since it began.
    pub(crate) since: Option<Touched>,
}

#[derive(Default)]
pub(crate) struct Touched {
    pub(crate) files: HashSet<FileHash>,
    pub(crate) models: HashSet<ContentHash>,
}

impl InUse {
    pub(crate) fn new() -> Self {
        Self {
            state: Ranked::new(Rank::InUse, InUseState::default()),
        }
    }

    pub(crate) fn lock(&self) -> RankedGuard<'_, InUseState> {
        self.state.lock()
    }

    pub(crate) fn protect_model(self: &Arc<Self>, model: ContentHash) -> Guard {
        let mut state = self.lock();
        state.models.add(model);
        state.touch_model(model);
        Guard {
            in_use: self.clone(),
            model,
        }
    }

    pub(crate) fn protect_files(self: &Arc<Self>) -> FilesGuard {
        FilesGuard {
            in_use: self.clone(),
            files: Mutex::default(),
        }
    }
}

impl InUseState {
    /// A collection begins; what is in use now is kept.
    pub(crate) fn begin(&mut self) {
        let files = self.files.keys().copied().collect();
        let models = self.models.keys().copied().collect();
        self.since = Some(Touched { files, models });
    }

    pub(crate) fn touch_model(&mut self, model: ContentHash) {
        if let Some(since) = &mut self.since {
            since.models.insert(model);
        }
    }
}

/// Keeps a model and its files from being collected, until it is dropped.
#[must_use = "the model is protected only as long as this lives"]
pub struct Guard {
    in_use: Arc<InUse>,
    model: ContentHash,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.in_use.lock().models.remove(self.model);
    }
}

/// Keeps files from being collected that no model reaches yet, until it is dropped.
#[must_use = "the files are protected only as long as this lives"]
pub struct FilesGuard {
    in_use: Arc<InUse>,
    files: Mutex<Vec<FileHash>>,
}

impl FilesGuard {
    /// From now on `file` is kept. Add it before you check whether it is held.
    pub fn add(&self, file: FileHash) {
        lock(&self.files).push(file);
        let mut state = self.in_use.lock();
        state.files.add(file);
        if let Some(since) = &mut state.since {
            since.files.insert(file);
        }
    }
}

impl Drop for FilesGuard {
    fn drop(&mut self) {
        let mut state = self.in_use.lock();
        for file in lock(&self.files).iter() {
            state.files.remove(*file);
        }
    }
}
