//! What is due with time: late asks, asks to give up, ends of rests.

use std::time::Duration;

use super::Scheduler;
use crate::{
    requests::Ask,
    source::Source,
    types::{Output, SourceId},
};

/// An ask without an answer for this long is given up and its source has failed: one that would
/// still deliver does less than 5 KB/s.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

impl Scheduler {
    pub(super) fn wake_by(&mut self, at: Duration) {
        if self.wake_at.is_none_or(|wake_at| at < wake_at) {
            self.wake_at = Some(at);
            self.outputs.push_back(Output::WakeAt(at));
        }
    }

    pub(super) fn wake_after_rest(&mut self, id: SourceId) {
        let end = self
            .sources
            .get(&id)
            .map(Source::rests_until)
            .filter(|&end| end > self.now);
        if let Some(end) = end {
            self.wake_by(end);
        }
    }

    /// Does what is due: late asks, asks to give up, ends of rests.
    pub(super) fn watch(&mut self) {
        if self.wake_at.is_none_or(|wake_at| self.now < wake_at) {
            return;
        }
        self.wake_at = None;
        self.fill_all = true;
        for (chunk, source) in self.due_asks() {
            self.late_ask(chunk, source);
        }
        if let Some(next) = self.next_due() {
            self.wake_by(next);
        }
    }

    pub(super) fn due_asks(&self) -> Vec<(u32, SourceId)> {
        let due = |ask: &&Ask| self.now >= next_step(ask);
        self.requests
            .iter()
            .flat_map(|(chunk, asks)| asks.iter().filter(due).map(move |ask| (chunk, ask.source)))
            .collect()
    }

    pub(super) fn late_ask(&mut self, chunk: u32, id: SourceId) {
        let now = self.now;
        let Some(ask) = self.requests.of(chunk).iter().find(|ask| ask.source == id) else {
            return;
        };
        if ask.late {
            self.cancel(id, chunk);
            if let Some(source) = self.sources.get_mut(&id) {
                source.failed(now, &mut self.rng);
            }
            return self.release(chunk);
        }
        self.requests.mark_late(chunk, id);
        if let Some(source) = self.sources.get_mut(&id) {
            source.late += 1;
            source.pace.shrink();
        }
    }

    pub(super) fn next_due(&self) -> Option<Duration> {
        let asks = self
            .requests
            .iter()
            .flat_map(|(_, asks)| asks.iter().map(next_step));
        let rests = self
            .sources
            .values()
            .map(Source::rests_until)
            .filter(|&end| end > self.now);
        asks.chain(rests).min()
    }
}

/// When something is to be done about an ask: it becomes late, or is given up.
fn next_step(ask: &Ask) -> Duration {
    if ask.late {
        ask.sent_at.saturating_add(GIVE_UP_AFTER).max(ask.deadline)
    } else {
        ask.deadline
    }
}
