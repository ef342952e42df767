//! When commits happen: by a thread, when enough waits or waits long enough, and when a caller asks.
//!
//! A partial file that becomes complete is published only if this process verified all of its chunks;
//! those that an earlier process wrote are read and checked between two commits.

use std::{
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use hubless_content::ChunkIndex;
use hubless_disk::IoContext;
use hubless_index::IndexError;
use hubless_sync::lock;

use crate::{
    error::StoreError,
    files::{located::LocatedFile, partial::Partial},
    work::{Work, check::FileToCheck},
};

/// The thread that commits when it is time. Dropping it commits what is left.
pub(crate) struct Committer {
    work: Arc<Work>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Committer {
    pub(crate) fn start(work: Arc<Work>) -> Result<Self, StoreError> {
        let for_thread = work.clone();
        let thread = thread::Builder::new()
            .name("store-commit".into())
            .spawn(move || run(&for_thread))
            .context("start a thread for", work.files.home.root())?;
        Ok(Self {
            work,
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(crate) fn stop(&self) {
        self.work.files.queue.stop();
        let thread = lock(&self.thread).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the committer panicked");
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.stop();
        match self.work.commit() {
            Ok(()) | Err(StoreError::Index(IndexError::Closed)) => {}
            Err(error) => tracing::error!(%error, "the last commit failed"),
        }
        self.work.commits.write_uses();
        self.work.files.index.close();
    }
}

fn run(work: &Work) {
    while work.files.queue.wait_until_due() {
        if let Err(error) = work.commit() {
            tracing::warn!(%error, "a commit failed; it will be tried again");
        }
    }
}

impl Work {
    /// Makes everything durable that was put before.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.commit()
    }

    /// Commits what is left and lets go of the directory, also if there are other clones: their
    /// calls end with `IndexError::Closed`.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        let outcome = match self.commit() {
            Err(StoreError::Index(IndexError::Closed)) => Ok(()),
            outcome => outcome,
        };
        self.commits.write_uses();
        self.files.close();
        outcome
    }

    pub(crate) fn commit(&self) -> Result<(), StoreError> {
        let outcome = self.commit_and_prove();
        self.files.damage.deliver();
        outcome
    }

    pub(crate) fn commit_and_prove(&self) -> Result<(), StoreError> {
        self.commits.commit_once()?;
        if !self.commits.has_unproven() {
            return Ok(());
        }
        let _one_at_a_time = self.proving.lock();
        self.prove_complete()?;
        self.commits.commit_once()
    }

    /// Verifies those chunks of complete partial files that this process did not verify: the index
    /// claims them from before, and a disk may have lost them since. Others commit meanwhile.
    pub(crate) fn prove_complete(&self) -> Result<(), StoreError> {
        let partials = self.commits.take_unproven();
        for (number, partial) in partials.iter().enumerate() {
            let proven = self.prove_partial(partial);
            // One that is proven is published by the next commit, and one that failed tried again.
            self.files.queue.push_dirty(partial.file, 0);
            if proven.is_err() {
                self.commits.put_unproven(&partials[number..]);
                return proven;
            }
        }
        Ok(())
    }

    pub(crate) fn prove_partial(&self, partial: &Arc<Partial>) -> Result<(), StoreError> {
        let unproven = partial.unproven();
        let located = LocatedFile::Partial(partial.clone());
        match self.files.chunk_list(partial.file)? {
            Some(list) => {
                let target = FileToCheck::new(partial.file, located, unproven, list);
                self.check_all(&[target], &()).map(drop)
            }
            // Nothing can prove them.
            None => {
                self.files
                    .lose(partial, unproven.iter().map(ChunkIndex).collect());
                Ok(())
            }
        }
    }
}
