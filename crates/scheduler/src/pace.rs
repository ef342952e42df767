//! The speed of a source: rate and round trip, and from them its window and deadlines.

use std::time::Duration;

/// Window of an unmeasured source: large enough to measure a rate, and small enough to wait for if
/// the source is slow.
const WINDOW_FIRST: f64 = 4.0;

/// A window covers what arrives in a round trip and this long, so that a disk on either side may be
/// busy for a moment.
const WINDOW_MARGIN: Duration = Duration::from_millis(200);

/// Most that a window shrinks at each response, so that one slow response does not empty it.
const WINDOW_STEP_DOWN: f64 = 0.5;

/// Weight of the newest sample of the rate: the last eight count for 90 %.
const RATE_GAIN: f64 = 0.25;

/// Expected time of a request to a source that never responded.
const ANSWER_TIME_FIRST: Duration = Duration::from_secs(1);

/// A request is late after this many times its expected time.
const DEADLINE_FACTOR: f64 = 3.0;

/// ... or after the usual response time and this many times its usual deviation, if that is later:
/// a source that serves many peers makes each wait for its turn. As in TCP (RFC 6298).
const DEADLINE_DEVIATIONS: f64 = 4.0;

/// Weight of the newest response in the usual time and deviation.
const USUAL_GAIN: f64 = 0.125;

/// No request is late before this: a pause of a disk, a lost packet or a garbage collection must not
/// trigger the watchdog.
const DEADLINE_MIN: Duration = Duration::from_secs(2);

/// Each request is late after this, however slow its source.
const DEADLINE_MAX: Duration = Duration::from_secs(10);

/// Shortest time counted for a response, so that rates stay finite.
const ANSWER_TIME_MIN: Duration = Duration::from_micros(1);

/// The delivery counters of a source when a request was sent to it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Mark {
    at: Duration,
    answers: u64,
    bytes: u64,
}

/// The measured pace of one source.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    answers: u64,
    bytes: u64,
    answers_per_second: f64,
    bytes_per_second: f64,
    /// The shortest response time so far. It never grows: a source with a queue responds more slowly
    /// the more requests it has, and a window that followed that time would grow without end.
    round_trip: Option<Duration>,
    /// Usual response time in seconds, and its usual deviation.
    usual: f64,
    deviation: f64,
    window: f64,
    window_max: f64,
}

impl Pace {
    pub(crate) fn new(window_max: usize) -> Self {
        let window_max = window_max as f64;
        Self {
            answers: 0,
            bytes: 0,
            answers_per_second: 0.0,
            bytes_per_second: 0.0,
            round_trip: None,
            usual: 0.0,
            deviation: 0.0,
            window: WINDOW_FIRST.min(window_max),
            window_max,
        }
    }

    /// The mark to keep with a request that is sent now.
    pub(crate) fn mark(&self, now: Duration) -> Mark {
        Mark {
            at: now,
            answers: self.answers,
            bytes: self.bytes,
        }
    }

    /// A response with `bytes` arrived. The rate is measured since its request was sent, over all
    /// responses in between, which is right for every window and after every pause.
    pub(crate) fn answered(&mut self, now: Duration, asked: Mark, bytes: u32) {
        self.answers += 1;
        self.bytes += u64::from(bytes);
        let took = now.saturating_sub(asked.at).max(ANSWER_TIME_MIN);
        let seconds = took.as_secs_f64();
        let first = self.round_trip.is_none();
        let blend = |old: f64, new: f64| {
            if first {
                new
            } else {
                old + (new - old) * RATE_GAIN
            }
        };
        self.answers_per_second = blend(
            self.answers_per_second,
            (self.answers - asked.answers) as f64 / seconds,
        );
        self.bytes_per_second = blend(
            self.bytes_per_second,
            (self.bytes - asked.bytes) as f64 / seconds,
        );
        if first {
            (self.usual, self.deviation) = (seconds, seconds / 2.0);
        } else {
            let off = seconds - self.usual;
            self.usual += off * USUAL_GAIN;
            self.deviation += (off.abs() - self.deviation) * USUAL_GAIN;
        }
        let round_trip = self.round_trip.map_or(took, |shortest| shortest.min(took));
        self.round_trip = Some(round_trip);

        // A window that is too small limits the measured rate in proportion, so the margin makes it
        // grow until the rate stops growing: at first it doubles in each round trip.
        let target = self.answers_per_second * (round_trip + WINDOW_MARGIN).as_secs_f64();
        self.window = target.clamp(self.window - WINDOW_STEP_DOWN, self.window + 1.0);
        self.window = self.window.clamp(1.0, self.window_max);
    }

    /// Counts bytes that arrived without an open request.
    pub(crate) fn add_unmeasured(&mut self, bytes: u32) {
        self.answers += 1;
        self.bytes += u64::from(bytes);
    }

    /// Halves the window, after a request was late, refused or failed.
    pub(crate) fn shrink(&mut self) {
        self.window = (self.window / 2.0).max(1.0);
    }

