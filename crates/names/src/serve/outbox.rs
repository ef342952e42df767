//! What waits for one watching peer: of each subject the latest head, at most one a second.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use hubless_content::{SubjectKey, VerifiedHead};

/// Heads of one subject are at least so far apart for one watching peer.
const GAP: Duration = Duration::from_secs(1);

/// The heads for one watching peer. Holds subjects only while one waits or was just sent.
#[derive(Debug, Default)]
pub(super) struct Outbox(HashMap<SubjectKey, Entry>);

#[derive(Debug)]
struct Entry {
    /// Nothing is sent before.
    free_at: Instant,
    waiting: Option<Arc<VerifiedHead>>,
}

impl Outbox {
    /// A head was taken; it replaces one of the same subject that waits.
    pub(super) fn add(&mut self, head: Arc<VerifiedHead>, now: Instant) {
        let key = head.head().subject.key();
        let entry = self.0.entry(key).or_insert(Entry {
            free_at: now,
            waiting: None,
        });
        let is_newer = |waiting: &Arc<VerifiedHead>| head.rank() > waiting.rank();
        if entry.waiting.as_ref().is_none_or(is_newer) {
            entry.waiting = Some(head);
        }
    }

    /// A head to send now.
    pub(super) fn next(&mut self, now: Instant) -> Option<Arc<VerifiedHead>> {
        self.0
            .retain(|_, entry| entry.waiting.is_some() || entry.free_at > now);
        let mut entries = self.0.values_mut();
        let ready = entries.find(|entry| entry.waiting.is_some() && entry.free_at <= now)?;
        ready.free_at = now + GAP;
        ready.waiting.take()
    }

    /// When the next head may be sent; `None` if none waits.
    pub(super) fn due(&self) -> Option<Instant> {
        let waiting = self.0.values().filter(|entry| entry.waiting.is_some());
        waiting.map(|entry| entry.free_at).min()
    }
}
