//! Counters for operators.
//!
//! One struct, a sentence each. Counting costs one relaxed addition; values that are expensive to
//! determine are requested from their owner for each snapshot (see `metrics`).

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::error::TransferError;

/// All counters since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Wrong chunks, chunk lists and claims about aliases of peers.
    pub rejected: Count,
    /// Peers that were banned for them.
    pub bans: Count,
    /// Times that a running fetch received nothing for long.
    pub stalls: Count,
    /// Completed fetches.
    pub fetches_done: Count,
    /// Fetches that ended without all wanted content.
    pub fetches_failed: Count,
    /// Fetches whose caller left.
    pub fetches_cancelled: Count,
    /// Running fetches.
    pub fetches: Level,
    /// Stored bytes that were checked in the background.
    pub scrubbed: Count,
    /// Chunk requests of peers that are being answered.
    pub uploads: Level,
}

impl Counters {
    /// A fetch begins; it ends with the value.
    pub fn begin_fetch(self: &Arc<Self>) -> FetchUnderWay {
        FetchUnderWay {
            _level: self.fetches.enter(),
            counters: self.clone(),
            outcome: Outcome::Cancelled,
        }
    }
}

/// A counter of events.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Counts one event.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts so many events.
    pub fn add(&self, times: u64) {
        self.0.fetch_add(times, Ordering::Relaxed);
    }

    /// The number of events.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A gauge of running operations.
#[derive(Debug, Default)]
pub struct Level(Arc<AtomicU64>);

impl Level {
    /// Counts one more until the value is dropped.
    pub fn enter(&self) -> Entered {
        self.0.fetch_add(1, Ordering::Relaxed);
        Entered(self.0.clone())
    }

    /// The current number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The guard of one operation that a [`Level`] counts.
#[derive(Debug)]
pub struct Entered(Arc<AtomicU64>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Done,
    Failed,
    Cancelled,
}

/// The guard of one fetch. If it is dropped without an outcome, the fetch was cancelled.
#[derive(Debug)]
pub struct FetchUnderWay {
    _level: Entered,
    counters: Arc<Counters>,
    outcome: Outcome,
}

impl FetchUnderWay {
    /// Records the outcome.
    pub fn end<T>(mut self, result: &Result<T, TransferError>) {
        self.outcome = match result {
            Ok(_) => Outcome::Done,
            Err(error) if error.is_interruption() => Outcome::Cancelled,
            Err(_) => Outcome::Failed,
        };
    }
}

impl Drop for FetchUnderWay {
    fn drop(&mut self) {
        match self.outcome {
            Outcome::Done => self.counters.fetches_done.count(),
            Outcome::Failed => self.counters.fetches_failed.count(),
            Outcome::Cancelled => self.counters.fetches_cancelled.count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_is_counted_once_whatever_becomes_of_it() {
        let counters = Arc::<Counters>::default();
        let fetches = [(); 4].map(|()| counters.begin_fetch());
        assert_eq!(counters.fetches.get(), 4);
        let [done, failed, stopped, dropped] = fetches;
        done.end(&Ok(()));
        failed.end::<()>(&Err(TransferError::NoNode));
        stopped.end::<()>(&Err(TransferError::Interrupted));
        drop(dropped);
        let counts = [
            counters.fetches_done.get(),
            counters.fetches_failed.get(),
            counters.fetches_cancelled.get(),
            counters.fetches.get(),
        ];
        assert_eq!(counts, [1, 1, 2, 0]);
    }
}
