//! Damage on disk that a reader meets: a held chunk is wrong when it is read.
//!
//! The store no longer holds such a chunk and reports it; a reader then waits for it as for any
//! other missing chunk. This module gives the reader that reason, for the error if no peer has the
//! chunk.

use std::sync::Arc;

use hubless_content::{ChunkIndex, FileHash};
use hubless_store::{Damaged, Store};
use tokio::sync::broadcast::{Receiver, error::TryRecvError};

use crate::news::News;

/// All damage reports of the store, for subscribers.
pub(crate) fn reports(store: &Store) -> News<Damaged> {
    let reports = News::default();
    let sink = reports.clone();
    store.on_damage(Arc::new(move |damaged: &Damaged| {
        sink.send(damaged.clone());
    }));
    reports
}

/// Receives damage reports of one file while it is read.
pub struct DamageWatch {
    file: FileHash,
    reports: Receiver<Damaged>,
}

impl DamageWatch {
    /// Subscribes to the damage reports of one file.
    pub fn new(reports: &News<Damaged>, file: FileHash) -> Self {
        let reports = reports.subscribe();
        Self { file, reports }
    }

    /// A chunk of the file that was found to be wrong since the last call.
    pub fn take(&mut self) -> Option<ChunkIndex> {
        loop {
            match self.reports.try_recv() {
                Ok(damaged) if damaged.file == self.file => {
                    return damaged.chunks.first().copied();
                }
                // A report of another file, or so many that some were lost.
                Ok(_) | Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }
}