    /// Limit of open requests; at least one.
    pub(crate) fn window(&self) -> usize {
        self.window.round() as usize
    }

    /// Expected response time of a request that is sent after `ahead` open ones.
    pub(crate) fn answer_time(&self, ahead: usize) -> Duration {
        let Some(round_trip) = self.round_trip else {
            return ANSWER_TIME_FIRST;
        };
        let each = Duration::from_secs_f64(1.0 / self.answers_per_second.max(MIN_RATE));
        round_trip.max(each) + each.saturating_mul(u32::try_from(ahead).unwrap_or(u32::MAX))
    }

    /// The time after which a request with this expected time is late.
    pub(crate) fn patience(&self, answer_time: Duration) -> Duration {
        let longest = DEADLINE_MAX.as_secs_f64();
        let usual = (self.usual + DEADLINE_DEVIATIONS * self.deviation).min(longest);
        let expected = answer_time.min(DEADLINE_MAX).mul_f64(DEADLINE_FACTOR);
        expected
            .max(Duration::from_secs_f64(usual))
            .clamp(DEADLINE_MIN, DEADLINE_MAX)
    }

    pub(crate) fn bytes_per_second(&self) -> u64 {
        self.bytes_per_second as u64
    }

    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// The shortest response time, or the assumed one before the first response.
    pub(crate) fn round_trip_or_first(&self) -> Duration {
        self.round_trip.unwrap_or(ANSWER_TIME_FIRST)
    }

    pub(crate) fn answers(&self) -> u64 {
        self.answers
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Lowest assumed rate in responses per second: one in a quarter of an hour.
const MIN_RATE: f64 = 0.001;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const CHUNK: u32 = 256 * 1024;

    /// Simulates a source of `rate` responses per second behind `round_trip`, keeps its window full
    /// until `until`, and returns its pace.
    fn run(rate: f64, round_trip: Duration, until: Duration) -> Pace {
        let mut pace = Pace::new(128);
        let (mut now, mut sender_free) = (Duration::ZERO, Duration::ZERO);
        let mut open: VecDeque<(Duration, Mark)> = VecDeque::new();
        while now < until {
            while open.len() < pace.window() {
                sender_free =
                    sender_free.max(now + round_trip / 2) + Duration::from_secs_f64(1.0 / rate);
                open.push_back((sender_free + round_trip / 2, pace.mark(now)));
            }
            let Some((at, mark)) = open.pop_front() else {
                break;
            };
            now = at;
            pace.answered(now, mark, CHUNK);
        }
        pace
    }

    #[test]
    fn the_window_fills_a_long_fast_path() {
        let pace = run(400.0, Duration::from_millis(100), Duration::from_secs(3));
        let rate = pace.bytes_per_second() as f64 / f64::from(CHUNK);
        assert!((360.0..440.0).contains(&rate), "rate {rate}");
        assert!(
            (80..=128).contains(&pace.window()),
            "window {}",
            pace.window()
        );
    }

    #[test]
    fn a_fast_path_is_filled_within_a_few_round_trips() {
        let pace = run(400.0, Duration::from_millis(50), Duration::from_millis(400));
        assert!(pace.window() > 40, "window {}", pace.window());
    }

    #[test]
    fn a_slow_source_is_asked_for_one_chunk_at_a_time() {
        let pace = run(0.4, Duration::from_millis(50), Duration::from_secs(40));
        assert_eq!(pace.window(), 1);
        let time = pace.answer_time(0).as_secs_f64();
        assert!((2.0..3.2).contains(&time), "{time}");
    }

    #[test]
    fn windows_stay_between_one_and_the_most() {
        let mut pace = run(
            100_000.0,
            Duration::from_micros(10),
            Duration::from_millis(100),
        );
        assert_eq!(pace.window(), 128);
        (0..100).for_each(|_| pace.shrink());
        assert_eq!(pace.window(), 1);
        assert_eq!(Pace::new(2).window(), 2);
    }

    #[test]
    fn patience_follows_the_usual_response_time() {
        let (mut pace, mut now) = (Pace::new(128), Duration::ZERO);
        for took in [1, 4, 1, 4, 1, 4, 1, 4] {
            let mark = pace.mark(now);
            now += Duration::from_secs(took);
            pace.answered(now, mark, CHUNK);
        }
        assert!(pace.patience(Duration::ZERO) > Duration::from_secs(6));
    }

    #[test]
    fn patience_has_both_bounds() {
        let mut pace = Pace::new(128);
        assert_eq!(pace.patience(Duration::ZERO), DEADLINE_MIN);
        assert_eq!(
            pace.patience(Duration::from_secs(1)),
            Duration::from_secs(3)
        );
        assert_eq!(pace.patience(Duration::MAX), DEADLINE_MAX);
        // A response in no time at all must not make the rate infinite.
        pace.answered(Duration::ZERO, pace.mark(Duration::ZERO), 0);
        assert!(pace.answer_time(usize::MAX) > Duration::ZERO);
    }
}
