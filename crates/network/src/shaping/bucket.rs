//! A token bucket: how many bytes may pass, at which time. Pure; time is an argument.

use std::time::{Duration, Instant};

/// Seconds of rate that an idle bucket saves up: short enough to stay within 2 % over ten seconds,
/// long enough that a late timer loses nothing.
const BURST_SECONDS: f64 = 0.1;

/// Bytes that pass at once at most: coarse enough to be cheap, fine enough to be fair.
const QUANTUM_MAX: f64 = 64.0 * 1024.0;

/// Bytes that pass at once at least: below, the work per byte would be noticed.
const QUANTUM_MIN: f64 = 512.0;

/// Lets bytes pass at a rate. It may go into debt by one quantum, which the next ones wait for, so
/// that no byte of the rate is ever lost to rounding.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    rate: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full one. A rate of 0 counts as 1 byte a second.
    pub(crate) fn new(bytes_per_second: u64, now: Instant) -> Self {
        let rate = bytes_per_second.max(1) as f64;
        Self {
            rate,
            tokens: rate * BURST_SECONDS,
            at: now,
        }
    }

    /// When something may pass next; `now` or earlier if at once.
    pub(crate) fn ready_at(&mut self, now: Instant) -> Instant {
        self.refill(now);
        if self.tokens > 0.0 {
            return now;
        }
        // A nanosecond more, so that rounding down cannot end in a wait of zero.
        let wait = Duration::try_from_secs_f64(-self.tokens / self.rate).unwrap_or(Duration::MAX);
        let wait = wait.min(Duration::from_secs(3600)) + Duration::from_nanos(1);
        now + wait
    }

    /// How many of the wanted bytes pass at once.
    pub(crate) fn quantum(&self, want: usize) -> usize {
        let quantum = (self.rate / 100.0).clamp(QUANTUM_MIN, QUANTUM_MAX);
        want.min(quantum as usize)
    }

    /// Takes bytes out, into debt if need be.
    pub(crate) fn take(&mut self, bytes: usize, now: Instant) {
        self.refill(now);
        self.tokens -= bytes as f64;
    }

    /// Puts bytes back that were taken and not used.
    pub(crate) fn put_back(&mut self, bytes: usize) {
        self.tokens += bytes as f64;
    }

    /// Whether it is as full as it gets, so that forgetting it changes nothing.
    pub(crate) fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.tokens >= self.rate * BURST_SECONDS
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.tokens = (self.tokens + passed * self.rate).min(self.rate * BURST_SECONDS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that pass in ten seconds if everything is taken as soon as it may be, with a timer
    /// that is late by as much as a busy machine's.
    fn passed(rate: u64, late: Duration) -> usize {
        let start = Instant::now();
        let end = start + Duration::from_secs(10);
        let (mut now, mut passed) = (start, 0);
        let mut bucket = Bucket::new(rate, now);
        loop {
            let ready = bucket.ready_at(now);
            if ready > now {
                now = ready + late;
            }
            if now >= end {
                return passed;
            }
            if ready <= now && bucket.ready_at(now) <= now {
                let quantum = bucket.quantum(256 * 1024);
                bucket.take(quantum, now);
                passed += quantum;
            }
        }
    }

    #[test]
    fn the_rate_holds_within_three_percent_over_ten_seconds() {
        for rate in [
            20_000,
            100_000,
            1_000_000,
            12_345_678,
            100_000_000,
            1_000_000_000,
        ] {
            for late in [
                Duration::ZERO,
                Duration::from_millis(1),
                Duration::from_millis(40),
            ] {
                let ratio = passed(rate, late) as f64 / (rate * 10) as f64;
                assert!(
                    (0.97..1.03).contains(&ratio),
                    "{rate} B/s, {late:?} late: {ratio}"
                );
            }
        }
    }

    #[test]
    fn what_an_idle_bucket_saves_up_is_bounded() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1_000_000, start);
        let later = start + Duration::from_secs(3600);
        bucket.take(100_001, later);
        assert!(
            bucket.ready_at(later) > later,
            "an hour of rate must not pass at once"
        );
    }

    #[test]
    fn what_was_put_back_passes_again() {
        let now = Instant::now();
        let mut bucket = Bucket::new(1_000, now);
        bucket.take(1_000, now);
        assert!(bucket.ready_at(now) > now);
        bucket.put_back(1_000);
        assert!(bucket.ready_at(now) <= now && bucket.is_full(now));
    }

    #[test]
    fn time_that_runs_backwards_is_harmless() {
        let now = Instant::now() + Duration::from_secs(5);
        let mut bucket = Bucket::new(0, now);
        bucket.take(10, now);
        assert!(bucket.ready_at(now - Duration::from_secs(5)) > now - Duration::from_secs(5));
    }
}
