//! The progress bar: one line for all that a command does.

use std::time::Duration;

use hubless_node::api::State;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{output::Output, text};

const UNKNOWN_TOTAL: &str = "{spinner} {msg} {elapsed}";
const KNOWN_TOTAL: &str = "{msg:<17} {wide_bar:.cyan/dim} {percent:>3}% \
    {decimal_bytes:>9} of {decimal_total_bytes} {decimal_bytes_per_sec:>11} ETA {eta:<4} {prefix}";
/// How often a bar without news moves, so that a person sees that the program lives.
const TICK: Duration = Duration::from_millis(120);

/// A bar of verified bytes; not drawn unless stderr is a terminal that shall have it.
pub(crate) struct Progress {
    bar: ProgressBar,
    shown: Option<(State, Total)>,
}

/// Whether the number of all bytes is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Total {
    Unknown,
    Known,
}

impl Progress {
    pub(crate) fn new(output: &Output) -> Self {
        let bar = output
            .bars()
            .add(ProgressBar::no_length().with_style(style(Total::Unknown)));
        Self { bar, shown: None }
    }

    pub(crate) fn show(&mut self, state: State, verified: u64, total: u64, sources: u32) {
        let now = (
            state,
            if total == 0 {
                Total::Unknown
            } else {
                Total::Known
            },
        );
        let changed = self.shown.replace(now) != Some(now);
        if changed {
            self.bar.disable_steady_tick();
            self.bar.set_style(style(now.1));
            self.bar.set_message(state.to_string());
        }
        self.bar.set_prefix(match state {
            State::Fetching | State::FetchingManifest => text::count(sources.into(), "source"),
            State::Hashing | State::FindingProviders | State::Exporting => String::new(),
        });
        if now.1 == Total::Known {
            self.bar.set_length(total);
            self.bar.set_position(verified);
        }
        if changed {
            // What was there before this step is not its speed. The estimator takes note of a
            // position only with a tick, and then forgets the speed but not the position.
            self.bar.tick();
            self.bar.reset_eta();
            self.bar.enable_steady_tick(TICK);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn style(total: Total) -> ProgressStyle {
    let template = match total {
        Total::Unknown => UNKNOWN_TOTAL,
        Total::Known => KNOWN_TOTAL,
    };
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
}
