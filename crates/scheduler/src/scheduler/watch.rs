//! Timeouts: late requests, requests to cancel, ends of rests.

use std::time::Duration;

use hubless_content::ModelChunk;

use super::Scheduler;
use crate::{requests::Request, source::Source, types::SourceId};

/// A request without a response for this long is cancelled and its source has failed: a source that
/// would still deliver sends less than 5 KB/s.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

impl Scheduler {
    pub(super) fn wake_after_rest(&mut self, id: SourceId) {
        let end = self
            .sources
            .get(&id)
            .map(Source::rests_until)
            .filter(|&end| end > self.now);
        if let Some(end) = end {
            self.outbox.wake_by(end);
        }
    }

    /// Applies all timeouts that are due.
    pub(super) fn watch(&mut self) {
        if !self.outbox.take_due(self.now) {
            return;
        }
        self.turns.add_all();
        for (chunk, source) in self.due_requests() {
            self.late_request(chunk, source);
        }
        if let Some(next) = self.next_due() {
            self.outbox.wake_by(next);
        }
    }

    pub(super) fn due_requests(&self) -> Vec<(ModelChunk, SourceId)> {
        let due = |request: &&Request| self.now >= next_step(request);
        self.requests
            .iter()
            .flat_map(|(chunk, requests)| {
                requests
                    .iter()
                    .filter(due)
                    .map(move |request| (chunk, request.source))
            })
            .collect()
    }

    pub(super) fn late_request(&mut self, chunk: ModelChunk, id: SourceId) {
        let now = self.now;
        let Some(request) = self
            .requests
            .of(chunk)
            .iter()
            .find(|request| request.source == id)
        else {
            return;
        };
        // The second timeout: the source is stuck.
        if request.late {
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
        let requests = self
            .requests
            .iter()
            .flat_map(|(_, requests)| requests.iter().map(next_step));
        let rests = self
            .sources
            .values()
            .map(Source::rests_until)
            .filter(|&end| end > self.now);
        requests.chain(rests).min()
    }
}

/// The next timeout of a request: it becomes late, or is cancelled.
fn next_step(request: &Request) -> Duration {
    if request.late {
        request
            .sent_at
            .saturating_add(GIVE_UP_AFTER)
            .max(request.deadline)
    } else {
        request.deadline
    }
}
