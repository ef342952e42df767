//! How long nothing came, and what follows from that.

use std::time::Duration;

/// A fetch that got nothing for this long has stalled for operators: clients of the gateway wait no
/// longer.
const STALLED_AFTER: Duration = Duration::from_secs(10);

/// A fetch to which no byte came for this long reports for which peer it waits, and searches others.
/// Longer than a garbage collection or a lost packet takes.
const STALL_SHOWN_AFTER: Duration = Duration::from_secs(3);

/// Bytes of other fetches of this node cannot be distinguished from its own ones: without a whole chunk
/// for this long, it has stalled all the same.
const CHUNK_WITHIN: Duration = Duration::from_secs(15);

/// The time since something came.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Duration,
    /// When a chunk, a list or the manifest came, or more was wanted.
    last_progress: Duration,
    /// Payload that this node received, and since when it is so much.
    bytes: (u64, Duration),
    /// The progress after which others were searched, because nothing more came.
    hurried_after: Option<Duration>,
    /// The progress after which a stall was counted.
    stalled_after: Option<Duration>,
}

/// What a lack of progress leads to now. Each comes once after a progress.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Signs {
    /// Search other sources.
    pub(crate) hurry: bool,
    /// Count a stall.
    pub(crate) stalled: bool,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            last_progress: Duration::ZERO,
            bytes: (0, Duration::ZERO),
            hurried_after: None,
            stalled_after: None,
        }
    }

    pub(crate) fn progress(&mut self, now: Duration) {
        self.last_progress = now;
    }

    /// Notes whether bytes came since the last call, those of unfinished chunks among them.
    pub(crate) fn bytes(&mut self, received: u64, now: Duration) {
        if self.bytes.0 != received {
            self.bytes = (received, now);
        }
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self, now: Duration) -> bool {
        self.idle(now) >= self.limit
    }

    pub(crate) fn signs(&mut self, now: Duration) -> Signs {
        let (since, idle) = (self.last_progress, self.idle(now));
        Signs {
            hurry: idle >= STALL_SHOWN_AFTER && is_new(&mut self.hurried_after, since),
            stalled: idle >= STALLED_AFTER && is_new(&mut self.stalled_after, since),
        }
    }

    /// For how long nothing came, if that is long enough to report it.
    pub(crate) fn stall(&self, now: Duration) -> Option<Duration> {
        let idle = self.idle(now);
        let silent = now.saturating_sub(self.bytes.1);
        if idle.min(silent) >= STALL_SHOWN_AFTER {
            Some(idle.min(silent))
        } else if idle >= CHUNK_WITHIN {
            Some(idle)
        } else {
            None
        }
    }

    fn idle(&self, now: Duration) -> Duration {
        now.saturating_sub(self.last_progress)
    }
}

/// Whether this progress is another one than the last one that was noted; notes it.
fn is_new(noted: &mut Option<Duration>, progress: Duration) -> bool {
    noted.replace(progress) != Some(progress)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn each_sign_comes_once_after_a_progress() {
        let mut patience = Patience::new(seconds(60));
        let mut seen = Vec::new();
        for second in 0..30 {
            if second == 12 {
                patience.progress(seconds(12));
            }
            let Signs { hurry, stalled } = patience.signs(seconds(second));
            seen.extend(hurry.then_some(("hurry", second)));
            seen.extend(stalled.then_some(("stalled", second)));
        }
        let expected = [
            ("hurry", 3),
            ("stalled", 10),
            ("hurry", 15),
            ("stalled", 22),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn bytes_without_a_whole_chunk_delay_the_report_of_a_stall() {
        let mut patience = Patience::new(seconds(60));
        for second in 0..15 {
            patience.bytes(second, seconds(second));
            assert_eq!(patience.stall(seconds(second)), None, "after {second} s");
        }
        patience.bytes(15, seconds(15));
        assert_eq!(patience.stall(seconds(15)), Some(seconds(15)));
        let mut patience = Patience::new(seconds(60));
        patience.bytes(1, seconds(1));
        assert_eq!(patience.stall(seconds(4)), Some(seconds(3)));
    }

    #[test]
    fn it_is_over_when_nothing_came_for_the_limit() {
        let mut patience = Patience::new(seconds(20));
        patience.progress(seconds(5));
        assert!(!patience.is_over(seconds(24)));
        assert!(patience.is_over(seconds(25)));
    }
}
