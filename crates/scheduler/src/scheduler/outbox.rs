//! What the caller is to do, and what it knows already.

use std::{collections::VecDeque, time::Duration};

use hubless_content::ModelChunk;

use crate::types::{Output, SourceId};

/// Outputs that wait for the caller, and the state of the reports that are made once.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    outputs: VecDeque<Output>,
    /// When the caller was asked to send a tick.
    wake_at: Option<Duration>,
    /// The end was reported, and no chunk was wanted since.
    done: bool,
    /// The lack of sources was reported, and no request was sent since.
    starved: bool,
}

impl Outbox {
    pub(super) fn pop(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(super) fn push(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(super) fn request(&mut self, id: SourceId, chunk: ModelChunk) {
        self.push(Output::Request(id, chunk));
        self.starved = false;
    }

    /// Asks for a tick at `at`, unless there is an earlier one.
    pub(super) fn wake_by(&mut self, at: Duration) {
        if self.wake_at.is_none_or(|wake_at| at < wake_at) {
            self.wake_at = Some(at);
            self.push(Output::WakeAt(at));
        }
    }

    /// Whether the tick is due; it is over then.
    pub(super) fn take_due(&mut self, now: Duration) -> bool {
        self.wake_at.take_if(|wake_at| now >= *wake_at).is_some()
    }

    /// Nothing is missing.
    pub(super) fn report_done(&mut self) {
        if !self.done {
            self.done = true;
            self.wake_at = None;
            self.push(Output::Done);
        }
    }

    /// Something is missing again.
    pub(super) fn reopen(&mut self) {
        self.done = false;
    }

    /// Whether a lack of sources is still to be reported, should there be one.
    pub(super) fn may_starve(&self) -> bool {
        !self.done && !self.starved
    }

    /// No known source can give what is missing.
    pub(super) fn report_starved(&mut self) {
        self.starved = true;
        self.push(Output::Starved);
    }
}
