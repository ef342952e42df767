//! The list of running fetches: content, progress, rate and sources.
//!
//! Each fetch reports its state a few times a second ([`Live::report`]) and is removed when it ends.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use hubless_sync::lock;

use crate::progress::{Stall, State, Subject, Transfer, TransferSource};

/// Limit of listed fetches; further ones run unlisted.
const TRANSFERS_MAX: usize = 256;

/// The time over which a rate is measured: short enough to follow changes, long enough to be
/// steady.
const RATE_OVER: Duration = Duration::from_secs(4);

/// The running fetches. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub struct Transfers(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    next: u64,
    live: BTreeMap<u64, Shown>,
}

#[derive(Debug)]
struct Shown {
    subject: Subject,
    since: Instant,
    report: Option<TransferReport>,
    /// Bytes fetched at points in time, the oldest first.
    samples: VecDeque<(Instant, u64)>,
}

/// The reported state of a fetch.
#[derive(Debug, Clone)]
pub struct TransferReport {
    /// Its phase.
    pub state: State,
    /// Wanted bytes that are held.
    pub bytes_verified: u64,
    /// Wanted bytes; 0 until they are known.
    pub bytes_total: u64,
    /// Received payload.
    pub bytes_fetched: u64,
    /// The peers that take part.
    pub sources: Vec<TransferSource>,
    /// Present only while no bytes arrive.
    pub stall: Option<Stall>,
}

impl Transfers {
    /// Lists a new fetch.
    pub fn begin(&self, subject: impl Into<Subject>) -> Live {
        let mut table = self.table();
        table.next += 1;
        let id = table.next;
        if table.live.len() < TRANSFERS_MAX {
            let shown = Shown {
                subject: subject.into(),
                since: Instant::now(),
                report: None,
                samples: VecDeque::new(),
            };
            table.live.insert(id, shown);
        }
        drop(table);
        Live {
            id,
            transfers: self.clone(),
        }
    }

    /// The active fetches, the oldest first.
    pub fn list(&self) -> Vec<Transfer> {
        let now = Instant::now();
        let table = self.table();
        let shown = |(id, shown): (&u64, &Shown)| {
            let report = shown.report.as_ref()?;
            Some(Transfer {
                id: *id,
                subject: shown.subject.clone(),
                state: report.state,
                bytes_verified: report.bytes_verified,
                bytes_total: report.bytes_total,
                bytes_fetched: report.bytes_fetched,
                bytes_per_second: shown.rate(now),
                seconds: (now - shown.since).as_secs(),
                sources: report.sources.clone(),
                stall: report.stall.clone(),
            })
        };
        table.live.iter().filter_map(shown).collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.0)
    }
}

impl Shown {
    fn sample(&mut self, now: Instant, bytes: u64) {
        self.samples.push_back((now, bytes));
        while let Some((at, _)) = self.samples.get(1)
            && now.duration_since(*at) >= RATE_OVER
        {
            self.samples.pop_front();
        }
    }

    fn rate(&self, now: Instant) -> u64 {
        let (Some((from, first)), Some((_, last))) = (self.samples.front(), self.samples.back())
        else {
            return 0;
        };
        let seconds = now.duration_since(*from).as_secs_f64();
        if seconds <= 0.0 {
            return 0;
        }
        (last.saturating_sub(*first) as f64 / seconds) as u64
    }
}

/// One fetch's entry in the list; removed when this is dropped.
#[derive(Debug)]
pub struct Live {
    id: u64,
    transfers: Transfers,
}

impl Live {
    /// Reports the current state; `None` hides the fetch while it waits for a reader.
    pub fn report(&self, report: Option<TransferReport>) {
        self.report_at(Instant::now(), report);
    }

    fn report_at(&self, now: Instant, report: Option<TransferReport>) {
        if let Some(shown) = self.transfers.table().live.get_mut(&self.id) {
            match &report {
                Some(report) => shown.sample(now, report.bytes_fetched),
                None => shown.samples.clear(),
            }
            shown.report = report;
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.transfers.table().live.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use hubless_content::ContentHash;

    use super::*;

    fn report(bytes_fetched: u64) -> Option<TransferReport> {
        Some(TransferReport {
            state: State::Fetching,
            bytes_verified: bytes_fetched,
            bytes_total: 1000,
            bytes_fetched,
            sources: Vec::new(),
            stall: None,
        })
    }

    #[test]
    fn a_fetch_is_shown_while_it_fetches() {
        let transfers = Transfers::default();
        let live = transfers.begin(ContentHash::new([1; 32]));
        assert!(transfers.list().is_empty(), "it said nothing yet");
        live.report(report(10));
        assert_eq!(transfers.list()[0].bytes_verified, 10);
        live.report(None);
        assert!(transfers.list().is_empty(), "it waits");
        live.report(report(20));
        assert_eq!(transfers.list().len(), 1);
        drop(live);
        assert!(transfers.list().is_empty());
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let transfers = Transfers::default();
        let live = transfers.begin(ContentHash::new([1; 32]));
        let start = Instant::now();
        for second in 0..20 {
            // A slow beginning is forgotten.
            let bytes = if second < 10 { 0 } else { (second - 10) * 50 };
            live.report_at(start + Duration::from_secs(second), report(bytes));
        }
        let table = transfers.table();
        let rate = table.live[&1].rate(start + Duration::from_secs(19));
        assert_eq!(rate, 50);
        assert!(table.live[&1].samples.len() <= 6);
    }

    #[test]
    fn only_so_many_are_shown() {
        let transfers = Transfers::default();
        let all: Vec<Live> = (0..TRANSFERS_MAX + 5)
            .map(|_| transfers.begin(ContentHash::new([1; 32])))
            .collect();
        all.iter().for_each(|live| live.report(report(1)));
        assert_eq!(transfers.list().len(), TRANSFERS_MAX);
        drop(all);
        assert!(transfers.table().live.is_empty());
    }
}
