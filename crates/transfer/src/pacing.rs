//! The pace of background work: it rests at least as long as it works, far longer while the node
//! serves peers, and pauses during imports and fetches.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

use hubless_store::{Observer, Progress};
use hubless_sync::lock;

use crate::context::Context;

/// How long it works before it rests: short enough that foreground work does not wait noticeably.
const WORK: Duration = Duration::from_millis(20);

/// Rest as a multiple of the work before it: half of one core, and of one disk.
const REST: u32 = 1;

/// The same multiple during uploads: a tenth of one core.
const REST_SERVING: u32 = 9;

/// Upload rate, in bytes per second, from which on the node counts as serving.
const SERVING_RATE: f64 = 1_000_000.0;

/// Interval at which a resting thread checks whether its rest ends or is prolonged.
const CHECK_EVERY: Duration = Duration::from_millis(100);

/// Paces a working thread: it rests, and waits during foreground work. Cloning is cheap.
#[derive(Clone)]
pub struct Pacer {
    cx: Arc<Context>,
    slice: Arc<Mutex<Slice>>,
    /// Whether a caller waits for the work, which then does not rest.
    is_awaited: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// The work since the last rest.
#[derive(Debug)]
struct Slice {
    began: Instant,
    /// Time of the last measurement of the upload rate, and the sent bytes at that time.
    measured_at: Instant,
    sent: u64,
}

impl Pacer {
    /// Paces work that begins now.
    pub fn new(cx: Arc<Context>, is_awaited: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        let now = Instant::now();
        let slice = Slice {
            began: now,
            measured_at: now,
            sent: 0,
        };
        Self {
            cx,
            slice: Arc::new(Mutex::new(slice)),
            is_awaited: Arc::new(is_awaited),
        }
    }

    /// Begins work.
    pub fn begin(&self) {
        self.slice().began = Instant::now();
    }

    /// Called after a part of the work: rests if a rest is due.
    pub fn step(&self) {
        if let Some(rest) = self.due() {
            self.rest(rest);
            self.begin();
        }
    }

    /// Rests for a time, and while foreground work runs; shorter if the node stops or a caller
    /// waits.
    pub fn rest(&self, time: Duration) {
        let end = Instant::now() + time;
        while !self.cx.cancel.is_cancelled() && !(self.is_awaited)() {
            let left = end.saturating_duration_since(Instant::now());
            match self.cx.busy.is_busy() {
                true => thread::sleep(CHECK_EVERY),
                false if left.is_zero() => return,
                false => thread::sleep(left.min(CHECK_EVERY)),
            }
        }
    }

    fn slice(&self) -> MutexGuard<'_, Slice> {
        lock(&self.slice)
    }

    /// The length of the rest, if one is due.
    fn due(&self) -> Option<Duration> {
        let mut slice = self.slice();
        let now = Instant::now();
        let worked = now.duration_since(slice.began);
        if worked < WORK {
            return None;
        }
        let sent = self
            .cx
            .network()
            .map_or(0, |network| network.counters().sent.total());
        let is_serving = is_serving(
            sent.saturating_sub(slice.sent),
            now.duration_since(slice.measured_at),
        );
        (slice.measured_at, slice.sent) = (now, sent);
        Some(worked.saturating_mul(if is_serving { REST_SERVING } else { REST }))
    }
}

impl Observer for Pacer {
    fn progress(&self, _: Progress) {
        self.step();
    }

    fn cancelled(&self) -> bool {
        self.cx.cancel.is_cancelled()
    }
}

/// Whether the upload rate exceeds [`SERVING_RATE`].
fn is_serving(sent: u64, time: Duration) -> bool {
    sent > 0 && sent as f64 >= SERVING_RATE * time.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_time_while_others_are_served() {
        let second = Duration::from_secs(1);
        assert!(!is_serving(0, Duration::ZERO));
        assert!(!is_serving(900_000, second));
        assert!(is_serving(1_000_000, second));
        assert!(is_serving(100_000, second / 10));
    }
}
