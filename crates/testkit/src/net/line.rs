//! One direction of a simulated line: rate, queue, loss and delay. Pure; time and seed are arguments.

use std::{collections::VecDeque, time::Duration};

use crate::model::Noise;

/// Packets out of which a share is lost: the resolution of [`LineSpec::loss`].
const LOSS_RESOLUTION: u64 = 1_000_000;

/// The properties of one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LineSpec {
    /// Bits per second, IP headers counted.
    pub rate: u64,
    /// From the end of sending to the arrival.
    pub delay: Duration,
    /// Bytes that may wait to be sent; packets beyond are dropped.
    pub queue: usize,
    /// The share of packets that is lost, 0 to 1.
    pub loss: f64,
    /// Selects the lost packets: the same for the same seed.
    pub seed: u64,
}

impl LineSpec {
    /// A line of this rate with half of the round trip as its delay, a queue of 50 ms, as routers
    /// at such lines have, and no loss.
    pub fn new(rate: u64, round_trip: Duration) -> Self {
        Self {
            rate,
            delay: round_trip / 2,
            queue: usize::try_from(rate / 8 / 20).unwrap_or(usize::MAX),
            loss: 0.0,
            seed: 0,
        }
    }

    /// The same with loss.
    pub fn loses(self, loss: f64, seed: u64) -> Self {
        Self { loss, seed, ..self }
    }
}

/// Counters of the packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Arrived, or still in transit.
    pub carried: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Dropped because the queue was full.
    pub dropped: u64,
}

/// A direction, and the packets on it.
pub struct Line {
    spec: LineSpec,
    chance: Noise,
    /// The time at which all accepted packets are sent.
    free_at: Duration,
    /// Packets in transit with their arrival times, in order.
    on_the_way: VecDeque<(Duration, Box<[u8]>)>,
    counts: Counts,
}

impl Line {
    /// An empty one.
    pub fn new(spec: LineSpec) -> Self {
        Self {
            spec,
            chance: Noise::new(spec.seed),
            free_at: Duration::ZERO,
            on_the_way: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// Takes a packet at a time that never goes back.
    pub fn push(&mut self, now: Duration, packet: &[u8]) {
        if self.waiting(now) + packet.len() as f64 > self.spec.queue as f64 {
            self.counts.dropped += 1;
            return;
        }
        let sending = Duration::from_secs_f64(packet.len() as f64 * 8.0 / self.spec.rate as f64);
        self.free_at = self.free_at.max(now) + sending;
        // A lost packet takes its time on the line too.
        if self.is_lost() {
            self.counts.lost += 1;
            return;
        }
        self.counts.carried += 1;
        let arrival = self.free_at + self.spec.delay;
        self.on_the_way.push_back((arrival, packet.into()));
    }

    /// The next packet that has arrived by now.
    pub fn pop(&mut self, now: Duration) -> Option<Box<[u8]>> {
        let (arrival, _) = self.on_the_way.front()?;
        if *arrival > now {
            return None;
        }
        self.on_the_way.pop_front().map(|(_, packet)| packet)
    }

    /// Counters of the packets so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Bytes that are still to be sent.
    fn waiting(&self, now: Duration) -> f64 {
        let left = self.free_at.saturating_sub(now);
        left.as_secs_f64() * self.spec.rate as f64 / 8.0
    }

    fn is_lost(&mut self) -> bool {
        let bound = self.spec.loss * LOSS_RESOLUTION as f64;
        (self.chance.below(LOSS_RESOLUTION) as f64) < bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// 8 Mbit/s (a packet of 1,000 bytes takes 1 ms), 20 ms one way, room for 10 packets.
    fn spec() -> LineSpec {
        LineSpec {
            queue: 10_000,
            ..LineSpec::new(8_000_000, 40 * MS)
        }
    }

    #[test]
    fn a_packet_arrives_after_sending_and_delay() {
        let mut line = Line::new(spec());
        line.push(5 * MS, &[1; 1000]);
        line.push(5 * MS, &[2; 1000]);
        assert_eq!(line.pop(25 * MS), None);
        assert_eq!(line.pop(26 * MS).as_deref(), Some(&[1; 1000][..]));
        assert_eq!(line.pop(26 * MS), None);
        assert_eq!(line.pop(27 * MS).as_deref(), Some(&[2; 1000][..]));
    }

    #[test]
    fn the_rate_holds_and_the_queue_is_bounded() {
        let mut line = Line::new(spec());
        let mut arrived = 0;
        // Twice the rate of the line, for a second.
        for half in 0..2000 {
            let now = MS * half / 2;
            line.push(now, &[0; 1000]);
            while line.pop(now).is_some() {
                arrived += 1;
            }
        }
        // The packets of the last 20 ms are still in transit.
        assert!((975..=980).contains(&arrived), "{arrived}");
        let counts = line.counts();
        assert!((1000..=1011).contains(&counts.carried), "{counts:?}");
        assert_eq!(counts.carried + counts.dropped, 2000);
    }

    #[test]
    fn loss_is_what_was_asked_for_and_the_same_for_a_seed() {
        let fates = |seed| {
            let mut line = Line::new(spec().loses(0.01, seed));
            let lost = (0..100_000).map(|packet| {
                let before = line.counts().lost;
                line.push(MS * packet, &[0; 100]);
                line.counts().lost > before
            });
            lost.collect::<Vec<_>>()
        };
        let first = fates(7);
        // 1,000 expected; three standard deviations are 94.
        let lost = first.iter().filter(|lost| **lost).count();
        assert!((900..1100).contains(&lost), "{lost}");
        assert_eq!(first, fates(7));
        assert_ne!(first, fates(8));
    }
}
