//! Long work reports its progress, and asks whether to go on.

use std::sync::Mutex;

use hubless_sync::lock;

use crate::error::StoreError;

/// How far long work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Bytes done.
    pub bytes_done: u64,
    /// Bytes in all.
    pub bytes_total: u64,
    /// Files done.
    pub files_done: u64,
    /// Files in all.
    pub files_total: u64,
}

/// Watches long work. Called from several threads, about once a MiB: be quick.
pub trait Observer: Sync {
    /// It is this far now.
    fn progress(&self, progress: Progress) {
        let _ = progress;
    }

    /// Whether it should stop; it then ends with [`StoreError::Cancelled`](crate::StoreError).
    fn cancelled(&self) -> bool {
        false
    }
}

/// Watches nothing and never stops.
impl Observer for () {}

/// Counts what several threads have done and reports it to the observer.
pub(crate) struct Meter<'a> {
    observer: &'a dyn Observer,
    progress: Mutex<Progress>,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(observer: &'a dyn Observer, files_total: u64, bytes_total: u64) -> Self {
        let progress = Progress {
            files_total,
            bytes_total,
            ..Progress::default()
        };
        Self {
            observer,
            progress: Mutex::new(progress),
        }
    }

    /// Adds to what is done; an error when the work should stop.
    pub(crate) fn add(&self, files: u64, bytes: u64) -> Result<(), StoreError> {
        let progress = {
            let mut progress = lock(&self.progress);
            progress.files_done += files;
            progress.bytes_done += bytes;
            *progress
        };
        self.observer.progress(progress);
        if self.observer.cancelled() {
            Err(StoreError::Cancelled)
        } else {
            Ok(())
        }
    }
}
