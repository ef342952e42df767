//! What a node counts, for those who operate it.
//!
//! One struct, a sentence each, and nothing that nobody increments. Counting costs one relaxed
//! addition; what is expensive to know is asked of its owner when somebody looks (see `metrics`).

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::failure::{Failure, FailureKind};

/// Everything that is counted since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Chunks, chunk lists and claims of what files are called that came from peers and were wrong.
    pub rejected: Count,
    /// Peers that were banned for that.
    pub bans: Count,
    /// Times that a fetch under way got nothing for long.
    pub stalls: Count,
    /// Fetches that came to their end.
    pub fetches_done: Count,
    /// Fetches that ended without all that was wanted.
    pub fetches_failed: Count,
    /// Fetches whose caller went away.
    pub fetches_cancelled: Count,
    /// Fetches under way.
    pub fetches: Level,
    /// Stored bytes that were checked in the background.
    pub scrubbed: Count,
    /// Asks of peers for chunks that are being answered.
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

/// Something that happens.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// It happened.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// It happened so many times.
    pub fn add(&self, times: u64) {
        self.0.fetch_add(times, Ordering::Relaxed);
    }

    /// How often it happened.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Something of which there are some at a time.
#[derive(Debug, Default)]
pub struct Level(Arc<AtomicU64>);

impl Level {
    /// One more, for as long as the value lives.
    pub fn enter(&self) -> Entered {
        self.0.fetch_add(1, Ordering::Relaxed);
        Entered(self.0.clone())
    }

    /// How many there are.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of those that a [`Level`] counts.
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

/// A fetch. One that is dropped without an outcome was cancelled.
#[derive(Debug)]
pub struct FetchUnderWay {
    _level: Entered,
    counters: Arc<Counters>,
    outcome: Outcome,
}

impl FetchUnderWay {
    /// Notes how it ended.
    pub fn end<T>(mut self, result: &Result<T, Failure>) {
        self.outcome = match result {
            Ok(_) => Outcome::Done,
            Err(failure) if failure.kind == FailureKind::Interrupted => Outcome::Cancelled,
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
        failed.end::<()>(&Err(Failure::new(FailureKind::Partial, "")));
        stopped.end::<()>(&Err(Failure::new(FailureKind::Interrupted, "")));
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
