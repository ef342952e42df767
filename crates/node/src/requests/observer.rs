//! Progress of store work, as events.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use hubless_store::{Observer, Progress};
use hubless_transfer::State;

use crate::{event::Event, replies::ReplySink};

/// Interval of progress events. Each one wakes a thread, which costs as much as a small file.
const REPORT_EVERY: Duration = Duration::from_millis(50);

/// Forwards the progress of store work at an interval, and at its end.
pub(super) struct SinkObserver {
    sink: ReplySink,
    event: fn(Progress) -> Event,
    began: Instant,
    /// When the next progress event is due, in milliseconds since the beginning.
    next: AtomicU64,
}

impl SinkObserver {
    pub(super) fn new(sink: &ReplySink, event: fn(Progress) -> Event) -> Self {
        Self {
            sink: sink.clone(),
            event,
            began: Instant::now(),
            next: AtomicU64::new(0),
        }
    }

    fn is_due(&self) -> bool {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (now, next) = (self.began.elapsed(), self.next.load(Ordering::Relaxed));
        if millis(now) < next {
            return false;
        }
        let later = millis(now + REPORT_EVERY);
        let taken = self
            .next
            .compare_exchange(next, later, Ordering::Relaxed, Ordering::Relaxed);
        taken.is_ok()
    }
}

impl Observer for SinkObserver {
    fn progress(&self, progress: Progress) {
        let is_last = progress.files_done >= progress.files_total;
        if is_last || self.is_due() {
            self.sink.event((self.event)(progress));
        }
    }

    fn cancelled(&self) -> bool {
        self.sink.is_cancelled()
    }
}

/// The event of work that hashes.
pub(super) fn hashing(progress: Progress) -> Event {
    Event::Progress {
        state: State::Hashing,
        bytes_verified: progress.bytes_done,
        bytes_total: progress.bytes_total,
        sources: 0,
        stall: None,
    }
}
