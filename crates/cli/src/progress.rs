//! How far a long work is: a bar on a terminal, a line every ten seconds elsewhere.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use hubless_node::api::State;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{output::Output, text};

const UNKNOWN_TOTAL: &str = "{spinner} {msg} {elapsed}";
const KNOWN_TOTAL: &str = "{msg:<17} {wide_bar:.cyan/dim} {percent:>3}% \
    {decimal_bytes:>9} of {decimal_total_bytes} {prefix}";

/// How often a bar without news moves, so that a person sees that the program lives.
const TICK: Duration = Duration::from_millis(120);

/// Time between two lines where there is no terminal: a log of hours stays short, and still
/// shows that the work goes on.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// What a rate is measured over. A stall shows as 0 after it.
const RATE_OVER: Duration = Duration::from_secs(10);

/// A rate over less than this says nothing.
const RATE_AFTER: Duration = Duration::from_secs(1);

/// Time between two points of a rate.
const POINT_EVERY: Duration = Duration::from_millis(100);

/// How far a work is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) state: State,
    pub(crate) bytes_done: u64,
    /// 0 as long as it is not known.
    pub(crate) bytes_total: u64,
    pub(crate) sources: u32,
    /// What is waited for while nothing comes.
    pub(crate) stall: Option<String>,
}

/// Shows how far a work is, unless that is not wanted.
pub(crate) struct Progress {
    shown: Shown,
    speed: Speed,
    /// The work as it was reported last, and since when its step lasts.
    work: Option<(Work, Instant)>,
}

enum Shown {
    Bar(ProgressBar),
    Lines { output: Output, last: Instant },
    Nothing,
}

impl Progress {
    pub(crate) fn new(output: &Output) -> Self {
        let shown = if output.has_bars() {
            let bar = ProgressBar::no_length().with_style(style(UNKNOWN_TOTAL));
            Shown::Bar(output.bars().add(bar))
        } else if output.has_progress_lines() {
            Shown::Lines {
                output: output.clone(),
                last: Instant::now(),
            }
        } else {
            Shown::Nothing
        };
        Self {
            shown,
            speed: Speed::default(),
            work: None,
        }
    }

    /// The work is this far now.
    pub(crate) fn show(&mut self, work: Work, now: Instant) {
        let same_step = self.work.as_ref().filter(|(last, _)| {
            last.state == work.state && (last.bytes_total == 0) == (work.bytes_total == 0)
        });
        let since = same_step.map(|(_, since)| *since);
        if since.is_none() {
            // What was there before this step is not its speed.
            self.speed = Speed::default();
            self.begin_step(&work);
        }
        self.speed.note(now, work.bytes_done);
        self.work = Some((work, since.unwrap_or(now)));
        self.refresh(now);
    }

    /// Time has passed.
    pub(crate) fn beat(&mut self, now: Instant) {
        if let Some((work, _)) = &self.work {
            self.speed.note(now, work.bytes_done);
            self.refresh(now);
        }
    }

    fn begin_step(&self, work: &Work) {
        let Shown::Bar(bar) = &self.shown else {
            return;
        };
        bar.disable_steady_tick();
        bar.set_style(style(match work.bytes_total {
            0 => UNKNOWN_TOTAL,
            _ => KNOWN_TOTAL,
        }));
        bar.set_message(work.state.to_string());
        bar.enable_steady_tick(TICK);
    }

    fn refresh(&mut self, now: Instant) {
        let Some((work, since)) = &self.work else {
            return;
        };
        let rate = self.speed.rate();
        match &mut self.shown {
            Shown::Bar(bar) => {
                if work.bytes_total > 0 {
                    bar.set_length(work.bytes_total);
                    bar.set_position(work.bytes_done);
                }
                bar.set_prefix(pace(work, rate).join(" "));
            }
            Shown::Lines { output, last } if now.duration_since(*last) >= LINE_EVERY => {
                *last = now;
                output.note(&line(work, rate, now.duration_since(*since)));
            }
            Shown::Lines { .. } | Shown::Nothing => {}
        }
    }

    pub(crate) fn clear(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// `fetching: 641.9 MB of 1.2 GB (53 %), 12.5 MB/s, ETA 45 s, 3 sources`
fn line(work: &Work, rate: Option<u64>, step: Duration) -> String {
    let state = work.state;
    if work.bytes_total == 0 {
        return format!("{state} for {}", text::duration(step));
    }
    let (done, total) = (text::size(work.bytes_done), text::size(work.bytes_total));
    let percent = text::percent(work.bytes_done, work.bytes_total);
    let far = format!("{state}: {done} of {total} ({percent})");
    [vec![far], pace(work, rate)].concat().join(", ")
}

/// The rate, the time left and the number of sources; or what is waited for.
fn pace(work: &Work, rate: Option<u64>) -> Vec<String> {
    if let Some(stall) = &work.stall {
        return vec![stall.clone()];
    }
    let mut pace = Vec::new();
    if let Some(rate) = rate {
        pace.push(format!("{}/s", text::size(rate)));
        let left = work.bytes_total.saturating_sub(work.bytes_done);
        if let Some(seconds) = left.checked_div(rate).filter(|_| left > 0) {
            let left = text::duration(Duration::from_secs(seconds.max(1)));
            pace.push(format!("ETA {left}"));
        }
    }
    if matches!(work.state, State::Fetching | State::FetchingManifest) {
        pace.push(text::count(work.sources.into(), "source"));
    }
    pace
}

/// Bytes a second over the last seconds.
#[derive(Debug, Default)]
struct Speed(VecDeque<(Instant, u64)>);

impl Speed {
    fn note(&mut self, now: Instant, bytes: u64) {
        let is_only = self.0.len() == 1;
        match self.0.back_mut() {
            // The first point is where the rate is measured from.
            Some(last) if !is_only && now.duration_since(last.0) < POINT_EVERY => {
                last.1 = bytes;
            }
            _ => self.0.push_back((now, bytes)),
        }
        // One point stays at the window's beginning, or before it.
        while self.0.len() > 2 && now.duration_since(self.0[1].0) >= RATE_OVER {
            self.0.pop_front();
        }
    }

    fn rate(&self) -> Option<u64> {
        let (first, last) = (self.0.front()?, self.0.back()?);
        let time = last.0.duration_since(first.0);
        let bytes = last.1.saturating_sub(first.1);
        (time >= RATE_AFTER).then(|| (bytes as f64 / time.as_secs_f64()) as u64)
    }
}

fn style(template: &str) -> ProgressStyle {
    // A test holds that both templates are well formed.
    let style = ProgressStyle::with_template(template);
    style
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_well_formed() {
        for template in [UNKNOWN_TOTAL, KNOWN_TOTAL] {
            ProgressStyle::with_template(template).unwrap();
        }
    }

    fn fetching(bytes_done: u64) -> Work {
        Work {
            state: State::Fetching,
            bytes_done,
            bytes_total: 100_000_000,
            sources: 2,
            stall: None,
        }
    }

    #[test]
    fn the_rate_of_a_stall_is_0_after_ten_seconds_and_nothing_is_expected_of_it() {
        let begin = Instant::now();
        let mut speed = Speed::default();
        for second in 0..=20 {
            let bytes = 1_000_000 * second.min(10);
            speed.note(begin + Duration::from_secs(second), bytes);
        }
        assert_eq!(speed.rate(), Some(0));
        assert_eq!(
            line(&fetching(10_000_000), speed.rate(), RATE_OVER),
            "fetching: 10.0 MB of 100.0 MB (10 %), 0 B/s, 2 sources"
        );
    }

    #[test]
    fn the_rate_is_that_of_the_last_ten_seconds() {
        let begin = Instant::now();
        let mut speed = Speed::default();
        assert_eq!(speed.rate(), None);
        for tenth in 0..=300_u64 {
            // 10 MB/s for 20 s, then 1 MB/s.
            let bytes = 1_000_000 * tenth.min(200) + 100_000 * tenth.saturating_sub(200);
            speed.note(begin + Duration::from_millis(100 * tenth), bytes);
        }
        assert_eq!(speed.rate(), Some(1_000_000));
        assert!(speed.0.len() < 110, "{}", speed.0.len());
    }

    #[test]
    fn a_line_shows_how_far_how_fast_and_from_how_many() {
        let mut work = fetching(50_000_000);
        assert_eq!(
            line(&work, Some(12_500_000), RATE_OVER),
            "fetching: 50.0 MB of 100.0 MB (50 %), 12.5 MB/s, ETA 4.0 s, 2 sources"
        );
        work.stall = Some("no data for 6 s".to_owned());
        assert_eq!(
            line(&work, Some(12_500_000), RATE_OVER),
            "fetching: 50.0 MB of 100.0 MB (50 %), no data for 6 s"
        );
        work.bytes_total = 0;
        work.state = State::FindingProviders;
        let step = Duration::from_secs(20);
        assert_eq!(line(&work, None, step), "finding providers for 20 s");
    }
}
